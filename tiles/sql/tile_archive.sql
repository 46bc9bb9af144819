-- Statements of tiles.tile_archive; words in braces are tables put in by psycopg.sql.

-- name: wanted
-- Contents that are in force today or later, and the contents they stand on: bases first.
WITH held AS (
    SELECT DISTINCT el.content_id
    FROM library.in_force AS f
    INNER JOIN library.edition_layer AS el ON el.edition_id = f.edition_id
    WHERE
        upper_inf(f.recorded)
        AND (upper_inf(f.valid) OR upper(f.valid) > %(today)s::date)
)
SELECT
    c.id,
    c.layer_id,
    c.content_sha256,
    c.base_id,
    b.content_sha256 AS base_sha256,
    ST_XMin(c.extent) AS west,
    ST_YMin(c.extent) AS south,
    ST_XMax(c.extent) AS east,
    ST_YMax(c.extent) AS north
FROM library.layer_content AS c
LEFT JOIN library.layer_content AS b ON b.id = c.base_id
WHERE
    c.state = 'ready' AND c.extent IS NOT NULL
    AND (
        c.id IN (SELECT h.content_id FROM held AS h)
        OR c.id IN (
            SELECT s.base_id
            FROM held AS h
            INNER JOIN library.layer_content AS s ON s.id = h.content_id
        )
    )
ORDER BY c.base_id IS NOT NULL, c.id

-- name: ancestors
-- Tiles of the base zooms that have pieces.
SELECT DISTINCT p.base_zoom, p.x, p.y
FROM {pieces} AS p
ORDER BY p.base_zoom, p.x, p.y

-- name: changed_ancestors
-- Where a content may differ from its base. Low zooms merge many features: all of them.
SELECT p.base_zoom, p.x, p.y
FROM {pieces} AS p
UNION
SELECT p.base_zoom, p.x, p.y
FROM {base_pieces} AS p
WHERE
    p.base_zoom < 10
    OR p.fid IN (
        SELECT h.fid FROM library.hidden_feature AS h WHERE h.content_id = %(content_id)s
    )
ORDER BY base_zoom, x, y

-- name: tiles
-- Many tiles of one base zoom, each by what tiles/sql/vector_tile.sql does for one: the bytes are
-- the same. Tiles without anything are left out.
SELECT d.z, d.x, d.y, t.tile
FROM unnest(%(z)s::integer [], %(x)s::integer [], %(y)s::integer []) AS d (z, x, y)
CROSS JOIN LATERAL (
    SELECT ST_AsMVT(q, %(layer_id)s, 4096, 'geom', 'fid') AS tile
    FROM (
        SELECT
            t.fid,
            t.properties,
            ST_AsMVTGeom(t.geom, ST_TileEnvelope(d.z, d.x, d.y), 4096, 64, true) AS geom
        FROM tile_piece AS t
        WHERE
            t.content_id = %(content_id)s
            AND t.part_id = ANY(%(parts)s)
            AND NOT t.from_base
            AND t.base_zoom = %(base_zoom)s
            AND t.x = d.x >> (d.z - %(base_zoom)s)
            AND t.y = d.y >> (d.z - %(base_zoom)s)
            AND t.geom && ST_TileEnvelope(d.z, d.x, d.y, margin => 0.015625)
        OFFSET 0
    ) AS q
    WHERE q.geom IS NOT NULL
) AS t
WHERE length(t.tile) > 0
