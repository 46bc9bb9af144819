-- name: candidates
-- Pieces near a submission: the spatial index decides, nothing is clipped here. A submitted
-- geometry never meets GEOS inside the database (it can hold or crash a backend).
WITH hits AS (
    SELECT DISTINCT
        op.fid,
        op.piece
    FROM unnest(
        %(west)s::double precision [],
        %(south)s::double precision [],
        %(east)s::double precision [],
        %(north)s::double precision []
    ) AS box (west, south, east, north)
    INNER JOIN library.overlay_piece AS op
        ON
            op.content_id = %(content_id)s
            AND op.geom && ST_MakeEnvelope(box.west, box.south, box.east, box.north, 4490)
),

near AS (
    SELECT
        op.fid,
        array_agg(ST_AsBinary(op.geom) ORDER BY op.piece) AS pieces
    FROM hits
    INNER JOIN library.overlay_piece AS op
        ON op.content_id = %(content_id)s AND op.fid = hits.fid AND op.piece = hits.piece
    GROUP BY op.fid
)

SELECT
    near.fid,
    f.feature_id,
    f.attributes,
    near.pieces
FROM near
INNER JOIN library.feature AS f ON f.content_id = %(content_id)s AND f.fid = near.fid
ORDER BY f.feature_id

-- name: candidates_one_box
SELECT
    p.fid,
    f.feature_id,
    f.attributes,
    p.pieces
FROM (
    SELECT
        op.fid,
        array_agg(ST_AsBinary(op.geom) ORDER BY op.piece) AS pieces
    FROM library.overlay_piece AS op
    WHERE
        op.content_id = %(content_id)s
        AND op.geom && ST_MakeEnvelope(%(west)s, %(south)s, %(east)s, %(north)s, 4490)
    GROUP BY op.fid
) AS p
INNER JOIN library.feature AS f ON f.content_id = %(content_id)s AND f.fid = p.fid
ORDER BY f.feature_id

-- name: at_place
-- Features of several contents at a place (or within a small radius, for lines and points).
SELECT
    f.content_id,
    f.feature_id,
    f.attributes,
    f.area_m2
FROM library.overlay_piece AS op
INNER JOIN library.feature AS f ON f.content_id = op.content_id AND f.fid = op.fid
WHERE
    op.content_id = ANY(%(content_ids)s)
    AND op.geom && ST_Expand(ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490), %(radius_deg)s)
    AND CASE
        WHEN ST_Dimension(op.geom) = 2
            THEN ST_Intersects(op.geom, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490))
        ELSE
            ST_DWithin(op.geom, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490), %(radius_deg)s)
    END
ORDER BY f.content_id, f.feature_id
LIMIT 200

-- name: coverage_near
-- Where a content has data, near some boxes: empty, never NULL, where it has none.
SELECT
    ST_AsBinary(
        coalesce(ST_Union(p.geom), ST_GeomFromText('POLYGON EMPTY', 4490))
    ) AS coverage
FROM library.coverage_piece AS p
WHERE
    p.content_id = %(content_id)s
    AND EXISTS (
        SELECT FROM unnest(
            %(west)s::double precision [],
            %(south)s::double precision [],
            %(east)s::double precision [],
            %(north)s::double precision []
        ) AS box (west, south, east, north)
        WHERE p.geom && ST_MakeEnvelope(box.west, box.south, box.east, box.north, 4490)
    )

-- name: covered_at
SELECT DISTINCT p.content_id AS id
FROM library.coverage_piece AS p
WHERE
    p.content_id = ANY(%(content_ids)s)
    AND ST_Intersects(p.geom, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490))

-- name: changes
-- Changes whenever an edition is published or withdrawn: the version of all that is in force.
SELECT coalesce(max(id), 0) + count(*) FILTER (WHERE NOT upper_inf(recorded)) AS version
FROM library.in_force
