"""Plan against plan, one cell at a time: values in, patches and areas out.

Both layers are cut to the cell, so the cells of a region add up to the whole exactly once, and a
province goes through in the memory of a few cells. Nothing depends on who works on which cell, or
in which order: the answers are put together in the order of the cells.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from layers.area import area_m2, areas_m2, length_m
from layers.crs import Box, LocalPlane
from planning_rules.overlay import GeometryArray, difference, intersection, polygon_parts, union
from planning_rules.plan_matrix import RELATIONS, PlanRelation
from planning_rules.plan_patches import (
    PATCH_RELATIONS,
    Areas,
    OpenComponent,
    PairPart,
    PlanPatch,
    WidthRules,
    patches_of,
)

IntArray = npt.NDArray[np.int64]
_EDGE_DEG: Final = 1e-12
_NOTHING_M2: Final = 1e-6


@dataclass(frozen=True, slots=True)
class PlanSide:
    """Pieces (WKB, lon/lat) of one layer that meet a cell, each with its feature and its class.

    ``coverage`` is where the layer has data near the cell; None where nothing is in force.
    """

    fids: IntArray
    classes: IntArray
    wkbs: tuple[bytes, ...]
    coverage: bytes | None


@dataclass(frozen=True, slots=True)
class PlanCell:
    """One cell of a comparison: its box, the part of it that is asked for, and what lies in it."""

    box: Box
    region: bytes | None
    subject: PlanSide
    target: PlanSide
    units: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class PairRules:
    """What holds in all cells: relations by [subject class][target class], and what is narrow."""

    relations: tuple[tuple[PlanRelation, ...], ...]
    widths: WidthRules


@dataclass(frozen=True, slots=True)
class Touch:
    """Contacts of a conflicting pair of classes inside a cell: count, length, lines (WKB)."""

    subject_class: int
    target_class: int
    count: int
    length_m: float
    wkb: bytes


@dataclass(frozen=True, slots=True)
class Ground:
    """Areas (m2) of a cell by what is known of it.

    ``compared``: both plans say something; ``counted_twice``: what overlaps inside one of the
    layers add to the sums by pairs of classes.
    """

    both: float = 0.0
    subject_only: float = 0.0
    target_only: float = 0.0
    neither: float = 0.0
    compared: float = 0.0
    counted_twice: float = 0.0


@dataclass(frozen=True, slots=True)
class CellAnswer:
    """What one cell says; ``agreeing`` are areas by (subject class, target class, unit)."""

    ground: Ground
    agreeing: tuple[tuple[int, int, str | None, float], ...]
    patches: tuple[PlanPatch, ...]
    open: tuple[OpenComponent, ...]
    touches: tuple[Touch, ...]
    gaps: tuple[tuple[str, bytes], ...]
    """Ground without data: ``subject`` or ``target``, and polygons (WKB)."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """Common polygons of both layers: which piece of each they stem from, and their relation."""

    bodies: GeometryArray
    subject: IntArray
    target: IntArray
    relations: IntArray


def compare_cell(cell: PlanCell, rules: PairRules) -> CellAnswer:
    """Compare two plan layers inside one cell."""
    window = _window(cell)
    if window.is_empty:
        return CellAnswer(Ground(), (), (), (), (), ())
    subject, target = (_clipped(side, window) for side in (cell.subject, cell.target))
    shared, contacts = _shared(cell, subject, target, rules)
    units = _Units.of(cell, window)
    patches: list[PlanPatch] = []
    opened: list[OpenComponent] = []
    shares: list[float] = []
    conflicts: BaseGeometry | None = None
    for relation in PATCH_RELATIONS:
        mine = shared.relations == RELATIONS.index(relation)
        if not mine.any():
            continue
        parts, shapes = _pair_parts(cell, shared, mine, units)
        shares += [area for part in parts for _, area in part.areas]
        whole = union(shapes)
        conflicts = whole if relation == "conflict" else conflicts
        found, left = _components(cell, relation, whole, parts, shapes, rules.widths)
        patches += found
        opened += left
    agreeing = list(_agreeing(cell, shared, units))
    shares += [area for *_, area in agreeing]
    ground, gaps = _ground(cell, window, shared, math.fsum(shares))
    return CellAnswer(
        ground,
        tuple(agreeing),
        tuple(patches),
        tuple(opened),
        tuple(_touches(cell, contacts, conflicts)),
        gaps,
    )


def _window(cell: PlanCell) -> BaseGeometry:
    window: BaseGeometry = shapely.box(*cell.box)
    if cell.region is not None:
        parts = polygon_parts(intersection(window, shapely.from_wkb(cell.region)))
        window = union(parts) if len(parts) else shapely.Polygon()
    shapely.prepare(window)
    return window


def _clipped(side: PlanSide, window: BaseGeometry) -> GeometryArray:
    """The pieces cut to the window; one that lies inside stays as it is, edge for edge."""
    shapes: GeometryArray = shapely.from_wkb(np.array(side.wkbs, dtype=object))
    if len(shapes) == 0:
        return shapes
    beyond = ~shapely.covers(window, shapes)
    if beyond.any():
        shapes[beyond] = intersection(shapes[beyond], window)
    return shapes


def _shared(
    cell: PlanCell, subject: GeometryArray, target: GeometryArray, rules: PairRules
) -> tuple[_Shared, "_Contacts"]:
    if len(subject) == 0 or len(target) == 0:
        none = np.zeros(0, dtype=np.int64)
        return _Shared(np.zeros(0, dtype=object), none, none, none), _Contacts.none()
    left, right = shapely.STRtree(target).query(subject, predicate="intersects")
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    table = np.array(
        [[RELATIONS.index(one) for one in row] for row in rules.relations], dtype=np.int64
    )
    relations = table[cell.subject.classes[left], cell.target.classes[right]]
    cut = intersection(subject[left], target[right])
    parts, owners = _flat(np.atleast_1d(cut))
    dimensions = shapely.get_dimensions(parts)
    surfaces = dimensions == 2
    own = owners[surfaces]
    shared = _Shared(parts[surfaces], left[own], right[own], relations[own])
    lines = (dimensions == 1) & (relations[owners] == RELATIONS.index("conflict"))
    along = owners[lines]
    return shared, _Contacts(parts[lines], left[along], right[along])


def _flat(shapes: GeometryArray) -> tuple[GeometryArray, npt.NDArray[np.intp]]:
    """The single parts of geometries and collections, and which geometry each stems from."""
    parts, owners = shapely.get_parts(shapes, return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)
    owners = owners[inner]
    kept = ~shapely.is_empty(parts)
    return parts[kept], owners[kept]


@dataclass(frozen=True, slots=True)
class _Contacts:
    lines: GeometryArray
    subject: IntArray
    target: IntArray

    @classmethod
    def none(cls) -> "_Contacts":
        empty = np.zeros(0, dtype=np.int64)
        return cls(np.zeros(0, dtype=object), empty, empty)


class _Units:
    """The administrative units of a cell; most cells lie in one of them."""

    def __init__(self, codes: list[str], shapes: GeometryArray, only: str | None) -> None:
        self.codes, self.shapes, self.only = codes, shapes, only

    @classmethod
    def of(cls, cell: PlanCell, window: BaseGeometry) -> "_Units":
        by_code: dict[str, list[bytes]] = {}
        for code, blob in cell.units:
            by_code.setdefault(code, []).append(blob)
        codes = sorted(by_code)
        shapes = np.empty(len(codes), dtype=object)
        for index, code in enumerate(codes):
            pieces = shapely.from_wkb(np.array(by_code[code], dtype=object))
            shapes[index] = union(pieces)
        covering = shapely.covers(shapes, window)
        only = codes[int(np.argmax(covering))] if covering.any() else None
        return cls(codes, shapes, only)

    def areas(self, polygons: GeometryArray) -> list[Areas]:
        """For each polygon its area by unit; what is in no unit is None's."""
        whole = areas_m2(polygons)
        if self.only is not None:
            return [((self.only, area),) for area in whole.tolist()]
        rest = whole.copy()
        found: list[list[tuple[str | None, float]]] = [[] for _ in whole]
        for code, shape in zip(self.codes, self.shapes, strict=True):
            shapely.prepare(shape)
            meets = np.flatnonzero(shapely.intersects(shape, polygons) & (rest > _NOTHING_M2))
            inside = shapely.covers(shape, polygons[meets])
            areas = whole[meets].copy()
            if (~inside).any():
                areas[~inside] = areas_m2(intersection(polygons[meets[~inside]], shape))
            areas = np.minimum(areas, rest[meets])
            rest[meets] -= areas
            for index, area in zip(meets.tolist(), areas.tolist(), strict=True):
                if area > _NOTHING_M2:
                    found[index].append((code, area))
        for index, area in enumerate(rest.tolist()):
            if area > _NOTHING_M2 or not found[index]:
                found[index].append((None, area))
        return [tuple(one) for one in found]


