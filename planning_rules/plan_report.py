"""The report of a comparison of plans: outcomes, totals that close, ground without data, digest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import shapely

from layers.area import area_m2
from layers.text import Text
from planning_rules.canonical_json import geometry_json
from planning_rules.finding import FindingOutcome, basis_json, text_json, worst
from planning_rules.patch import rounded
from planning_rules.plan_totals import PairNames, PairTotals, class_json, totals_json
from planning_rules.report import DISCLAIMERS, SYNTHETIC, digest, engine_json, parameters_json
from planning_rules.rule import Rule
from planning_rules.rule_set import RuleSet

MOST_PATCHES: Final = 2_000
"""So many patches stand in the JSON; the map layers hold all of them."""

_OUTCOMES: Final = {
    "violation": Text(zh="存在矛盾图斑", en="Plans contradict each other"),
    "undetermined": Text(
        zh="无法判定：部分范围缺少数据或分类无法对照",
        en="Undetermined: data or classes are missing",
    ),
    "conditional": Text(zh="存在有条件相容的图斑", en="Compatible under conditions"),
    "warning": Text(zh="存在需注意的矛盾图斑", en="Contradictions to be noted"),
    "pass": Text(zh="未发现矛盾图斑", en="No contradiction was found"),
}


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a comparison was asked for, and what it was made with."""

    plans: tuple[str, ...]
    region: str | None
    as_of: date
    rule_set: RuleSet
    cell_vertices: int


@dataclass(frozen=True, slots=True)
class PairReport:
    """One pair of layers: subject first, then target, which is the rule's."""

    rule: Rule
    names: PairNames
    totals: PairTotals
    plans: tuple[str, str]
    contents: tuple[dict[str, Any] | None, ...]
    prevails: str
    synthetic: bool

    def outcome(self) -> FindingOutcome:
        """The worst of all patches and of all that is not known."""
        kinds = self.totals.kinds()
        outcomes: list[FindingOutcome] = ["pass"]
        if kinds.get("conflict"):
            severity = self.rule.severity
            stated = self.rule.on_violation.outcome
            outcomes.append(stated or ("pass" if severity == "info" else severity))
        if kinds.get("conditional"):
            outcomes.append("conditional")
        if self.unknown():
            outcomes.append("undetermined")
        return worst(*outcomes)

    def unknown(self) -> bool:
        """Whether something keeps the pair from passing although no conflict was measured."""
        ground, kinds = self.totals.whole_ground(), self.totals.kinds()
        missing = ground.subject_only + ground.target_only + ground.neither
        strips = kinds.get("accuracy-difference") and self.rule.rigidity == "rigid"
        return bool(
            None in self.contents
            or round(missing, 2) > 0
            or ground.both <= 0  # no ground was looked at: neither layer has data anywhere
            or kinds.get("undetermined")
            or strips
            or self.totals.unseen
        )


def build_report(
    inputs: Inputs,
    pairs: Sequence[Mapping[str, Any]],
    not_compared: Sequence[Mapping[str, Any]],
    patches: Mapping[str, Any],
    *,
    report_id: str,
    created: str,
    synthetic: bool,
) -> dict[str, Any]:
    """The report, unsigned; all but its number, time and signature goes into the digest.

    ``pairs`` are what ``pair_json`` gives; ``patches`` are count, digest and the first of them.
    """
    outcomes: list[FindingOutcome] = [pair["outcome"] for pair in pairs]
    if any(one["hidden"] for one in not_compared) or not pairs:
        outcomes.append("undetermined")
    outcome = worst(*outcomes)
    report: dict[str, Any] = {
        "report_id": report_id,
        "created": created,
        "as_of": inputs.as_of.isoformat(),
        "outcome": outcome,
        "summary": text_json(_summary(outcome, pairs)),
        "plans": list(inputs.plans),
        "region": inputs.region,
        "pairs": list(pairs),
        "not_compared": [dict(one) for one in not_compared],
        "patches": dict(patches),
        "provenance": {
            "rule_set": {
                "id": inputs.rule_set.id, "version": inputs.rule_set.version,
                "sha256": inputs.rule_set.sha256, "status": inputs.rule_set.status,
            },
            "engine": engine_json(),
            "parameters": {
                **parameters_json(inputs.rule_set), "cell_vertices": inputs.cell_vertices,
            },
        },
        "disclaimers": [text_json(text) for text in DISCLAIMERS],
    }  # fmt: skip
    if inputs.rule_set.notice is not None:
        report["disclaimers"].append(text_json(inputs.rule_set.notice))
    if synthetic:
        report["synthetic"] = True
        report["notice"] = text_json(SYNTHETIC)
    report["digest"] = digest(report)
    report["signature"] = None
    return report


def _summary(outcome: FindingOutcome, pairs: Sequence[Mapping[str, Any]]) -> Text:
    said = _OUTCOMES[outcome]
    kinds = [pair["kinds"] for pair in pairs]
    count = sum(one.get("conflict", 0) for one in kinds)
    strips = sum(one.get("accuracy-difference", 0) for one in kinds)
    return Text(
        zh=f"{said.zh}：比对图层 {len(pairs)} 对，矛盾图斑 {count} 个，精度差异 {strips} 个。",
        en=f"{said.en}: {len(pairs)} pair(s) of layers, {count} conflict patches, {strips} "
        "differences of accuracy.",
    )


