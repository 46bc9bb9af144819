-- name: names
-- Named features of contents with a point inside each, and the area of the dividing layer that
-- the point lies in (from pieces, so that no large outline is tested).
SELECT
    f.content_id,
    f.feature_id,
    f.attributes,
    ST_X(p.inside) AS lon,
    ST_Y(p.inside) AS lat,
    ST_XMin(f.geom) AS west,
    ST_YMin(f.geom) AS south,
    ST_XMax(f.geom) AS east,
    ST_YMax(f.geom) AS north,
    area.feature_id AS area_id
FROM feature AS f
CROSS JOIN LATERAL (SELECT ST_PointOnSurface(f.geom) AS inside) AS p
LEFT JOIN LATERAL (
    SELECT a.feature_id
    FROM overlay_piece AS op
    INNER JOIN feature AS a ON a.content_id = op.content_id AND a.fid = op.fid
    WHERE op.content_id = %(dividing)s AND op.geom && p.inside AND ST_Intersects(op.geom, p.inside)
    LIMIT 1
) AS area ON true
WHERE f.content_id = ANY(%(content_ids)s)
ORDER BY f.content_id, f.fid
LIMIT %(most)s

-- name: area_at
SELECT a.feature_id
FROM overlay_piece AS op
INNER JOIN feature AS a ON a.content_id = op.content_id AND a.fid = op.fid
WHERE
    op.content_id = %(dividing)s
    AND op.geom && ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490)
    AND ST_Intersects(op.geom, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490))
LIMIT 1

-- name: outline
-- One area, or all of them together without an id; the points are bounded by a tolerance.
SELECT ST_AsText(ST_Multi(ST_SimplifyPreserveTopology(ST_Union(f.geom), %(tolerance_deg)s)), 6) AS wkt
FROM feature AS f
WHERE
    f.content_id = %(dividing)s
    AND (%(feature_id)s::text IS NULL OR f.feature_id = %(feature_id)s)