def _agreeing(
    cell: PlanCell, shared: _Shared, units: _Units
) -> Iterator[tuple[int, int, str | None, float]]:
    mine = np.flatnonzero(shared.relations < min(RELATIONS.index(r) for r in PATCH_RELATIONS))
    sums: dict[tuple[int, int, str | None], list[float]] = {}
    if len(mine):
        one = cell.subject.classes[shared.subject[mine]].tolist()
        two = cell.target.classes[shared.target[mine]].tolist()
        for s, t, areas in zip(one, two, units.areas(shared.bodies[mine]), strict=True):
            for unit, area in areas:
                sums.setdefault((s, t, unit), []).append(area)
    for s, t, unit in sorted(sums, key=lambda key: (key[0], key[1], key[2] is None, key[2] or "")):
        yield s, t, unit, math.fsum(sums[(s, t, unit)])


def _pair_parts(
    cell: PlanCell, shared: _Shared, mine: npt.NDArray[np.bool_], units: _Units
) -> tuple[list[PairPart], GeometryArray]:
    """The connected parts of every pair of classes, and their polygons in the same order."""
    rows = np.flatnonzero(mine)
    one = cell.subject.classes[shared.subject[rows]]
    two = cell.target.classes[shared.target[rows]]
    parts: list[PairPart] = []
    shapes: list[BaseGeometry] = []
    for s, t in sorted(set(zip(one.tolist(), two.tolist(), strict=True))):
        own = rows[(one == s) & (two == t)]
        bodies = shared.bodies[own]
        whole = bodies if len(own) == 1 else polygon_parts(union(bodies))
        owners = np.zeros(len(own), dtype=np.intp)
        if len(whole) > 1:
            owners = shapely.STRtree(whole).nearest(shapely.point_on_surface(bodies))
        for index, areas in enumerate(units.areas(whole)):
            members = own[owners == index]
            parts.append(
                PairPart(
                    s,
                    t,
                    bytes(shapely.to_wkb(whole[index])),
                    areas,
                    _fids(cell.subject.fids[shared.subject[members]]),
                    _fids(cell.target.fids[shared.target[members]]),
                )
            )
            shapes.append(whole[index])
    return parts, np.array(shapes, dtype=object)


