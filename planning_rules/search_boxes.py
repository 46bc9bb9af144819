"""Small boxes around a site, so that a long corridor does not ask for a whole province.

Edges are cut as plain numbers, never with overlays: cutting a comb of 100 000 vertices with a
geometry library takes minutes, and every submission comes through here.
"""

import heapq
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from layers.crs import Box, LocalPlane

_MOST_BOXES: Final = 64
_SMALL_M: Final = 1_000.0
_GOOD_FILL: Final = 0.25
_HAIR_DEG: Final = 1e-9
"""More than the rounding of the cuts, 0.1 mm on the ground."""

Edges = npt.NDArray[np.float64]
"""Four rows: x and y of the starts, x and y of the ends; one edge a column."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """A box and the edges that run through it; without edges it lies wholly inside."""

    box: Box
    edges: Edges


def boxes_around(geometry: BaseGeometry, margin_m: float) -> list[Box]:
    """Lon/lat boxes that hold every point within ``margin_m`` metres of the geometry.

    The largest box that an edge runs through is halved until all are small or there are 64;
    halves that hold nothing are dropped.
    """
    return sorted(_grown(box, margin_m) for box in _small_boxes(geometry))


@lru_cache(maxsize=8)
def _small_boxes(geometry: BaseGeometry) -> tuple[Box, ...]:
    """The boxes without a margin; a check asks once for every margin of its layers."""
    whole = _Cell(_bounds(geometry), _edges(geometry))
    west, south, east, north = whole.box
    is_area = int(shapely.get_dimensions(geometry)) == 2
    if is_area and geometry.area >= _GOOD_FILL * (east - west) * (north - south):
        return (whole.box,)
    plane = LocalPlane.at((west + east) / 2, (south + north) / 2)
    queue = [(-_waste(whole, plane), 0, whole)]
    done: list[_Cell] = []
    count = 1
    while queue:
        waste, _, cell = heapq.heappop(queue)
        if waste == 0 or len(queue) + len(done) + 2 > _MOST_BOXES:
            done.append(cell)
            continue
        for half in _halves(cell, whole.edges, is_area):
            heapq.heappush(queue, (-_waste(half, plane), count, half))
            count += 1
    return tuple(cell.box for cell in done)


def _bounds(geometry: BaseGeometry) -> Box:
    west, south, east, north = (float(value) for value in geometry.bounds)
    return west, south, east, north


def _edges(geometry: BaseGeometry) -> Edges:
    """All edges; a point is an edge without length."""
    parts = shapely.get_parts(geometry)
    if int(shapely.get_dimensions(geometry)) == 2:
        parts = shapely.get_rings(parts)
    points, owners = shapely.get_coordinates(parts, return_index=True)
    if int(shapely.get_dimensions(geometry)) == 0:
        return np.vstack([points.T, points.T])
    same = owners[:-1] == owners[1:]
    columns = np.ascontiguousarray(points.T)
    return np.vstack([columns[:, :-1][:, same], columns[:, 1:][:, same]])


def _waste(cell: _Cell, plane: LocalPlane) -> float:
    """Square metres of a box worth halving, or 0."""
    west, south, east, north = cell.box
    width_m = (east - west) * plane.metres_per_deg_x
    height_m = (north - south) * plane.metres_per_deg_y
    if cell.edges.shape[1] == 0 or max(width_m, height_m) <= _SMALL_M:
        return 0.0
    return width_m * height_m


def _halves(cell: _Cell, all_edges: Edges, is_area: bool) -> list[_Cell]:
    """The halves that hold something of the geometry."""
    west, south, east, north = cell.box
    axis = 0 if east - west >= north - south else 1
    middle = (cell.box[axis] + cell.box[axis + 2]) / 2
    low, high = _cut(cell.edges, axis, middle)
    lower = (west, south, middle, north) if axis == 0 else (west, south, east, middle)
    upper = (middle, south, east, north) if axis == 0 else (west, middle, east, north)
    halves = []
    for box, edges in ((lower, low), (upper, high)):
        if edges.shape[1] and not is_area:
            halves.append(_Cell(_box_of(edges), edges))
        elif edges.shape[1] or (is_area and _is_inside(all_edges, box)):
            halves.append(_Cell(box, edges))
    return halves


def _cut(edges: Edges, axis: int, middle: float) -> tuple[Edges, Edges]:
    """The parts of the edges on both sides of a line; an edge on the line is on both."""
    least = np.minimum(edges[axis], edges[axis + 2])
    most = np.maximum(edges[axis], edges[axis + 2])
    low = edges.take(np.flatnonzero(least <= middle), axis=1)
    high = edges.take(np.flatnonzero(most >= middle), axis=1)
    return _moved(low, axis, middle, 1), _moved(high, axis, middle, -1)


def _moved(edges: Edges, axis: int, middle: float, side: int) -> Edges:
    """The edges (own copies) with the ends beyond the line moved onto it."""
    for end, other in ((axis, axis + 2), (axis + 2, axis)):
        beyond = np.flatnonzero(edges[end] > middle if side > 0 else edges[end] < middle)
        if len(beyond) == 0:
            continue
        given = edges[:, beyond]
        share = (middle - given[other]) / (given[end] - given[other])
        across_end, across_other = _across(end), _across(other)
        run = given[across_end] - given[across_other]
        edges[end, beyond] = middle
        edges[across_end, beyond] = given[across_other] + share * run
    return edges


def _across(row: int) -> int:
    """The row of the other coordinate of the same point."""
    return row + 1 if row % 2 == 0 else row - 1


def _box_of(edges: Edges) -> Box:
    xs, ys = edges[0::2], edges[1::2]
    return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


def _is_inside(edges: Edges, box: Box) -> bool:
    """Whether the middle of a box that no edge meets lies inside: an odd number of crossings."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    crossing = edges[:, (edges[1] > y) != (edges[3] > y)]
    share = (y - crossing[1]) / (crossing[3] - crossing[1])
    at = crossing[0] + share * (crossing[2] - crossing[0])
    return int(np.count_nonzero(at > x)) % 2 == 1


def _grown(box: Box, margin_m: float) -> Box:
    """The box with its margin; degrees of longitude are shortest at its poleward edge."""
    west, south, east, north = box
    far = max(abs(south), abs(north))
    plane = LocalPlane.at((west + east) / 2, min(far + margin_m / 110_000, 89.0))
    dx = margin_m / plane.metres_per_deg_x + _HAIR_DEG
    dy = margin_m / LocalPlane.at(west, 0.0).metres_per_deg_y + _HAIR_DEG
    grown = (west - dx, south - dy, east + dx, north + dy)
    return grown if all(map(math.isfinite, grown)) else box
