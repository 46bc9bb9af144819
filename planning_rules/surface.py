"""The test of height surfaces: the top of a project under the lowest surface above its site.

A surface (obstacle limitation surface of an airport, view corridor) is a polygon with the
elevation of its inner edge and a slope. At a place it lies at ``elevation + slope * distance`` to
the inner edge: a straight edge counts as a line without end (approach and transitional surfaces
are planes), a bent one as it is (a cone rises from the rim of the inner horizontal surface). The
lowest point over a site is therefore found exactly, from the part of the site nearest to the
edge; sampling vertices and a triangulation could only find a higher one.

A sloping surface that does not say its inner edge is nowhere lower than its stated elevation: a
project below that is clear of it, anything higher is undetermined.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from layers.area import area_m2
from layers.crs import LocalPlane, distance_m
from layers.text import Text
from planning_rules.finding import Figure, TestResult
from planning_rules.kinds import Case
from planning_rules.limits import read_figure
from planning_rules.overlay import SharedPart, TargetFeature, intersection
from planning_rules.patch import Patch

_ENDLESS_M: Final = 100_000.0
"""A straight inner edge is drawn out by this; the longest surfaces reach 15 km (MH 5001)."""
_STRAIGHT_M: Final = 0.05
_LEVEL: Final = 0.0


@dataclass(frozen=True, slots=True)
class _Surface:
    """One feature as a height surface; ``edge`` is None for a level one or where it is unknown."""

    elevation_m: float
    slope: float
    edge: BaseGeometry | None

    @property
    def is_exact(self) -> bool:
        """Whether the height at a place is known, not only a lower bound of it."""
        return self.slope == _LEVEL or self.edge is not None


@dataclass(frozen=True, slots=True)
class _Above:
    """What one surface leaves: its lowest height over the site and the way to that place."""

    part: SharedPart
    surface: _Surface
    lowest_m: float


def check_surface(case: Case) -> TestResult:
    """Holds when the top is at most the lowest surface minus the clearance; equality holds."""
    asked = case.rule.test.surface
    if asked is None:
        raise TypeError("no surface test")
    shared, doubts = _above(case)
    doubts = [*doubts, *case.filter_doubts()]
    if not shared:
        return TestResult(
            verdict="unknown" if doubts else "holds",
            message=Text(
                zh="项目范围上方没有高度限制面。", en="No height surface lies above the site."
            ),
            doubts=tuple(doubts),
        )
    top, problem = _top_elevation(case)
    lowest = min(shared, key=lambda a: (a.lowest_m, a.part.feature.feature_id))
    limit_m = round(lowest.lowest_m - asked.clearance.value, 2)
    limit = {"value": limit_m, "unit": "m"}
    if top is None:
        return TestResult(
            verdict="unknown", message=_lowest_message(lowest.lowest_m), limit=limit,
            doubts=(*([problem] if problem else []), *doubts),
        )  # fmt: skip
    over = [a for a in shared if top > round(a.lowest_m - asked.clearance.value, 2)]
    pierced = [a for a in over if a.surface.is_exact]
    doubts += [_unknown_slope(a.part.feature) for a in over if not a.surface.is_exact]
    return TestResult(
        verdict="fails" if pierced else "holds",
        message=_message(top, limit_m),
        measured=Figure("top_elevation", top, "m"),
        limit=limit,
        patches=tuple(_patch(case, a, top + asked.clearance.value) for a in pierced),
        doubts=tuple(doubts),
        details=tuple(_detail(a) for a in shared),
    )


def _above(case: Case) -> tuple[list[_Above], list[Text]]:
    """The surfaces over the site with their lowest heights, and doubts about unreadable ones."""
    admitted = case.selected()
    found: list[_Above] = []
    doubts: list[Text] = []
    for part in case.overlay.shared:
        if part.body is None or admitted[part.feature.fid] is not True:
            continue
        surface = _read(case, part.feature)
        if surface is None:
            doubts.append(_unreadable(part.feature))
        else:
            found.append(_Above(part, surface, surface.elevation_m + _rise_m(part.body, surface)))
    return found, doubts


def _read(case: Case, feature: TargetFeature) -> _Surface | None:
    asked = case.rule.test.surface
    if asked is None:
        return None
    elevation = _number(feature.attributes, asked.elevation)
    slope = _number(feature.attributes, asked.slope, missing=_LEVEL)
    if elevation is None or slope is None or slope < 0:
        return None
    edge = _edge(feature.attributes.get(asked.inner_edge.removeprefix("target.")))
    return _Surface(elevation, slope, edge)


def _number(
    attributes: Mapping[str, Any], name: str, *, missing: float | None = None
) -> float | None:
    value = attributes.get(name.removeprefix("target."))
    if value is None:
        return missing
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if np.isfinite(value) else None


def _edge(text: Any) -> BaseGeometry | None:
    """The inner edge from WKT (lon/lat); a straight one is drawn out to both sides."""
    if not isinstance(text, str):
        return None
    try:
        line = shapely.from_wkt(text)
    except ShapelyError:
        return None
    if line is None or line.is_empty or line.geom_type not in ("LineString", "MultiLineString"):
        return None
    plane = LocalPlane.around(line)
    metres = plane.to_metres(line)
    ends = shapely.get_coordinates(metres)[[0, -1]]
    length = float(np.hypot(*(ends[1] - ends[0])))
    chord = shapely.linestrings(ends)
    if length == 0 or shapely.hausdorff_distance(metres, chord) > _STRAIGHT_M:
        return line
    step = (ends[1] - ends[0]) / length * _ENDLESS_M
    endless: BaseGeometry = plane.to_degrees(shapely.linestrings([ends[0] - step, ends[1] + step]))
    return endless


def _rise_m(body: BaseGeometry, surface: _Surface) -> float:
    """How much higher than its inner edge the surface is at the place of the site nearest to it."""
    if surface.slope == _LEVEL or surface.edge is None:
        return 0.0
    return surface.slope * distance_m(_nearest_point(body, surface.edge), surface.edge)


def _nearest_point(body: BaseGeometry, edge: BaseGeometry) -> BaseGeometry:
    plane = LocalPlane.around(body)
    line = shapely.shortest_line(plane.to_metres(body), plane.to_metres(edge))
    point: BaseGeometry = plane.to_degrees(shapely.get_point(line, 0))
    return point


def _top_elevation(case: Case) -> tuple[float | None, Text | None]:
    """The project's top above the datum of the rule, or why it is not known."""
    datum, stated = case.rule.subject.vertical_datum, case.attributes.get("vertical_datum")
    if datum is not None and stated != datum:
        return None, Text(
            zh=f"须说明高程基准为“{datum}”（vertical_datum），当前为：{stated or '未填'}。",
            en=f"The heights must state the vertical datum '{datum}' (vertical_datum); given: "
            f"{stated or 'nothing'}.",
        )
    name = case.rule.subject.property or "top_elevation_m"
    reading = read_figure(case.attributes.get(name), "m")
    if reading.value is None:
        problem = reading.problem or Text(zh="缺失", en="missing")
        return None, Text(
            zh=f"项目顶部高程（{name}）{problem.zh}。",
            en=f"The top elevation of the project ({name}) is {problem.en}.",
        )
    return round(reading.value, 2), None


