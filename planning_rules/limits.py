"""The test of attribute limits: every figure of the project on every plan parcel it lies on.

Never an average over parcels; equality satisfies; whatever cannot be read is undetermined.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from layers.text import Text
from planning_rules.finding import Figure, TestResult
from planning_rules.kinds import Case
from planning_rules.overlay import TargetFeature
from planning_rules.patch import without_conflicts
from planning_rules.rule import Limit

_NUMBER: Final = re.compile(r"^\s*(-?[0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(%|％|m|米|)\s*$")
_NAMES_ZH: Final = {
    "floor_area_ratio": "容积率", "building_density": "建筑密度",
    "building_height_m": "建筑高度", "green_ratio": "绿地率",
}  # fmt: skip
_NAMES_EN: Final = {
    "floor_area_ratio": "floor area ratio", "building_density": "building density",
    "building_height_m": "building height", "green_ratio": "green ratio",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure as understood, or the reason why it is not; ``note`` says how it was read."""

    value: float | None
    problem: Text | None = None
    note: Text | None = None


def read_figure(
    value: Any, unit: str, *, from_plan: bool = False, at_least: bool = False
) -> Reading:
    """Read a figure in the unit of a limit (``1``, ``m`` or ``%``).

    A project's bare number in (0, 1] for a percent is a fraction (0.35 = 35 %); above 1 it is a
    percent. Plans state percents, so there a bare fraction is ambiguous and not guessed; nor is a
    figure that must be ``at_least`` something, for 1 read as 100 % would satisfy every limit.
    """
    number, sign = _number(value)
    if number is None:
        return Reading(None, _problem(value))
    if (sign in ("%", "％") and unit != "%") or (sign in ("m", "米") and unit != "m"):
        return Reading(None, _problem(value))
    if number < 0:
        return Reading(None, _problem(value))
    if unit != "%":
        return Reading(number)
    note = None
    if sign == "" and 0 < number <= 1:
        if from_plan:
            return Reading(None, _problem(value))
        if at_least:
            return Reading(None, _AMBIGUOUS)
        note = Text(
            zh=f"{number:g} 按比例读作 {number * 100:g} %",
            en=f"{number:g} was read as the fraction {number * 100:g} %",
        )
        number = number * 100
    return Reading(number, None, note) if number <= 100 else Reading(None, _problem(value))


_AMBIGUOUS: Final = Text(
    zh="不大于 1 的数含义不明，请写 35 % 或 35",
    en="a number up to 1 is ambiguous, write 35 % or 35",
)


def _number(value: Any) -> tuple[float | None, str]:
    if isinstance(value, str):
        match = _NUMBER.match(value)
        return (float(match.group(1)), match.group(2)) if match else (None, "")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, ""
    return (float(value), "") if math.isfinite(value) else (None, "")


def _problem(value: Any) -> Text:
    if value is None:
        return Text(zh="缺失", en="missing")
    shown = str(value)[:40]
    return Text(zh=f"“{shown}”无法识别", en=f"'{shown}' cannot be read")


def check_limits(case: Case) -> TestResult:
    """Hold every limit against every parcel that has a conflict-size share of the site."""
    measured = case.measure(together=False)
    sure = measured.features_with("conflict")
    strips = measured.features_with("accuracy-difference") - sure
    parcels = [f for f in case.overlay.features if f.feature_id in sure | strips]
    details = [
        {**_compare(case, limit, parcel), "strip": parcel.feature_id in strips}
        for parcel in parcels
        for limit in case.rule.test.limits or ()
    ]
    doubts = list(case.filter_doubts(together=False))
    decided = []
    for detail in details:
        if not detail.pop("strip"):
            decided.append(detail)
        elif detail["result"] != "holds" and case.rule.rigidity == "rigid":
            doubts.append(_strip_doubt(detail))
    if not decided:
        nothing = Text(
            zh="项目范围内没有可核查的规划地块，无法核查指标。",
            en="No plan parcel is known to lie under the site; its limits cannot be checked.",
        )
        return TestResult("unknown", nothing, patches=measured.patches, doubts=tuple(doubts))
    open_parcels = {d["feature_id"] for d in decided if d["result"] != "holds"}
    worst = min(decided, key=lambda d: _ORDER[d["result"]])
    return TestResult(
        verdict=worst["result"],
        message=_message(decided),
        measured=Figure(worst["attribute"], worst["value"], worst["unit"]),
        limit={"value": worst["bound"], "unit": worst["unit"], "op": worst["op"]},
        patches=without_conflicts(measured.patches, open_parcels),
        doubts=(*_unknowns(decided), *doubts),
        details=tuple(decided),
    )


