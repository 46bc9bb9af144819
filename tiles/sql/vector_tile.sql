-- name: layer_tile
-- One layer's part of a web-mercator tile, from pieces already cut to the ancestor tile of a base
-- zoom (layers.pieces); the equality on the ancestor gives each feature at most once.
-- "NOT from_base" is taken out for a content that stands on another one. OFFSET 0 keeps PostgreSQL from making each geometry twice, once more for the last condition.
SELECT ST_AsMVT(q, %(layer_id)s, 4096, 'geom', 'fid') AS tile
FROM (
    SELECT
        t.fid,
        t.properties,
        ST_AsMVTGeom(t.geom, ST_TileEnvelope(%(z)s, %(x)s, %(y)s), 4096, 64, true) AS geom
    FROM tile_piece AS t
    WHERE
        t.content_id = %(content_id)s
        AND t.part_id = ANY(%(parts)s)
        AND NOT t.from_base
        AND t.base_zoom = %(base_zoom)s
        AND t.x = %(ancestor_x)s
        AND t.y = %(ancestor_y)s
        AND t.geom && ST_TileEnvelope(%(z)s, %(x)s, %(y)s, margin => 0.015625)
    OFFSET 0
) AS q
WHERE q.geom IS NOT NULL

-- name: layer_tile_of_one_ancestor
-- The same for a tile of another grid that lies in one ancestor.
SELECT ST_AsMVT(q, %(layer_id)s, 4096, 'geom', 'fid') AS tile
FROM (
    SELECT
        t.fid,
        t.properties,
        ST_AsMVTGeom(
            ST_Transform(t.geom, %(srid)s::integer),
            ST_MakeEnvelope(
                %(tile_west)s, %(tile_south)s, %(tile_east)s, %(tile_north)s, %(srid)s::integer
            ),
            4096, 64, true
        ) AS geom
    FROM tile_piece AS t
    WHERE
        t.content_id = %(content_id)s
        AND t.part_id = ANY(%(parts)s)
        AND NOT t.from_base
        AND t.base_zoom = %(base_zoom)s
        AND t.x = %(ancestor_x)s
        AND t.y = %(ancestor_y)s
        AND t.geom && ST_MakeEnvelope(%(west)s, %(south)s, %(east)s, %(north)s, 3857)
    OFFSET 0
) AS q
WHERE q.geom IS NOT NULL

-- name: layer_tile_of_other_grid
-- The same for a tile that lies over several ancestors: its pieces are of all of them. Each
-- is cut back to its own, without the margin, so that they meet at the cut and ST_AsMVTGeom, on
-- whole tile units, joins them into one area without a seam.
SELECT ST_AsMVT(q, %(layer_id)s, 4096, 'geom', 'fid') AS tile
FROM (
    SELECT
        w.fid,
        w.properties,
        ST_AsMVTGeom(
            ST_Transform(w.geom, %(srid)s::integer),
            ST_MakeEnvelope(
                %(tile_west)s, %(tile_south)s, %(tile_east)s, %(tile_north)s, %(srid)s::integer
            ),
            4096, 64, true
        ) AS geom
    FROM (
        SELECT
            p.fid,
            p.properties,
            CASE
                WHEN count(*) = 1 THEN (array_agg(p.geom))[1]
                ELSE ST_CollectionExtract(ST_Collect(p.geom))
            END AS geom
        FROM (
            SELECT
                t.fid,
                t.properties,
                ST_ClipByBox2D(t.geom, ST_TileEnvelope(%(base_zoom)s, t.x, t.y)) AS geom
            FROM tile_piece AS t
            WHERE
                t.content_id = %(content_id)s
                AND t.part_id = ANY(%(parts)s)
                AND NOT t.from_base
                AND t.base_zoom = %(base_zoom)s
                AND t.x BETWEEN %(first_x)s AND %(last_x)s
                AND t.y BETWEEN %(first_y)s AND %(last_y)s
                AND t.geom && ST_MakeEnvelope(%(west)s, %(south)s, %(east)s, %(north)s, 3857)
            OFFSET 0
        ) AS p
        WHERE NOT ST_IsEmpty(p.geom)
        GROUP BY p.fid, p.properties
    ) AS w
    OFFSET 0
) AS q
WHERE q.geom IS NOT NULL
