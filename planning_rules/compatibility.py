"""Compatibility of the proposed use with the plan: shares of the site by matrix value."""

from typing import Any

import numpy as np

from layers.area import area_m2
from layers.text import Text
from planning_rules.finding import Figure, TestResult
from planning_rules.kinds import Case
from planning_rules.overlay import TargetFeature, union
from planning_rules.patch import without_conflicts
from planning_rules.rule import UseVerdict
from planning_rules.rule_set import CompatibilityMatrix


def check_compatibility(case: Case) -> TestResult:
    """Holds when no matrix value takes more of the site than ``max_share`` admits."""
    test, matrix = case.rule.test.compatibility, case.matrix
    if test is None or matrix is None:
        raise TypeError("no compatibility test or matrix")
    project_code = case.attributes.get(case.rule.subject.property or "proposed_use")
    measured = case.measure(together=False)
    concerned = measured.features_with("conflict")
    bodies: dict[str, list[Any]] = {"forbidden": [], "conditional": [], "permitted": []}
    doubts: list[Text] = []
    details = []
    for part in case.overlay.shared:
        if part.body is None or part.feature.feature_id not in concerned:
            continue
        verdict, doubt = _verdict(case, matrix, project_code, part.feature)
        if doubt is not None:
            doubts.append(doubt)
        else:
            bodies[verdict or test.default].append(part.body)
        details.append(
            {
                "feature_id": part.feature.feature_id,
                "plan_code": _text(part.feature.attributes.get(_plan_property(case))),
                "project_code": _text(project_code),
                "verdict": None if doubt else verdict or test.default,
            }
        )
    shares = {name: _share(case, found) for name, found in bodies.items()}
    limits = {"forbidden": test.max_share.forbidden, "conditional": test.max_share.conditional}
    fails = [name for name, limit in limits.items() if shares[name] > limit.value]
    worst = fails[0] if fails else "forbidden"
    return TestResult(
        verdict="fails" if fails else "holds",
        message=_message(shares),
        measured=Figure(f"share_{worst}", shares[worst], "%"),
        limit={"value": limits[worst].value, "unit": "%"},
        patches=without_conflicts(
            measured.patches,
            {d["feature_id"] for d in details if d["verdict"] in (None, *fails)},
        ),
        doubts=tuple(dict.fromkeys(doubts)),
        details=tuple(details),
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


def _share(case: Case, bodies: list[Any]) -> float:
    """Percent of the site, of the union of the parts; rounded as it is judged and printed."""
    if not bodies or case.area_m2 <= 0:
        return 0.0
    return round(100 * area_m2(union(np.array(bodies, dtype=object))) / case.area_m2, 2)


def _message(shares: dict[str, float]) -> Text:
    return Text(
        zh=f"与规划用途相容 {shares['permitted']:g} %，有条件相容 {shares['conditional']:g} %，"
        f"不相容 {shares['forbidden']:g} %（占项目面积）。",
        en=f"Of the site, {shares['permitted']:g} % agrees with the planned use, "
        f"{shares['conditional']:g} % does so with conditions, {shares['forbidden']:g} % does not.",
    )