_ORDER: Final = {"fails": 0, "unknown": 1, "holds": 2}


def _compare(case: Case, limit: Limit, parcel: TargetFeature) -> dict[str, Any]:
    """One figure of the project against one bound of one parcel."""
    bound_name = limit.bound.removeprefix("target.")
    given = case.attributes.get(limit.attribute)
    value = read_figure(given, limit.unit, at_least=limit.op == ">=")
    bound = read_figure(parcel.attributes.get(bound_name), limit.unit, from_plan=True)
    detail: dict[str, Any] = {
        "feature_id": parcel.feature_id,
        "attribute": limit.attribute,
        "op": limit.op,
        "unit": limit.unit,
        "value": None if value.value is None else round(value.value, 4),
        "bound": None if bound.value is None else round(bound.value, 4),
        "result": "unknown",
    }
    for role, reading in ((limit.attribute, value), (bound_name, bound)):
        for text in filter(None, (reading.problem, reading.note)):
            detail["note"] = {"zh": f"{role}：{text.zh}", "en": f"{role}: {text.en}"}
    if detail["value"] is not None and detail["bound"] is not None:
        satisfied = (
            detail["value"] <= detail["bound"]
            if limit.op == "<="
            else detail["value"] >= detail["bound"]
        )
        detail["result"] = "holds" if satisfied else "fails"
    return detail


def _strip_doubt(detail: Mapping[str, Any]) -> Text:
    parcel = detail["feature_id"]
    return Text(
        zh=f"地块 {parcel} 仅有精度差异级的条带，其指标若适用则不满足，须人工复核。",
        en=f"Parcel {parcel} is met by a strip within the accuracy only; its limits would not "
        "hold, which needs manual review.",
    )


def _unknowns(details: list[dict[str, Any]]) -> list[Text]:
    unknown = [d for d in details if d["result"] == "unknown"]
    names = sorted({(str(d["note"]["zh"]), str(d["note"]["en"])) for d in unknown})
    return [
        Text(zh=f"指标无法判定（{zh}）。", en=f"A limit could not be judged ({en}).")
        for zh, en in names
    ]


def _message(details: list[dict[str, Any]]) -> Text:
    parcels = len({d["feature_id"] for d in details})
    shown = [d for d in details if d["result"] == "fails"][:6]
    reads = {(d["note"]["zh"], d["note"]["en"]) for d in details
             if "note" in d and d["result"] != "unknown"}  # fmt: skip
    if not shown:
        counted = sum(d["result"] == "holds" for d in details)
        head = Text(
            zh=f"涉及 {parcels} 个规划地块，{counted}/{len(details)} 项指标满足。",
            en=f"{parcels} plan parcel(s), {counted} of {len(details)} limits hold.",
        )
    else:
        head = Text(
            zh="；".join(_broken_zh(d) for d in shown) + "。",
            en="; ".join(_broken_en(d) for d in shown) + ".",
        )
    return Text(
        zh=head.zh + "".join(f"（{zh}）" for zh, _ in sorted(reads)),
        en=head.en + "".join(f" ({en})" for _, en in sorted(reads)),
    )


def _broken_zh(detail: Mapping[str, Any]) -> str:
    unit = "" if detail["unit"] == "1" else {"%": " %", "m": " 米"}[detail["unit"]]
    word = "上限" if detail["op"] == "<=" else "下限"
    name = _NAMES_ZH.get(detail["attribute"], detail["attribute"])
    over = "超过" if detail["op"] == "<=" else "低于"
    return (
        f"地块 {detail['feature_id']}：{name} {detail['value']:g}{unit} {over}"
        f"{word} {detail['bound']:g}{unit}"
    )


def _broken_en(detail: Mapping[str, Any]) -> str:
    unit = "" if detail["unit"] == "1" else f" {detail['unit']}"
    word = "above the maximum" if detail["op"] == "<=" else "below the minimum"
    name = _NAMES_EN.get(detail["attribute"], detail["attribute"])
    return (
        f"parcel {detail['feature_id']}: {name} {detail['value']:g}{unit} is {word} "
        f"{detail['bound']:g}{unit}"
    )
