-- name: quotas_for_check
-- In the snapshot of the check: what the ledgers hold for the units near a site on a day.
SELECT
    q.ledger,
    q.admin_code,
    q.period,
    q.first_day,
    q.last_day,
    q.land_class,
    q.granted_m2,
    q.reserved_m2,
    q.booked_m2,
    q.entries
FROM library.quota AS q
WHERE
    q.ledger = ANY(%(ledgers)s) AND q.admin_code = ANY(%(admin_codes)s)
    AND %(as_of)s BETWEEN q.first_day AND q.last_day;

-- name: quotas
SELECT
    q.id,
    q.ledger,
    q.admin_code,
    q.period,
    q.first_day,
    q.last_day,
    q.land_class,
    q.granted_m2,
    q.reserved_m2,
    q.booked_m2,
    q.entries
FROM library.quota AS q
WHERE
    (%(ledger)s::text IS NULL OR q.ledger = %(ledger)s)
    AND (%(admin_code)s::text IS NULL OR q.admin_code = %(admin_code)s)
    AND (%(as_of)s::date IS NULL OR %(as_of)s::date BETWEEN q.first_day AND q.last_day)
ORDER BY q.ledger, q.admin_code, q.first_day, q.land_class;

-- name: quota_named
SELECT
    q.id,
    q.first_day,
    q.last_day,
    q.granted_m2
FROM library.quota AS q
WHERE
    q.ledger = %(ledger)s AND q.admin_code = %(admin_code)s
    AND q.period = %(period)s AND q.land_class = %(land_class)s;

-- name: lock_grants
-- Until the end of the transaction; approvals do not wait for it.
SELECT pg_advisory_xact_lock(hashtextextended('library.quota grants', 0));

-- name: open_quota
INSERT INTO library.quota (ledger, admin_code, period, first_day, last_day, land_class)
VALUES (
    %(ledger)s, %(admin_code)s, %(period)s, %(first_day)s, %(last_day)s, %(land_class)s
)
RETURNING id;

-- name: post
INSERT INTO library.quota_entry (
    quota_id, kind, area_m2, submission_id, actor, reason, exceeds
)
VALUES (
    %(quota_id)s, %(kind)s, %(area_m2)s, %(submission_id)s, %(actor)s, %(reason)s, %(exceeds)s
);

-- name: entries
SELECT
    e.number,
    e.kind,
    e.area_m2,
    e.submission_id,
    e.at,
    e.actor,
    e.reason,
    e.exceeds
FROM library.quota_entry AS e
WHERE e.quota_id = %(quota_id)s AND e.number > %(after)s
ORDER BY e.number
LIMIT %(most)s;

-- name: open_reservations
SELECT
    r.quota_id,
    r.area_m2
FROM library.quota_entry AS r
WHERE
    r.submission_id = %(submission_id)s AND r.kind = 'reserve' AND NOT EXISTS (
        SELECT FROM library.quota_entry AS e
        WHERE
            e.quota_id = r.quota_id AND e.submission_id = r.submission_id
            AND e.kind IN ('release', 'book')
    )
ORDER BY r.quota_id;
