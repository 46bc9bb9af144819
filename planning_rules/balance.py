"""The test of quotas: what a project takes, held against what the ledger has left.

The ground that counts is cut by administrative unit (and by land class where the key says so), so
that a project on a border draws on each unit's own quota. A unit without a quota, ground in no
unit, ground whose class cannot be read: undetermined. Equality with what is left passes. Strips
within the accuracy of the survey count: they are taken as the plan draws them, never waived.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from shapely import MultiPolygon
from shapely.geometry.base import BaseGeometry

from layers.area import area_m2
from layers.text import Text
from planning_rules.area_expression import AreaExpression
from planning_rules.compatibility import NO_PARCEL, is_open
from planning_rules.finding import Figure, TestResult
from planning_rules.kinds import Case
from planning_rules.overlay import (
    LayerOverlay,
    TargetFeature,
    difference,
    intersection,
    polygon_parts,
    union,
)
from planning_rules.patch import Patch, PatchKind, measure_shared, without_conflicts
from planning_rules.quota import ANY_CLASS, Quota
from planning_rules.rule import BalanceTest
from planning_rules.rule_set import lineage
from planning_rules.width import narrower_than

_COUNTED: Final[tuple[PatchKind, ...]] = ("conflict", "accuracy-difference")
_ORDER: Final = {"fails": 0, "unknown": 1, "holds": 2}


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a balance reads besides its layer: units, quotas, and the day that chooses a period."""

    units: LayerOverlay
    quotas: tuple[Quota, ...]
    as_of: date


@dataclass(frozen=True, slots=True)
class _Take:
    """Ground of one land class in one unit; ``admin_code`` None where no unit is known."""

    admin_code: str | None
    land_class: str
    area_m2: float


def check_balance(case: Case) -> TestResult:
    """Holds when every quota that the project draws on has enough left."""
    asked, ledger = case.rule.test.balance, case.ledger
    if asked is None or ledger is None:
        raise TypeError("no balance test or ledger")
    takes, patches, doubts = _takes(case, asked, ledger)
    details = [_compare(case, asked, take, ledger) for take in takes if take.admin_code is not None]
    homeless = [take for take in takes if take.admin_code is None]
    if homeless:
        doubts.append(_NO_UNIT)
    doubts += [_no_quota(detail) for detail in details if detail["result"] == "unknown"]
    worst = min(details, key=lambda d: (_ORDER[d["result"]], -d["quantity_m2"]), default=None)
    fails = worst is not None and worst["result"] == "fails"
    return TestResult(
        verdict="fails" if fails else "unknown" if doubts else "holds",
        message=_message(details),
        measured=Figure("quota_area", worst["quantity_m2"] if worst else 0.0, "m2"),
        limit=_limit(worst),
        patches=patches if fails else without_conflicts(patches, ()),
        doubts=tuple(dict.fromkeys(doubts)),
        details=tuple(details),
    )


def _takes(
    case: Case, asked: BalanceTest, ledger: Ledger
) -> tuple[list[_Take], tuple[Patch, ...], list[Text]]:
    """The ground that counts, by unit and class, its patches, and what cannot be read."""
    expression = asked.expression
    if expression.layer is None:
        return _by_unit(case, ledger, case.site.geometry, ANY_CLASS), (), []
    split = "land_class" in case.rule.target.key
    classes, unread = _classes(case, expression, asked.scheme)
    takes: list[_Take] = []
    patches: list[Patch] = []
    for name in sorted(set(classes.values())) if split else [ANY_CLASS]:
        mine = {fid for fid, one in classes.items() if name in (ANY_CLASS, one)}
        found = measure_shared(case.site, case.overlay, case.tolerance, _among(mine))
        patches += found.patches
        ground = [p.geometry for p in found.patches if p.kind in _COUNTED]
        if ground:
            takes += _by_unit(case, ledger, union(np.array(ground, dtype=object)), name)
    return takes, tuple(patches), _doubts(case, unread)


def _classes(
    case: Case, expression: AreaExpression, scheme: str
) -> tuple[dict[int, str], dict[int, Text]]:
    """fid -> the listed code that counts a feature; and why others cannot be told."""
    classes: dict[int, str] = {}
    unread: dict[int, Text] = {}
    name = case.rule.target.property or "landuse_code"
    for part in case.overlay.shared:
        feature = part.feature
        if part.body is None:
            continue
        code = feature.attributes.get(name)
        if not isinstance(code, str) or not code or feature.attributes.get("code_scheme") != scheme:
            unread[feature.fid] = _unreadable(feature, scheme)
            continue
        listed = next((one for one in lineage(code) if one in expression.codes), None)
        if listed is not None:
            classes[feature.fid] = listed
    return classes, unread


def _among(fids: Collection[int]) -> Callable[[TargetFeature], bool]:
    return lambda feature: feature.fid in fids


def _doubts(case: Case, unread: Mapping[int, Text]) -> list[Text]:
    doubts: list[Text] = []
    if unread:
        unclear = measure_shared(
            case.site, case.overlay, case.tolerance, _among(unread)
        ).features_with(*_COUNTED)
        doubts += [
            unread[f.fid]
            for f in case.overlay.features
            if f.fid in unread and f.feature_id in unclear
        ]
    if is_open(case, _COUNTED):
        doubts.append(NO_PARCEL)
    return doubts


