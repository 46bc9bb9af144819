"""Many simple rings over one store of vertices: the form in which parcels are cut.

A ring is a run of vertex numbers, counter-clockwise, not closed. Parcels that touch carry the
same numbers, so they share coordinates whatever is done to the store (a shift, a datum error).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import shapely

from gis_service.demo_province.drawing_plane import (
    BoolArray,
    FloatArray,
    GeometryArray,
    IntArray,
    to_lonlat,
)


def ranges(start: IntArray, count: IntArray) -> IntArray:
    """``start[0], start[0]+1, … (count[0] of them), start[1], …`` without a loop."""
    ends = np.cumsum(count)
    flat: IntArray = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(
        start - (ends - count), count
    )
    return flat


@dataclass(frozen=True, slots=True)
class Rings:
    """Rings as runs of vertex numbers."""

    vertex: IntArray
    start: IntArray
    """Length n + 1; ring i is ``vertex[start[i]:start[i + 1]]``."""

    def __len__(self) -> int:
        """Number of rings."""
        return len(self.start) - 1

    @property
    def size(self) -> IntArray:
        """Vertices in each ring."""
        return np.diff(self.start)

    @property
    def owner(self) -> IntArray:
        """The ring of each entry of ``vertex``."""
        return np.repeat(np.arange(len(self)), self.size)

    @property
    def following(self) -> IntArray:
        """For each entry the place of the next one in its ring."""
        place: IntArray = np.arange(1, len(self.vertex) + 1)
        place[self.start[1:] - 1] = self.start[:-1]
        return place

    def take(self, which: IntArray | BoolArray) -> Self:
        """Some of the rings, in the order asked for."""
        chosen: IntArray = np.arange(len(self))[which]
        size = self.size[chosen]
        flat = ranges(self.start[:-1][chosen], size)
        return type(self)(self.vertex[flat], _starts(size))

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """All rings of the parts, one after the other."""
        vertex = np.concatenate([p.vertex for p in parts]) if parts else np.zeros(0, np.int64)
        sizes = np.concatenate([p.size for p in parts]) if parts else np.zeros(0, np.int64)
        return cls(vertex, _starts(sizes))

    @classmethod
    def of_runs(cls, vertex: IntArray, size: IntArray) -> Self:
        """Rings from a flat run of vertex numbers and the size of each."""
        return cls(vertex, _starts(size))

    def polygons(self, lonlat: FloatArray, holes: "Rings | None" = None) -> GeometryArray:
        """Polygons of the rings; ``holes`` has one ring for each, empty where there is none."""
        shells = self._linear_rings(lonlat)
        if holes is None:
            return np.asarray(shapely.polygons(shells))
        has_hole = np.flatnonzero(holes.size > 0)
        result = np.asarray(shapely.polygons(shells))
        if len(has_hole):
            inner = holes.take(has_hole)._linear_rings(lonlat)
            # Holes run clockwise, as GeoJSON and vector tiles have it.
            result[has_hole] = shapely.polygons(shells[has_hole], shapely.reverse(inner)[:, None])
        return result

    def _linear_rings(self, lonlat: FloatArray) -> GeometryArray:
        size = self.size
        closed = ranges(self.start[:-1], size + 1)
        closed[np.cumsum(size + 1) - 1] = self.start[:-1]
        owner = np.repeat(np.arange(len(self)), size + 1)
        return np.asarray(shapely.linearrings(lonlat[self.vertex[closed]], indices=owner))


def _starts(size: IntArray) -> IntArray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(size)]).astype(np.int64)


class Vertices:
    """The growing store of vertex coordinates, in metres of the drawing plane."""

    def __init__(self, xy: FloatArray) -> None:
        """Begin with these vertices."""
        self._parts = [xy]
        self._count = len(xy)

    def add(self, xy: FloatArray) -> int:
        """Append vertices; the number of the first."""
        first = self._count
        self._parts.append(xy)
        self._count += len(xy)
        return first

    @property
    def xy(self) -> FloatArray:
        """All coordinates, shape (n, 2)."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    @property
    def lonlat(self) -> FloatArray:
        """All coordinates in lon/lat on the storage grid."""
        return to_lonlat(self.xy)


def from_polygons(polygons: GeometryArray, vertices: Vertices) -> Rings:
    """Outer rings of polygons (counter-clockwise), their coordinates added to the store.

    Coordinates that several polygons share are added once for each; they stay equal.
    """
    shells = shapely.get_exterior_ring(polygons)
    xy, owner = shapely.get_coordinates(shells, return_index=True)
    size = np.bincount(owner, minlength=len(polygons))
    last = np.cumsum(size) - 1
    keep = np.ones(len(xy), dtype=bool)
    keep[last] = False
    first = vertices.add(xy[keep])
    return Rings.of_runs(first + np.arange(int(keep.sum())), size - 1)
