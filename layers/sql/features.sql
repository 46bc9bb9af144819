-- name: candidates
-- Pieces near a submission, of many contents at once: the spatial index decides, nothing is
-- clipped here. A submitted geometry never meets GEOS inside the database (it can hold or crash
-- a backend). The words in braces become one branch a stored part of a content, each with the
-- numbers written out: so the planner sees one partition a branch whatever else the library
-- holds, and the plan is kept with the connection. LIMIT is for memory.
WITH search AS MATERIALIZED (
    SELECT
        s.content_id,
        ST_MakeEnvelope(s.west, s.south, s.east, s.north, 4490) AS box
    FROM unnest(
        %(content_ids)s::integer [],
        %(west)s::double precision [],
        %(south)s::double precision [],
        %(east)s::double precision [],
        %(north)s::double precision []
    ) AS s (content_id, west, south, east, north)
),

near AS (
    SELECT DISTINCT ON (found.content_id, found.fid, found.piece)
        found.content_id,
        found.fid,
        found.piece,
        found.geom
    FROM ({pieces}) AS found
    ORDER BY found.content_id, found.fid, found.piece
    LIMIT %(most)s
),

n AS MATERIALIZED (
    SELECT
        near.content_id,
        near.fid,
        array_agg(ST_AsBinary(near.geom) ORDER BY near.piece) AS pieces
    FROM near
    GROUP BY near.content_id, near.fid
)

{features}
ORDER BY content_id, feature_id

-- name: whole_pieces
-- Rows that a content stores itself. OFFSET 0 keeps the planner to one index look-up a box; it
-- knows nothing of the boxes and would rather read whole partitions.
SELECT s.content_id, p.fid, p.piece, p.geom
FROM search AS s
CROSS JOIN LATERAL (
    SELECT op.fid, op.piece, op.geom
    FROM stored_overlay_piece AS op
    WHERE op.content_id = {content} AND op.geom && s.box
    OFFSET 0
) AS p
WHERE s.content_id = {content}

-- name: base_pieces
-- Rows of its base that hold in a content.
SELECT s.content_id, p.fid, p.piece, p.geom
FROM search AS s
CROSS JOIN LATERAL (
    SELECT op.fid, op.piece, op.geom
    FROM overlay_piece AS op
    WHERE
        op.content_id = {content} AND op.part_id = {part} AND op.from_base AND op.geom && s.box
    OFFSET 0
) AS p
WHERE s.content_id = {content}

-- name: part_features
-- Of the rows of one part, the content itself or its base. Fids of both differ, and what is
-- hidden has no pieces in "n".
SELECT n.content_id, n.fid, f.feature_id, f.attributes, n.pieces
FROM n
CROSS JOIN LATERAL (
    SELECT o.feature_id, o.attributes
    FROM stored_feature AS o
    WHERE o.content_id = {part} AND o.fid = n.fid
    LIMIT 1
) AS f
WHERE n.content_id = {content}

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
WITH search AS MATERIALIZED (
    SELECT
        s.content_id,
        ST_MakeEnvelope(s.west, s.south, s.east, s.north, 4490) AS box
    FROM unnest(
        %(content_ids)s::integer [],
        %(west)s::double precision [],
        %(south)s::double precision [],
        %(east)s::double precision [],
        %(north)s::double precision []
    ) AS s (content_id, west, south, east, north)
)

SELECT
    near.content_id,
    ST_AsBinary(ST_Union(near.geom)) AS coverage
FROM (
    SELECT DISTINCT ON (found.content_id, found.piece)
        found.content_id,
        found.geom
    FROM ({pieces}) AS found
    ORDER BY found.content_id, found.piece
) AS near
GROUP BY near.content_id

-- name: coverage_pieces
SELECT s.content_id, p.piece, p.geom
FROM search AS s
CROSS JOIN LATERAL (
    SELECT c.piece, c.geom
    FROM coverage_piece AS c
    WHERE c.content_id = {content} AND c.geom && s.box
    OFFSET 0
) AS p
WHERE s.content_id = {content}

-- name: covered_at
SELECT DISTINCT p.content_id AS id
FROM coverage_piece AS p
WHERE
    p.content_id = ANY(%(content_ids)s)
    AND ST_Intersects(p.geom, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4490))

-- name: content_parts
-- The contents that store the rows of the given ones: themselves and their bases.
SELECT p.content_id, p.part_id, p.part_id <> p.content_id AS from_base
FROM content_part AS p
WHERE p.content_id = ANY(%(content_ids)s)

-- name: changes
-- Changes whenever an edition is published or withdrawn: the version of all that is in force.
SELECT coalesce(max(id), 0) + count(*) FILTER (WHERE NOT upper_inf(recorded)) AS version
FROM library.in_force

-- name: pieces_in_box
-- How many pieces of a content, counted so far only; says whether a box is too crowded.
SELECT count(*) AS count
FROM (
    SELECT 1
    FROM overlay_piece AS op
    WHERE
        op.content_id = %(content_id)s
        AND op.geom && ST_MakeEnvelope(
            %(west)s::double precision, %(south)s::double precision,
            %(east)s::double precision, %(north)s::double precision, 4490
        )
    LIMIT %(most)s
) AS counted