def _patch(case: Case, above: _Above, top_m: float) -> Patch:
    """The part of the site over which the surface lies lower than the top."""
    body = above.part.body
    assert body is not None  # _above keeps no other
    pierced = _lower_than(body, above.surface, top_m)
    return Patch(
        kind="conflict",
        layer=case.overlay.target.layer,
        edition=case.overlay.target.edition,
        feature_id=above.part.feature.feature_id,
        code=None,
        area_m2=area_m2(pierced) if shapely.get_dimensions(pierced) == 2 else 0.0,
        width_m=None,
        geometry=pierced,
    )


def _lower_than(body: BaseGeometry, surface: _Surface, top_m: float) -> BaseGeometry:
    if surface.slope == _LEVEL or surface.edge is None:
        return body
    reach_m = (top_m - surface.elevation_m) / surface.slope
    plane = LocalPlane.around(body)
    near = shapely.buffer(plane.to_metres(surface.edge), reach_m, quad_segs=32)
    part: BaseGeometry = intersection(body, plane.to_degrees(near))
    kept = part if shapely.get_dimensions(part) == shapely.get_dimensions(body) else body
    return body if kept.is_empty or kept.geom_type == "GeometryCollection" else kept


def _detail(above: _Above) -> dict[str, Any]:
    return {
        "feature_id": above.part.feature.feature_id,
        "lowest_m": round(above.lowest_m, 2),
        "exact": above.surface.is_exact,
    }


def _lowest_message(lowest_m: float) -> Text:
    return Text(
        zh=f"项目范围上方限制面的最低高程为 {lowest_m:,.2f} 米。",
        en=f"The lowest surface over the site is at {lowest_m:,.2f} m.",
    )


def _message(top_m: float, limit_m: float) -> Text:
    return Text(
        zh=f"项目顶部高程 {top_m:,.2f} 米，限制高程 {limit_m:,.2f} 米。",
        en=f"The top of the project is at {top_m:,.2f} m; the limit is {limit_m:,.2f} m.",
    )


def _unreadable(feature: TargetFeature) -> Text:
    return Text(
        zh=f"限制面 {feature.feature_id} 的高程或坡度缺失或无法识别。",
        en=f"Elevation or slope of the surface {feature.feature_id} is missing or cannot be read.",
    )


def _unknown_slope(feature: TargetFeature) -> Text:
    return Text(
        zh=f"限制面 {feature.feature_id} 有坡度但未给出起算边，无法确定该处限制高程。",
        en=f"The surface {feature.feature_id} slopes but does not say its inner edge; its height "
        "over the site is not known.",
    )
