"""What all cells of a pair of layers said, put together: totals that close, patches with ids."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import shapely

from layers.area import close_to_cent, total_m2
from layers.crs import Box
from layers.text import Text
from planning_rules.canonical_json import geometry_json
from planning_rules.finding import text_json
from planning_rules.plan_comparison import CellAnswer, Ground, Touch
from planning_rules.plan_matrix import RELATIONS, PlanClass, PlanRelation
from planning_rules.plan_patches import OpenComponent, PlanPatch, as_they_came

_ID_DEGREES: Final = 7
"""A centimetre: the representative point of the same patch, whatever cells cut it."""
_NAMED_FEATURES: Final = 20
_GROUND: Final = ("both", "subject_only", "target_only", "neither", "compared", "counted_twice")

REASONS: Final = {
    "within_accuracy": Text(
        zh="宽度不超过两套数据的综合标称精度，属精度差异，须人工复核。",
        en="Not wider than the combined stated accuracy of both data sets: manual review.",
    ),
    "below_min_width": Text(
        zh="宽度小于容差，属碎屑图斑。", en="Narrower than the width tolerance."
    ),
    "below_min_area": Text(
        zh="连片面积小于规则的面积下限。",
        en="All connected ground is smaller than the area limit of the rule.",
    ),
}
CAUSES: Final = {
    "use": Text(zh="用途矛盾", en="uses that contradict"),
    "classification": Text(zh="分类无法对照", en="classes that cannot be compared"),
    "accuracy": Text(zh="精度差异", en="difference of accuracy"),
}


class TotalKey(NamedTuple):
    """One row of the totals; ``kind`` is None for ground that needs no patch."""

    unit: str | None
    subject_class: int
    target_class: int
    relation: PlanRelation
    kind: str | None


@dataclass(slots=True)
class PairTotals:
    """Takes the answers of the cells in their order, then the patches that were joined."""

    relations: Sequence[Sequence[PlanRelation]]
    ground: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _GROUND})
    areas: dict[TotalKey, list[float]] = field(default_factory=dict)
    patches: list[PlanPatch] = field(default_factory=list)
    open: dict[str, list[OpenComponent]] = field(default_factory=dict)
    touches: list[Touch] = field(default_factory=list)
    gaps: dict[str, list[bytes]] = field(default_factory=dict)
    unseen: list[tuple[Box, Text]] = field(default_factory=list)
    """Cells that could not be compared, with the reason: never agreement."""

    def add(self, answer: CellAnswer) -> None:
        """Take what one cell says."""
        for name in _GROUND:
            self.ground[name].append(getattr(answer.ground, name))
        for subject, target, unit, area in answer.agreeing:
            key = TotalKey(unit, subject, target, self.relations[subject][target], None)
            self.areas.setdefault(key, []).append(area)
        self.add_patches(answer.patches)
        for component in answer.open:
            self.open.setdefault(component.relation, []).append(component)
        self.touches += answer.touches
        for side, blob in answer.gaps:
            self.gaps.setdefault(side, []).append(blob)

    def add_patches(self, patches: Sequence[PlanPatch]) -> None:
        """Take whole patches."""
        self.patches += patches
        for patch in patches:
            for unit, area in patch.part.areas:
                key = TotalKey(
                    unit, patch.part.subject_class, patch.part.target_class, patch.relation,
                    patch.kind,
                )  # fmt: skip
                self.areas.setdefault(key, []).append(area)

    def give_up(self, groups: Sequence[Sequence[OpenComponent]], reason: Text) -> None:
        """Take components that nobody could join, as they came, and say where."""
        for component in (one for group in groups for one in group):
            self.add_patches(as_they_came(component))
            west, south, east, north = shapely.from_wkb(component.wkb).bounds
            self.unseen.append(((west, south, east, north), reason))

    def whole_ground(self) -> Ground:
        """The areas by what is known, in m2."""
        return Ground(**{name: math.fsum(values) for name, values in self.ground.items()})

    def closed_rows(self) -> list[tuple[TotalKey, float]]:
        """Areas by unit and pair of classes; together what was compared, to the cent."""
        ground = self.whole_ground()
        keys = sorted(self.areas, key=_row_order)
        whole = round(ground.compared, 2) + round(ground.counted_twice, 2)
        closed = close_to_cent([total_m2(self.areas[key]) for key in keys], whole)
        return list(zip(keys, closed, strict=True))

    def kinds(self) -> dict[str, int]:
        """How many patches there are of each kind."""
        return dict(sorted(Counter(patch.kind for patch in self.patches).items()))


def _row_order(key: TotalKey) -> tuple[Any, ...]:
    return (
        key.unit is None, key.unit or "", RELATIONS.index(key.relation), key.subject_class,
        key.target_class, key.kind or "",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PairNames:
    """The words of a pair of layers: the rule, the plans, the classes, the names of features."""

    rule_id: str
    subject_layer: str
    target_layer: str
    subject_classes: tuple[PlanClass, ...]
    target_classes: tuple[PlanClass, ...]


@dataclass(frozen=True, slots=True)
class NamedPatch:
    """A patch with the id by which its resolution is followed from one run to the next."""

    id: str
    names: PairNames
    patch: PlanPatch

    def as_json(
        self, subject_ids: Mapping[int, str], target_ids: Mapping[int, str]
    ) -> dict[str, Any]:
        """The form of reports; at most twenty features of a side are named."""
        patch, part = self.patch, self.patch.part
        cause = "accuracy" if patch.kind in ("accuracy-difference", "sliver") else (
            "classification" if patch.relation == "unknown" else "use"
        )  # fmt: skip
        value: dict[str, Any] = {
            "id": self.id,
            "kind": patch.kind,
            "relation": patch.relation,
            "cause": cause,
            "rule_id": self.names.rule_id,
            "subject_layer": self.names.subject_layer,
            "target_layer": self.names.target_layer,
            "subject": class_json(self.names.subject_classes[part.subject_class]),
            "target": class_json(self.names.target_classes[part.target_class]),
            "area_m2": round(patch.area_m2, 2),
            "width_m": round(patch.width_m, 2),
            "connected_m2": round(patch.component_m2, 2),
            "units": [{"admin_code": unit, "area_m2": round(area, 2)} for unit, area in part.areas],
            "subject_features": _named(part.subject_fids, subject_ids),
            "target_features": _named(part.target_fids, target_ids),
            "geometry": geometry_json(shapely.from_wkb(part.wkb)),
        }
        if patch.reason is not None:
            value["reason"] = {"code": patch.reason, **text_json(REASONS[patch.reason])}
        return value


def _named(fids: Sequence[int], ids: Mapping[int, str]) -> dict[str, Any]:
    return {"count": len(fids), "ids": sorted(ids[fid] for fid in fids[:_NAMED_FEATURES])}


def named_features(patches: Sequence[PlanPatch]) -> tuple[set[int], set[int]]:
    """The features of both sides that reports name."""
    parts = [patch.part for patch in patches]
    return (
        {fid for part in parts for fid in part.subject_fids[:_NAMED_FEATURES]},
        {fid for part in parts for fid in part.target_fids[:_NAMED_FEATURES]},
    )


def named_patches(names: PairNames, totals: PairTotals) -> list[NamedPatch]:
    """All patches: conflicts first, each kind from the largest down."""
    named = [NamedPatch(_id(names, patch), names, patch) for patch in totals.patches]
    kinds = ("conflict", "undetermined", "conditional", "accuracy-difference", "sliver")
    return sorted(
        named, key=lambda one: (kinds.index(one.patch.kind), -round(one.patch.area_m2, 2), one.id)
    )


def _id(names: PairNames, patch: PlanPatch) -> str:
    """Of the pair of layers and classes and a place inside, so that it survives a re-run."""
    place = shapely.point_on_surface(shapely.from_wkb(patch.part.wkb))
    words = (
        names.rule_id, names.subject_layer, names.target_layer,
        *(str(word) for word in names.subject_classes[patch.part.subject_class][:2]),
        *(str(word) for word in names.target_classes[patch.part.target_class][:2]),
        f"{place.x:.{_ID_DEGREES}f}", f"{place.y:.{_ID_DEGREES}f}",
    )  # fmt: skip
    return hashlib.sha256("|".join(words).encode()).hexdigest()[:16]


def class_json(one: PlanClass) -> dict[str, Any]:
    """Scheme and code; a class that the matrix cannot speak of says so."""
    return {"scheme": one.scheme, "code": one.code, "known": one.known}


def totals_json(names: PairNames, totals: PairTotals) -> Iterator[dict[str, Any]]:
    """The rows of the table, by administrative unit and pair of classes."""
    for key, area in totals.closed_rows():
        yield {
            "admin_code": key.unit,
            "subject": class_json(names.subject_classes[key.subject_class]),
            "target": class_json(names.target_classes[key.target_class]),
            "relation": key.relation,
            "kind": key.kind,
            "area_m2": area,
        }
