"""The tests that measure geometry: overlap, within, distance.

A figure is judged as it is printed: rounded to 0.01 m2 or 0.01 m first, then compared. So no
reader ever sees "200.00 m, at least 200 m: violation".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely

from layers.crs import distance_m
from layers.text import Text
from planning_rules.condition import holds, parse_condition
from planning_rules.finding import Figure, TestResult
from planning_rules.overlay import (
    LayerOverlay,
    Site,
    TargetFeature,
    difference,
    intersection,
    union,
)
from planning_rules.patch import Measured, Patch, measure_outside, measure_shared
from planning_rules.rule import Rule
from planning_rules.rule_set import CompatibilityMatrix, ResolvedTolerance

_QUANTITIES: Final = {2: ("area", "m2"), 1: ("length", "m"), 0: ("count", "1")}
_PLANE_SLACK: Final = 1.03
"""The local plane of a site of 200 km is out by up to 1 %; candidates are chosen with room."""

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

    def selected(self) -> dict[int, bool | None]:
        """fid -> whether the rule's filter admits the feature; None where it cannot be known."""
        text = self.rule.target.filter
        if text is None:
            return {feature.fid: True for feature in self.overlay.features}
        condition = parse_condition(text)
        return {f.fid: holds(condition, f.attributes) for f in self.overlay.features}

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
        found = []
        strips = any(patch.kind == "accuracy-difference" for patch in measured.patches)
        if strips and self.rule.rigidity == "rigid":
            found.append(_ACCURACY)
        admitted = self.selected()
        if None in admitted.values():
            unclear = measure_shared(
                self.site, self.overlay, self.tolerance, lambda f: admitted[f.fid] is None
            )
            if unclear.features_with("conflict"):
                found.append(_unclear_features(self.rule.target.filter or ""))
        return tuple(found)


_ACCURACY: Final = Text(
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
        message=_amount_message(
            amount,
            unit,
            limit,
            "项目与管控图斑重叠",
            "The site shares",
            "with the controlled areas",
        ),
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


def _amount_message(amount: float, unit: str, limit: float, zh: str, en: str, en_tail: str) -> Text:
    figure = f"{amount:,.0f}" if unit == "1" else f"{amount:,.2f}"
    return Text(
        zh=f"{zh} {figure} {_UNITS_ZH[unit]}，上限 {limit:g} {_UNITS_ZH[unit]}。",
        en=f"{en} {figure} {_UNITS_EN[unit]} {en_tail}; the limit is {limit:g} {_UNITS_EN[unit]}.",
    )


def check_within(case: Case) -> TestResult:
    """Holds when what lies outside all targets together is at most ``max_outside_area``."""
    asked = case.rule.test.within
    if asked is None:
        raise TypeError("no within test")
    site, overlay = case.site, case.overlay
    admitted = case.selected()
    bodies = [p.body for p in overlay.shared if p.body is not None and admitted[p.feature.fid]]
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
        message=_amount_message(
            amount, unit, limit, "项目超出规定范围", "The site has", "outside the required area"
        ),
        measured=Figure(f"outside_{quantity}", amount, unit),
        limit={"value": limit, "unit": unit},
        patches=measured.patches,
        doubts=case.doubts(measured),
    )


def _of_dimension(geometry: Any, dimension: int) -> Any | None:
    parts = shapely.get_parts(shapely.get_parts(geometry))
    parts = parts[(shapely.get_dimensions(parts) == dimension) & ~shapely.is_empty(parts)]
    return union(parts) if len(parts) else None


@dataclass(frozen=True, slots=True)
class _Nearest:
    """The nearest feature of one class, and the least distance that is asked of the class."""

    feature: TargetFeature
    distance_m: float
    minimum_m: float
    piece: Any


