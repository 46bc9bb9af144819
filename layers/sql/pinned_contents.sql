-- name: pinned_contents
-- The contents that a report names by edition and layer, whatever is in force now.
SELECT
    el.layer_id,
    l.plan_id,
    el.edition_id,
    e.synthetic,
    el.content_id,
    c.content_sha256,
    c.accuracy_m,
    c.feature_count,
    c.base_id
FROM unnest(%(edition_ids)s::integer [], %(layer_ids)s::text []) AS pin (edition_id, layer_id)
INNER JOIN library.edition_layer AS el
    ON el.edition_id = pin.edition_id AND el.layer_id = pin.layer_id
INNER JOIN library.edition AS e ON e.id = el.edition_id
INNER JOIN library.layer_content AS c ON c.id = el.content_id AND c.state = 'ready'
INNER JOIN library.layer AS l ON l.id = el.layer_id
