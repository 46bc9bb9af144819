"""Patches: every place where a site and a plan meet, classified and never dropped.

Decided in this order (each for a connected part of the union of all features, so that ten narrow
strips side by side are one wide conflict, and the split of a plan into features changes nothing):

1. lower dimension: ``touch``;
2. narrower than the width tolerance: ``sliver``;
3. not wider than the combined stated accuracy of both data sets: ``accuracy-difference``;
4. otherwise ``conflict``.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from layers.area import area_m2, areas_m2, length_m, total_m2
from layers.text import Text
from planning_rules.canonical_json import geometry_json
from planning_rules.contact import joined
from planning_rules.overlay import LayerOverlay, SharedPart, Site, TargetFeature, union
from planning_rules.rule_set import ResolvedTolerance
from planning_rules.width import close_gaps, narrower_than, width_m

PatchKind = Literal["conflict", "accuracy-difference", "sliver", "touch"]
_NOBODY: Final = TargetFeature(-1, "", {}, ())
"""The owner of what lies outside all features."""

_KINDS: Final[tuple[PatchKind, ...]] = ("conflict", "accuracy-difference", "sliver")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a patch is recorded only: a code and words for people."""

    code: str
    text: Text


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch of evidence, with the feature it belongs to (none for a part outside)."""

    kind: PatchKind
    layer: str
    edition: int | None
    feature_id: str | None
    code: str | None
    area_m2: float
    width_m: float | None
    geometry: BaseGeometry
    reason: Reason | None = None
    length_m: float | None = None
    distance_m: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The form of reports; coordinates to 1e-9 degrees (0.1 mm)."""
        geometry = rounded(self.geometry)
        value: dict[str, Any] = {
            "id": self._id(geometry),
            "kind": self.kind,
            "layer": self.layer,
            "edition": self.edition,
            "feature_id": self.feature_id,
            "code": self.code,
            "area_m2": round(self.area_m2, 2),
            "width_m": None if self.width_m is None else round(self.width_m, 2),
            "geometry": geometry_json(geometry),
        }
        for name in ("length_m", "distance_m"):
            if (figure := getattr(self, name)) is not None:
                value[name] = round(figure, 2)
        if self.reason is not None:
            value["reason"] = {
                "code": self.reason.code, "zh": self.reason.text.zh, "en": self.reason.text.en,
            }  # fmt: skip
        return value

    def _id(self, geometry: BaseGeometry) -> str:
        """Follows from layer, feature, kind and place, so that it survives a re-run."""
        parts = (self.layer, self.feature_id or "", self.kind, shapely.to_wkb(geometry, hex=True))
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the site shares with a choice of features, by kind.

    ``amount`` is the area (m2), length (m) or count of the conflicts, of the union; ``patches``
    hold all kinds.
    """

    amount: float
    amounts: dict[PatchKind, float]
    patches: tuple[Patch, ...]

    def features_with(self, *kinds: PatchKind) -> set[str | None]:
        """Ids of the features that have a patch of one of these kinds."""
        return {patch.feature_id for patch in self.patches if patch.kind in kinds}


def without_conflicts(
    patches: tuple[Patch, ...], concerned: Collection[str | None]
) -> tuple[Patch, ...]:
    """The patches without those of features that satisfy the rule: they are no conflict."""
    return tuple(p for p in patches if p.kind != "conflict" or p.feature_id in concerned)


def rounded(geometry: BaseGeometry) -> BaseGeometry:
    """Coordinates to 1e-9 degrees and rings in canonical order, for evidence."""
    moved = shapely.transform(geometry, lambda points: np.round(points, 9))
    normal: BaseGeometry = shapely.normalize(moved)
    return normal


def combined_accuracy_m(site: Site, overlay: LayerOverlay) -> float:
    """Root of the sum of squares of the stated accuracies of both data sets, in metres."""
    return math.hypot(site.accuracy_m, overlay.target.accuracy_m)


def measure_shared(
    site: Site,
    overlay: LayerOverlay,
    tolerance: ResolvedTolerance,
    choose: Callable[[TargetFeature], bool] = lambda feature: True,
    *,
    together: bool = True,
) -> Measured:
    """Measure what the site shares with the chosen features.

    ``together``: classify on the union of all of them (prohibitions). Otherwise each feature is
    classified alone (limits of a parcel: a strip of the neighbour is the neighbour's matter).
    """
    chosen = [part for part in overlay.shared if choose(part.feature)]
    if together:
        chosen = joined(site, overlay, chosen)
    bodies = [part for part in chosen if part.body is not None]
    groups = _by_dimension(bodies) if together else [[part] for part in bodies]
    patches = [_touch(overlay, p, p.contact) for p in chosen if p.contact is not None]
    amounts: dict[PatchKind, list[float]] = {kind: [] for kind in _KINDS}
    for group in groups:
        for kind, patch_list, amount in _classify_group(site, overlay, group, tolerance):
            patches.extend(patch_list)
            amounts[kind].append(amount)
    totals = {kind: total_m2(values) for kind, values in amounts.items()}
    return _waive_small(Measured(totals["conflict"], totals, tuple(patches)), tolerance)


def _by_dimension(bodies: list[SharedPart]) -> list[list[SharedPart]]:
    """A layer may hold areas and lines; an area and a length cannot be added."""
    groups: dict[int, list[SharedPart]] = {}
    for part in bodies:
        groups.setdefault(int(shapely.get_dimensions(part.body)), []).append(part)
    return [groups[dimension] for dimension in sorted(groups, reverse=True)]


def measure_outside(
    site: Site, overlay: LayerOverlay, outside: BaseGeometry, tolerance: ResolvedTolerance
) -> Measured:
    """Measure a part of the site that lies outside all features (rules of kind ``within``)."""
    part = SharedPart(_NOBODY, outside, None, area_m2(outside))
    patches, amounts = [], dict.fromkeys(_KINDS, 0.0)
    for kind, found, amount in _classify_group(site, overlay, [part], tolerance):
        patches.extend(found)
        amounts[kind] += amount
    return _waive_small(Measured(amounts["conflict"], amounts, tuple(patches)), tolerance)


def _classify_group(
    site: Site, overlay: LayerOverlay, group: Sequence[SharedPart], tolerance: ResolvedTolerance
) -> list[tuple[PatchKind, list[Patch], float]]:
    bodies = np.array([part.body for part in group], dtype=object)
    whole = bodies[0] if len(bodies) == 1 else union(bodies)
    if int(shapely.get_dimensions(whole)) < 2:
        patches = [_patch(site, overlay, part, part.body, "conflict", 0.0) for part in group]
        return [("conflict", patches, _amount(whole))]
    components = shapely.get_parts(whole)
    numbers = _kinds_of(site, components, tolerance, combined_accuracy_m(site, overlay))
    areas = np.array([group[0].area_m2]) if len(components) == 1 == len(group) else None
    areas = areas_m2(components) if areas is None else areas
    found = []
    for number in sorted(set(numbers.tolist())):
        kind = _KINDS[number]
        patches = _patches_of(site, overlay, group, components, numbers, number)
        found.append((kind, patches, total_m2(areas[numbers == number].tolist())))
    return found


def _kinds_of(
    site: Site, components: npt.NDArray[np.object_], tolerance: ResolvedTolerance, accuracy_m: float
) -> npt.NDArray[np.intp]:
    """0 conflict, 1 accuracy difference, 2 sliver, for each component (lon/lat polygons)."""
    metres = site.plane.to_metres(components)
    numbers = _by_width(metres, tolerance, accuracy_m)
    if len(components) > 1 and bool((numbers > 0).any()):
        # Neighbours may be parted by a hair that stems from the cutting into pieces.
        closed = close_gaps(metres)
        if len(closed) < len(components):
            kinds = _by_width(closed, tolerance, accuracy_m)
            inside = shapely.point_on_surface(metres)
            tree = shapely.STRtree(closed)
            numbers = np.minimum(numbers, kinds[tree.nearest(inside)])
    return numbers


def _by_width(
    metres: npt.NDArray[np.object_], tolerance: ResolvedTolerance, accuracy_m: float
) -> npt.NDArray[np.intp]:
    below = 1 if tolerance.classify_as_accuracy_difference else 2
    numbers = np.where(narrower_than(metres, accuracy_m), 1, 0)
    numbers[narrower_than(metres, tolerance.min_width_m)] = below
    return numbers.astype(np.intp)


def _patches_of(
    site: Site, overlay: LayerOverlay, group: Sequence[SharedPart],
    components: npt.NDArray[np.object_], numbers: npt.NDArray[np.intp], number: int,
) -> list[Patch]:  # fmt: skip
    """One patch for each feature that has a share in components of this kind."""
    kind = _KINDS[number]
    if bool((numbers == number).all()):
        return [_patch(site, overlay, part, part.body, kind, part.area_m2) for part in group]
    tree = shapely.STRtree(components)
    patches = []
    for part in group:
        pieces = shapely.get_parts(part.body)
        mine = pieces[numbers[tree.nearest(shapely.point_on_surface(pieces))] == number]
        if len(mine):
            body = mine[0] if len(mine) == 1 else shapely.multipolygons(mine)
            patches.append(_patch(site, overlay, part, body, kind, area_m2(body)))
    return patches


def _patch(
    site: Site, overlay: LayerOverlay, part: SharedPart, body: Any, kind: PatchKind, area: float
) -> Patch:
    dimension = int(shapely.get_dimensions(body))
    width = _width_m(site, overlay, body) if dimension == 2 else None
    return Patch(
        kind=kind,
        layer=overlay.target.layer,
        edition=overlay.target.edition,
        feature_id=None if part.feature is _NOBODY else part.feature.feature_id,
        code=code_of(part.feature),
        area_m2=area,
        width_m=width,
        geometry=body,
        reason=_REASONS[kind](combined_accuracy_m(site, overlay)) if kind in _REASONS else None,
        length_m=length_m(body) if dimension == 1 else None,
    )


def _width_m(site: Site, overlay: LayerOverlay, body: BaseGeometry) -> float:
    """The width of a patch, measured once a layer: several rules record the same ones."""
    key = ("width", shapely.to_wkb(body))
    if key not in overlay.memory:
        overlay.memory[key] = width_m(site.plane.to_metres(body))
    found: float = overlay.memory[key]
    return found


def _touch(overlay: LayerOverlay, part: SharedPart, contact: BaseGeometry) -> Patch:
    return Patch(
        kind="touch",
        layer=overlay.target.layer,
        edition=overlay.target.edition,
        feature_id=part.feature.feature_id,
        code=code_of(part.feature),
        area_m2=0.0,
        width_m=None,
        geometry=contact,
        reason=Reason(
            "boundary_contact",
            Text(en="Only the boundaries meet; nothing is shared.", zh="仅边界相接，没有重叠。"),
        ),
    )


_REASONS: Final[dict[PatchKind, Callable[[float], Reason]]] = {
    "accuracy-difference": lambda accuracy: Reason(
        "within_accuracy",
        Text(
            en=f"Not wider than the combined stated accuracy of the data, {accuracy:.2f} m.",
            zh=f"宽度不超过数据的综合标称精度 {accuracy:.2f} 米，属精度差异。",
        ),
    ),
    "sliver": lambda accuracy: Reason(
        "below_min_width",
        Text(en="Narrower than the width tolerance.", zh="宽度小于容差，属碎屑图斑。"),
    ),
}


def _waive_small(measured: Measured, tolerance: ResolvedTolerance) -> Measured:
    """The policy number ``min_area`` waives the conflicts of a rule as a whole, never piecewise."""
    if not 0 < measured.amount < tolerance.min_area_m2:
        return measured
    reason = Reason(
        "below_min_area",
        Text(
            en=f"All conflicts together are below the limit of {tolerance.min_area_m2:g} m2.",
            zh=f"冲突面积合计低于政策下限 {tolerance.min_area_m2:g} 平方米。",
        ),
    )
    patches = tuple(
        p if p.kind != "conflict" else _with_reason(p, reason) for p in measured.patches
    )
    amounts = dict(measured.amounts)
    amounts["sliver"] += amounts.pop("conflict")
    return Measured(0.0, {**amounts, "conflict": 0.0}, patches)


def _with_reason(patch: Patch, reason: Reason) -> Patch:
    return Patch(
        "sliver", patch.layer, patch.edition, patch.feature_id, patch.code, patch.area_m2,
        patch.width_m, patch.geometry, reason, patch.length_m, patch.distance_m,
    )  # fmt: skip


def _amount(whole: BaseGeometry) -> float:
    """Length in metres of lines, number of points."""
    if int(shapely.get_dimensions(whole)) == 1:
        return length_m(whole)
    return float(shapely.get_num_geometries(whole))


def code_of(feature: TargetFeature) -> str | None:
    """The classifying attribute of a feature, as reports show it."""
    for name in ("landuse_code", "zone", "zone_grade", "protection_grade", "road_class", "code"):
        value = feature.attributes.get(name)
        if value is not None:
            return str(value)
    return None
