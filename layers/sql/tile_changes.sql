-- Statements of layers.tile_changes; words in braces are tables, numbers and expressions put in
-- by psycopg.sql. Those that begin with a bracket are subqueries of features_to_draw.

-- name: all_rows
(
    SELECT r.fid, r.attributes, r.geom
    FROM feature AS r
    WHERE r.content_id = {content} AND r.part_id IN ({content}, {base})
)

-- name: touched_rows
(
    SELECT r.fid, r.attributes, r.geom
    FROM {features} AS r
    INNER JOIN library.touched_feature AS t ON t.content_id = {content} AND t.fid = r.fid
    WHERE r.content_id = {content}
)

-- name: hidden_rows
(
    SELECT r.fid, r.attributes, r.geom
    FROM library.hidden_feature AS h
    INNER JOIN {features} AS r ON r.content_id = {base} AND r.fid = h.fid
    WHERE h.content_id = {content}
)

-- name: drop_pieces
-- Low zooms are drawn anew as a whole, but for lines.
DELETE FROM {pieces} AS p
WHERE
    NOT %(by_line)s AND p.base_zoom < 10
    OR p.fid IN (
        SELECT t.fid FROM library.touched_feature AS t WHERE t.content_id = %(content_id)s
    )

-- name: drop_grids
DELETE FROM library.mosaic_grid WHERE content_id = %(content_id)s

-- name: is_old
SELECT p.by_feature IS NULL AS is_old FROM {pieces} AS p WHERE p.base_zoom < 10 LIMIT 1

-- name: save_grid
INSERT INTO library.mosaic_grid (
    content_id, base_zoom, west, north, cell_m, height, width, classes, cells
)
VALUES (
    %(content_id)s, %(base_zoom)s, %(west)s, %(north)s, %(cell_m)s, %(height)s, %(width)s,
    %(classes)s, %(cells)s
)

-- name: grids
SELECT g.base_zoom, g.west, g.north, g.cell_m, g.height, g.width, g.classes, g.cells
FROM library.mosaic_grid AS g
WHERE g.content_id = %(content_id)s

-- name: under_places
-- One index look-up a place; the last row covers the others, as in the grid.
SELECT
    place.cell::integer AS cell,
    f.fid,
    convert_to(({class_properties})::text, 'UTF8') AS look,
    ST_AsBinary(f.geom, 'NDR') AS wkb
FROM unnest(%(lon)s::double precision [], %(lat)s::double precision [])
WITH ORDINALITY AS place (lon, lat, cell)
CROSS JOIN LATERAL (
    SELECT r.fid, r.attributes, r.geom
    FROM {features} AS r
    WHERE
        r.geom && ST_SetSRID(ST_MakePoint(place.lon, place.lat), 4490)
        AND ST_Intersects(r.geom, ST_SetSRID(ST_MakePoint(place.lon, place.lat), 4490))
        AND NOT EXISTS (
            SELECT FROM library.hidden_feature AS h
            WHERE h.content_id = %(content_id)s AND h.fid = r.fid
        )
    ORDER BY r.fid DESC
    LIMIT 1
) AS f

-- name: copy_blocks
-- Merged pieces lie in one block of the grid each; its number is told by their upper left corner.
INSERT INTO {pieces} (base_zoom, x, y, fid, by_feature, properties, geom)
SELECT p.base_zoom, p.x, p.y, p.fid, p.by_feature, p.properties, p.geom
FROM {base_pieces} AS p
WHERE
    p.base_zoom = %(base_zoom)s
    AND NOT p.by_feature
    AND (
        floor((%(north)s - ST_YMax(p.geom)) / %(block_m)s + 1e-6) * %(width)s
        + floor((ST_XMin(p.geom) - %(west)s) / %(block_m)s + 1e-6)
    )::integer = ANY(%(blocks)s::integer [])
