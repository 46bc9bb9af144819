-- name: shifted_centroids
-- Centroids of features with equal ids in a new content and in the one in force, a sample.
SELECT
    ST_X(b.c) AS lon_before,
    ST_Y(b.c) AS lat_before,
    ST_X(a.c) AS lon_after,
    ST_Y(a.c) AS lat_after
FROM (
    SELECT f.feature_id, ST_Centroid(f.geom) AS c
    FROM feature AS f
    WHERE f.content_id = %(new_id)s
    ORDER BY hashtext(f.feature_id)
    LIMIT 2000
) AS a
INNER JOIN LATERAL (
    SELECT ST_Centroid(f.geom) AS c
    FROM feature AS f
    WHERE f.content_id = %(content_id)s AND f.feature_id = a.feature_id
) AS b ON true

-- name: compare_contents
-- What a new content has of the one that it will replace. Lengths and boxes are in degrees: they
-- are compared with each other only. A box without area gives no share of the extent.
WITH before AS (
    SELECT
        count(*) AS features,
        sum(f.area_m2) AS area_m2,
        sum(ST_Length(f.geom)) AS length_deg,
        ST_Extent(f.geom)::geometry AS extent
    FROM feature AS f
    WHERE f.content_id = %(content_id)s
),

after AS (
    SELECT
        count(*) AS features,
        sum(f.area_m2) AS area_m2,
        sum(ST_Length(f.geom)) AS length_deg,
        ST_Extent(f.geom)::geometry AS extent
    FROM feature AS f
    WHERE f.content_id = %(new_id)s
),

vanished AS (
    SELECT count(*) AS features
    FROM feature AS f
    WHERE
        f.content_id = %(content_id)s
        AND NOT EXISTS (
            SELECT FROM feature AS n
            WHERE n.content_id = %(new_id)s AND n.feature_id = f.feature_id
        )
)

SELECT
    before.features AS features_before,
    after.features AS features_after,
    before.area_m2 AS area_m2_before,
    after.area_m2 AS area_m2_after,
    vanished.features AS ids_vanished,
    1 - after.length_deg / nullif(before.length_deg, 0) AS length_lost,
    1 - ST_Area(ST_Intersection(before.extent, after.extent)) / nullif(ST_Area(before.extent), 0)
        AS extent_lost,
    c.import_report -> 'issue_counts' AS issue_counts
FROM before
CROSS JOIN after
CROSS JOIN vanished
CROSS JOIN library.layer_content AS c
WHERE c.id = %(content_id)s

-- name: on_land
-- Which share of a sample of the new content lies where the administrative divisions have data,
-- as read and with its longitudes moved by whole 3-degree zones.
SELECT
    moved.steps,
    avg((EXISTS (
        SELECT FROM coverage_piece AS p
        WHERE
            p.content_id = ANY(%(land)s::integer [])
            AND ST_Intersects(p.geom, ST_Translate(a.c, 3 * moved.steps, 0))
    ))::integer)::double precision AS share
FROM (
    SELECT ST_PointOnSurface(f.geom) AS c
    FROM {features} AS f
    ORDER BY hashtext(f.feature_id)
    LIMIT 500
) AS a
CROSS JOIN (VALUES (-1), (0), (1)) AS moved (steps)
GROUP BY moved.steps

-- name: add_accuracy
-- A change of datum adds its own variance to the layer's. A delta is no better than its base.
UPDATE library.layer_content AS c
SET accuracy_m = greatest(c.accuracy_m, sqrt(l.accuracy_m ^ 2 + %(added_m)s ^ 2))
FROM library.layer AS l
WHERE c.id = %(content_id)s AND l.id = c.layer_id AND c.state = 'loading'

-- name: keep_findings
-- What the comparison found once the content was finished, and the digest that it got.
UPDATE library.layer_content
SET
    import_report = jsonb_set(%(import_report)s, '{content_sha256}', to_jsonb(content_sha256)),
    blocking_issues = %(blocking_issues)s
WHERE id = %(content_id)s
RETURNING content_sha256

-- name: copy_issues
COPY library.import_issue (content_id, source_row, field, value, code, severity, reason)
FROM STDIN

-- name: copy_source_chunks
COPY library.source_chunk (
    content_id, chunk, first_fid, last_fid, source_crs, fids, digests, noted, body
)
FROM STDIN (FORMAT binary)

-- name: chunks_of_fid
SELECT c.source_crs, c.body
FROM library.source_chunk AS c
INNER JOIN reading.content_part AS p ON p.part_id = c.content_id
WHERE
    p.content_id = %(content_id)s AND c.first_fid <= %(fid)s AND c.last_fid >= %(fid)s
    -- A row that the content does not hold (any more) is not given.
    AND EXISTS (
        SELECT FROM feature AS f
        WHERE f.content_id = %(content_id)s AND f.fid = %(fid)s
    )

-- name: single_source_row
SELECT s.source_crs, s.geom_wkb, s.attributes
FROM reading.source_feature AS s
WHERE s.content_id = %(content_id)s AND s.fid = %(fid)s

-- name: digests_of_content
SELECT c.fids, c.digests, c.noted
FROM library.source_chunk AS c
INNER JOIN reading.content_part AS p ON p.part_id = c.content_id
WHERE p.content_id = %(content_id)s
ORDER BY c.content_id, c.chunk

-- name: fids_of_content
SELECT string_agg(int8send(f.fid), ''::bytea) AS fids
FROM feature AS f
WHERE f.content_id = %(content_id)s

-- name: copy_chunks_of_base
-- A delta that becomes whole no longer stands on its base: it takes the rows as they came along.
-- Their chunks get numbers below zero, which the content's own never have.
INSERT INTO library.source_chunk (
    content_id, chunk, first_fid, last_fid, source_crs, fids, digests, noted, body
)
SELECT
    %(content_id)s,
    coalesce(
        (
            SELECT min(o.chunk) FROM library.source_chunk AS o
            WHERE o.content_id = %(content_id)s AND o.chunk < 0
        ),
        0
    ) - row_number() OVER (ORDER BY c.chunk),
    c.first_fid,
    c.last_fid,
    c.source_crs,
    c.fids,
    c.digests,
    c.noted,
    c.body
FROM library.source_chunk AS c
WHERE c.content_id = %(from_id)s
