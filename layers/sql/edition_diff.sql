-- Statements of layers.edition_diff. {before} and {after} are the rows of two contents, {changes}
-- is one of the two first statements. Features are compared by digests: the hash join then holds
-- some tens of bytes a feature, whatever its geometry. OFFSET 0 keeps the digests below the join.

-- name: changes_by_id
SELECT
    coalesce(a.feature_id, b.feature_id) AS name,
    b.fid AS fid_before,
    a.fid AS fid_after,
    b.area_m2 AS area_before,
    a.area_m2 AS area_after,
    b.attributes_1 <> a.attributes_1 OR b.attributes_2 <> a.attributes_2 AS attributes_differ,
    b.shape <> a.shape AS geometry_differs
FROM (
    SELECT
        f.fid,
        f.feature_id,
        f.area_m2,
        jsonb_hash_extended(f.attributes, 1) AS attributes_1,
        jsonb_hash_extended(f.attributes, 2) AS attributes_2,
        sha256(ST_AsBinary(f.geom)) AS shape
    FROM {before} AS f
    OFFSET 0
) AS b
FULL JOIN (
    SELECT
        f.fid,
        f.feature_id,
        f.area_m2,
        jsonb_hash_extended(f.attributes, 1) AS attributes_1,
        jsonb_hash_extended(f.attributes, 2) AS attributes_2,
        sha256(ST_AsBinary(f.geom)) AS shape
    FROM {after} AS f
    OFFSET 0
) AS a ON a.feature_id = b.feature_id

-- name: changes_by_geometry
-- Ids are row numbers: the same shape is the same feature. Of several with one shape those with
-- equal attributes meet first. The row number among the attributes says nothing either.
SELECT
    coalesce(a.feature_id, b.feature_id) AS name,
    b.fid AS fid_before,
    a.fid AS fid_after,
    b.area_m2 AS area_before,
    a.area_m2 AS area_after,
    b.attributes_1 <> a.attributes_1 OR b.attributes_2 <> a.attributes_2 AS attributes_differ,
    false AS geometry_differs
FROM (
    SELECT
        d.*,
        row_number() OVER (
            PARTITION BY d.shape ORDER BY d.attributes_1, d.attributes_2, d.fid
        ) AS turn
    FROM (
        SELECT
            f.fid,
            f.feature_id,
            f.area_m2,
            jsonb_hash_extended(f.attributes - %(ignored)s::text [], 1) AS attributes_1,
            jsonb_hash_extended(f.attributes - %(ignored)s::text [], 2) AS attributes_2,
            sha256(ST_AsBinary(f.geom)) AS shape
        FROM {before} AS f
        OFFSET 0
    ) AS d
) AS b
FULL JOIN (
    SELECT
        d.*,
        row_number() OVER (
            PARTITION BY d.shape ORDER BY d.attributes_1, d.attributes_2, d.fid
        ) AS turn
    FROM (
        SELECT
            f.fid,
            f.feature_id,
            f.area_m2,
            jsonb_hash_extended(f.attributes - %(ignored)s::text [], 1) AS attributes_1,
            jsonb_hash_extended(f.attributes - %(ignored)s::text [], 2) AS attributes_2,
            sha256(ST_AsBinary(f.geom)) AS shape
        FROM {after} AS f
        OFFSET 0
    ) AS d
) AS a ON a.shape = b.shape AND a.turn = b.turn

-- name: compare
-- One pass over both contents: totals, and the first of the changes by name.
-- Sums in numeric: the order of rows must not change a figure.
WITH change AS MATERIALIZED ({changes}),

listed AS (
    SELECT
        c.name,
        c.fid_before,
        c.fid_after,
        c.area_before,
        c.area_after,
        c.attributes_differ,
        c.geometry_differs
    FROM change AS c
    WHERE
        c.fid_before IS NULL
        OR c.fid_after IS NULL
        OR c.attributes_differ
        OR c.geometry_differs
    ORDER BY c.name, c.fid_before, c.fid_after
    LIMIT %(kept)s
)

SELECT
    count(c.fid_before) AS features_before,
    count(c.fid_after) AS features_after,
    sum(c.area_before::numeric)::double precision AS area_m2_before,
    sum(c.area_after::numeric)::double precision AS area_m2_after,
    count(*) FILTER (WHERE c.fid_before IS NULL) AS added,
    (sum(c.area_after::numeric) FILTER (WHERE c.fid_before IS NULL))::double precision
        AS added_area_m2,
    count(*) FILTER (WHERE c.fid_after IS NULL) AS removed,
    (sum(c.area_before::numeric) FILTER (WHERE c.fid_after IS NULL))::double precision
        AS removed_area_m2,
    count(*) FILTER (WHERE c.attributes_differ AND NOT c.geometry_differs) AS attributes_only,
    count(*) FILTER (WHERE c.geometry_differs AND NOT c.attributes_differ) AS geometry_only,
    count(*) FILTER (WHERE c.attributes_differ AND c.geometry_differs) AS both,
    (
        sum(c.area_before::numeric) FILTER (WHERE c.attributes_differ OR c.geometry_differs)
    )::double precision AS changed_area_m2_before,
    (
        sum(c.area_after::numeric) FILTER (WHERE c.attributes_differ OR c.geometry_differs)
    )::double precision AS changed_area_m2_after,
    coalesce(
        (
            SELECT
                jsonb_agg(
                    jsonb_build_array(
                        l.name, l.fid_before, l.fid_after, l.area_before, l.area_after,
                        l.attributes_differ, l.geometry_differs
                    ) ORDER BY l.name, l.fid_before, l.fid_after
                )
            FROM listed AS l
        ), '[]'
    ) AS listed
