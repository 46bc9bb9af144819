"""Patches between two plans (矛盾图斑): connected ground on which their classes do not agree.

Ground is classified by connected *components* of one relation (all conflicts together), so that
ten narrow strips of ten classes side by side are one wide conflict; each component then comes as
one patch for each connected part of a pair of classes. What reaches the edge of a cell stays open
and is joined with its neighbours before its width or its area decides anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from layers.area import total_m2
from layers.crs import LocalPlane
from planning_rules.overlay import GeometryArray, union
from planning_rules.patch import rounded
from planning_rules.plan_matrix import PlanRelation
from planning_rules.rule_set import ResolvedTolerance
from planning_rules.width import close_gaps, narrower_than, shrinking_width_m

PlanPatchKind = Literal["conflict", "conditional", "undetermined", "accuracy-difference", "sliver"]
Areas = tuple[tuple[str | None, float], ...]
"""Areas in m2 by administrative unit; None for ground in no unit."""

_WIDE_KINDS: Final[dict[PlanRelation, PlanPatchKind]] = {
    "conflict": "conflict", "conditional": "conditional", "unknown": "undetermined",
}  # fmt: skip
PATCH_RELATIONS: Final = tuple(_WIDE_KINDS)
_NARROW_KINDS: Final[tuple[PlanPatchKind, PlanPatchKind]] = ("accuracy-difference", "sliver")
_CUT_DEG: Final = 1e-12
"""A tenth of a micrometre: vertices that cells cut into an edge are no nearer to it than that."""


@dataclass(frozen=True, slots=True)
class PairPart:
    """Connected ground of one pair of classes (WKB, lon/lat), with the features that meet on it."""

    subject_class: int
    target_class: int
    wkb: bytes
    areas: Areas
    subject_fids: tuple[int, ...]
    target_fids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OpenComponent:
    """A component that reaches the edge of its cell; ``wide`` if no limit finds it narrow."""

    relation: PlanRelation
    wkb: bytes
    wide: bool
    parts: tuple[PairPart, ...]


@dataclass(frozen=True, slots=True)
class PlanPatch:
    """One patch as it is reported; ``component_m2`` is all connected ground it belongs to."""

    kind: PlanPatchKind
    relation: PlanRelation
    reason: str | None
    part: PairPart
    area_m2: float
    width_m: float
    component_m2: float


@dataclass(frozen=True, slots=True)
class WidthRules:
    """What is too narrow or too small to be a conflict; ``accuracy_m`` is of both data sets."""

    tolerance: ResolvedTolerance
    accuracy_m: float

    def narrow(self, polygons_m: GeometryArray) -> npt.NDArray[np.intp]:
        """0 wide, 1 within the accuracy, 2 below the width tolerance; polygons in metres."""
        numbers = np.where(narrower_than(polygons_m, self.accuracy_m), 1, 0).astype(np.intp)
        below = 1 if self.tolerance.classify_as_accuracy_difference else 2
        numbers[narrower_than(polygons_m, self.tolerance.min_width_m)] = below
        return numbers

    def numbers(self, polygons_m: GeometryArray) -> npt.NDArray[np.intp]:
        """``narrow`` with gaps closed that stem from the cutting of features into pieces."""
        found = self.narrow(polygons_m)
        if len(found) > 1 and bool((found > 0).any()):
            closed = close_gaps(polygons_m)
            if len(closed) < len(polygons_m):
                tree = shapely.STRtree(closed)
                nearest = tree.nearest(shapely.point_on_surface(polygons_m))
                found = np.minimum(found, self.narrow(closed)[nearest])
        return found


def patches_of(
    relation: PlanRelation,
    component: BaseGeometry,
    number: int,
    parts: Sequence[PairPart],
    rules: WidthRules,
) -> list[PlanPatch]:
    """The patches of one whole component, whose width is known (``WidthRules.narrow``)."""
    whole_m2 = total_m2(area for part in parts for _, area in part.areas)
    kind: PlanPatchKind = _WIDE_KINDS[relation] if number == 0 else _NARROW_KINDS[number - 1]
    reason = (None, "within_accuracy", "below_min_width")[number]
    if number == 0 and whole_m2 < rules.tolerance.min_area_m2:
        below = 0 if rules.tolerance.classify_as_accuracy_difference else 1
        kind, reason = _NARROW_KINDS[below], "below_min_area"
    plane = LocalPlane.around(component)
    patches = []
    for part in parts:
        shape = shapely.from_wkb(part.wkb)
        patches.append(
            PlanPatch(
                kind=kind,
                relation=relation,
                reason=reason,
                part=replace(part, wkb=bytes(shapely.to_wkb(rounded(_plain(shape))))),
                area_m2=total_m2(area for _, area in part.areas),
                width_m=shrinking_width_m(plane.to_metres(shape)),
                component_m2=whole_m2,
            )
        )
    return patches


def _plain(polygon: BaseGeometry) -> BaseGeometry:
    """Without vertices inside straight edges: cells put them there, and ids follow the shape."""
    rings = [_corners(ring) for ring in shapely.get_rings(polygon)]
    return shapely.Polygon(rings[0], rings[1:])


def _corners(ring: BaseGeometry) -> npt.NDArray[np.float64]:
    """One after the other: of two vertices a hair apart in a corner one has to stay."""
    points: npt.NDArray[np.float64] = shapely.get_coordinates(ring)[:-1]
    off = _beside(np.roll(points, 1, axis=0), points, np.roll(points, -1, axis=0))
    if len(points) < 4 or bool((off > _CUT_DEG).all()):
        return points
    points = np.roll(points, -int(np.argmax(off)), axis=0)
    corners = [points[0]]
    for place in range(1, len(points)):
        after = points[(place + 1) % len(points)]
        if _beside(corners[-1], points[place], after) > _CUT_DEG:
            corners.append(points[place])
    return np.array(corners) if len(corners) > 2 else points


def _beside(before: Any, point: Any, after: Any) -> Any:
    """How far a point lies beside the line between two others, in degrees."""
    along, off = after - before, point - before
    length = np.maximum(np.hypot(along[..., 0], along[..., 1]), _CUT_DEG)
    return np.abs(along[..., 0] * off[..., 1] - along[..., 1] * off[..., 0]) / length


def join_open(cluster: Sequence[OpenComponent], rules: WidthRules) -> list[PlanPatch]:
    """The patches of components of neighbouring cells that may be one; all of one relation."""
    shapes = shapely.from_wkb(np.array([one.wkb for one in cluster], dtype=object))
    whole = shapely.get_parts(union(shapes))
    tree = shapely.STRtree(whole)
    owners = tree.nearest(shapely.point_on_surface(shapes))
    patches: list[PlanPatch] = []
    for index, component in enumerate(whole):
        members = [cluster[int(i)] for i in np.flatnonzero(owners == index)]
        if not members:  # nothing of a part was lost: each whole holds one at least
            continue
        number = 0
        if not any(one.wide for one in members):
            metres = LocalPlane.around(component).to_metres(np.array([component], dtype=object))
            number = int(rules.narrow(metres)[0])
        parts = join_parts([part for one in members for part in one.parts])
        patches += patches_of(members[0].relation, component, number, parts, rules)
    return patches


def join_open_clusters(
    groups: Sequence[Sequence[OpenComponent]], rules: WidthRules
) -> list[PlanPatch]:
    """``join_open`` for some clusters at once."""
    return [patch for cluster in groups for patch in join_open(cluster, rules)]


def as_they_came(component: OpenComponent) -> list[PlanPatch]:
    """The parts of a component that could not be joined: not known to be narrow."""
    return [
        PlanPatch(
            kind=_WIDE_KINDS[component.relation],
            relation=component.relation,
            reason=None,
            part=part,
            area_m2=total_m2(area for _, area in part.areas),
            width_m=0.0,
            component_m2=total_m2(area for _, area in part.areas),
        )
        for part in component.parts
    ]


def join_parts(parts: Sequence[PairPart]) -> list[PairPart]:
    """Parts of the same pair of classes that touch along an edge, made whole."""
    by_pair: dict[tuple[int, int], list[PairPart]] = {}
    for part in parts:
        by_pair.setdefault((part.subject_class, part.target_class), []).append(part)
    joined: list[PairPart] = []
    for pair in sorted(by_pair):
        mine = by_pair[pair]
        if len(mine) == 1:
            joined += mine
            continue
        shapes = shapely.from_wkb(np.array([part.wkb for part in mine], dtype=object))
        whole = shapely.get_parts(union(shapes))
        owners = shapely.STRtree(whole).nearest(shapely.point_on_surface(shapes))
        for index, shape in enumerate(whole):
            members = [mine[int(i)] for i in np.flatnonzero(owners == index)]
            if members:
                joined.append(_one(shape, members))
    return joined


def _one(shape: BaseGeometry, members: Sequence[PairPart]) -> PairPart:
    if len(members) == 1:
        return members[0]
    sums: dict[str | None, list[float]] = {}
    for part in members:
        for unit, area in part.areas:
            sums.setdefault(unit, []).append(area)
    return PairPart(
        members[0].subject_class,
        members[0].target_class,
        bytes(shapely.to_wkb(shape)),
        tuple((unit, total_m2(sums[unit])) for unit in sorted(sums, key=_unit_order)),
        tuple(sorted({fid for part in members for fid in part.subject_fids})),
        tuple(sorted({fid for part in members for fid in part.target_fids})),
    )


def _unit_order(unit: str | None) -> tuple[bool, str]:
    return unit is None, unit or ""


def clusters(components: Sequence[OpenComponent]) -> list[list[OpenComponent]]:
    """Components of one relation that meet, in the order of their first member."""
    if not components:
        return []
    shapes = shapely.from_wkb(np.array([one.wkb for one in components], dtype=object))
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    roots = np.arange(len(shapes))
    for left, right in zip(one.tolist(), other.tolist(), strict=True):
        _unite(roots, left, right)
    groups: dict[int, list[OpenComponent]] = {}
    for index, component in enumerate(components):
        groups.setdefault(_root(roots, index), []).append(component)
    return list(groups.values())


def _root(roots: npt.NDArray[np.intp], index: int) -> int:
    while roots[index] != index:
        roots[index] = roots[roots[index]]
        index = int(roots[index])
    return index


def _unite(roots: npt.NDArray[np.intp], one: int, other: int) -> None:
    first, second = sorted((_root(roots, one), _root(roots, other)))
    roots[second] = first
