-- Statements of layers.contents; {features} is the content's partition, put in as an identifier.

-- name: create_content
-- The lock tells the sweep that this import lives; it ends with the connection.
WITH created AS (
    INSERT INTO library.layer_content (layer_id, accuracy_m, source)
    SELECT l.id, l.accuracy_m, %(source)s
    FROM library.layer AS l
    WHERE l.id = %(layer_id)s
    RETURNING id
)
SELECT
    created.id,
    pg_advisory_lock(%(lock_class)s::integer, created.id) AS locked
FROM created

-- name: suspend_validity
ALTER TABLE {features} DROP CONSTRAINT feature_is_valid

-- name: resume_validity
ALTER TABLE {features} ADD CONSTRAINT feature_is_valid CHECK (ST_IsValid(geom)) NOT VALID

-- name: mark_loaded
UPDATE library.layer_content
SET
    state = 'loaded',
    feature_count = %(feature_count)s,
    content_sha256 = %(content_sha256)s,
    coverage = coalesce(ST_GeomFromEWKB(%(coverage)s::bytea), coverage),
    extent = %(extent)s::geometry,
    source = coalesce(%(source)s, source),
    import_report = %(import_report)s,
    blocking_issues = %(blocking_issues)s
WHERE id = %(content_id)s AND state = 'loading'

-- name: layer_of_content
SELECT l.definition
FROM library.layer_content AS c
INNER JOIN library.layer AS l ON l.id = c.layer_id
WHERE c.id = %(content_id)s

-- name: edition_of_content
SELECT el.edition_id FROM library.edition_layer AS el WHERE el.content_id = %(content_id)s LIMIT 1

-- name: delta_of_content
SELECT d.id FROM library.layer_content AS d WHERE d.base_id = %(content_id)s LIMIT 1

-- name: delete_content
WITH sources AS (
    DELETE FROM library.source_feature WHERE content_id = %(content_id)s
)
DELETE FROM library.layer_content WHERE id = %(content_id)s

-- name: dead_contents
SELECT c.id
FROM library.layer_content AS c
WHERE
    NOT EXISTS (SELECT FROM library.edition_layer AS el WHERE el.content_id = c.id)
    AND NOT EXISTS (SELECT FROM library.layer_content AS d WHERE d.base_id = c.id)
    AND NOT EXISTS (
        SELECT FROM pg_locks AS l
        WHERE
            l.locktype = 'advisory'
            AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
            AND l.classid = %(lock_class)s::integer::oid
            AND l.objid = c.id::oid
            AND l.objsubid = 2
    )
ORDER BY c.id