def _fids(fids: IntArray) -> tuple[int, ...]:
    return tuple(np.unique(fids).tolist())


def _components(
    cell: PlanCell, relation: PlanRelation, whole: BaseGeometry, parts: list[PairPart],
    shapes: GeometryArray, rules: WidthRules,
) -> tuple[list[PlanPatch], list[OpenComponent]]:  # fmt: skip
    components = polygon_parts(whole)
    owners = shapely.STRtree(components).nearest(shapely.point_on_surface(shapes))
    metres = LocalPlane.around(shapely.box(*cell.box)).to_metres(components)
    numbers = rules.numbers(metres)
    at_edge = _at_edge(components, cell.box)
    patches: list[PlanPatch] = []
    opened: list[OpenComponent] = []
    for index, component in enumerate(components):
        own = [parts[int(i)] for i in np.flatnonzero(owners == index)]
        if at_edge[index]:
            blob = bytes(shapely.to_wkb(component))
            opened.append(OpenComponent(relation, blob, bool(numbers[index] == 0), tuple(own)))
        else:
            patches += patches_of(relation, component, int(numbers[index]), own, rules)
    return patches, opened


def _at_edge(shapes: GeometryArray, box: Box) -> npt.NDArray[np.bool_]:
    bounds = shapely.bounds(shapes)
    result: npt.NDArray[np.bool_] = (np.abs(bounds - np.array(box)) <= _EDGE_DEG).any(axis=1)
    return result


def _touches(
    cell: PlanCell, contacts: _Contacts, conflicts: BaseGeometry | None
) -> Iterator[Touch]:
    """Where conflicting features only touch, and no conflict lies along that line anyway."""
    if len(contacts.lines) == 0:
        return
    one = cell.subject.classes[contacts.subject]
    two = cell.target.classes[contacts.target]
    for s, t in sorted(set(zip(one.tolist(), two.tolist(), strict=True))):
        own = (one == s) & (two == t)
        lines: BaseGeometry = union(contacts.lines[own])
        if conflicts is not None:
            lines = difference(lines, conflicts)
        runs = shapely.get_parts(lines)
        runs = runs[(shapely.get_dimensions(runs) == 1) & ~shapely.is_empty(runs)]
        if len(runs) == 0:
            continue
        merged = shapely.line_merge(shapely.multilinestrings(runs))
        yield Touch(
            s, t, int(own.sum()), length_m(merged), bytes(shapely.to_wkb(shapely.normalize(merged)))
        )


def _ground(
    cell: PlanCell, window: BaseGeometry, shared: _Shared, summed_m2: float
) -> tuple[Ground, tuple[tuple[str, bytes], ...]]:
    """The areas of the cell by what is known of them, and the ground without data."""
    covered = [_covered(side, window) for side in (cell.subject, cell.target)]
    frame = window if cell.region is not None else union(np.array(covered, dtype=object))
    frame_m2 = area_m2(frame)
    one, two = (area_m2(shape) for shape in covered)
    both = area_m2(intersection(covered[0], covered[1]))
    compared = area_m2(union(shared.bodies)) if len(shared.bodies) else 0.0
    gaps = []
    for name, shape in zip(("subject", "target"), covered, strict=True):
        rest = polygon_parts(difference(frame, shape))
        if len(rest):
            gaps.append((name, bytes(shapely.to_wkb(shapely.multipolygons(rest)))))
    ground = Ground(
        both=both,
        subject_only=max(one - both, 0.0),
        target_only=max(two - both, 0.0),
        neither=max(frame_m2 - one - two + both, 0.0),
        compared=compared,
        counted_twice=max(summed_m2 - compared, 0.0),
    )
    return ground, tuple(gaps)


def _covered(side: PlanSide, window: BaseGeometry) -> BaseGeometry:
    if side.coverage is None:
        return shapely.Polygon()
    parts = polygon_parts(intersection(window, shapely.from_wkb(side.coverage)))
    return union(parts) if len(parts) else shapely.Polygon()
