"""The tests that measure shares of the site: overlap and within.

A figure is judged as it is printed: rounded to 0.01 m2 or 0.01 m first, then compared. So no
reader ever sees "200.00 m, at least 200 m: violation".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from layers.text import Text
from planning_rules.condition import holds, parse_condition
from planning_rules.contact import joined
from planning_rules.finding import Figure, TestResult
from planning_rules.overlay import (
    LayerOverlay,
    Site,
    difference,
    union,
)
from planning_rules.patch import Measured, measure_outside, measure_shared
from planning_rules.rule import Rule
from planning_rules.rule_set import CompatibilityMatrix, ResolvedTolerance

if TYPE_CHECKING:
    from planning_rules.balance import Ledger

_QUANTITIES: Final = {2: ("area", "m2"), 1: ("length", "m"), 0: ("count", "1")}
_UNITS_ZH: Final = {"m2": "平方米", "m": "米", "1": "处"}
_UNITS_EN: Final = {"m2": "m²", "m": "m", "1": "place(s)"}


@dataclass(frozen=True, slots=True)
class Case:
    """Everything one test may look at."""

    site: Site
    attributes: Mapping[str, Any]
    area_m2: float
    overlay: LayerOverlay
    rule: Rule
    tolerance: ResolvedTolerance
    margin_m: float
    matrix: CompatibilityMatrix | None = None
    ledger: "Ledger | None" = None

    def selected(self) -> dict[int, bool | None]:
        """fid -> whether the rule's filter admits the feature; None where it cannot be known."""
        text = self.rule.target.filter
        if text is None:
            return {feature.fid: True for feature in self.overlay.features}
        key = ("selected", text)
        if key not in self.overlay.memory:
            condition = parse_condition(text)
            self.overlay.memory[key] = {
                f.fid: holds(condition, f.attributes) for f in self.overlay.features
            }
        found: dict[int, bool | None] = self.overlay.memory[key]
        return found

    def measure(self, *, together: bool = True) -> Measured:
        """What the site shares with the selected features; measured once for equal questions."""
        rule, tolerance = self.rule, self.tolerance
        key = (rule.target.filter, tolerance, together)
        if key not in self.overlay.memory:
            admitted = self.selected()
            self.overlay.memory[key] = measure_shared(
                self.site, self.overlay, tolerance, lambda f: admitted[f.fid] is True,
                together=together,
            )  # fmt: skip
        found: Measured = self.overlay.memory[key]
        return found

    def doubts(self, measured: Measured) -> tuple[Text, ...]:
        """What keeps the rule from passing although no conflict was measured."""
        strips = any(patch.kind == "accuracy-difference" for patch in measured.patches)
        doubted = strips and self.rule.rigidity == "rigid"
        return (*((ACCURACY_DOUBT,) if doubted else ()), *self.filter_doubts())

    def filter_doubts(self, *, together: bool = True) -> tuple[Text, ...]:
        """The doubt about features that the filter may or may not admit.

        They are measured together with the admitted ones: a strip of an unclear feature beside a
        strip of an admitted one may be wide enough with it.
        """
        admitted = self.selected()
        unclear = {f.feature_id for f in self.overlay.features if admitted[f.fid] is None}
        if not unclear:
            return ()
        possible = measure_shared(
            self.site, self.overlay, self.tolerance, lambda f: admitted[f.fid] is not False,
            together=together,
        )  # fmt: skip
        concerned = possible.features_with("conflict")
        if self.rule.rigidity == "rigid":
            concerned |= possible.features_with("accuracy-difference")
        if not unclear & concerned:
            return ()
        return (_unclear_features(self.rule.target.filter or ""),)


ACCURACY_DOUBT: Final = Text(
    zh="存在宽度不超过数据综合标称精度的条带，刚性管控须人工复核。",
    en="A strip is not wider than the combined stated accuracy of the data; a rigid line needs "
    "manual review.",
)


def _unclear_features(condition: str) -> Text:
    return Text(
        zh=f"部分压占图斑缺少判断“{condition}”所需的属性。",
        en=f"Some features under the site lack the attributes that '{condition}' asks for.",
    )


