-- name: describe_draft
-- The title is kept where none is given; what is given replaces what was there, key by key.
UPDATE library.edition
SET
    title = coalesce(%(title)s::jsonb, title),
    metadata = metadata || %(metadata)s::jsonb
WHERE id = %(edition_id)s AND state = 'draft'

-- name: editions_with_contents
-- What the catalogue tells of each edition that was published and not withdrawn, with its layers.
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
    el.layer_id,
    el.carried_over,
    c.accuracy_m,
    c.feature_count,
    c.source,
    c.created AS imported,
    ARRAY[
        ST_XMin(c.extent), ST_YMin(c.extent), ST_XMax(c.extent), ST_YMax(c.extent)
    ] AS extent,
    held.ends,
    coalesce(held.today, false) AS holds
FROM library.edition AS e
INNER JOIN library.edition_layer AS el ON el.edition_id = e.id
INNER JOIN library.layer_content AS c ON c.id = el.content_id
LEFT JOIN LATERAL (
    SELECT
        bool_or(f.valid @> %(today)s::date) AS today,
        CASE WHEN NOT bool_or(upper_inf(f.valid)) THEN max(upper(f.valid)) END AS ends
    FROM library.in_force AS f
    WHERE f.edition_id = e.id AND upper_inf(f.recorded)
) AS held ON true
WHERE e.state IN ('published', 'superseded')
ORDER BY e.id, el.layer_id
