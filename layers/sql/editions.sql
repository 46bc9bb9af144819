-- name: open_draft
SELECT id FROM library.edition
WHERE plan_id = %(plan_id)s AND state = 'draft'
FOR UPDATE

-- name: create_draft
INSERT INTO library.edition (plan_id, title, valid_from, synthetic, metadata)
VALUES (%(plan_id)s, %(title)s, %(valid_from)s, %(synthetic)s, %(metadata)s)
ON CONFLICT (plan_id) WHERE state = 'draft' DO NOTHING
RETURNING id

-- name: lock_plan
SELECT clock_timestamp() AS moment
FROM library.plan AS p
WHERE p.id = %(plan_id)s
FOR NO KEY UPDATE

-- name: moment
-- Later than all that is recorded of the plan, also when the machine's clock was put back.
SELECT
    greatest(
        clock_timestamp(),
        max(greatest(lower(f.recorded), upper(f.recorded))) + interval '1 microsecond'
    ) AS moment
FROM library.in_force AS f
WHERE f.plan_id = %(plan_id)s

-- name: date_draft
UPDATE library.edition SET valid_from = %(valid_from)s WHERE id = %(edition_id)s

-- name: put_layer
-- Changes of what the draft holds already leave what that was made against.
INSERT INTO library.edition_layer AS el (edition_id, layer_id, content_id, basis, basis_id)
VALUES (%(edition_id)s, %(layer_id)s, %(content_id)s, %(basis)s, %(basis_id)s)
ON CONFLICT (edition_id, layer_id)
DO UPDATE SET
    content_id = excluded.content_id,
    carried_over = false,
    basis = CASE WHEN excluded.basis = 'changed' THEN el.basis ELSE excluded.basis END,
    basis_id = CASE WHEN excluded.basis = 'changed' THEN el.basis_id ELSE excluded.basis_id END

-- name: content_to_replace
-- The content of a layer in force on the day, else the last one.
SELECT el.content_id
FROM library.in_force AS f
INNER JOIN library.layer AS l ON l.plan_id = f.plan_id AND l.id = %(layer_id)s
INNER JOIN library.edition_layer AS el ON el.edition_id = f.edition_id AND el.layer_id = l.id
WHERE upper_inf(f.recorded) AND (f.valid @> %(valid_from)s::date OR upper_inf(f.valid))
ORDER BY f.valid @> %(valid_from)s::date DESC
LIMIT 1

-- name: lost_bases
-- Layers of a draft whose basis is not what they will replace on the draft's first day. A whole
-- file that replaces nothing, or is what it replaces, needs no comparison.
SELECT
    el.layer_id,
    origin.id AS edition_id,
    origin.state = 'withdrawn' AS withdrawn
FROM library.edition_layer AS el
INNER JOIN library.edition AS e ON e.id = el.edition_id
LEFT JOIN LATERAL (
    SELECT other.content_id
    FROM library.in_force AS f
    INNER JOIN library.edition_layer AS other
        ON other.edition_id = f.edition_id AND other.layer_id = el.layer_id
    WHERE
        f.plan_id = e.plan_id AND upper_inf(f.recorded)
        AND (f.valid @> e.valid_from OR upper_inf(f.valid))
    ORDER BY f.valid @> e.valid_from DESC
    LIMIT 1
) AS held ON true
LEFT JOIN LATERAL (
    SELECT own.id, own.state
    FROM library.edition_layer AS brought
    INNER JOIN library.edition AS own ON own.id = brought.edition_id AND own.state <> 'draft'
    WHERE brought.content_id = el.basis_id
    ORDER BY own.id DESC
    LIMIT 1
) AS origin ON true
WHERE
    el.edition_id = %(edition_id)s
    AND el.basis IS NOT NULL
    AND el.basis_id IS DISTINCT FROM held.content_id
    AND NOT (
        el.basis = 'compared' AND (held.content_id IS NULL OR held.content_id = el.content_id)
    )
ORDER BY el.layer_id

-- name: edition
SELECT e.id, e.plan_id, e.state, e.title, e.valid_from, e.synthetic, e.published
FROM library.edition AS e
WHERE e.id = %(edition_id)s
FOR UPDATE

