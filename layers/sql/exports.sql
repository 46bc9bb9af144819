-- Statements of layers.exports; read through a cursor, so memory stays bounded.

-- name: features
SELECT
    f.feature_id,
    f.attributes,
    ST_AsBinary(f.geom) AS geom
FROM feature AS f
WHERE f.content_id = %(content_id)s AND f.part_id = ANY(%(parts)s)
ORDER BY f.fid

-- name: features_in_box
SELECT
    f.feature_id,
    f.attributes,
    ST_AsBinary(f.geom) AS geom
FROM feature AS f
WHERE
    f.content_id = %(content_id)s
    AND f.part_id = ANY(%(parts)s)
    AND f.geom && ST_MakeEnvelope(%(west)s, %(south)s, %(east)s, %(north)s, 4490)
    AND ST_Intersects(
        f.geom, ST_MakeEnvelope(%(west)s, %(south)s, %(east)s, %(north)s, 4490)
    )
ORDER BY f.fid

-- name: content_of_edition
SELECT el.content_id
FROM library.edition_layer AS el
WHERE el.edition_id = %(edition_id)s AND el.layer_id = %(layer_id)s
