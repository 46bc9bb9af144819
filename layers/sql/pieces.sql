-- Statements of layers.pieces; words in braces are tables and expressions put in by psycopg.sql.

-- name: layer_of_content
-- The row lock keeps two builders of one content apart.
SELECT l.definition
FROM library.layer_content AS c
INNER JOIN library.layer AS l ON l.id = c.layer_id
WHERE c.id = %(content_id)s AND c.state IN ('loaded', 'ready')
FOR UPDATE OF c

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
