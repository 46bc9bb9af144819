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
