-- name: ancestors_with_data
-- Of some tiles of a base zoom those over which one of the contents has a piece.
SELECT
    a.x,
    a.y
FROM unnest(%(x)s::integer [], %(y)s::integer []) AS a (x, y)
WHERE EXISTS (
    SELECT FROM tile_piece AS t
    WHERE
        t.content_id = ANY(%(contents)s::integer [])
        AND t.part_id = ANY(%(parts)s::integer [])
        AND NOT t.from_base
        AND t.base_zoom = %(base_zoom)s
        AND t.x = a.x
        AND t.y = a.y
)
ORDER BY a.y, a.x

-- name: labels_of_areas
-- One anchor a feature and virtual tile: inside the part of it that lies in that tile, so that it
-- stands where it is whatever the picture shows. Pieces are cut to ancestor tiles with a margin;
-- tiles are those of "zoom", each inside its ancestor.
SELECT
    a.fid,
    a.properties,
    ST_X(a.anchor) AS x,
    ST_Y(a.anchor) AS y,
    a.size_m2
FROM (
    SELECT
        c.fid,
        c.properties,
        ST_PointOnSurface(c.geom) AS anchor,
        greatest(ST_Area(c.geom), ST_Length(c.geom)) AS size_m2
    FROM unnest(%(x)s::integer [], %(y)s::integer []) AS v (x, y)
    CROSS JOIN LATERAL (
        SELECT
            t.fid,
            t.properties,
            CASE
                WHEN t.geom @ ST_TileEnvelope(%(zoom)s, v.x, v.y) THEN t.geom
                ELSE ST_ClipByBox2D(t.geom, ST_TileEnvelope(%(zoom)s, v.x, v.y))
            END AS geom
        FROM tile_piece AS t
        WHERE
            t.content_id = %(content)s
            AND t.part_id = ANY(%(parts)s::integer [])
            AND NOT t.from_base
            AND t.base_zoom = %(base_zoom)s
            AND t.x = v.x >> %(up)s
            AND t.y = v.y >> %(up)s
            AND t.geom && ST_TileEnvelope(%(zoom)s, v.x, v.y)
        OFFSET 0
    ) AS c
    WHERE NOT ST_IsEmpty(c.geom)
) AS a
WHERE NOT ST_IsEmpty(a.anchor)
ORDER BY a.fid, x, y