def check_distance(case: Case) -> TestResult:
    """Holds when the nearest feature (of every class) is at least the minimum away."""
    asked = case.rule.test.distance
    if asked is None:
        raise TypeError("no distance test")
    found, doubts = _nearest_by_class(case)
    if not found:
        least = max(q.value for q in asked.minima())
        return TestResult(
            verdict="holds",
            message=Text(
                zh=f"搜索范围 {case.margin_m:,.0f} 米内没有目标要素，间距要求 {least:g} 米。",
                en=f"Nothing lies within {case.margin_m:,.0f} m; the minimum is {least:g} m.",
            ),
            measured=Figure("distance", None, "m", beyond_m=case.margin_m),
            limit={"value": least, "unit": "m"},
            doubts=doubts,
        )
    # The tightest one: how far short of, or beyond, its own minimum.
    tightest = min(found, key=lambda n: (n.distance_m - n.minimum_m, n.feature.feature_id))
    fails = [nearest for nearest in found if nearest.distance_m < nearest.minimum_m]
    return TestResult(
        verdict="fails" if fails else "holds",
        message=Text(
            zh=f"与最近目标要素的距离为 {tightest.distance_m:,.2f} 米，要求不小于 "
            f"{tightest.minimum_m:g} 米。",
            en=f"The nearest feature is {tightest.distance_m:,.2f} m away; at least "
            f"{tightest.minimum_m:g} m is required.",
        ),
        measured=Figure("distance", tightest.distance_m, "m"),
        limit={"value": tightest.minimum_m, "unit": "m"},
        patches=tuple(_distance_patch(case, nearest) for nearest in fails),
        doubts=doubts,
    )


def _nearest_by_class(case: Case) -> tuple[list[_Nearest], tuple[Text, ...]]:
    asked = case.rule.test.distance
    overlay, admitted = case.overlay, case.selected()
    if asked is None or len(overlay.pieces) == 0:
        return [], ()
    plane_distances = _plane_distances(case)
    classes: dict[str, list[int]] = {}
    minima: dict[str, float] = {}
    doubts = set()
    for index, owner in enumerate(overlay.owners):
        feature = overlay.features[owner]
        name, minimum = _minimum(case.rule, feature)
        if admitted[feature.fid] is False or plane_distances[index] > case.margin_m * _PLANE_SLACK:
            continue
        if minimum is None or admitted[feature.fid] is None:
            doubts.add((feature.feature_id, name))
            continue
        classes.setdefault(name, []).append(index)
        minima[name] = minimum
    nearest = [_nearest(case, classes[n], plane_distances, minima[n]) for n in sorted(classes)]
    texts = [_unknown_class(feature_id, name) for feature_id, name in sorted(doubts)]
    return [n for n in nearest if n.distance_m <= case.margin_m], tuple(texts)


def _plane_distances(case: Case) -> Any:
    """Distances in the local plane, to choose candidates; the figure itself is geodesic."""
    plane = case.site.plane
    site = plane.to_metres(case.site.geometry)
    return shapely.distance(site, plane.to_metres(case.overlay.pieces))


def _minimum(rule: Rule, feature: TargetFeature) -> tuple[str, float | None]:
    asked = rule.test.distance
    if asked is None:
        return "", None
    if asked.min is not None:
        return "", asked.min.value
    if asked.min_by is None:
        return "", None
    value = feature.attributes.get(asked.min_by.property.removeprefix("target."))
    quantity = asked.min_by.map.get(value) if isinstance(value, str) else None
    return str(value), None if quantity is None else quantity.value


def _nearest(case: Case, indices: list[int], plane_distances: Any, minimum: float) -> _Nearest:
    near = plane_distances[indices].min() * _PLANE_SLACK + 0.01
    best = (math.inf, "", 0)
    for index in indices:
        if plane_distances[index] <= near:
            feature = case.overlay.features[case.overlay.owners[index]]
            exact = distance_m(case.site.geometry, case.overlay.pieces[index])
            best = min(best, (round(exact, 2), feature.feature_id, index))
    feature = case.overlay.features[case.overlay.owners[best[2]]]
    return _Nearest(feature, best[0], minimum, case.overlay.pieces[best[2]])


def _distance_patch(case: Case, nearest: _Nearest) -> Patch:
    """The shortest line from the site to the feature, or what they share, as evidence."""
    plane = case.site.plane
    if nearest.distance_m > 0:
        metres = plane.to_metres(np.array([case.site.geometry, nearest.piece], dtype=object))
        line = plane.to_degrees(shapely.shortest_line(metres[0], metres[1]))
    else:
        line = intersection(case.site.geometry, nearest.piece)
    return Patch(
        kind="conflict",
        layer=case.overlay.target.layer,
        edition=case.overlay.target.edition,
        feature_id=nearest.feature.feature_id,
        code=None,
        area_m2=0.0,
        width_m=None,
        geometry=line,
        distance_m=nearest.distance_m,
    )


def _unknown_class(feature_id: str, name: str) -> Text:
    return Text(
        zh=f"附近要素 {feature_id} 的类别“{name}”没有对应的间距规定。",
        en=f"No minimum distance is given for the class '{name}' of the nearby feature "
        f"{feature_id}.",
    )
