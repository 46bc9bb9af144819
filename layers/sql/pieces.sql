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

-- name: mercator_features
-- CGCS2000 and WGS 84 are declared equivalent (layers.crs); beyond 85.05 degrees there is no map.
CREATE TEMPORARY TABLE mercator_feature ON COMMIT DROP AS
SELECT
    f.fid,
    {properties} AS properties,
    {class_properties} AS class_properties,
    ST_Transform(
        ST_SetSRID(
            CASE
                WHEN ST_YMin(f.geom) >= -85.05 AND ST_YMax(f.geom) <= 85.05 THEN f.geom
                ELSE ST_ClipByBox2D(f.geom, ST_MakeEnvelope(-180, -85.05, 180, 85.05, 4490))
            END,
            4326
        ),
        3857
    ) AS geom
FROM {features} AS f
WHERE ST_YMax(f.geom) >= -85.05 AND ST_YMin(f.geom) <= 85.05

-- name: clip_to_tiles
INSERT INTO {pieces} (base_zoom, x, y, fid, properties, geom)
SELECT %(base_zoom)s, c.x, c.y, c.fid, c.properties, c.geom
FROM (
    SELECT
        f.fid,
        f.properties,
        tile_x.x,
        tile_y.y,
        CASE WHEN f.geom @ box.geom THEN f.geom ELSE ST_ClipByBox2D(f.geom, box.geom) END AS geom
    FROM {source} AS f
    CROSS JOIN LATERAL generate_series(
        greatest(floor((ST_XMin(f.geom) + %(half_world_m)s) / %(width_m)s - 1 / 32.0)::integer, 0),
        least(
            floor((ST_XMax(f.geom) + %(half_world_m)s) / %(width_m)s + 1 / 32.0)::integer,
            %(last)s::integer
        )
    ) AS tile_x (x)
    CROSS JOIN LATERAL generate_series(
        greatest(floor((%(half_world_m)s - ST_YMax(f.geom)) / %(width_m)s - 1 / 32.0)::integer, 0),
        least(
            floor((%(half_world_m)s - ST_YMin(f.geom)) / %(width_m)s + 1 / 32.0)::integer,
            %(last)s::integer
        )
    ) AS tile_y (y)
    CROSS JOIN LATERAL (
        SELECT
            ST_TileEnvelope(
                %(base_zoom)s, tile_x.x, tile_y.y, margin => 1 / 32.0
            ) AS geom
    ) AS box
) AS c
WHERE ST_Dimension(c.geom) = %(dimension)s
ORDER BY c.x, c.y

-- name: clip_to_children
-- A child tile with its margin lies inside its parent's margin, which is eight times as wide.
INSERT INTO {pieces} (base_zoom, x, y, fid, properties, geom)
SELECT %(base_zoom)s, c.x, c.y, c.fid, c.properties, c.geom
FROM (
    SELECT
        f.fid,
        f.properties,
        tile_x.x,
        tile_y.y,
        CASE WHEN f.geom @ box.geom THEN f.geom ELSE ST_ClipByBox2D(f.geom, box.geom) END AS geom
    FROM {pieces} AS f
    CROSS JOIN LATERAL generate_series(
        greatest(
            floor((ST_XMin(f.geom) + %(half_world_m)s) / %(width_m)s - 1 / 32.0)::integer, f.x * 8
        ),
        least(
            floor((ST_XMax(f.geom) + %(half_world_m)s) / %(width_m)s + 1 / 32.0)::integer,
            f.x * 8 + 7
        )
    ) AS tile_x (x)
    CROSS JOIN LATERAL generate_series(
        greatest(
            floor((%(half_world_m)s - ST_YMax(f.geom)) / %(width_m)s - 1 / 32.0)::integer, f.y * 8
        ),
        least(
            floor((%(half_world_m)s - ST_YMin(f.geom)) / %(width_m)s + 1 / 32.0)::integer,
            f.y * 8 + 7
        )
    ) AS tile_y (y)
    CROSS JOIN LATERAL (
        SELECT
            ST_TileEnvelope(
                %(base_zoom)s, tile_x.x, tile_y.y, margin => 1 / 32.0
            ) AS geom
    ) AS box
    WHERE f.base_zoom = 10
) AS c
WHERE ST_Dimension(c.geom) = %(dimension)s
ORDER BY c.x, c.y

-- name: generalise_polygons
-- Large polygons one by one on the grid; the small ones follow from layers.mosaic.
CREATE TEMPORARY TABLE {low} ON COMMIT DROP AS
SELECT f.fid, f.properties, ST_ReducePrecision(f.geom, %(grid_m)s) AS geom
FROM mercator_feature AS f
WHERE ST_Area(f.geom) >= %(small_m2)s

-- name: small_classes
SELECT
    f.class_properties::text AS properties,
    min(f.fid) AS fid,
    min(ST_XMin(f.geom)) AS west,
    min(ST_YMin(f.geom)) AS south,
    max(ST_XMax(f.geom)) AS east,
    max(ST_YMax(f.geom)) AS north
FROM mercator_feature AS f
WHERE ST_Area(f.geom) < %(small_m2)s
GROUP BY f.class_properties
ORDER BY min(f.fid)

-- name: small_polygons
SELECT f.class_properties::text AS properties, ST_AsBinary(f.geom) AS wkb
FROM mercator_feature AS f
WHERE ST_Area(f.geom) < %(small_m2)s
ORDER BY f.fid

-- name: add_patch
INSERT INTO {low} (fid, properties, geom)
VALUES (%(fid)s, %(properties)s, ST_GeomFromWKB(%(wkb)s, 3857))

-- name: generalise_lines
CREATE TEMPORARY TABLE {low} ON COMMIT DROP AS
SELECT
    f.fid,
    f.properties,
    ST_SnapToGrid(ST_Simplify(f.geom, %(grid_m)s, true), %(grid_m)s / 4) AS geom
FROM mercator_feature AS f

-- name: generalise_points
-- Of points that fall on one spot of the screen and look the same, one is enough.
CREATE TEMPORARY TABLE {low} ON COMMIT DROP AS
SELECT DISTINCT ON (s.geom, f.class_properties) f.fid, f.properties, s.geom
FROM mercator_feature AS f
CROSS JOIN LATERAL (SELECT ST_SnapToGrid(f.geom, %(grid_m)s) AS geom) AS s
ORDER BY s.geom, f.class_properties, f.fid
