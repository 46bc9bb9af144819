-- Statements of layers.draft_edits, layers.draft_views and layers.draft_checks.

-- name: set_region
INSERT INTO library.draft_region (west, south, east, north)
VALUES (%(west)s, %(south)s, %(east)s, %(north)s)
ON CONFLICT (one) DO UPDATE SET
    west = excluded.west, south = excluded.south, east = excluded.east, north = excluded.north

-- name: region
SELECT r.west, r.south, r.east, r.north FROM library.draft_bounds() AS r

-- name: draft_view
CREATE OR REPLACE VIEW {name} AS
SELECT f.feature_id, {columns} f.area_m2, f.fid, f.geom
FROM library.edition_layer AS el
INNER JOIN library.edition AS e ON e.id = el.edition_id AND e.state = 'draft'
INNER JOIN reading.feature AS f ON f.content_id = el.content_id
WHERE el.layer_id = {layer}

-- name: draft_view_trigger
CREATE OR REPLACE TRIGGER edit_draft
INSTEAD OF INSERT OR UPDATE OR DELETE ON {name}
FOR EACH ROW EXECUTE FUNCTION library.edit_draft({layer}, {dimension}, {id_attribute})

-- name: drafts
SELECT
    e.id AS edition,
    e.plan_id AS plan,
    e.title,
    e.valid_from,
    e.created,
    e.metadata,
    coalesce(
        (
            SELECT
                jsonb_agg(
                    jsonb_build_object(
                        'layer', el.layer_id,
                        'content', c.id,
                        'is_delta', c.base_id IS NOT NULL,
                        'blocking_issues', c.blocking_issues,
                        'changes', (
                            SELECT count(*) FROM library.feature_history AS h
                            WHERE h.content_id = c.id
                        )
                    ) ORDER BY el.layer_id
                )
            FROM library.edition_layer AS el
            INNER JOIN library.layer_content AS c ON c.id = el.content_id
            WHERE el.edition_id = e.id
        ), '[]'
    ) AS layers
FROM library.edition AS e
WHERE e.state = 'draft'
ORDER BY e.plan_id

-- name: draft_of_layer
SELECT e.id AS edition_id, e.plan_id, c.id AS content_id, c.base_id
FROM library.layer AS l
INNER JOIN library.edition AS e ON e.plan_id = l.plan_id AND e.state = 'draft'
INNER JOIN library.edition_layer AS el ON el.edition_id = e.id AND el.layer_id = l.id
INNER JOIN library.layer_content AS c ON c.id = el.content_id
WHERE l.id = %(layer_id)s

-- name: contents_of_draft
-- "shared" contents are those of an edition that was published, or others stand on them: they
-- cannot be edited in place.
SELECT
    c.id AS content_id,
    c.layer_id,
    c.base_id,
    library.is_frozen(ARRAY[c.id]) AS shared,
    EXISTS (
        SELECT FROM library.feature_history AS h WHERE h.content_id = c.id
    ) AS edited
FROM library.edition_layer AS el
INNER JOIN library.layer_content AS c ON c.id = el.content_id
WHERE el.edition_id = %(edition_id)s
ORDER BY c.layer_id

-- name: coverage
SELECT ST_AsBinary(c.coverage) AS wkb FROM library.layer_content AS c WHERE c.id = %(content_id)s

-- name: remove_layer
DELETE FROM library.edition_layer
WHERE edition_id = %(edition_id)s AND layer_id = %(layer_id)s

-- name: delete_draft
DELETE FROM library.edition WHERE id = %(edition_id)s AND state = 'draft'

-- name: as_editor
SELECT
    set_config('library.editor', %(who)s, true),
    set_config('library.edit_reason', %(reason)s, true)

-- name: note_now
-- The history is written by deferred triggers, on the tables of every access class.
SET CONSTRAINTS ALL IMMEDIATE

-- name: note_later
SET CONSTRAINTS ALL DEFERRED

-- name: begin_edit
-- Locks the content for one editor; with a key the history keeps the key's name.
SELECT library.begin_draft_edit(%(content_id)s, %(key)s) AS editor

-- name: lock_content
SELECT c.id, c.state FROM library.layer_content AS c
WHERE c.id = %(content_id)s
FOR NO KEY UPDATE