-- name: editions_of_plan
SELECT
    e.id,
    e.plan_id,
    e.state,
    e.title,
    e.valid_from,
    e.synthetic,
    e.created,
    e.published,
    e.metadata,
    (
        -- The days that it holds by what is known now; none for drafts and withdrawn editions.
        SELECT jsonb_build_array(lower(f.valid), upper(f.valid))
        FROM library.in_force AS f
        WHERE f.edition_id = e.id AND upper_inf(f.recorded)
    ) AS days,
    coalesce(
        (
            SELECT
                jsonb_agg(
                    jsonb_build_object(
                        'layer', el.layer_id,
                        'content', c.id,
                        'features', c.feature_count,
                        'state', c.state,
                        'blocking_issues', c.blocking_issues,
                        'carried_over', el.carried_over
                    ) ORDER BY el.layer_id
                )
            FROM library.edition_layer AS el
            INNER JOIN library.layer_content AS c ON c.id = el.content_id
            WHERE el.edition_id = e.id
        ), '[]'
    ) AS layers
FROM library.edition AS e
WHERE e.plan_id = %(plan_id)s
ORDER BY e.id DESC

-- name: contents_of_edition
SELECT
    c.id,
    c.layer_id,
    c.state,
    c.blocking_issues,
    el.carried_over,
    EXISTS (
        SELECT FROM library.import_issue AS i
        WHERE i.content_id = c.id AND i.code = 'edits-not-checked'
    ) AS unchecked
FROM library.edition_layer AS el
INNER JOIN library.layer_content AS c ON c.id = el.content_id
WHERE el.edition_id = %(edition_id)s
ORDER BY c.layer_id

-- name: carry_over
-- Layers that the draft does not bring are taken over from the edition in force on its first day.
INSERT INTO library.edition_layer (edition_id, layer_id, content_id, carried_over)
SELECT %(edition_id)s, el.layer_id, el.content_id, true
FROM library.in_force AS f
INNER JOIN library.edition_layer AS el ON el.edition_id = f.edition_id
WHERE
    f.plan_id = %(plan_id)s
    AND upper_inf(f.recorded)
    AND f.valid @> %(valid_from)s::date
ON CONFLICT (edition_id, layer_id) DO NOTHING

-- name: record_on
-- The record of the day; a plan has at most one.
SELECT f.id, f.edition_id, f.valid
FROM library.in_force AS f
WHERE
    f.plan_id = %(plan_id)s
    AND upper_inf(f.recorded)
    AND f.valid @> %(valid_from)s::date

-- name: next_record
-- The first day after the given one on which another edition begins.
SELECT min(lower(f.valid)) AS begins
FROM library.in_force AS f
WHERE
    f.plan_id = %(plan_id)s
    AND upper_inf(f.recorded)
    AND lower(f.valid) > %(valid_from)s::date

-- name: close_record
UPDATE library.in_force
SET recorded = tstzrange(lower(recorded), %(moment)s)
WHERE id = %(id)s

-- name: record
INSERT INTO library.in_force (plan_id, edition_id, valid, recorded)
VALUES (%(plan_id)s, %(edition_id)s, %(valid)s, tstzrange(%(moment)s::timestamptz, NULL))

-- name: current_record
-- Records of a plan never overlap, and an edition's days are in one piece: it has at most one.
SELECT f.id, f.valid
FROM library.in_force AS f
WHERE f.edition_id = %(edition_id)s AND upper_inf(f.recorded)

-- name: heir
-- Who holds a day once its holder is withdrawn, with the record that it has already.
SELECT
    e.id,
    f.id AS record,
    f.valid
FROM library.edition AS e
LEFT JOIN library.in_force AS f ON f.edition_id = e.id AND upper_inf(f.recorded)
WHERE
    e.plan_id = %(plan_id)s
    AND e.state NOT IN ('draft', 'withdrawn')
    AND e.valid_from <= %(begins)s
ORDER BY e.valid_from DESC, e.published DESC, e.id DESC
LIMIT 1

-- name: carriers
-- Editions in force, some day, that carry contents which the given edition brought.
SELECT DISTINCT
    later.edition_id,
    later.layer_id
FROM library.edition_layer AS own
INNER JOIN library.edition_layer AS later
    ON
        later.content_id = own.content_id
        -- A plan has one draft at a time: numbers have the order of publishing. An edition
        -- that brings the contents of an older one back (restore) takes nothing from its carriers.
        AND later.edition_id > own.edition_id
        AND later.carried_over
INNER JOIN library.in_force AS f ON f.edition_id = later.edition_id AND upper_inf(f.recorded)
WHERE own.edition_id = %(edition_id)s AND NOT own.carried_over
ORDER BY later.edition_id, later.layer_id

