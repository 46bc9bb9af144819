-- Rows of gis_service.harvesting.runs; the tables are made by migration 0007.

-- name: try_lock
-- Held by the connection: a harvest that dies gives it up with its connection.
SELECT pg_try_advisory_lock(%(lock_class)s::integer, hashtext(%(source_id)s)) AS held

-- name: unlock
SELECT pg_advisory_unlock(%(lock_class)s::integer, hashtext(%(source_id)s))

-- name: begin
-- No row comes back for an occasion that is done.
INSERT INTO harvest.run AS r (source_id, occasion, plan_id, layer_id, definition_sha256)
VALUES (%(source_id)s, %(occasion)s, %(plan_id)s, %(layer_id)s, %(definition_sha256)s)
ON CONFLICT (source_id, occasion) DO UPDATE
SET
    attempt = r.attempt + 1,
    outcome = 'running',
    started = clock_timestamp(),
    finished = NULL,
    definition_sha256 = excluded.definition_sha256,
    fetched_sha256 = NULL
WHERE r.outcome IN ('running', 'failed', 'conflict', 'stopped')
RETURNING r.id, r.attempt

-- name: close_lost
-- Who holds the lock of the source knows that nobody else is at work on it.
UPDATE harvest.run
SET outcome = 'failed', finished = clock_timestamp(), report = report || %(report)s
WHERE source_id = %(source_id)s AND outcome = 'running' AND occasion <> %(occasion)s

-- name: note_fetch
UPDATE harvest.run
SET fetched_sha256 = %(fetched_sha256)s, validators = %(validators)s
WHERE id = %(id)s AND attempt = %(attempt)s AND outcome = 'running'

-- name: finish
-- The attempt is the fence: who was thought dead and comes late changes nothing.
UPDATE harvest.run AS r
SET
    outcome = %(outcome)s,
    finished = clock_timestamp(),
    edition_id = %(edition_id)s,
    content_id = %(content_id)s,
    content_sha256 = (
        SELECT c.content_sha256 FROM library.layer_content AS c WHERE c.id = %(content_id)s
    ),
    report = %(report)s
WHERE r.id = %(id)s AND r.attempt = %(attempt)s AND r.outcome = 'running'
RETURNING r.id

-- name: run
SELECT * FROM harvest.run WHERE source_id = %(source_id)s AND occasion = %(occasion)s

-- name: history
SELECT
    id, source_id, occasion, attempt, outcome, started, finished, plan_id, layer_id,
    fetched_sha256, edition_id, content_id, report
FROM harvest.run
WHERE source_id = %(source_id)s
ORDER BY id DESC
LIMIT %(limit)s

-- name: latest
SELECT DISTINCT ON (source_id)
    id, source_id, occasion, attempt, outcome, started, finished, edition_id, report
FROM harvest.run
ORDER BY source_id, id DESC

-- name: standing
-- What the library has of the layer: in the draft if that brings it, else in force on the day;
-- with the harvest that brought it, if one did and nobody has touched it since.
SELECT
    c.id AS content_id,
    c.content_sha256,
    e.id AS edition_id,
    e.state = 'draft' AS is_draft,
    r.fetched_sha256,
    r.definition_sha256,
    coalesce(r.validators, '[]') AS validators
FROM library.edition_layer AS el
INNER JOIN library.edition AS e ON e.id = el.edition_id
INNER JOIN library.layer_content AS c ON c.id = el.content_id
LEFT JOIN LATERAL (
    SELECT h.fetched_sha256, h.definition_sha256, h.validators
    FROM harvest.run AS h
    WHERE
        h.content_id = c.id AND h.source_id = %(source_id)s AND h.content_sha256 = c.content_sha256
    ORDER BY h.id DESC
    LIMIT 1
) AS r ON true
WHERE
    el.layer_id = %(layer_id)s
    AND (
        (e.state = 'draft' AND NOT el.carried_over AND r.fetched_sha256 IS NOT NULL)
        OR EXISTS (
            SELECT FROM library.in_force AS f
            WHERE
                f.edition_id = e.id AND upper_inf(f.recorded) AND f.valid @> %(day)s::date
        )
    )
ORDER BY is_draft DESC
LIMIT 1

-- name: draft_of_plan
SELECT id FROM library.edition WHERE plan_id = %(plan_id)s AND state = 'draft'

-- name: lock_edition
SELECT id FROM library.edition WHERE id = %(edition_id)s FOR UPDATE

-- name: draft_holds_foreign_work
-- Whether people have a hand in the draft: they opened it, or brought or changed a layer of it.
SELECT
    (
        e.created <> now()
        AND NOT EXISTS (SELECT FROM harvest.run AS r WHERE r.edition_id = e.id)
    )
    OR EXISTS (
        SELECT FROM library.edition_layer AS el
        INNER JOIN library.layer_content AS c ON c.id = el.content_id
        WHERE
            el.edition_id = e.id
            AND NOT el.carried_over
            AND NOT EXISTS (
                SELECT FROM harvest.run AS r
                WHERE r.content_id = c.id AND r.content_sha256 = c.content_sha256
            )
    ) AS foreign_work
FROM library.edition AS e
WHERE e.id = %(edition_id)s

-- name: brought_to_draft
-- The contents of a draft with the sources that brought them and what the import found.
SELECT
    c.id AS content_id,
    c.state,
    c.blocking_issues,
    coalesce(c.import_report -> 'issue_counts', '{}') AS issue_counts,
    (
        SELECT r.source_id FROM harvest.run AS r
        WHERE r.content_id = c.id AND r.content_sha256 = c.content_sha256
        ORDER BY r.id DESC
        LIMIT 1
    ) AS source_id
FROM library.edition AS e
INNER JOIN library.edition_layer AS el ON el.edition_id = e.id AND NOT el.carried_over
INNER JOIN library.layer_content AS c ON c.id = el.content_id
WHERE e.id = %(edition_id)s AND e.state = 'draft'

-- name: mark_published
UPDATE harvest.run
SET outcome = 'published', report = report || '{"outcome": "published"}'
WHERE id = %(id)s AND outcome IN ('draft', 'unchanged')
