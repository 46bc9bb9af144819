"""What features cover after a few of them changed, by looking at the changed places only."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from layers.crs import GeometryArray
from layers.import_coverage import union_of, without_slivers

_CHANGES_OF_PART: Final = 8

IntArray = npt.NDArray[np.int64]
Near = Callable[[GeometryArray], GeometryArray]
"""Gives the features that stay and whose boxes meet those of the given places."""


def covered_after(
    whole: shapely.Geometry, gone: GeometryArray, come: GeometryArray, near: Near
) -> shapely.Geometry:
    """A coverage (EPSG:4490) after features went and others came.

    Where something went and came again, all stays as it was. What is lost for good is taken out;
    neighbours that overlapped it still cover their own part. Where features of the base lay and it
    had no data all the same, it had refused a row: that stays so.
    """
    lost, gained = _beyond(gone, come), _beyond(come, gone)
    places = np.concatenate((lost, gained))
    if not len(places):
        return whole
    stays = near(places)
    kept = _shared(stays, lost)
    filled = union_of(np.concatenate((kept, gained)))
    lay = union_of(np.concatenate((kept, _shared(stays, gained))))
    holes = without_slivers(shapely.difference(lay, whole))
    rest = shapely.difference(whole, union_of(lost))
    covered: shapely.Geometry = shapely.union(rest, shapely.difference(filled, holes))
    return covered


def pieces_after(
    pieces: GeometryArray, before: shapely.Geometry, after: shapely.Geometry
) -> tuple[IntArray, GeometryArray]:
    """Which pieces of a coverage have changed, and the polygons that take their place.

    ``pieces`` are together ``before`` and share no ground; with the new ones they are ``after``.
    """
    lost = _polygons(shapely.difference(before, after))
    gained = _polygons(shapely.difference(after, before))
    piece, _ = shapely.STRtree(lost).query(pieces, predicate="intersects")
    touched, counts = np.unique(piece, return_counts=True)
    # The inside of a layer is few and large pieces: their parts are cut, each with little in it.
    parts = [_in_parts(pieces[one], count) for one, count in zip(touched, counts, strict=True)]
    return touched, np.concatenate((_beyond(np.concatenate([*parts, lost[:0]]), lost), gained))


def _in_parts(piece: shapely.Geometry, changes: int) -> GeometryArray:
    """A polygon cut by a grid, so that each part has some of the changes."""
    lines = math.ceil(math.sqrt(changes / _CHANGES_OF_PART))
    west, south, east, north = shapely.bounds(piece)
    x, y = np.linspace(west, east, lines + 1), np.linspace(south, north, lines + 1)
    column, line = (axis.ravel() for axis in np.meshgrid(np.arange(lines), np.arange(lines)))
    boxes = shapely.box(x[column], y[line], x[column + 1], y[line + 1])
    return _polygons(shapely.intersection(piece, boxes))


def _beyond(shapes: GeometryArray, others: GeometryArray) -> GeometryArray:
    """What of the shapes lies outside all others, polygon by polygon.

    Shape by shape, not union by union: an overlay of 15,000 shapes at once takes ten times as
    long. What shares most of its box comes first and leaves the least for the next to cut.
    """
    shape, other = shapely.STRtree(others).query(shapes, predicate="intersects")
    order = np.lexsort((-_common_box(shapes[shape], others[other]), shape))
    shape, other = shape[order], other[order]
    turn = np.arange(len(shape)) - np.searchsorted(shape, shape)
    left = shapes.copy()
    for number in range(int(turn.max(initial=-1)) + 1):
        now = turn == number
        left[shape[now]] = shapely.difference(left[shape[now]], others[other[now]])
    return _polygons(left)


def _common_box(one: GeometryArray, other: GeometryArray) -> npt.NDArray[np.float64]:
    """The area (square degrees) that the boxes of two shapes share."""
    a, b = shapely.bounds(one), shapely.bounds(other)
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    area: npt.NDArray[np.float64] = np.prod(np.maximum(sides, 0), axis=1)
    return area


def _shared(stays: GeometryArray, places: GeometryArray) -> GeometryArray:
    """What the features that stay have of the places."""
    place, feature = shapely.STRtree(stays).query(places, predicate="intersects")
    return _polygons(shapely.intersection(places[place], stays[feature]))


def _polygons(geometry: Any) -> GeometryArray:
    parts = shapely.get_parts(shapely.get_parts(geometry))
    found: GeometryArray = parts[shapely.area(parts) > 0]
    return found
