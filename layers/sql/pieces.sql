-- Statements of layers.pieces; words in braces are tables and expressions put in by psycopg.sql.

-- name: lock_pieces
-- Keeps two builders of one table of pieces apart; overlay and tile pieces are built at once.
SELECT pg_advisory_xact_lock(%(lock_class)s::integer, %(content_id)s::integer)

-- name: layer_of_content
-- The row lock keeps editors away while pieces are made.
SELECT c.base_id, l.definition
FROM library.layer_content AS c
INNER JOIN library.layer AS l ON l.id = c.layer_id
WHERE c.id = %(content_id)s AND c.state IN ('loaded', 'ready')
FOR SHARE OF c

-- name: is_ready
SELECT c.id FROM library.layer_content AS c WHERE c.id = %(content_id)s AND c.state = 'ready'

-- name: changed_since
-- Rows were changed one by one since the content was measured.
SELECT c.id
FROM library.layer_content AS c
WHERE c.id = %(content_id)s AND c.content_sha256 IS NULL

-- name: forget_touched
DELETE FROM library.touched_feature WHERE content_id = %(content_id)s

-- name: drop_overlay_pieces
DELETE FROM {pieces} AS p
USING library.touched_feature AS t
WHERE t.content_id = %(content_id)s AND p.content_id = %(content_id)s AND p.fid = t.fid

-- name: touched_features
(
    SELECT r.fid, r.geom
    FROM {features} AS r
    INNER JOIN library.touched_feature AS t ON t.content_id = {content} AND t.fid = r.fid
    WHERE r.content_id = {content}
)

-- name: mark_ready
UPDATE library.layer_content SET state = 'ready' WHERE id = %(content_id)s AND state = 'loaded'

-- name: overlay_pieces
INSERT INTO {pieces} (fid, piece, geom)
SELECT f.fid, 0, f.geom
FROM {features} AS f
WHERE ST_NPoints(f.geom) <= %(vertices)s AND ST_NumGeometries(f.geom) = 1
UNION ALL
SELECT
    f.fid,
    (row_number() OVER (PARTITION BY f.fid))::integer AS piece,
    p.geom
FROM {features} AS f
CROSS JOIN LATERAL ST_Subdivide(f.geom, %(vertices)s) AS p (geom)
WHERE
    (ST_NPoints(f.geom) > %(vertices)s OR ST_NumGeometries(f.geom) > 1)
    AND NOT ST_IsEmpty(p.geom)

-- name: features_to_draw
SELECT
    f.fid,
    convert_to(({properties})::text, 'UTF8') AS properties,
    convert_to(({class_properties})::text, 'UTF8') AS look,
    ST_AsBinary(f.geom, 'NDR') AS wkb
FROM {features} AS f
ORDER BY f.fid

-- name: extent_of_content
SELECT ST_XMin(c.extent), ST_YMin(c.extent), ST_XMax(c.extent), ST_YMax(c.extent)
FROM library.layer_content AS c
WHERE c.id = %(content_id)s
