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

-- name: relation
-- A delta and the content before it, where both stand on the same whole one (or are it), and
-- whether most features are the same rows in both: then they did not move together.
SELECT
    (
        SELECT count(*) FROM library.hidden_feature AS h
        WHERE h.content_id IN (after.id, before.id)
    ) < least(before.feature_count, after.feature_count) / 2 AS mostly_same
FROM library.layer_content AS after
INNER JOIN library.layer_content AS before
    ON before.id = after.base_id OR before.base_id = after.base_id
WHERE after.id = %(new_id)s AND before.id = %(content_id)s

-- name: compare_by_changes
-- The same as compare_contents for two contents on one base: what was summed of the base when it
-- was imported, less the hidden rows, plus the own ones. The outermost rows are found in narrow
-- strips along the four sides of the box, by the index. No row where something of this is lacking:
-- no sums, a base edited since, or an empty strip.
WITH side AS (
    SELECT
        c.id,
        coalesce(c.base_id, c.id) AS base_id,
        c.extent,
        c.feature_count
    FROM library.layer_content AS c
    WHERE c.id IN (%(content_id)s, %(new_id)s)
),

change AS (
    SELECT
        s.id,
        coalesce(sum(x.sign * x.area_m2), 0) AS area_m2,
        coalesce(sum(x.sign * x.length_deg), 0) AS length_deg
    FROM side AS s
    LEFT JOIN LATERAL (
        SELECT -1 AS sign, b.area_m2, ST_Length(b.geom) AS length_deg
        FROM library.hidden_feature AS h
        INNER JOIN stored_feature AS b ON b.content_id = s.base_id AND b.fid = h.fid
        WHERE h.content_id = s.id
        UNION ALL
        SELECT 1 AS sign, o.area_m2, ST_Length(o.geom) AS length_deg
        FROM stored_feature AS o
        WHERE o.content_id = s.id AND s.id <> s.base_id
    ) AS x ON true
    GROUP BY s.id
),

strip AS (
    SELECT
        s.id,
        ST_SetSRID(ST_MakeBox2D(
            ST_Point(
                ST_XMin(s.extent) + at.west * (ST_XMax(s.extent) - ST_XMin(s.extent)),
                ST_YMin(s.extent) + at.south * (ST_YMax(s.extent) - ST_YMin(s.extent))
            ),
            ST_Point(
                ST_XMin(s.extent) + at.east * (ST_XMax(s.extent) - ST_XMin(s.extent)),
                ST_YMin(s.extent) + at.north * (ST_YMax(s.extent) - ST_YMin(s.extent))
            )
        )::geometry, 4490) AS geom
    FROM side AS s
    CROSS JOIN (
        VALUES
        (0, 0, 0.002, 1), (0.998, 0, 1, 1), (0, 0, 1, 0.002), (0, 0.998, 1, 1)
    ) AS at (west, south, east, north)
),

seen AS (
    SELECT
        t.id,
        ST_Extent(o.box)::geometry AS extent,
        bool_and(o.box IS NOT NULL) AS is_whole
    FROM strip AS t
    LEFT JOIN LATERAL (
        SELECT ST_SetSRID(ST_Extent(f.geom)::geometry, 4490) AS box
        FROM side AS s
        INNER JOIN stored_feature AS f
            ON f.content_id IN (s.id, s.base_id) AND f.geom && t.geom
        WHERE
            s.id = t.id
            AND NOT EXISTS (
                SELECT FROM library.hidden_feature AS h
                WHERE h.content_id = s.id AND h.fid = f.fid
            )
    ) AS o ON true
    GROUP BY t.id
),

summed AS (
    SELECT
        s.id,
        s.feature_count,
        (base.import_report #>> '{sums,area_m2}')::double precision + change.area_m2 AS area_m2,
        (base.import_report #>> '{sums,length_deg}')::double precision + change.length_deg
            AS length_deg,
        seen.extent
    FROM side AS s
    INNER JOIN change ON change.id = s.id
    INNER JOIN seen ON seen.id = s.id AND seen.is_whole
    INNER JOIN library.layer_content AS base
        ON
            base.id = s.base_id
            AND base.content_sha256 = base.import_report ->> 'content_sha256'
            AND base.import_report ? 'sums'
),

vanished AS (
    SELECT count(*) AS features
    FROM (
        SELECT o.feature_id
        FROM stored_feature AS o
        INNER JOIN side AS s ON s.id = %(content_id)s AND s.id <> s.base_id
        WHERE o.content_id = %(content_id)s
        UNION ALL
        SELECT b.feature_id
        FROM library.hidden_feature AS h
        INNER JOIN side AS s ON s.id = h.content_id
        INNER JOIN stored_feature AS b ON b.content_id = s.base_id AND b.fid = h.fid
        WHERE
            h.content_id = %(new_id)s
            AND NOT EXISTS (
                SELECT FROM library.hidden_feature AS other
                WHERE other.content_id = %(content_id)s AND other.fid = h.fid
            )
    ) AS was
    -- LIMIT keeps it to one index look-up a row: a join would read the whole base.
    WHERE (
        SELECT n.fid FROM feature AS n
        WHERE n.content_id = %(new_id)s AND n.feature_id = was.feature_id
        LIMIT 1
    ) IS NULL
)

SELECT
    before.feature_count AS features_before,
    after.feature_count AS features_after,
    before.area_m2 AS area_m2_before,
    after.area_m2 AS area_m2_after,
    vanished.features AS ids_vanished,
    1 - after.length_deg / nullif(before.length_deg, 0) AS length_lost,
    1 - ST_Area(ST_Intersection(before.extent, after.extent)) / nullif(ST_Area(before.extent), 0)
        AS extent_lost,
    c.import_report -> 'issue_counts' AS issue_counts
FROM summed AS before
INNER JOIN summed AS after ON after.id = %(new_id)s
CROSS JOIN vanished
INNER JOIN library.layer_content AS c ON c.id = before.id
WHERE before.id = %(content_id)s

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

-- name: issue_of_code
SELECT i.severity, i.reason, i.field
FROM library.import_issue AS i
WHERE i.content_id = %(content_id)s AND i.code = %(code)s
LIMIT 1

-- name: add_accuracy
-- A change of datum adds its own variance to the layer's. A delta is no better than its base.
UPDATE library.layer_content AS c
SET accuracy_m = greatest(c.accuracy_m, sqrt(l.accuracy_m ^ 2 + %(added_m)s ^ 2))
FROM library.layer AS l
WHERE c.id = %(content_id)s AND l.id = c.layer_id AND c.state = 'loading'

-- name: keep_findings
-- What the comparison found once the content was finished, the digest that it got, and the sums
-- that later comparisons begin with.
UPDATE library.layer_content
SET
    import_report = jsonb_set(%(import_report)s, '{content_sha256}', to_jsonb(content_sha256))
        || %(sums)s,
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
