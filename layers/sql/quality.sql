-- Statements of layers.quality.

-- name: edition
SELECT e.id, e.plan_id, e.state, e.title, e.valid_from, e.synthetic
FROM library.edition AS e
WHERE e.id = %(edition_id)s

-- name: edition_to_check
-- The draft of a plan if it has one, else the edition in force today.
SELECT e.id
FROM library.edition AS e
WHERE
    e.plan_id = %(plan_id)s
    AND (
        e.state = 'draft'
        OR EXISTS (
            SELECT FROM library.in_force AS f
            WHERE f.edition_id = e.id AND upper_inf(f.recorded) AND f.valid @> current_date
        )
    )
ORDER BY e.state = 'draft' DESC, e.id DESC
LIMIT 1

-- name: contents
-- The contents that an edition is judged by: a draft's own, all of a published one.
SELECT
    el.layer_id,
    c.id AS content_id,
    c.base_id,
    c.content_sha256,
    c.accuracy_m,
    c.blocking_issues,
    c.import_report -> 'issue_counts' AS issue_counts
FROM library.edition_layer AS el
INNER JOIN library.layer_content AS c ON c.id = el.content_id
INNER JOIN library.edition AS e ON e.id = el.edition_id
WHERE
    el.edition_id = %(edition_id)s
    AND c.state <> 'loading'
    AND NOT (el.carried_over AND e.state = 'draft')
ORDER BY el.layer_id

-- name: counterpart
-- The content of a layer that is in force on a day, for a comparison.
SELECT
    f.edition_id,
    el.layer_id,
    c.id AS content_id,
    c.base_id,
    c.content_sha256,
    c.accuracy_m,
    c.blocking_issues,
    NULL::jsonb AS issue_counts
FROM library.in_force AS f
INNER JOIN library.edition_layer AS el ON el.edition_id = f.edition_id
INNER JOIN library.layer_content AS c ON c.id = el.content_id AND c.state = 'ready'
WHERE
    el.layer_id = %(layer_id)s
    AND upper_inf(f.recorded)
    AND f.valid @> %(valid_from)s::date
LIMIT 1

-- name: boxes
-- Boxes and vertex counts only: both are linear in the size of a geometry.
SELECT
    f.fid,
    ST_XMin(f.geom) AS west,
    ST_YMin(f.geom) AS south,
    ST_XMax(f.geom) AS east,
    ST_YMax(f.geom) AS north,
    ST_NPoints(f.geom) AS vertices
FROM feature AS f
WHERE f.content_id = %(content_id)s

-- name: cell_rows
SELECT
    f.fid,
    f.feature_id,
    f.attributes,
    f.area_m2,
    (ST_XMin(f.geom) + ST_XMax(f.geom)) / 2 AS lon,
    (ST_YMin(f.geom) + ST_YMax(f.geom)) / 2 AS lat,
    ST_AsBinary(f.geom, 'NDR') AS wkb
FROM feature AS f
WHERE
    f.content_id = %(content_id)s
    AND f.geom && ST_MakeEnvelope(%(west)s, %(south)s, %(east)s, %(north)s, 4490)
ORDER BY f.fid

-- name: duplicate_ids
-- Ids that are one when case and outer blanks do not count.
SELECT
    array_agg(f.feature_id ORDER BY f.fid) AS feature_ids,
    avg(ST_XMin(f.geom)) AS lon,
    avg(ST_YMin(f.geom)) AS lat
FROM feature AS f
WHERE f.content_id = %(content_id)s
GROUP BY upper(btrim(f.feature_id))
HAVING count(*) > 1
ORDER BY min(f.fid)

-- name: import_issues
-- With the stored feature, where the row is one; its box's centre is its place. In a delta fids
-- are no rows of a file.
SELECT
    i.source_row,
    i.field,
    i.value,
    i.code,
    i.severity,
    i.reason,
    f.feature_id,
    (ST_XMin(f.geom) + ST_XMax(f.geom)) / 2 AS lon,
    (ST_YMin(f.geom) + ST_YMax(f.geom)) / 2 AS lat
FROM library.import_issue AS i
LEFT JOIN feature AS f ON f.content_id = i.content_id AND f.fid = i.source_row
WHERE i.content_id = %(content_id)s
ORDER BY i.id

-- name: add_run
INSERT INTO library.quality_run (
    edition_id, started, contents, counterparts, outcome, blocking, advisory, counts, levels, engine
)
VALUES (
    %(edition_id)s,
    %(started)s,
    %(contents)s,
    %(counterparts)s,
    %(outcome)s,
    %(blocking)s,
    %(advisory)s,
    %(counts)s,
    %(levels)s,
    %(engine)s
)
RETURNING id

-- name: copy_findings
COPY library.quality_finding (
    run_id, number, origin, code, severity, layer_id, content_id, feature_ids, other_layer_id,
    other_content_id, source_row, field, value, measured, unit, width_m, reason, place, geom
) FROM STDIN

-- name: add_outline
INSERT INTO library.quality_outline (run_id, layer_id, geom)
VALUES (%(run_id)s, %(layer_id)s, ST_GeomFromEWKB(%(ewkb)s))

-- name: newest_run
SELECT
    r.id,
    r.edition_id,
    r.started,
    r.finished,
    r.contents,
    r.counterparts,
    r.outcome,
    r.blocking,
    r.advisory,
    r.counts,
    r.levels,
    r.engine,
    e.plan_id,
    e.state,
    e.title,
    e.valid_from,
    e.synthetic
FROM library.quality_run AS r
INNER JOIN library.edition AS e ON e.id = r.edition_id
WHERE r.edition_id = %(edition_id)s
ORDER BY r.id DESC
LIMIT 1

-- name: findings
SELECT
    q.number,
    q.origin,
    q.code,
    q.severity,
    q.layer_id,
    q.content_id,
    q.feature_ids,
    q.other_layer_id,
    q.other_content_id,
    q.source_row,
    q.field,
    q.value,
    q.measured,
    q.unit,
    q.width_m,
    q.reason,
    ST_X(q.place) AS lon,
    ST_Y(q.place) AS lat,
    ST_AsBinary(q.geom, 'NDR') AS wkb
FROM library.quality_finding AS q
WHERE q.run_id = %(run_id)s
ORDER BY q.number

-- name: outlines
SELECT o.layer_id, ST_AsBinary(o.geom, 'NDR') AS wkb
FROM library.quality_outline AS o
WHERE o.run_id = %(run_id)s
ORDER BY o.layer_id

-- name: blocking_of_contents
-- What the newest run on each content that a draft would be published with found in it, in
-- whatever edition. What the import found stands in blocking_issues, where drafts are also mended;
-- it is not counted twice. A run counts under a layer what it found between that and another one.
SELECT
    max(newest.id) FILTER (WHERE newest.blocking > 0) AS id,
    coalesce(sum(newest.blocking), 0)::bigint AS blocking
FROM library.edition_layer AS el
INNER JOIN library.layer_content AS c ON c.id = el.content_id
CROSS JOIN LATERAL (
    SELECT
        r.id,
        (
            SELECT coalesce(sum((one ->> 'count')::bigint), 0)
            FROM jsonb_array_elements(r.counts) AS one
            WHERE
                one ->> 'origin' = 'edition' AND one ->> 'severity' = 'blocking'
                AND one ->> 'layer' = el.layer_id
        ) AS blocking
    FROM library.quality_run AS r
    WHERE r.contents ->> el.layer_id = concat(c.id, ':', c.content_sha256)
    ORDER BY r.id DESC
    LIMIT 1
) AS newest
WHERE el.edition_id = %(edition_id)s AND NOT el.carried_over
