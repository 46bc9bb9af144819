"""Areas that features share, found cell by cell and joined for each pair of features.

Both sides are cut to the cell, so a redline of a hundred thousand vertices costs each cell only
what lies in it, and the parts of a pair add up to the whole exactly once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from layers.area import area_m2
from layers.crs import Box, GeometryArray
from layers.quality.widths import intersection, polygons_of, union, width_m, wkb_of


class PairPart(NamedTuple):
    """The common area of two features inside one cell, WKB."""

    first: str
    second: str
    wkb: bytes


class Overlap(NamedTuple):
    """The common area of two features: its parts (WKB), area and widest place."""

    first: str
    second: str
    wkb: bytes
    place: tuple[float, float]
    area_m2: float
    width_m: float


def overlaps_in_cell(
    first_ids: Sequence[str],
    first: GeometryArray,
    second_ids: Sequence[str],
    second: GeometryArray,
    cell: Box,
    *,
    suspects: npt.NDArray[np.intp] | None = None,
    same: bool = False,
) -> list[PairPart]:
    """The areas that pairs of features share inside a cell.

    ``suspects`` are the indices of ``first`` that are looked at; with ``same`` both sides are one
    layer and each pair comes once.
    """
    window = shapely.box(*cell)
    looked = np.arange(len(first)) if suspects is None else suspects
    left, right = shapely.STRtree(second).query(first[looked], predicate="intersects")
    left = looked[left]
    if same:
        pairs = np.column_stack((np.minimum(left, right), np.maximum(left, right)))
        pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
        left, right = pairs[:, 0], pairs[:, 1]
    if len(left) == 0:
        return []
    cut = _Cutter(window)
    shared = intersection(cut.of(first, left), cut.of(second, right))
    found = []
    for one, two, shape in zip(left.tolist(), right.tolist(), np.atleast_1d(shared), strict=True):
        parts = polygons_of(shape)
        if len(parts):
            found.append(PairPart(first_ids[one], second_ids[two], wkb_of(parts)))
    return found


class _Cutter:
    """Cuts shapes to a window; a shape that lies inside stays as it is, edge for edge."""

    def __init__(self, window: BaseGeometry) -> None:
        self.window = window
        shapely.prepare(window)

    def of(self, shapes: GeometryArray, indices: npt.NDArray[np.intp]) -> GeometryArray:
        used = np.unique(indices)
        cut = shapes[used]
        beyond = ~shapely.covers(self.window, cut)
        if beyond.any():
            cut[beyond] = intersection(cut[beyond], self.window)
        result: GeometryArray = cut[np.searchsorted(used, indices)]
        return result


def join_pairs(parts: Sequence[PairPart], rounding_m: float) -> list[Overlap]:
    """One overlap for each pair of features, the largest first; roundings are left out."""
    by_pair: dict[tuple[str, str], list[bytes]] = {}
    for part in parts:
        by_pair.setdefault((part.first, part.second), []).append(part.wkb)
    found = []
    for (first, second), blobs in by_pair.items():
        shapes = polygons_of(shapely.from_wkb(np.array(blobs, dtype=object)))
        whole = polygons_of(union(shapes)) if len(blobs) > 1 else shapes
        widths = np.array([width_m(shape) for shape in whole])
        wide = whole[widths > rounding_m]
        if len(wide) == 0:
            continue
        widest = whole[int(widths.argmax())]
        inner = shapely.point_on_surface(widest)
        found.append(
            Overlap(
                first,
                second,
                wkb_of(wide),
                (round(inner.x, 8), round(inner.y, 8)),
                sum(area_m2(shape) for shape in wide),
                float(widths.max()),
            )
        )
    return sorted(found, key=lambda one: (-one.area_m2, one.first, one.second))
