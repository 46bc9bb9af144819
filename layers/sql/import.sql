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

-- name: copy_source_rows
COPY library.source_feature (content_id, fid, source_crs, geom_wkb, attributes)
FROM STDIN (FORMAT binary)

-- name: copy_issues
COPY library.import_issue (content_id, source_row, field, value, code, severity, reason)
FROM STDIN