def pair_json(pair: PairReport) -> dict[str, Any]:
    """One pair of layers in the report."""
    totals, rule = pair.totals, pair.rule
    ground = totals.whole_ground()
    return {
        "rule_id": rule.id,
        "rule_version": rule.version,
        "title": text_json(rule.title),
        "legal_basis": [basis_json(basis) for basis in rule.legal_basis],
        "outcome": pair.outcome(),
        "subject": _side(pair, 0),
        "target": _side(pair, 1),
        "prevails": pair.prevails,
        "ground": {
            "both_m2": round(ground.both, 2),
            "compared_m2": round(ground.compared, 2),
            "counted_twice_m2": round(ground.counted_twice, 2),
            "one_says_nothing_m2": round(max(ground.both - ground.compared, 0.0), 2),
            "neither_m2": round(ground.neither, 2),
        },
        "kinds": totals.kinds(),
        "totals": list(totals_json(pair.names, totals)),
        "pairs_of_classes": list(_pairs_of_classes(pair)),
        "units": list(_units(pair)),
        "touches": [
            {
                "subject": class_json(pair.names.subject_classes[s]),
                "target": class_json(pair.names.target_classes[t]),
                "count": count,
                "length_m": round(length, 2),
            }
            for (s, t), (count, length) in _touches(totals).items()
        ],
        "no_data": list(_no_data(pair)),
        "not_seen": [
            {"box": list(box), "reason": text_json(reason)} for box, reason in totals.unseen
        ],
    }


def _side(pair: PairReport, index: int) -> dict[str, Any]:
    layer = (pair.names.subject_layer, pair.names.target_layer)[index]
    return {
        "plan": pair.plans[index],
        "layer": layer,
        **(pair.contents[index] or {"edition": None}),
    }


def _pairs_of_classes(pair: PairReport) -> Iterator[dict[str, Any]]:
    """The totals without their units; areas are sums of the closed rows."""
    sums: dict[tuple[Any, ...], float] = {}
    for key, area in pair.totals.closed_rows():
        sums[key[1:]] = sums.get(key[1:], 0.0) + area
    counts: dict[tuple[Any, ...], int] = {}
    for patch in pair.totals.patches:
        part = patch.part
        name = (part.subject_class, part.target_class, patch.relation, patch.kind)
        counts[name] = counts.get(name, 0) + 1
    for name, area in sums.items():
        yield {
            "subject": class_json(pair.names.subject_classes[name[0]]),
            "target": class_json(pair.names.target_classes[name[1]]),
            "relation": name[2],
            "kind": name[3],
            "patches": counts.get(name, 0),
            "area_m2": round(area, 2),
        }


def _units(pair: PairReport) -> Iterator[dict[str, Any]]:
    """For each administrative unit the areas by relation and kind; sums of the closed rows."""
    sums: dict[str | None, dict[str, float]] = {}
    for key, area in pair.totals.closed_rows():
        mine = sums.setdefault(key.unit, {})
        name = key.kind or key.relation
        mine[name] = round(mine.get(name, 0.0) + area, 2)
    for unit in sorted(sums, key=lambda code: (code is None, code or "")):
        whole = round(sum(sums[unit].values()), 2)
        yield {"admin_code": unit, "area_m2": whole, "by_kind": dict(sorted(sums[unit].items()))}


def _touches(totals: PairTotals) -> dict[tuple[int, int], tuple[int, float]]:
    sums: dict[tuple[int, int], tuple[int, float]] = {}
    for touch in totals.touches:
        count, length = sums.get((touch.subject_class, touch.target_class), (0, 0.0))
        sums[(touch.subject_class, touch.target_class)] = (
            count + touch.count, length + touch.length_m,
        )  # fmt: skip
    return dict(sorted(sums.items()))


def _no_data(pair: PairReport) -> Iterator[dict[str, Any]]:
    """The layers without data for a part of the ground: never the same as no contradiction."""
    for index, side in enumerate(("subject", "target")):
        layer = (pair.names.subject_layer, pair.names.target_layer)[index]
        if pair.contents[index] is None:
            yield {"plan": pair.plans[index], "layer": layer, "area_m2": None}
            continue
        blobs = pair.totals.gaps.get(side, [])
        area = sum(area_m2(shape) for shape in shapely.from_wkb(np.array(blobs, dtype=object)))
        if round(area, 2) > 0:
            yield {"plan": pair.plans[index], "layer": layer, "area_m2": round(float(area), 2)}


def touch_rows(pair: PairReport) -> Iterator[dict[str, Any]]:
    """Contacts for map layers, one row for each pair of classes in a cell."""
    for touch in pair.totals.touches:
        yield {
            "kind": "touch",
            "rule_id": pair.rule.id,
            "subject_layer": pair.names.subject_layer,
            "target_layer": pair.names.target_layer,
            "subject": class_json(pair.names.subject_classes[touch.subject_class]),
            "target": class_json(pair.names.target_classes[touch.target_class]),
            "count": touch.count,
            "length_m": round(touch.length_m, 2),
            "geometry": geometry_json(rounded(shapely.from_wkb(touch.wkb))),
        }


def gap_rows(pair: PairReport) -> Iterator[dict[str, Any]]:
    """Ground without data for map layers, cell by cell."""
    for index, side in enumerate(("subject", "target")):
        layer = (pair.names.subject_layer, pair.names.target_layer)[index]
        for blob in pair.totals.gaps.get(side, []):
            shape = shapely.from_wkb(blob)
            yield {
                "kind": "no-data",
                "rule_id": pair.rule.id,
                "plan": pair.plans[index],
                "layer": layer,
                "area_m2": round(area_m2(shape), 2),
                "geometry": geometry_json(rounded(shape)),
            }