-- name: version
SELECT library.draft_version(%(content_id)s, %(feature_id)s) AS version

-- name: next_fid
SELECT library.next_draft_fid(%(content_id)s) AS fid

-- name: feature
SELECT f.fid, f.attributes, ST_AsBinary(f.geom) AS geometry, f.area_m2
FROM feature AS f
WHERE
    f.content_id = %(content_id)s
    AND f.part_id = ANY(%(parts)s)
    AND f.feature_id = %(feature_id)s

-- name: history
SELECT
    h.feature_id,
    h.version,
    h.action,
    h.changed_by,
    h.reason,
    h.changed,
    h.attributes_before,
    h.attributes_after,
    ST_AsBinary(h.geom_before) IS DISTINCT FROM ST_AsBinary(h.geom_after) AS geometry_changed
FROM library.feature_history AS h
WHERE
    h.content_id = %(content_id)s
    AND (%(feature_id)s::text IS NULL OR h.feature_id = %(feature_id)s::text)
ORDER BY h.id DESC
LIMIT %(most)s

-- name: state_after
-- What a feature was after a version; 0 is what the draft began with.
SELECT
    CASE WHEN %(version)s = 0 THEN h.attributes_before ELSE h.attributes_after END AS attributes,
    ST_AsBinary(CASE WHEN %(version)s = 0 THEN h.geom_before ELSE h.geom_after END) AS geometry
FROM library.feature_history AS h
WHERE
    h.content_id = %(content_id)s
    AND h.feature_id = %(feature_id)s
    AND h.version = greatest(%(version)s, 1)

-- name: edited_rows
-- The edited features as they are now, in batches by name.
SELECT f.fid, f.feature_id, f.attributes, ST_AsBinary(f.geom) AS geometry
FROM feature AS f
WHERE
    f.content_id = %(content_id)s
    AND f.part_id = %(content_id)s
    AND (%(after)s::text IS NULL OR f.feature_id > %(after)s)
    AND EXISTS (
        SELECT FROM library.feature_history AS h
        WHERE h.content_id = %(content_id)s AND h.feature_id = f.feature_id
    )
ORDER BY f.feature_id
LIMIT %(most)s

-- name: set_areas
UPDATE {features} AS f
SET area_m2 = measured.area_m2
FROM unnest(%(fids)s::bigint [], %(areas)s::double precision []) AS measured (fid, area_m2)
WHERE
    f.content_id = %(content_id)s
    AND f.fid = measured.fid
    AND f.area_m2 IS DISTINCT FROM measured.area_m2

-- name: drop_edit_issues
DELETE FROM library.import_issue
WHERE content_id = %(content_id)s AND code LIKE 'edit%%'

-- name: add_issue
INSERT INTO library.import_issue (content_id, field, value, code, severity, reason)
VALUES (%(content_id)s, %(field)s, %(value)s, %(code)s, %(severity)s, %(reason)s)

-- name: change_blocking
UPDATE library.layer_content
SET blocking_issues = greatest(0, blocking_issues + %(change)s)
WHERE id = %(content_id)s

-- name: blocking_edit_issues
SELECT count(*) AS found
FROM library.import_issue AS i
WHERE i.content_id = %(content_id)s AND i.code LIKE 'edit%%' AND i.severity = 'blocking'

-- name: sums
SELECT
    count(*) AS features,
    coalesce(sum(f.area_m2), 0) AS area_m2,
    coalesce(sum(CASE WHEN ST_Dimension(f.geom) = 1 THEN ST_Length(f.geom) END), 0) AS length_deg
FROM {rows} AS f

-- name: draft_collection
-- What a draft's layer is read by: its content, and the one in force that it was opened from.
SELECT c.id AS content_id, el.basis_id, e.id AS edition_id
FROM library.layer AS l
INNER JOIN library.edition AS e ON e.plan_id = l.plan_id AND e.state = 'draft'
INNER JOIN library.edition_layer AS el ON el.edition_id = e.id AND el.layer_id = l.id
INNER JOIN library.layer_content AS c ON c.id = el.content_id
WHERE l.id = %(layer_id)s