def check_overlap(case: Case) -> TestResult:
    """Holds when what is shared, after the tolerance, is at most ``max_area``."""
    asked = case.rule.test.overlap
    if asked is None:
        raise TypeError("no overlap test")
    measured = case.measure()
    amount = round(measured.amount, 2)
    quantity, unit = _QUANTITIES[_shared_dimension(case, measured)]
    fails = amount > asked.max_area.value if unit == "m2" else amount > 0
    limit = asked.max_area.value if unit == "m2" else 0.0
    return TestResult(
        verdict="fails" if fails else "holds",
        message=_amount_message(measured, amount, unit, limit, _SHARED, _NOTHING_SHARED),
        measured=Figure(f"overlap_{quantity}", amount, unit),
        limit={"value": limit, "unit": unit},
        patches=measured.patches,
        doubts=case.doubts(measured),
    )


def _shared_dimension(case: Case, measured: Measured) -> int:
    found = [
        int(shapely.get_dimensions(patch.geometry))
        for patch in measured.patches
        if patch.kind == "conflict"
    ]
    return max(found, default=case.site.dimension)


_SHARED: Final = Text(zh="项目与管控图斑重叠", en="Shared with the controlled areas:")
_NOTHING_SHARED: Final = Text(zh="项目未压占管控图斑", en="The site takes no controlled area")
_OUTSIDE: Final = Text(zh="项目超出规定范围", en="Outside the required area:")
_NOTHING_OUTSIDE: Final = Text(
    zh="项目没有超出规定范围的部分", en="No part of the site is known to lie outside"
)


def _amount_message(
    measured: Measured, amount: float, unit: str, limit: float, some: Text, nothing: Text
) -> Text:
    """The figure with its limit; for none, words, and how many patches are recorded only."""
    if amount == 0:
        recorded = len(measured.patches)
        zh = f"（另记录相接或容差内图斑 {recorded} 处）" if recorded else ""
        en = f" ({recorded} contact(s) or strip(s) within tolerance recorded)" if recorded else ""
        return Text(zh=f"{nothing.zh}{zh}。", en=f"{nothing.en}{en}.")
    figure = f"{amount:,.0f}" if unit == "1" else f"{amount:,.2f}"
    return Text(
        zh=f"{some.zh} {figure} {_UNITS_ZH[unit]}，上限 {limit:g} {_UNITS_ZH[unit]}。",
        en=f"{some.en} {figure} {_UNITS_EN[unit]}; the limit is {limit:g} {_UNITS_EN[unit]}.",
    )


def check_within(case: Case) -> TestResult:
    """Holds when what lies outside all targets together is at most ``max_outside_area``."""
    asked = case.rule.test.within
    if asked is None:
        raise TypeError("no within test")
    site, overlay = case.site, case.overlay
    admitted = case.selected()
    chosen = [part for part in overlay.shared if admitted[part.feature.fid]]
    bodies = [p.body for p in joined(site, overlay, chosen) if p.body is not None]
    outside: Any = site.geometry
    if bodies:
        outside = difference(outside, union(np.array(bodies, dtype=object)))
    if overlay.uncovered is not None:
        outside = difference(outside, overlay.uncovered)
    outside = _of_dimension(outside, site.dimension)
    empty = Measured(0.0, {}, ())
    measured = empty if outside is None else measure_outside(
        site, overlay, outside, case.tolerance
    )  # fmt: skip
    amount = round(measured.amount, 2)
    quantity, unit = _QUANTITIES[site.dimension]
    limit = asked.max_outside_area.value if unit == "m2" else 0.0
    return TestResult(
        verdict="fails" if amount > limit else "holds",
        message=_amount_message(measured, amount, unit, limit, _OUTSIDE, _NOTHING_OUTSIDE),
        measured=Figure(f"outside_{quantity}", amount, unit),
        limit={"value": limit, "unit": unit},
        patches=measured.patches,
        doubts=case.doubts(measured),
    )


def _of_dimension(geometry: Any, dimension: int) -> Any | None:
    parts = shapely.get_parts(shapely.get_parts(geometry))
    parts = parts[(shapely.get_dimensions(parts) == dimension) & ~shapely.is_empty(parts)]
    return union(parts) if len(parts) else None