def _by_unit(case: Case, ledger: Ledger, ground: BaseGeometry, land_class: str) -> list[_Take]:
    """Cut ground by the units in the order of their codes; what overlaps counts once."""
    takes: list[_Take] = []
    rest = ground
    for code, body in sorted(_unit_bodies(ledger.units).items()):
        if (mine := _polygons(intersection(rest, body))) is not None:
            takes.append(_Take(code, land_class, round(area_m2(mine), 2)))
            rest = difference(rest, body)
    left = polygon_parts(rest)
    wide = left[~narrower_than(case.site.plane.to_metres(left), case.tolerance.min_width_m)]
    if len(wide):
        takes.append(_Take(None, land_class, round(area_m2(MultiPolygon(list(wide))), 2)))
    return [take for take in takes if take.area_m2 > 0]


def quotas_concerned(units: LayerOverlay, quotas: Iterable[Quota]) -> list[Quota]:
    """The quotas of the units that the site lies in: what a report pins."""
    mine = _unit_bodies(units)
    return [quota for quota in quotas if quota.admin_code in mine]


def _unit_bodies(units: LayerOverlay) -> dict[str, BaseGeometry]:
    parts: dict[str, list[BaseGeometry]] = {}
    for part in units.shared:
        code = part.feature.attributes.get("admin_code")
        if part.body is not None and isinstance(code, str) and code:
            parts.setdefault(code, []).append(part.body)
    return {code: union(np.array(bodies, dtype=object)) for code, bodies in parts.items()}


def _polygons(geometry: BaseGeometry) -> BaseGeometry | None:
    parts = polygon_parts(geometry)
    return MultiPolygon(list(parts)) if len(parts) else None


def _compare(case: Case, asked: BalanceTest, take: _Take, ledger: Ledger) -> dict[str, Any]:
    target = case.rule.target
    quota = next(
        (
            q
            for q in ledger.quotas
            if (q.ledger, q.admin_code, q.land_class)
            == (target.ledger, take.admin_code, take.land_class)
            and q.contains(ledger.as_of)
            and ("year" not in target.key or q.first.year == q.last.year)
        ),
        None,
    )
    detail: dict[str, Any] = {
        "ledger": target.ledger,
        "admin_code": take.admin_code,
        "period": None if quota is None else quota.period,
        "land_class": take.land_class,
        "quantity_m2": take.area_m2,
        "granted_m2": None if quota is None else quota.granted_m2,
        "remaining_m2": None if quota is None else quota.remaining_m2,
        "reserve": asked.reserve,
    }
    if quota is None:
        return {**detail, "result": "unknown"}
    # Both to the cent, as printed: equality is enough left.
    return {**detail, "result": "holds" if take.area_m2 <= quota.remaining_m2 else "fails"}


def _limit(worst: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if worst is None or worst["remaining_m2"] is None:
        return None
    return {"value": worst["remaining_m2"], "unit": "m2", "op": "<="}


def _message(details: list[dict[str, Any]]) -> Text:
    known = [d for d in details if d["result"] != "unknown"]
    if not details:
        return Text(zh="项目不需要占用该指标。", en="The project draws on no quota.")
    zh = "；".join(
        f"{d['admin_code']}（{d['period']}）需 {d['quantity_m2']:,.2f} 平方米，"
        f"台账剩余 {d['remaining_m2']:,.2f} 平方米"
        for d in known
    )
    en = "; ".join(
        f"{d['admin_code']} ({d['period']}): {d['quantity_m2']:,.2f} m² needed, "
        f"{d['remaining_m2']:,.2f} m² left"
        for d in known
    )
    if not known:
        total = sum(d["quantity_m2"] for d in details)
        return Text(
            zh=f"项目需占用指标 {total:,.2f} 平方米。", en=f"The project needs {total:,.2f} m²."
        )
    return Text(zh=f"{zh}。", en=f"{en}.")


_NO_UNIT: Final = Text(
    zh="项目部分范围不在任何行政区内，或该处没有行政区数据，无法确定指标归属。",
    en="A part of the site lies in no administrative unit, or the units there are not known, so "
    "nobody's quota can be named for it.",
)


def _no_quota(detail: Mapping[str, Any]) -> Text:
    ledger, unit, land_class = detail["ledger"], detail["admin_code"], detail["land_class"]
    name = unit if land_class == ANY_CLASS else f"{unit} / {land_class}"
    return Text(
        zh=f"指标台账“{ledger}”中没有 {name} 在核查日期的指标，不能视为有余额。",
        en=f"The ledger '{ledger}' holds no quota of {name} for that day; that is not the same as "
        "enough left.",
    )


def _unreadable(feature: TargetFeature, scheme: str) -> Text:
    return Text(
        zh=f"图斑 {feature.feature_id} 缺少 {scheme} 的地类代码，无法确定是否计入指标。",
        en=f"The parcel {feature.feature_id} has no code of {scheme}; it is not known whether it "
        "counts.",
    )
