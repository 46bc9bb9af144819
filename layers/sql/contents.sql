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

-- name: count_and_extent
SELECT
    measured.feature_count,
    CASE WHEN measured.box IS NOT NULL THEN
        ST_MakeEnvelope(
            ST_XMin(measured.box), ST_YMin(measured.box), ST_XMax(measured.box),
            ST_YMax(measured.box), 4490
        )
    END AS extent
FROM (
    SELECT count(*) AS feature_count, ST_Extent(f.geom) AS box
    FROM {features} AS f
) AS measured

-- name: mark_loaded
UPDATE library.layer_content
SET
    state = 'loaded',
    feature_count = %(feature_count)s,
    content_sha256 = %(content_sha256)s,
    coverage = ST_GeomFromEWKB(%(coverage)s::bytea),
    extent = %(extent)s::geometry,
    source = coalesce(%(source)s, source),
    import_report = %(import_report)s,
    blocking_issues = %(blocking_issues)s
WHERE id = %(content_id)s AND state = 'loading'

-- name: cut_coverage
INSERT INTO library.coverage_piece (content_id, piece, geom)
SELECT
    c.id,
    row_number() OVER () AS piece,
    cut.geom
FROM library.layer_content AS c
CROSS JOIN LATERAL (
    SELECT (ST_Dump(ST_CollectionExtract(piece.geom, 3))).geom
    FROM ST_Subdivide(c.coverage, 128) AS piece (geom)
) AS cut
WHERE c.id = %(content_id)s

-- name: rows_in_order
SELECT f.feature_id, f.attributes::text, ST_AsEWKB(f.geom, 'NDR') AS ewkb
FROM {features} AS f
ORDER BY f.fid

-- name: edition_of_content
SELECT el.edition_id FROM library.edition_layer AS el WHERE el.content_id = %(content_id)s LIMIT 1

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
