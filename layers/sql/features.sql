-- name: candidates
-- Pieces near a submission, of many contents at once: the spatial index decides, nothing is
-- clipped here. A submitted geometry never meets GEOS inside the database (it can hold or crash
-- a backend). OFFSET 0 and LIMIT keep the planner to one index look-up a box and a feature; it
-- knows nothing of the boxes and would rather read whole partitions. "NOT from_base" is taken out
-- where one of the contents stands on another one (layers.features.Parts).
WITH near AS (
    SELECT DISTINCT ON (search.content_id, p.fid, p.piece)
        search.content_id,
        p.fid,
        p.piece,
        p.geom
    FROM unnest(
        %(content_ids)s::integer [],
        %(west)s::double precision [],
        %(south)s::double precision [],
        %(east)s::double precision [],
        %(north)s::double precision []
    ) AS search (content_id, west, south, east, north)
    CROSS JOIN LATERAL (
        SELECT
            op.fid,
            op.piece,
            ST_AsBinary(op.geom) AS geom
        FROM overlay_piece AS op
        WHERE
            op.content_id = search.content_id
            AND NOT op.from_base
            AND op.geom && ST_MakeEnvelope(
                search.west, search.south, search.east, search.north, 4490
            )
        OFFSET 0
    ) AS p
    ORDER BY search.content_id, p.fid, p.piece
    LIMIT %(most)s
)

SELECT
    n.content_id,
    n.fid,
    f.feature_id,
    f.attributes,
    n.pieces
FROM (
    SELECT
        near.content_id,
        near.fid,
        array_agg(near.geom ORDER BY near.piece) AS pieces
    FROM near
    GROUP BY near.content_id, near.fid
) AS n
CROSS JOIN LATERAL (
    SELECT
        feature.feature_id,
        feature.attributes
    FROM feature
    WHERE
        feature.content_id = n.content_id
        AND NOT feature.from_base
        AND feature.fid = n.fid
    LIMIT 1
) AS f
ORDER BY n.content_id, f.feature_id

-- name: at_place
-- Features of several contents at a place (or within a small radius, for lines and points); at
-- most 50 of each content, so that many of one layer never hide another layer.
SELECT
    wanted.content_id,
    f.feature_id,
    f.attributes,
    f.area_m2
FROM unnest(%(content_ids)s::integer []) AS wanted (content_id)
CROSS JOIN LATERAL (
    SELECT DISTINCT op.fid
    FROM overlay_piece AS op
    WHERE
        op.content_id = wanted.content_id
        AND NOT op.from_base
        AND op.geom
        && ST_Expand(ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490), %(radius_deg)s)
        AND CASE
            WHEN ST_Dimension(op.geom) = 2
                THEN ST_Intersects(op.geom, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490))
            ELSE
                ST_DWithin(
                    op.geom, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490), %(radius_deg)s
                )
        END
    ORDER BY op.fid
    LIMIT 50
) AS p
CROSS JOIN LATERAL (
    SELECT
        feature.feature_id,
        feature.attributes,
        feature.area_m2
    FROM feature
    WHERE
        feature.content_id = wanted.content_id
        AND NOT feature.from_base
        AND feature.fid = p.fid
    LIMIT 1
) AS f
ORDER BY wanted.content_id, f.feature_id

-- name: coverage_near
-- Where contents have data, near their boxes; a content without any is not in the answer.
SELECT
    near.content_id,
    ST_AsBinary(ST_Union(near.geom)) AS coverage
FROM (
    SELECT DISTINCT ON (search.content_id, p.piece)
        search.content_id,
        p.geom
    FROM unnest(
        %(content_ids)s::integer [],
        %(west)s::double precision [],
        %(south)s::double precision [],
        %(east)s::double precision [],
        %(north)s::double precision []
    ) AS search (content_id, west, south, east, north)
    INNER JOIN coverage_piece AS p
        ON
            p.content_id = search.content_id
            AND p.geom && ST_MakeEnvelope(
                search.west, search.south, search.east, search.north, 4490
            )
    ORDER BY search.content_id, p.piece
) AS near
GROUP BY near.content_id

-- name: covered_at
SELECT DISTINCT p.content_id AS id
FROM coverage_piece AS p
WHERE
    p.content_id = ANY(%(content_ids)s)
    AND ST_Intersects(p.geom, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490))

-- name: content_parts
-- The contents that store the rows of the given ones: themselves and their bases.
SELECT p.part_id, p.part_id <> p.content_id AS from_base
FROM content_part AS p
WHERE p.content_id = ANY(%(content_ids)s)

-- name: changes
-- Changes whenever an edition is published or withdrawn: the version of all that is in force.
SELECT coalesce(max(id), 0) + count(*) FILTER (WHERE NOT upper_inf(recorded)) AS version
FROM library.in_force