-- name: mark_published
-- Made-up data stay marked as such in whatever edition carries them, edits them or stands on them.
UPDATE library.edition
SET
    state = 'published',
    published = %(moment)s,
    synthetic = synthetic OR EXISTS (
        SELECT FROM library.edition_layer AS own
        INNER JOIN library.layer_content AS c ON c.id = own.content_id
        INNER JOIN library.edition_layer AS el ON el.content_id IN (c.id, c.base_id)
        INNER JOIN library.edition AS origin ON origin.id = el.edition_id
        WHERE own.edition_id = %(edition_id)s AND origin.synthetic
    )
WHERE id = %(edition_id)s

-- name: mark_state
UPDATE library.edition SET state = %(state)s WHERE id = %(edition_id)s

-- name: contents_in_force
SELECT
    el.layer_id,
    l.plan_id,
    f.edition_id,
    e.synthetic,
    el.content_id,
    c.content_sha256,
    c.accuracy_m,
    c.feature_count,
    c.base_id
FROM library.in_force AS f
INNER JOIN library.edition AS e ON e.id = f.edition_id
INNER JOIN library.edition_layer AS el ON el.edition_id = f.edition_id
INNER JOIN library.layer_content AS c ON c.id = el.content_id
INNER JOIN library.layer AS l ON l.id = el.layer_id
WHERE
    f.valid @> %(as_of)s::date
    AND CASE
        WHEN %(known_at)s::timestamptz IS NULL THEN upper_inf(f.recorded)
        ELSE f.recorded @> %(known_at)s::timestamptz
    END
    -- Without its pieces a content would look empty: it counts as no data until they are there.
    AND c.state = 'ready'
    AND (%(layer_ids)s::text [] IS NULL OR el.layer_id = ANY(%(layer_ids)s::text []))

-- name: summary_in_force
SELECT
    l.id AS layer_id,
    l.plan_id,
    e.id AS edition_id,
    e.state,
    e.title,
    e.valid_from,
    e.synthetic,
    c.id AS content_id,
    c.feature_count,
    c.content_sha256,
    ARRAY[
        ST_XMin(c.extent), ST_YMin(c.extent), ST_XMax(c.extent), ST_YMax(c.extent)
    ] AS extent
FROM library.layer AS l
INNER JOIN library.in_force AS f
    ON f.plan_id = l.plan_id AND upper_inf(f.recorded) AND f.valid @> %(as_of)s::date
INNER JOIN library.edition AS e ON e.id = f.edition_id
INNER JOIN library.edition_layer AS el ON el.edition_id = e.id AND el.layer_id = l.id
INNER JOIN library.layer_content AS c ON c.id = el.content_id AND c.state = 'ready'

-- name: edition_to_restore
SELECT e.plan_id, e.state, e.title, e.synthetic, e.metadata
FROM library.edition AS e
WHERE e.id = %(edition_id)s

-- name: restore_layers
-- All layers are brought, also those that the earlier edition had only carried over: the day's
-- edition must not mix its layers into the restored ones.
INSERT INTO library.edition_layer (edition_id, layer_id, content_id)
SELECT %(draft_id)s, el.layer_id, el.content_id
FROM library.edition_layer AS el
WHERE el.edition_id = %(edition_id)s

-- name: summary_of_edition
-- The same columns of what an edition holds, whether it is in force or not; of a draft only
-- contents whose pieces are there.
SELECT
    l.id AS layer_id,
    l.plan_id,
    e.id AS edition_id,
    e.state,
    e.title,
    e.valid_from,
    e.synthetic,
    c.id AS content_id,
    c.feature_count,
    c.content_sha256,
    ARRAY[
        ST_XMin(c.extent), ST_YMin(c.extent), ST_XMax(c.extent), ST_YMax(c.extent)
    ] AS extent
FROM library.edition AS e
INNER JOIN library.edition_layer AS el ON el.edition_id = e.id
INNER JOIN library.layer AS l ON l.id = el.layer_id
INNER JOIN library.layer_content AS c ON c.id = el.content_id AND c.state = 'ready'
WHERE e.id = %(edition_id)s AND (e.state <> 'draft' OR %(with_drafts)s::boolean)

-- name: edition_on
-- The edition of a plan that holds a day, by what is known now.
SELECT f.edition_id
FROM library.in_force AS f
WHERE f.plan_id = %(plan_id)s AND upper_inf(f.recorded) AND f.valid @> %(as_of)s::date

-- name: draft_of_plan
SELECT e.id, e.valid_from
FROM library.edition AS e
WHERE e.plan_id = %(plan_id)s AND e.state = 'draft'
