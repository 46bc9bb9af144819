"""Compatibility of the proposed use with the plan: shares of the site by matrix value."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from layers.text import Text
from planning_rules.finding import Figure, TestResult
from planning_rules.kinds import ACCURACY_DOUBT, Case
from planning_rules.overlay import TargetFeature, difference, polygon_parts, union
from planning_rules.patch import Measured, PatchKind, measure_outside, measure_shared
from planning_rules.quantity import Quantity
from planning_rules.rule import UseVerdict
from planning_rules.rule_set import CompatibilityMatrix

GRID_M: Final = 0.001
"""The storage grid in metres."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """The matrix value of each admitted feature (fid), and why some have none."""

    verdicts: dict[int, UseVerdict]
    reasons: dict[int, Text]


def check_compatibility(case: Case) -> TestResult:
    """Holds when no matrix value takes more of the site than ``max_share`` admits.

    Each value is measured on the union of its parcels, so that many narrow parcels side by side
    are one use; what no parcel covers keeps the rule from passing.
    """
    test, matrix = case.rule.test.compatibility, case.matrix
    if test is None or matrix is None:
        raise TypeError("no compatibility test or matrix")
    if test.max_share is None or test.default == "undetermined":
        raise TypeError("a compatibility test between plans")
    judged = _judge_features(case, matrix, test.default)
    measured = {value: _measure(case, judged, value) for value in _VALUES}
    unknown = measure_shared(
        case.site, case.overlay, case.tolerance, lambda f: f.fid in judged.reasons
    )
    areas = {value: found.amount for value, found in measured.items()}
    limits: dict[UseVerdict, Quantity] = {
        "forbidden": test.max_share.forbidden,
        "conditional": test.max_share.conditional,
    }
    fails = [v for v in _LIMITED if _exceeds(case, measured[v], limits[v])]
    worst = fails[0] if fails else _LIMITED[0]
    figure, limit = _figure(case, worst, areas[worst], limits[worst], bool(fails))
    patches = [
        patch
        for value, found in (*measured.items(), (None, unknown))
        for patch in found.patches
        if patch.kind != "conflict" or value is None or value in fails
    ]
    return TestResult(
        verdict="fails" if fails else "holds",
        message=_message({v: _shown_share(case, area) for v, area in areas.items()}),
        measured=figure,
        limit=limit,
        patches=tuple(patches),
        doubts=_doubts(case, judged, measured, unknown),
        details=_details(case, judged, measured, unknown),
    )


_LIMITED: Final[tuple[UseVerdict, ...]] = ("forbidden", "conditional")
_VALUES: Final[tuple[UseVerdict, ...]] = ("forbidden", "conditional", "permitted")


def _judge_features(case: Case, matrix: CompatibilityMatrix, default: UseVerdict) -> _Judged:
    judged, admitted = _Judged({}, {}), case.selected()
    project_code = case.attributes.get(case.rule.subject.property or "proposed_use")
    for part in case.overlay.shared:
        if part.body is None or admitted[part.feature.fid] is not True:
            continue
        verdict, doubt = _verdict(case, matrix, project_code, part.feature)
        if doubt is not None:
            judged.reasons[part.feature.fid] = doubt
        else:
            judged.verdicts[part.feature.fid] = verdict or default
    return judged


def _measure(case: Case, judged: _Judged, value: UseVerdict) -> Measured:
    return measure_shared(
        case.site, case.overlay, case.tolerance, lambda f: judged.verdicts.get(f.fid) == value
    )


def _exceeds(case: Case, measured: Measured, limit: Quantity) -> bool:
    """Areas are compared, not rounded shares: 0.005 % of a large site is a house.

    The storage grid moves an edge by up to 1 mm; so much more than the share is still equal.
    """
    if limit.value == 0:
        return round(measured.amount, 2) > 0
    edges = math.fsum(
        case.site.plane.to_metres(patch.geometry).length
        for patch in measured.patches
        if patch.kind == "conflict"
    )
    excess: float = measured.amount - case.area_m2 * limit.value / 100
    return excess > GRID_M * edges


def _figure(
    case: Case, value: str, area: float, limit: Quantity, fails: bool
) -> tuple[Figure, dict[str, Any]]:
    """The share; in square metres where the rounded share would not show the excess."""
    share = _share(case, area)
    if fails and share <= limit.value:
        bound = round(case.area_m2 * limit.value / 100, 2)
        return Figure(f"area_{value}", area, "m2"), {"value": bound, "unit": "m2"}
    return Figure(f"share_{value}", share, "%"), {"value": limit.value, "unit": "%"}


def _doubts(
    case: Case, judged: _Judged, measured: dict[UseVerdict, Measured], unknown: Measured
) -> tuple[Text, ...]:
    doubts = list(case.filter_doubts())
    rigid = case.rule.rigidity == "rigid"
    kinds: tuple[PatchKind, ...] = ("conflict", "accuracy-difference") if rigid else ("conflict",)
    unread = unknown.features_with(*kinds)
    doubts.extend(
        judged.reasons[f.fid]
        for f in case.overlay.features
        if f.fid in judged.reasons and f.feature_id in unread
    )
    strips = measured["forbidden"].features_with("accuracy-difference")
    strips |= measured["conditional"].features_with("accuracy-difference")
    if rigid and strips:
        doubts.append(ACCURACY_DOUBT)
    if is_open(case, kinds):
        doubts.append(NO_PARCEL)
    return tuple(dict.fromkeys(doubts))


def is_open(case: Case, kinds: tuple[PatchKind, ...]) -> bool:
    """Whether part of the site lies on no parcel that the filter admits or may admit.

    Found once a layer: several rules ask it, and for a large site it takes a second.
    """
    memory, key = case.overlay.memory, ("open", case.rule.target.filter, case.tolerance)
    if key not in memory:
        memory[key] = _kinds_outside(case)
    found: set[PatchKind] = memory[key]
    return not found.isdisjoint(kinds)


def _kinds_outside(case: Case) -> set[PatchKind]:
    """The kinds of patches outside all parcels; of no parcel at all it is a conflict."""
    admitted, site = case.selected(), case.site
    bodies = [
        part.body
        for part in case.overlay.shared
        if part.body is not None and admitted[part.feature.fid] is not False
    ]
    if case.overlay.uncovered is not None:  # said by the rule for missing data
        bodies.append(case.overlay.uncovered)
    if not bodies:
        return {"conflict"}
    rest = polygon_parts(difference(site.geometry, union(np.array(bodies, dtype=object))))
    if len(rest) == 0:
        return set()
    outside = measure_outside(site, case.overlay, union(rest), case.tolerance)
    return {patch.kind for patch in outside.patches}


NO_PARCEL: Final = Text(
    zh="项目范围部分或全部不在规划地块上，其规划用途未知。",
    en="The site or a part of it lies on no plan parcel; the planned use there is not known.",
)


def _details(
    case: Case, judged: _Judged, measured: dict[UseVerdict, Measured], unknown: Measured
) -> tuple[dict[str, Any], ...]:
    project_code = case.attributes.get(case.rule.subject.property or "proposed_use")
    concerned = {f for found in (*measured.values(), unknown)
                 for f in found.features_with("conflict")}  # fmt: skip
    return tuple(
        {
            "feature_id": feature.feature_id,
            "plan_code": _text(feature.attributes.get(_plan_property(case))),
            "project_code": _text(project_code),
            "verdict": judged.verdicts.get(feature.fid),
        }
        for feature in case.overlay.features
        if feature.feature_id in concerned
        and (feature.fid in judged.verdicts or feature.fid in judged.reasons)
    )


def _plan_property(case: Case) -> str:
    return case.rule.target.property or "landuse_code"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _verdict(
    case: Case, matrix: CompatibilityMatrix, project_code: Any, feature: TargetFeature
) -> tuple[UseVerdict | None, Text | None]:
    """The matrix value, or why there is none to trust: codes, or schemes that differ."""
    plan_code = feature.attributes.get(_plan_property(case))
    scheme = feature.attributes.get("code_scheme")
    if not isinstance(project_code, str) or not project_code:
        return None, Text(zh="项目未注明拟定用途代码。", en="The proposed use is not given.")
    if not isinstance(plan_code, str) or not plan_code:
        return None, Text(zh="规划地块缺少用地代码。", en="A plan parcel has no land-use code.")
    if scheme != matrix.scheme:
        return None, Text(
            zh=f"规划地块的分类体系“{scheme}”与兼容性矩阵（{matrix.scheme}）不同。",
            en=f"The plan's class system '{scheme}' is not the one of the matrix "
            f"({matrix.scheme}).",
        )
    return matrix.verdict(plan_code, project_code), None


def _share(case: Case, area: float) -> float:
    """Percent of the site as it is printed."""
    return round(100 * area / case.area_m2, 2) if case.area_m2 > 0 else 0.0


def _shown_share(case: Case, area: float) -> float:
    """The share for words: never 0 % where there is something."""
    share = _share(case, area)
    return share if share > 0 or area <= 0 else float(f"{100 * area / case.area_m2:.1g}")


def _message(shares: dict[str, float]) -> Text:
    return Text(
        zh=f"与规划用途相容 {shares['permitted']:g} %，有条件相容 {shares['conditional']:g} %，"
        f"不相容 {shares['forbidden']:g} %（占项目面积）。",
        en=f"Of the site, {shares['permitted']:g} % agrees with the planned use, "
        f"{shares['conditional']:g} % does so with conditions, {shares['forbidden']:g} % does not.",
    )
