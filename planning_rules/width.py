"""Widths of patches: is it a real conflict, a difference of accuracy, or a numerical sliver?

The width of a patch is the diameter of the largest circle inside it, in metres of a local plane.
An area limit cannot tell a strip of 5 mm by 1 km from a shed of 5 m2; the width can.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

CLOSING_M: Final = 0.0005
"""Gaps up to 1 mm between neighbouring features are cuts of the stored grid, not gaps."""

_HAIR_M: Final = 1e-6
_NO_WIDTH_M: Final = 0.0049
"""What is narrower has a width of 0.00 m in reports."""
_WIDTH_STEP: Final = 1.04

Geometries = Sequence[BaseGeometry] | npt.NDArray[np.object_]


def narrower_than(polygons_m: Geometries, width_m: float) -> npt.NDArray[np.bool_]:
    """Which polygons (metres) hold no circle of that diameter; exact to the buffer's precision.

    A polygon of area A and perimeter P holds a circle of diameter 2A/P at least (Szokefalvi-Nagy),
    so most need no buffer.
    """
    array = np.asarray(polygons_m, dtype=object)
    result = np.zeros(len(array), dtype=bool)
    if width_m <= 0 or len(array) == 0:
        return result
    sure_width = 2 * shapely.area(array) / np.maximum(shapely.length(array), 1e-12)
    doubtful = sure_width <= width_m
    if doubtful.any():
        # A hair more than half, so that a strip of exactly that width is "not wider".
        shrunk = shapely.buffer(array[doubtful], -(width_m + _HAIR_M) / 2)
        result[doubtful] = shapely.is_empty(shrunk)
    return result


def close_gaps(polygons_m: Geometries) -> npt.NDArray[np.object_]:
    """The parts of the union with cuts of up to 1 mm closed, in metres."""
    grown = shapely.buffer(np.asarray(polygons_m), CLOSING_M, join_style="mitre")
    joined = shapely.union_all(grown)
    closed = shapely.buffer(joined, -CLOSING_M, join_style="mitre")
    parts: npt.NDArray[np.object_] = shapely.get_parts(closed)
    return parts


def width_m(polygon_m: BaseGeometry) -> float:
    """Diameter of the largest inscribed circle of the widest part, in metres, to about 2 %."""
    widest = 0.0
    for part in shapely.get_parts(polygon_m):
        if part.area <= 0:
            continue
        about = 2 * part.area / part.length
        widest = max(widest, about)
        if about < _NO_WIDTH_M and bool(narrower_than([part], _NO_WIDTH_M)[0]):
            continue  # printed as 0.00; the search in a strip of 500 m took 40 ms
        circle = shapely.maximum_inscribed_circle(part, tolerance=max(about / 50, 1e-4))
        widest = max(widest, 2 * float(shapely.length(circle)))
    return widest


def shrinking_width_m(polygon_m: BaseGeometry) -> float:
    """The same width of one polygon, found by shrinking it until nothing is left; to about 2 %.

    Twenty times faster than the circle, for comparisons with a hundred thousand patches. Reports
    of checks keep the circle's figure: they are replayed byte by byte.
    """
    least = 2 * polygon_m.area / polygon_m.length if polygon_m.length > 0 else 0.0
    west, south, east, north = polygon_m.bounds
    most = min(2 * math.sqrt(polygon_m.area / math.pi), east - west, north - south)
    if least <= 0:
        return 0.0
    plain = shapely.simplify(polygon_m, least / 50)
    while most > least * _WIDTH_STEP:
        middle = math.sqrt(least * most)
        if shapely.is_empty(shapely.buffer(plain, -middle / 2, quad_segs=4)):
            most = middle
        else:
            least = middle
    return math.sqrt(least * max(most, least))