FROM change AS c

-- name: differing
-- All changes by name, as a stream; their rows are looked up batch by batch.
SELECT
    c.name,
    c.fid_before,
    c.fid_after,
    c.area_before,
    c.area_after,
    coalesce(c.attributes_differ, false) AS attributes_differ,
    coalesce(c.geometry_differs, false) AS geometry_differs
FROM ({changes}) AS c
WHERE
    c.fid_before IS NULL
    OR c.fid_after IS NULL
    OR c.attributes_differ
    OR c.geometry_differs
ORDER BY c.name, c.fid_before, c.fid_after

-- name: attributes_by_fid
SELECT f.fid, f.attributes FROM {rows} AS f WHERE f.fid = ANY(%(fids)s::bigint [])

-- name: rows_by_fid
SELECT f.fid, f.attributes, ST_AsBinary(f.geom) AS geometry
FROM {rows} AS f
WHERE f.fid = ANY(%(fids)s::bigint [])

-- name: shapes_by_fid
SELECT f.fid, ST_AsBinary(f.geom) AS geometry
FROM {rows} AS f
WHERE f.fid = ANY(%(fids)s::bigint [])

-- name: edition
SELECT
    e.id,
    e.plan_id,
    e.state,
    e.title,
    e.valid_from,
    e.synthetic,
    e.created,
    e.published,
    e.metadata
FROM library.edition AS e
WHERE e.id = %(edition_id)s

-- name: contents_of_version
-- The contents of an edition; those of a draft with the layers that publishing would carry over.
SELECT
    c.layer_id,
    c.id AS content_id,
    c.content_sha256,
    c.state,
    c.accuracy_m,
    coalesce(c.import_report -> 'issue_counts' ? 'ids-generated', false) AS ids_generated,
    c.import_report ? 'issue_counts' AS ids_known,
    el.carried_over,
    c.base_id,
    c.feature_count
FROM (
    SELECT own.layer_id, own.content_id, own.carried_over
    FROM library.edition_layer AS own
    WHERE own.edition_id = %(edition_id)s
    UNION ALL
    SELECT held.layer_id, held.content_id, true
    FROM library.edition AS e
    INNER JOIN library.in_force AS f
        ON f.plan_id = e.plan_id AND upper_inf(f.recorded) AND f.valid @> e.valid_from
    INNER JOIN library.edition_layer AS held ON held.edition_id = f.edition_id
    WHERE
        e.id = %(edition_id)s
        AND e.state = 'draft'
        AND NOT EXISTS (
            SELECT FROM library.edition_layer AS own
            WHERE own.edition_id = e.id AND own.layer_id = held.layer_id
        )
) AS el
INNER JOIN library.layer_content AS c ON c.id = el.content_id
ORDER BY c.layer_id

-- name: ids_are_row_numbers
-- For a content without an import report: no id differs from the number of its row.
SELECT NOT EXISTS (SELECT FROM {after} AS f WHERE f.feature_id <> f.fid::text) AS are_row_numbers

-- name: coverage_differs
SELECT b.coverage IS DISTINCT FROM a.coverage AS differs
FROM library.layer_content AS b
CROSS JOIN library.layer_content AS a
WHERE b.id = %(before)s AND a.id = %(after)s

-- name: feature_count
SELECT c.feature_count AS features
FROM library.layer_content AS c
WHERE c.id = %(content_id)s

-- name: no_rows
(
    SELECT f.fid, f.feature_id, f.attributes, f.area_m2, f.geom
    FROM stored_feature AS f
    WHERE false
)

-- name: rows_of_whole
(
    SELECT f.fid, f.feature_id, f.attributes, f.area_m2, f.geom
    FROM stored_feature AS f
    WHERE f.content_id = {content}
)

-- name: rows_of_delta
-- Written out: looked up by fid, the view "feature" would read the base once for each row.
(
    SELECT f.fid, f.feature_id, f.attributes, f.area_m2, f.geom
    FROM stored_feature AS f
    WHERE f.content_id = {content}
    UNION ALL
    SELECT f.fid, f.feature_id, f.attributes, f.area_m2, f.geom
    FROM stored_feature AS f
    WHERE f.content_id = {root} AND NOT EXISTS (
        SELECT FROM library.hidden_feature AS h
        WHERE h.content_id = {content} AND h.fid = f.fid
    )
)

-- name: differing_rows
-- The rows of a content that another one of the same base does not share: its own, and those of
-- the base that the other one hides.
(
    SELECT f.fid, f.feature_id, f.attributes, f.area_m2, f.geom
    FROM stored_feature AS f
    WHERE f.content_id = {content} AND f.content_id <> {root}
    UNION ALL
    SELECT f.fid, f.feature_id, f.attributes, f.area_m2, f.geom
    FROM library.hidden_feature AS theirs
    INNER JOIN stored_feature AS f ON f.content_id = {root} AND f.fid = theirs.fid
    WHERE theirs.content_id = {other} AND NOT EXISTS (
        SELECT FROM library.hidden_feature AS ours
        WHERE ours.content_id = {content} AND ours.fid = theirs.fid
    )
)
