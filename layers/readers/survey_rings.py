"""From boundary points with ring numbers (圈号) to geometries.

In real files the second ring of a parcel is a hole, or a separate part, or a part whose own hole
is the fourth ring: the numbers say nothing about inside and outside. So polygons follow the
even-odd rule over all rings: a place belongs to the parcel if an odd number of its rings is around
it. Rings that cross each other, repeat each other or are used twice would make that rule give a
wrong answer without a sign of it; such a parcel is refused with the line.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from layers.crs import GeometryArray

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
SurveyKind = Literal["polygon", "line", "point"]

CLOSING_M: Final = 0.001
CLOSING_DEG: Final = 1e-8
"""A last point this near to the first one of its ring is the first one (1 mm)."""


@dataclass(slots=True)
class Parcel:
    """One record of a survey file.

    ``starts`` are the indices of the first point of each ring, ``stop`` the one after its last
    point; ``fault`` is a code of ``layers.geometry_faults`` and its line.
    """

    line: int
    kind: SurveyKind
    values: tuple[str, ...] = ()
    starts: list[int] = field(default_factory=list)
    stop: int = 0
    fault: tuple[str, int] | None = None

    @property
    def count(self) -> int:
        """Number of points."""
        return self.stop - self.starts[0] if self.starts else 0

    def rings(self) -> list[tuple[int, int]]:
        """First and one-after-last point of each ring."""
        return list(zip(self.starts, [*self.starts[1:], self.stop], strict=True))


@dataclass(frozen=True, slots=True)
class SurveyPoints:
    """All points of a file: x, y of each and the line it stands in."""

    xy: FloatArray
    lines: IntArray
    closing: float
    """How near the last point of a ring has to be to the first one, in units of ``xy``."""


def build(
    parcels: Sequence[Parcel], points: SurveyPoints
) -> tuple[GeometryArray, dict[int, str], dict[int, int]]:
    """Geometries of parcels; faults by index, and the line of each fault."""
    geometries: GeometryArray = np.full(len(parcels), None, dtype=object)
    faults: dict[int, tuple[str, int]] = {}
    for index, parcel in enumerate(parcels):
        if parcel.fault is not None:
            faults[index] = parcel.fault
        elif not parcel.starts:
            faults[index] = ("no-points", parcel.line)
    polygons = _ring_polygons(parcels, points, faults)
    for index, parcel in enumerate(parcels):
        if index in faults:
            continue
        try:
            if parcel.kind == "polygon":
                rings = polygons[index]
                lines = points.lines[parcel.starts]
                geometries[index] = rings[0] if len(rings) == 1 else _even_odd(rings, lines)
            else:
                geometries[index] = _BUILDERS[parcel.kind](parcel, points)
        except _Fault as fault:
            faults[index] = (fault.code, fault.line)
    return (
        geometries,
        {index: code for index, (code, _) in faults.items()},
        {index: line for index, (_, line) in faults.items()},
    )


class _Fault(Exception):
    """Why a parcel cannot be built."""

    def __init__(self, code: str, line: int) -> None:
        super().__init__(code)
        self.code, self.line = code, line


def _ring_polygons(
    parcels: Sequence[Parcel], points: SurveyPoints, faults: dict[int, tuple[str, int]]
) -> dict[int, GeometryArray]:
    """Each ring of the sound polygon parcels as a polygon, all in one call (files hold 1e5)."""
    bounds = np.array(
        [
            (index, start, stop)
            for index, parcel in enumerate(parcels)
            if parcel.kind == "polygon" and index not in faults
            for start, stop in parcel.rings()
        ],
        dtype=np.int64,
    ).reshape(-1, 3)
    owners, starts, stops = bounds.T
    counts = stops - starts
    closed = (counts > 1) & _near(points, stops - 1, starts)
    for ring in np.flatnonzero(counts - closed < 3):
        faults.setdefault(int(owners[ring]), ("ring-too-short", int(points.lines[starts[ring]])))
    rings = np.repeat(np.arange(len(starts)), counts)
    offsets = np.cumsum(counts) - counts
    positions = np.arange(len(rings)) - offsets[rings]
    indices = starts[rings] + positions
    met = _near(points, indices, starts[rings])
    inside = met & (positions > 0) & (positions < counts[rings] - 1)
    for ring in np.unique(rings[inside]):
        first = int(offsets[ring])
        early = _closed_early(met[first : first + int(counts[ring])])
        if early is not None:
            # J1 J2 J3 J1, then more points of the same ring number: two rings under one number.
            line = int(points.lines[starts[ring] + early])
            faults.setdefault(int(owners[ring]), ("ring-closed-early", line))
    xy = points.xy[indices]
    last = (positions == counts[rings] - 1) & closed[rings]
    xy[last] = points.xy[starts[rings[last]]]
    sound = np.array([int(owner) not in faults for owner in owners], dtype=bool)
    number = np.cumsum(sound) - 1
    kept = sound[rings]
    if not kept.any():
        return {}
    polygons = shapely.polygons(shapely.linearrings(xy[kept], indices=number[rings[kept]]))
    firsts = np.flatnonzero(np.diff(owners[sound], prepend=-1))
    parts = np.split(polygons, firsts[1:])
    return dict(zip(owners[sound][firsts].tolist(), parts, strict=True))


def _near(points: SurveyPoints, first: IntArray, second: IntArray) -> npt.NDArray[np.bool_]:
    apart = np.abs(points.xy[first] - points.xy[second])
    result: npt.NDArray[np.bool_] = (apart <= points.closing).all(axis=1)
    return result


def _closed_early(met: npt.NDArray[np.bool_]) -> int | None:
    """Where a ring comes back to its first point before its end; repeats of one point are none."""
    away = np.flatnonzero(~met)
    early = np.flatnonzero(met[: away[-1]] if len(away) else [])
    early = early[early > away[0]] if len(away) else early
    return int(early[0]) if len(early) else None


def _even_odd(rings: GeometryArray, lines: IntArray) -> BaseGeometry:
    """The places that an odd number of rings is around."""
    broken = ~shapely.is_valid(rings)
    if broken.any():
        raise _Fault("ring-crosses-itself", int(lines[broken][0]))
    tree = shapely.STRtree(rings)
    crossing = tree.query(rings, predicate="overlaps")
    if crossing.size:
        raise _Fault("rings-cross", int(lines[crossing.max(axis=0)].min()))
    outer, inner = tree.query(rings, predicate="contains")
    apart = outer != inner
    outer, inner = outer[apart], inner[apart]
    twins = Counter(zip(outer.tolist(), inner.tolist(), strict=True))
    repeated = [max(pair) for pair in twins if (pair[1], pair[0]) in twins]
    if repeated:
        raise _Fault("rings-repeated", int(lines[repeated].min()))
    depth = np.bincount(inner, minlength=len(rings))
    built = _nested(rings, depth, outer, inner)
    if built.is_valid:
        return built
    # Parts that share an edge, a hole that reaches the outside: the overlay joins and cuts them.
    result: BaseGeometry = shapely.Polygon()
    for level in range(0, int(depth.max()) + 1, 2):
        shells = shapely.union_all(rings[depth == level])
        holes = shapely.union_all(rings[depth == level + 1])
        result = result.union(shells.difference(holes))
    return result


def _nested(
    rings: GeometryArray, depth: npt.NDArray[np.int64], outer: IntArray, inner: IntArray
) -> BaseGeometry:
    """Shells with the holes one level further in, every vertex as it stands in the file."""
    holes: dict[int, list[Any]] = {}
    for around, inside in zip(outer.tolist(), inner.tolist(), strict=True):
        if depth[inside] % 2 and depth[inside] == depth[around] + 1:
            holes.setdefault(around, []).append(rings[inside].exterior)
    parts = [
        shapely.Polygon(rings[index].exterior, holes.get(index))
        for index in np.flatnonzero(depth % 2 == 0).tolist()
    ]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _line(parcel: Parcel, points: SurveyPoints) -> BaseGeometry:
    parts = []
    for start, stop in parcel.rings():
        xy = points.xy[start:stop]
        if len(np.unique(xy, axis=0)) < 2:
            raise _Fault("line-too-short", int(points.lines[start]))
        parts.append(shapely.LineString(xy))
    return parts[0] if len(parts) == 1 else shapely.MultiLineString(parts)


def _point(parcel: Parcel, points: SurveyPoints) -> BaseGeometry:
    xy = points.xy[parcel.starts[0] : parcel.stop]
    return shapely.Point(xy[0]) if len(xy) == 1 else shapely.MultiPoint(xy)


_BUILDERS: Final = {"line": _line, "point": _point}
