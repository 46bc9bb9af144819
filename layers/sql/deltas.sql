-- Statements of layers.deltas; {features} and {base_features} are partitions of contents.

-- name: base_of_content
-- The row lock keeps a sweep from dropping what the delta will stand on.
SELECT c.id, c.layer_id, c.state, c.base_id
FROM library.layer_content AS c
WHERE c.id = %(content_id)s
FOR SHARE

-- name: create_delta
-- The lock tells the sweep that this import lives. The accuracy is that of the content changed:
-- the rows that stay are no better than they were.
WITH created AS (
    INSERT INTO library.layer_content (layer_id, accuracy_m, source, base_id, coverage)
    SELECT c.layer_id, greatest(c.accuracy_m, l.accuracy_m), %(source)s, %(base_id)s, c.coverage
    FROM library.layer_content AS c
    INNER JOIN library.layer AS l ON l.id = c.layer_id
    WHERE c.id = %(content_id)s
    RETURNING id
)
SELECT
    created.id,
    pg_advisory_lock(%(lock_class)s::integer, created.id) AS locked
FROM created

-- name: copy_hidden
INSERT INTO library.hidden_feature (content_id, fid)
SELECT %(content_id)s, h.fid
FROM library.hidden_feature AS h
WHERE h.content_id = %(from_id)s

-- name: copy_rows
INSERT INTO {features} (fid, feature_id, attributes, area_m2, geom)
SELECT f.fid, f.feature_id, f.attributes, f.area_m2, f.geom
FROM {base_features} AS f
WHERE NOT EXISTS (
    SELECT FROM library.hidden_feature AS h
    WHERE h.content_id = %(content_id)s AND h.fid = f.fid
)

-- name: copy_source_rows
INSERT INTO library.source_feature (content_id, fid, source_crs, geom_wkb, attributes)
SELECT %(content_id)s, s.fid, s.source_crs, s.geom_wkb, s.attributes
FROM library.source_feature AS s
WHERE s.content_id = %(from_id)s AND NOT EXISTS (
    SELECT FROM library.hidden_feature AS h
    WHERE h.content_id = %(content_id)s AND h.fid = s.fid
)

-- name: hide
-- Rows of the base only; a fid that is not there or hidden already is passed over.
INSERT INTO library.hidden_feature (content_id, fid)
SELECT %(content_id)s, f.fid
FROM {base_features} AS f
WHERE f.content_id = %(base_id)s AND f.fid = ANY(%(fids)s::bigint [])
ON CONFLICT DO NOTHING

-- name: unhide
DELETE FROM library.hidden_feature
WHERE content_id = %(content_id)s AND fid = ANY(%(fids)s::bigint [])

-- name: remove_rows
DELETE FROM {features} AS f
WHERE f.content_id = %(content_id)s AND f.fid = ANY(%(fids)s::bigint [])

-- name: remove_source_rows
DELETE FROM library.source_feature
WHERE content_id = %(content_id)s AND fid = ANY(%(fids)s::bigint [])

-- name: size
-- How much of the base the delta replaces.
SELECT
    (SELECT count(*) FROM {features}) AS own,
    (
        SELECT count(*) FROM library.hidden_feature AS h WHERE h.content_id = %(content_id)s
    ) AS hidden,
    b.feature_count AS base
FROM library.layer_content AS b
WHERE b.id = %(base_id)s

-- name: make_whole
WITH shown AS (
    DELETE FROM library.hidden_feature WHERE content_id = %(content_id)s
)
UPDATE library.layer_content SET base_id = NULL WHERE id = %(content_id)s

-- name: highest_fid
SELECT f.fid FROM {features} AS f
WHERE f.content_id = %(content_id)s
ORDER BY f.fid DESC
LIMIT 1

-- name: highest_source_fid
-- Fids of rows that are gone are not given again: their digests may still be there.
SELECT coalesce(max(c.last_fid), 0) FROM library.source_chunk AS c
WHERE c.content_id = %(content_id)s

-- name: lowest_fid
SELECT f.fid FROM {features} AS f
WHERE f.content_id = %(content_id)s
ORDER BY f.fid
LIMIT 1

-- name: twice
-- Feature ids of the delta that a row of the base has, too.
-- One index look-up a row: a join would read the whole base.
SELECT f.feature_id
FROM {features} AS f
CROSS JOIN LATERAL (
    SELECT o.fid
    FROM {base_features} AS o
    WHERE o.content_id = %(base_id)s AND o.feature_id = f.feature_id
    OFFSET 0
) AS b
WHERE NOT EXISTS (
    SELECT FROM library.hidden_feature AS h
    WHERE h.content_id = %(content_id)s AND h.fid = b.fid
)
ORDER BY f.feature_id
LIMIT 5

-- name: put_feature
SELECT
    library.put_draft_feature(
        %(content_id)s, %(feature_id)s, %(attributes)s, %(area_m2)s,
        ST_GeomFromEWKB(%(ewkb)s::bytea), %(key)s
    ) AS fid

-- name: remove_feature
SELECT library.remove_draft_feature(%(content_id)s, %(feature_id)s, %(key)s) AS removed
