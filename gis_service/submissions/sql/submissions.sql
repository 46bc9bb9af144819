-- name: claim
-- One request a key is at work; a claim whose holder died can be taken over when it expires.
INSERT INTO library.submission_claim AS c (key_sha256, request_sha256, token, expires)
VALUES (
    %(key_sha256)s, %(request_sha256)s, %(token)s,
    clock_timestamp() + make_interval(secs => %(hold_s)s)
)
ON CONFLICT (key_sha256) DO UPDATE SET
    request_sha256 = excluded.request_sha256,
    token = excluded.token,
    expires = excluded.expires
WHERE c.expires < clock_timestamp()
RETURNING c.token;

-- name: claimed_for
SELECT c.request_sha256 FROM library.submission_claim AS c WHERE c.key_sha256 = %(key_sha256)s;

-- name: end_claim
DELETE FROM library.submission_claim AS c
WHERE c.key_sha256 = %(key_sha256)s AND c.token = %(token)s
RETURNING c.token;

-- name: answered
SELECT
    s.answer,
    s.request_sha256
FROM library.submission AS s
WHERE s.key_sha256 = %(key_sha256)s;

-- name: keep
INSERT INTO library.submission (
    id, created, name, access_class, received, request, normalised_sha256, source_crs, area_m2, repairs,
    notes, report_id, outcome, key_sha256, request_sha256, answer
)
VALUES (
    %(id)s, %(created)s, %(name)s, %(access_class)s, %(received)s, %(request)s, %(normalised_sha256)s,
    %(source_crs)s, %(area_m2)s, %(repairs)s, %(notes)s, %(report_id)s, %(outcome)s,
    %(key_sha256)s, %(request_sha256)s, %(answer)s
);

-- name: keep_original
INSERT INTO library.submission_original (submission_id, content)
VALUES (%(submission_id)s, %(content)s);

-- name: add_event
INSERT INTO library.submission_event (
    submission_id, number, state, at, actor, reason, override_reason, valid_until
)
VALUES (
    %(submission_id)s, %(number)s, %(state)s, coalesce(%(at)s, clock_timestamp()), %(actor)s,
    %(reason)s, %(override_reason)s, %(valid_until)s
);

-- name: submission
SELECT
    s.id,
    s.created,
    s.name,
    s.received,
    s.request,
    s.normalised_sha256,
    s.source_crs,
    s.area_m2,
    s.repairs,
    s.notes,
    s.report_id,
    s.outcome
FROM library.submission AS s
WHERE s.id = %(id)s;

-- name: events
SELECT
    e.number,
    e.state,
    e.at,
    e.actor,
    e.reason,
    e.override_reason,
    e.valid_until
FROM library.submission_event AS e
WHERE e.submission_id = %(id)s
ORDER BY e.number;

-- name: original
SELECT
    o.content,
    s.received
FROM library.submission_original AS o
INNER JOIN library.submission AS s ON s.id = o.submission_id
WHERE o.submission_id = %(id)s;

-- name: page
-- Newest first; the next page begins after the last row of this one.
SELECT
    s.id,
    s.created,
    s.name,
    s.area_m2,
    s.outcome,
    s.report_id,
    last.state,
    last.at
FROM library.submission AS s
CROSS JOIN LATERAL (
    SELECT
        e.state,
        e.at
    FROM library.submission_event AS e
    WHERE e.submission_id = s.id
    ORDER BY e.number DESC
    LIMIT 1
) AS last
WHERE
    (
        %(after_id)s::text IS NULL
        OR (s.created, s.id) < (%(after_created)s::timestamptz, %(after_id)s::text)
    )
    AND (%(state)s::text IS NULL OR last.state = %(state)s)
ORDER BY s.created DESC, s.id DESC
LIMIT %(most)s;

-- name: lapsed
-- Approvals past their last day that nothing followed.
SELECT e.submission_id
FROM library.submission_event AS e
WHERE
    e.state = 'approved' AND e.valid_until < %(today)s AND NOT EXISTS (
        SELECT FROM library.submission_event AS n
        WHERE n.submission_id = e.submission_id AND n.number > e.number
    )
ORDER BY e.submission_id;
