-- Statements of layers.content_measures; {features} is the content's partition, {base_features}
-- that of its base, {coverage} the coverage pieces of its access class.

-- name: count_and_extent
SELECT
    measured.feature_count,
    CASE WHEN measured.box IS NOT NULL THEN
        ST_MakeEnvelope(
            ST_XMin(measured.box), ST_YMin(measured.box), ST_XMax(measured.box),
            ST_YMax(measured.box), 4490
        )
    END AS extent
FROM (
    SELECT count(*) AS feature_count, ST_Extent(f.geom) AS box
    FROM {features} AS f
) AS measured

-- name: delta_count_and_extent
-- The extent of base and delta together: it does not shrink when a row at its edge is hidden.
SELECT
    b.feature_count + measured.own - (
        SELECT count(*) FROM library.hidden_feature AS h WHERE h.content_id = %(content_id)s
    ) AS feature_count,
    ST_Envelope(ST_Collect(b.extent, ST_SetSRID(measured.box::geometry, 4490))) AS extent
FROM library.layer_content AS b
CROSS JOIN (
    SELECT count(*) AS own, ST_Extent(f.geom) AS box
    FROM {features} AS f
) AS measured
WHERE b.id = %(base_id)s

-- name: base_digest
SELECT b.content_sha256 FROM library.layer_content AS b WHERE b.id = %(base_id)s

-- name: hidden_in_order
SELECT h.fid FROM library.hidden_feature AS h WHERE h.content_id = %(content_id)s ORDER BY h.fid

-- name: rows_in_order
SELECT f.feature_id, f.attributes::text, ST_AsEWKB(f.geom, 'NDR') AS ewkb
FROM {features} AS f
ORDER BY f.fid

-- name: coverages
SELECT
    (SELECT ST_AsBinary(c.coverage) FROM library.layer_content AS c WHERE c.id = %(base_id)s)
        AS base,
    (SELECT ST_AsBinary(c.coverage) FROM library.layer_content AS c WHERE c.id = %(content_id)s)
        AS own,
    (SELECT c.feature_count FROM library.layer_content AS c WHERE c.id = %(base_id)s)
        AS base_count,
    (
        SELECT coalesce((c.import_report ->> 'refused')::bigint, 0)
        FROM library.layer_content AS c WHERE c.id = %(content_id)s
    ) AS refused

-- name: changed_geometries
-- What a delta took away ('gone') and what it brought: in the place of a row that was there
-- ('changed') or not ('new'). Own rows that a draft began with and nobody edited are 'kept'.
SELECT 'gone' AS kind, ST_AsBinary(f.geom) AS wkb
FROM library.hidden_feature AS h
INNER JOIN {base_features} AS f ON f.content_id = %(base_id)s AND f.fid = h.fid
WHERE h.content_id = %(content_id)s
UNION ALL
SELECT
    CASE
        WHEN %(edits_only)s AND NOT EXISTS (
            SELECT FROM library.feature_history AS e
            WHERE e.content_id = %(content_id)s AND e.feature_id = f.feature_id
        ) THEN 'kept'
        WHEN EXISTS (
            SELECT FROM {base_features} AS b
            WHERE b.content_id = %(base_id)s AND b.feature_id = f.feature_id
        ) OR EXISTS (
            SELECT FROM library.feature_history AS e
            WHERE
                e.content_id = %(content_id)s AND e.feature_id = f.feature_id
                AND e.version = 1 AND e.geom_before IS NOT NULL
        ) THEN 'changed'
        ELSE 'new'
    END AS kind,
    ST_AsBinary(f.geom) AS wkb
FROM {features} AS f
UNION ALL
-- What edited rows were that are not of the base as it has them.
SELECT 'before' AS kind, ST_AsBinary(e.geom_before) AS wkb
FROM library.feature_history AS e
WHERE
    e.content_id = %(content_id)s AND e.version = 1 AND e.geom_before IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM {base_features} AS b
        WHERE
            b.content_id = %(base_id)s AND b.feature_id = e.feature_id
            AND ST_AsBinary(b.geom) = ST_AsBinary(e.geom_before)
            AND b.attributes = e.attributes_before
    )

-- name: edited_geometries
-- Of a whole content that is edited: all that edited features ever were in it, what they were at
-- first, and what lies there now.
WITH edits AS (
    SELECT e.version, e.geom_before, e.geom_after
    FROM library.feature_history AS e
    WHERE e.content_id = %(content_id)s
)

SELECT 'ever' AS kind, ST_AsBinary(e.geom_before) AS wkb
FROM edits AS e WHERE e.geom_before IS NOT NULL
UNION ALL
SELECT 'ever' AS kind, ST_AsBinary(e.geom_after) AS wkb
FROM edits AS e WHERE e.geom_after IS NOT NULL
UNION ALL
SELECT 'before' AS kind, ST_AsBinary(e.geom_before) AS wkb
FROM edits AS e WHERE e.version = 1 AND e.geom_before IS NOT NULL
UNION ALL
SELECT 'now' AS kind, ST_AsBinary(f.geom) AS wkb
FROM (
    SELECT DISTINCT o.fid
    FROM edits AS e
    CROSS JOIN LATERAL (
        SELECT r.fid FROM {features} AS r WHERE r.geom && e.geom_before
        UNION ALL
        SELECT r.fid FROM {features} AS r WHERE r.geom && e.geom_after
    ) AS o
) AS near
INNER JOIN {features} AS f ON f.content_id = %(content_id)s AND f.fid = near.fid

-- name: drop_coverage
DELETE FROM {coverage} WHERE content_id = %(content_id)s

-- name: cut_coverage
INSERT INTO {coverage} (content_id, piece, geom)
SELECT
    c.id,
    row_number() OVER () AS piece,
    cut.geom
FROM library.layer_content AS c
CROSS JOIN LATERAL (
    SELECT (ST_Dump(ST_CollectionExtract(piece.geom, 3))).geom
    FROM ST_Subdivide(c.coverage, 128) AS piece (geom)
) AS cut
WHERE c.id = %(content_id)s

-- name: pieces_of_base
SELECT p.piece, ST_AsBinary(p.geom) AS wkb
FROM {coverage} AS p
WHERE p.content_id = %(base_id)s

-- name: cut_changed
INSERT INTO {coverage} (content_id, piece, geom)
SELECT %(content_id)s, row_number() OVER (), together.geom
FROM (
    SELECT p.geom
    FROM {coverage} AS p
    WHERE p.content_id = %(base_id)s AND p.piece <> ALL(%(changed)s::integer [])
    UNION ALL
    SELECT (ST_Dump(ST_CollectionExtract(piece.geom, 3))).geom
    FROM unnest(%(new)s::bytea []) AS shape (wkb)
    CROSS JOIN LATERAL ST_Subdivide(ST_GeomFromWKB(shape.wkb, 4490), 128) AS piece (geom)
) AS together

-- name: settle
UPDATE library.layer_content
SET
    feature_count = %(feature_count)s,
    extent = %(extent)s::geometry,
    content_sha256 = %(content_sha256)s,
    coverage = coalesce(ST_GeomFromEWKB(%(coverage)s::bytea), coverage)
WHERE id = %(content_id)s
