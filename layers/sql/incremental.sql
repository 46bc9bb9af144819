-- Statements of layers.incremental; {features} is the partition of a delta that is being loaded.

-- name: base
-- Rows edited since the import have another digest: they do not count as imported.
SELECT
    c.id,
    c.source,
    c.import_report,
    c.blocking_issues,
    coalesce(c.content_sha256 = c.import_report ->> 'content_sha256', false) AS as_imported,
    EXISTS (
        SELECT FROM library.import_issue AS i
        WHERE i.content_id = c.id AND i.code LIKE 'edit%%' AND i.severity = 'blocking'
    ) AS has_open_edits
FROM (
    SELECT el.content_id, 0 AS rank
    FROM library.edition AS e
    INNER JOIN library.edition_layer AS el ON el.edition_id = e.id
    WHERE e.plan_id = %(plan_id)s AND e.state = 'draft' AND el.layer_id = %(layer_id)s
    UNION ALL
    SELECT
        el.content_id,
        CASE
            WHEN f.valid @> %(valid_from)s::date THEN 1
            WHEN upper_inf(f.valid) THEN 2
            ELSE 3
        END AS rank
    FROM library.in_force AS f
    INNER JOIN library.edition_layer AS el ON el.edition_id = f.edition_id
    WHERE f.plan_id = %(plan_id)s AND upper_inf(f.recorded) AND el.layer_id = %(layer_id)s
) AS found
INNER JOIN library.layer_content AS c ON c.id = found.content_id
WHERE c.state IN ('loaded', 'ready')
ORDER BY found.rank, c.id DESC
LIMIT 1

-- name: edits_of_draft
SELECT count(*) AS edits
FROM library.edition AS e
INNER JOIN library.edition_layer AS el ON el.edition_id = e.id AND el.layer_id = %(layer_id)s
INNER JOIN library.feature_history AS h ON h.content_id = el.content_id
WHERE e.plan_id = %(plan_id)s AND e.state = 'draft'

-- name: fids_of_ids
SELECT f.fid, f.feature_id
FROM feature AS f
WHERE
    f.content_id = %(content_id)s
    AND f.feature_id = ANY(%(ids)s::text [])

-- name: count_changed
-- Features that are gone from the base and there anew.
SELECT count(*)
FROM feature AS f
INNER JOIN {features} AS n ON n.feature_id = f.feature_id
WHERE
    f.content_id = %(from_id)s
    AND f.fid = ANY(%(fids)s::bigint [])
    AND n.fid >= %(first_fid)s

-- name: coverage_of
SELECT ST_AsBinary(c.coverage) AS wkb, c.feature_count
FROM library.layer_content AS c
WHERE c.id = %(content_id)s

-- name: count_of
SELECT c.feature_count FROM library.layer_content AS c WHERE c.id = %(content_id)s

-- name: gone
SELECT ST_AsBinary(f.geom) AS wkb
FROM feature AS f
WHERE f.content_id = %(from_id)s AND f.fid = ANY(%(fids)s::bigint [])

-- name: come
SELECT ST_AsBinary(n.geom) AS wkb FROM {features} AS n WHERE n.fid >= %(first_fid)s

-- name: near_places
-- What stays beside places that changed: one index look-up a place.
SELECT ST_AsBinary(b.geom) AS wkb
FROM (
    SELECT DISTINCT f.content_id, f.fid
    FROM unnest(%(places)s::bytea []) AS place (wkb)
    CROSS JOIN LATERAL (
        SELECT o.content_id, o.fid
        FROM stored_feature AS o
        WHERE
            o.content_id = ANY(%(parts)s::integer [])
            AND o.geom && ST_GeomFromWKB(place.wkb, 4490)
        OFFSET 0
    ) AS f
    WHERE
        f.fid <> ALL(%(fids)s::bigint [])
        AND NOT EXISTS (
            SELECT FROM library.hidden_feature AS h
            WHERE h.content_id = %(from_id)s AND h.fid = f.fid
        )
) AS near
INNER JOIN stored_feature AS b ON b.content_id = near.content_id AND b.fid = near.fid

-- name: kept_issues
-- A row of a whole content has its number for fid; a file's number in a delta names no row.
SELECT i.code, i.severity, i.reason, i.source_row, i.field, i.value
FROM library.import_issue AS i
INNER JOIN library.layer_content AS c ON c.id = i.content_id
WHERE
    i.content_id = %(from_id)s
    AND i.code NOT IN ('content-shrunk', 'datum-shift-suspected')
    AND NOT (
        c.base_id IS NULL
        AND EXISTS (
            SELECT FROM library.hidden_feature AS h
            WHERE h.content_id = %(content_id)s AND h.fid = i.source_row
        )
    )
ORDER BY i.id
