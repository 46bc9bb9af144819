-- Statements of layers.comparison_rows: the pieces of a content, place by place.

-- name: piece_boxes
-- Boxes and vertex counts only: both are linear in the size of a geometry.
SELECT
    op.fid,
    ST_XMin(op.geom),
    ST_YMin(op.geom),
    ST_XMax(op.geom),
    ST_YMax(op.geom),
    ST_NPoints(op.geom)
FROM overlay_piece AS op
WHERE
    op.content_id = %(content_id)s
    AND NOT op.from_base
    AND op.geom && ST_MakeEnvelope(%(west)s, %(south)s, %(east)s, %(north)s, 4490)

-- name: pieces_in_box
SELECT op.fid, ST_AsBinary(op.geom, 'NDR')
FROM overlay_piece AS op
WHERE
    op.content_id = %(content_id)s
    AND NOT op.from_base
    AND ST_Dimension(op.geom) = 2
    AND op.geom && ST_MakeEnvelope(%(west)s, %(south)s, %(east)s, %(north)s, 4490)
ORDER BY op.fid, op.piece

-- name: class_values
SELECT feature.fid, feature.attributes ->> %(property)s, feature.attributes ->> %(scheme)s
FROM feature
WHERE feature.content_id = %(content_id)s AND NOT feature.from_base
ORDER BY feature.fid

-- name: feature_ids
SELECT feature.fid, feature.feature_id
FROM feature
WHERE
    feature.content_id = %(content_id)s
    AND NOT feature.from_base
    AND feature.fid = ANY(%(fids)s)

-- name: coverage_extent
-- The box around the data of a content; nothing where it has none.
SELECT ST_XMin(e.box), ST_YMin(e.box), ST_XMax(e.box), ST_YMax(e.box)
FROM (
    SELECT ST_Extent(p.geom) AS box
    FROM coverage_piece AS p
    WHERE p.content_id = %(content_id)s
) AS e
WHERE e.box IS NOT NULL

-- name: unit_pieces
-- The pieces of one administrative unit.
SELECT ST_AsBinary(op.geom, 'NDR')
FROM overlay_piece AS op
WHERE
    op.content_id = %(content_id)s
    AND NOT op.from_base
    AND op.fid = ANY(%(fids)s)
ORDER BY op.fid, op.piece
