"""The test of least distances: geodesic, for every class of the target, equality passes."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely

from layers.crs import distance_m
from layers.text import Text
from planning_rules.finding import Figure, TestResult
from planning_rules.kinds import Case
from planning_rules.overlay import TargetFeature, difference, intersection, polygon_parts
from planning_rules.patch import Patch
from planning_rules.rule import Rule
from planning_rules.width import narrower_than

_PLANE_SLACK: Final = 1.03
"""The local plane of a site of 200 km is out by up to 1 %; candidates are chosen with room."""


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
    if _data_ends_near(case, max(q.value for q in asked.minima())):
        doubts = (*doubts, _NO_DATA_NEAR)
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


_NO_DATA_NEAR: Final = Text(
    zh="最小间距范围内有部分区域没有该图层数据，不能视为没有目标要素。",
    en="There is no data for a part of the surroundings within the minimum distance; that is not "
    "the same as no feature.",
)
_SAME_PLACE_M: Final = 0.005
_MIN_WIDTH_M: Final = 0.02
"""Narrower strips without data stem from cutting, as under the site itself."""


def _data_ends_near(case: Case, minimum_m: float) -> bool:
    """Whether a place in the region nearer than the minimum is not covered by the layer.

    Holes are measured, not the site buffered: a buffer of a site of 100 000 vertices takes
    minutes. What lies far off may be unread, and is farther than the minimum anyway.
    """
    target, plane = case.overlay.target, case.site.plane
    if target.coverage is None:
        return False
    site = plane.to_metres(case.site.geometry)
    west, south, east, north = site.bounds
    far = minimum_m * _PLANE_SLACK
    around = plane.to_degrees(shapely.box(west - far, south - far, east + far, north + far))
    if target.region is not None:
        around = intersection(around, shapely.box(*target.region))
    holes = polygon_parts(difference(around, shapely.from_wkb(target.coverage)))
    if len(holes) == 0:
        return False
    metres = plane.to_metres(holes)
    metres = metres[~narrower_than(metres, _MIN_WIDTH_M)]
    shapely.prepare(site)
    return bool(shapely.dwithin(site, metres, minimum_m - _SAME_PLACE_M).any())


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
