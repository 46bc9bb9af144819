-- name: shifted_centroids
-- Centroids of features with equal ids in a new content and in the one in force, a sample.
SELECT
    ST_X(b.c) AS lon_before,
    ST_Y(b.c) AS lat_before,
    ST_X(a.c) AS lon_after,
    ST_Y(a.c) AS lat_after
FROM (
    SELECT f.feature_id, ST_Centroid(f.geom) AS c
    FROM {features} AS f
    ORDER BY hashtext(f.feature_id)
    LIMIT 2000
) AS a
INNER JOIN LATERAL (
    SELECT ST_Centroid(f.geom) AS c
    FROM library.feature AS f
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
    FROM library.feature AS f
    WHERE f.content_id = %(content_id)s
),

after AS (
    SELECT
        count(*) AS features,
        sum(f.area_m2) AS area_m2,
        sum(ST_Length(f.geom)) AS length_deg,
        ST_Extent(f.geom)::geometry AS extent
    FROM {features} AS f
),

vanished AS (
    SELECT count(*) AS features
    FROM library.feature AS f
    WHERE
        f.content_id = %(content_id)s
        AND NOT EXISTS (
            SELECT FROM {features} AS n
            WHERE n.feature_id = f.feature_id
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

-- name: copy_source_rows
COPY library.source_feature (content_id, fid, source_crs, geom_wkb, attributes)
FROM STDIN (FORMAT binary)

-- name: copy_issues
COPY library.import_issue (content_id, source_row, field, value, code, severity, reason)
FROM STDIN
