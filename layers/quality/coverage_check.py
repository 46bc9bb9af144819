"""Gaps and overlaps inside a layer that must be a coverage.

Runs in the child, cell by cell. GEOS's coverage validator names the edges that do not match their
neighbours; only features with such edges are overlaid, so a clean layer costs no overlay at all.
Each overlap is cut to its cell and the parts of a pair are joined at the end. Gaps are the holes
of the union of all cells, minus what lies in them (an island in a lake is no gap), and cracks that
lead outwards, up to a width. The outer boundary is no gap.

A vertex of one neighbour on the straight edge of the other (T-junction) leaves a strip of width
zero, or of a rounding; strips up to ``rounding_m`` are no findings.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from layers.crs import GRID_DEG, Box, GeometryArray, LocalPlane
from layers.quality.overlaps import PairPart, overlaps_in_cell
from layers.quality.widths import empty_shapes, intersection, polygons_of, union, width_m

_WHOLE_VERTICES: Final = 5_000
_MARGIN_M: Final = 50.0


class CellCoverage(NamedTuple):
    """What one cell says: overlaps, cracks that may lead outwards, the union of its features."""

    overlaps: tuple[PairPart, ...]
    cracks: tuple[bytes, ...]
    union: bytes | None


def cell_coverage(
    ids: Sequence[str],
    shapes: GeometryArray,
    home: npt.NDArray[np.bool_],
    cell: Box,
    *,
    open_gap_width_m: float,
    rounding_m: float,
) -> CellCoverage:
    """Look at all features that meet a cell; ``home`` are those whose centre lies in it."""
    valid = shapely.is_valid(shapes)
    ids = [name for name, good in zip(ids, valid, strict=True) if good]
    shapes, home = shapes[valid], home[valid]
    if len(shapes) == 0:
        return CellCoverage((), (), None)
    own = shapes[home]
    joined = shapely.to_wkb(union(own)) if len(own) else None
    plane = LocalPlane.around(shapely.box(*cell))
    near = _near(shapes, cell, plane)
    metres = plane.to_metres(near)
    edges = shapely.coverage_invalid_edges(metres, gap_width=open_gap_width_m)
    flagged = ~(shapely.is_empty(edges) | shapely.is_missing(edges))
    if not flagged.any():
        return CellCoverage((), (), joined)
    overlaps = overlaps_in_cell(
        ids, shapes, ids, shapes, cell, suspects=np.flatnonzero(flagged), same=True
    )
    cracks = _cracks(near, edges[flagged], plane, cell, open_gap_width_m, rounding_m)
    return CellCoverage(tuple(overlaps), cracks, joined)


def _near(shapes: GeometryArray, cell: Box, plane: LocalPlane) -> GeometryArray:
    """The shapes, very detailed ones cut down to the cell's neighbourhood."""
    large = shapely.get_num_coordinates(shapes) > _WHOLE_VERTICES
    if not large.any():
        return shapes
    around = _grown(cell, plane)
    near = shapes.copy()
    near[large] = intersection(shapes[large], shapely.box(*around))
    parts = [polygons_of(shape) for shape in near[large]]
    near[large] = [shapely.multipolygons(part) for part in parts]
    return near


def _grown(cell: Box, plane: LocalPlane) -> Box:
    x, y = _MARGIN_M / plane.metres_per_deg_x, _MARGIN_M / plane.metres_per_deg_y
    return cell[0] - x, cell[1] - y, cell[2] + x, cell[3] + y


def _cracks(
    shapes: GeometryArray,
    edges: GeometryArray,
    plane: LocalPlane,
    cell: Box,
    gap_width_m: float,
    rounding_m: float,
) -> tuple[bytes, ...]:
    """Strips up to a width between features: closing (growing, then shrinking) fills them.

    Only strips at the edges that the validator named count: growing smooths the outline a little
    everywhere. Mitred corners come back as they were.
    """
    around = shapely.box(*_grown(cell, plane))
    flagged = shapely.union_all(edges)
    reach = plane.to_degrees(shapely.envelope(shapely.buffer(flagged, 4 * gap_width_m)))
    body = plane.to_metres(intersection(union(shapes), shapely.intersection(around, reach)))
    half = (gap_width_m + rounding_m) / 2
    closed = shapely.buffer(
        shapely.buffer(body, half, join_style="mitre"), -half, join_style="mitre"
    )
    strips = polygons_of(shapely.difference(closed, body))
    if len(strips) == 0:
        return ()
    strips = strips[2 * shapely.area(strips) / shapely.length(strips) > rounding_m / 2]
    shapely.prepare(flagged)
    strips = strips[shapely.dwithin(flagged, strips, rounding_m)]
    inside = polygons_of(intersection(plane.to_degrees(strips), shapely.box(*cell)))
    return tuple(bytes(wkb) for wkb in shapely.to_wkb(inside).tolist())


class Gap(NamedTuple):
    """A gap with its width; ``closed`` where features lie all around it."""

    polygon: BaseGeometry
    width_m: float
    closed: bool


def gaps_of(
    unions: Sequence[bytes], cracks: Sequence[bytes], unseen: Sequence[Box], rounding_m: float
) -> list[Gap]:
    """The gaps of a layer from what its cells said; ``unseen`` are cells that were not checked."""
    whole = union(shapely.from_wkb(np.array(unions, dtype=object))) if unions else None
    holes = _holes(whole) if whole is not None else empty_shapes()
    if unseen and len(holes):
        # What was not looked at is "not checked" and no gap.
        blind = shapely.union_all([shapely.box(*box) for box in unseen])
        holes = holes[~shapely.intersects(holes, blind)]
    found = [Gap(hole, width_m(hole), closed=True) for hole in holes]
    found += [Gap(strip, width_m(strip), closed=False) for strip in _open(cracks, holes)]
    return [gap for gap in found if gap.width_m > rounding_m]


def _holes(whole: BaseGeometry) -> GeometryArray:
    """The holes of a union, without the features that lie in them."""
    parts = polygons_of(whole)
    inner = [shapely.Polygon(ring) for part in parts for ring in part.interiors]
    if not inner:
        return empty_shapes()
    holes: GeometryArray = np.array(inner, dtype=object)
    tree = shapely.STRtree(parts)
    hole_at, part_at = tree.query(holes, predicate="contains")
    for index in np.unique(hole_at).tolist():
        islands = parts[part_at[hole_at == index]]
        holes[index] = shapely.difference(holes[index], shapely.union_all(islands))
    return polygons_of(holes)


def _open(cracks: Sequence[bytes], holes: GeometryArray) -> GeometryArray:
    """Cracks, those cut by cells joined again, that are no part of a closed gap."""
    if not cracks:
        return empty_shapes()
    parts = shapely.from_wkb(np.array(cracks, dtype=object))
    # On the grid: each cell computed its side of a cut by itself.
    strips = polygons_of(shapely.union_all(parts, grid_size=GRID_DEG))
    if len(holes) == 0:
        return strips
    inner = shapely.point_on_surface(strips)
    inside = np.unique(shapely.STRtree(holes).query(inner, predicate="intersects")[0])
    return np.delete(strips, inside)
