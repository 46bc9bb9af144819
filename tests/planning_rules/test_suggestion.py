"""The suggested boundary: areas by hand, and no rigid conflict when it is checked again."""

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from layers.area import area_m2
from planning_rules.overlay import TargetLayer
from planning_rules.report import build_report
from planning_rules.rule_case import ORIGIN, CaseLayer, Shape
from planning_rules.rule_set import RuleSet
from planning_rules.submission import Submission, read_submission
from planning_rules.width import narrower_than

REGION = (108.3, 18.0, 111.3, 20.3)
DAY = date(2026, 5, 1)
OVERLAP = {"overlap": {"max_area": "0 m2"}}
SITE = {"rectangle": (0, 0, 100, 100)}


def zone(*features: dict[str, Any], **options: Any) -> TargetLayer:
    return CaseLayer(features=features, **options).target("zone")  # type: ignore[arg-type]


def report(submission: Submission, layer: TargetLayer, rules: RuleSet, **more: Any) -> Any:
    return build_report(
        submission, {"zone": layer}, rules, DAY, report_id="r", created="2026-05-01T00:00:00Z",
        **more,
    )  # fmt: skip


def shape_of(found: Any) -> Any:
    return shapely.geometry.shape(found["suggested_boundary"]["geometry"])


def test_the_conflict_is_cut_away(rule_set: Callable[..., RuleSet], submit: Any) -> None:
    layer = zone({"rectangle": (60, -10, 200, 110)})
    found = report(submit(SITE), layer, rule_set(OVERLAP))
    said = found["suggested_boundary"]
    kept = Shape(rectangle=(0, 0, 60, 100)).geometry()
    assert said["area_m2"] == pytest.approx(area_m2(kept), abs=0.05)
    assert said["area_m2"] + said["removed_m2"] == pytest.approx(found["submission"]["area_m2"])
    assert (said["parts"], said["cut_to"], said["not_resolved"]) == (1, ["T-RULE-1"], [])
    assert shape_of(found).symmetric_difference(kept).area < 1e-12


def test_a_site_cut_in_two_says_so(rule_set: Callable[..., RuleSet], submit: Any) -> None:
    layer = zone({"rectangle": (40, -10, 60, 110)})
    said = report(submit(SITE), layer, rule_set(OVERLAP))["suggested_boundary"]
    assert said["parts"] == 2
    assert "2 parts" in said["message"]["en"]
    assert "2 块" in said["message"]["zh"]


def test_nothing_may_remain(rule_set: Callable[..., RuleSet], submit: Any) -> None:
    layer = zone({"rectangle": (-10, -10, 110, 110)})
    said = report(submit(SITE), layer, rule_set(OVERLAP))["suggested_boundary"]
    assert (said["geometry"], said["area_m2"], said["parts"]) == (None, 0.0, 0)


def test_strips_and_spikes_go_with_the_conflict(
    rule_set: Callable[..., RuleSet], submit: Any
) -> None:
    """Between two zones 10 mm are left: narrower than the tolerance of 20 mm."""
    layer = zone({"rectangle": (60, -10, 80, 110)}, {"rectangle": (80.01, -10, 200, 110)})
    said = report(submit(SITE), layer, rule_set(OVERLAP))["suggested_boundary"]
    assert said["parts"] == 1
    spike = zone({"polygon": ((60, -10), (200, -10), (200, 110), (60, 110), (60, 50.005),
                              (90, 50.002), (90, 49.998), (60, 49.995))})  # fmt: skip
    found = report(submit(SITE), spike, rule_set(OVERLAP))
    _, _, east, _ = ORIGIN.to_metres(shape_of(found)).bounds
    assert east == pytest.approx(60, abs=0.02)


@pytest.mark.parametrize(
    ("changes", "layer"),
    [
        ({"rigidity": "elastic"}, {"rectangle": (60, -10, 200, 110)}),
        ({"severity": "warning"}, {"rectangle": (60, -10, 200, 110)}),
        ({}, {"rectangle": (100, 0, 200, 100)}),
        ({"test": {"distance": {"min": "50 m"}}}, {"rectangle": (120, 0, 200, 100)}),
    ],
)
def test_no_suggestion_without_a_rigid_conflict_that_a_cut_resolves(
    rule_set: Callable[..., RuleSet], submit: Any, changes: Any, layer: Any
) -> None:
    rules = rule_set(changes.pop("test", OVERLAP), **changes)
    found = report(submit(SITE), zone(layer), rules)
    assert "suggested_boundary" not in found
    assert found["provenance"]["parameters"]["suggested_boundary"] is True


def test_what_lies_outside_is_cut_away_too(rule_set: Callable[..., RuleSet], submit: Any) -> None:
    rules = rule_set({"within": {"max_outside_area": "0 m2"}})
    found = report(submit(SITE), zone({"rectangle": (-10, -10, 70, 110)}), rules)
    kept = Shape(rectangle=(0, 0, 70, 100)).geometry()
    assert found["suggested_boundary"]["area_m2"] == pytest.approx(area_m2(kept), abs=0.05)


def test_a_replay_without_suggestions_has_the_bytes_of_before(
    rule_set: Callable[..., RuleSet], submit: Any
) -> None:
    layer = zone({"rectangle": (60, -10, 200, 110)})
    old = report(submit(SITE), layer, rule_set(OVERLAP), suggest=False)
    assert "suggested_boundary" not in old
    assert "suggested_boundary" not in old["provenance"]["parameters"]
    assert old["digest"] != report(submit(SITE), layer, rule_set(OVERLAP))["digest"]


corner = st.integers(-2000, 2000).map(lambda n: n / 10)
rings = st.lists(st.tuples(corner, corner), min_size=3, max_size=9).map(
    lambda points: shapely.convex_hull(shapely.multipoints(points))
)
zones = st.lists(rings, min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(rings, zones, st.sampled_from(["overlap", "within"]))
def test_the_suggested_boundary_has_no_rigid_conflict(
    rule_set: Callable[..., RuleSet], drawn: Any, targets: list[Any], kind: str
) -> None:
    if shapely.get_dimensions(drawn) < 2 or drawn.area < 10:
        return
    shapes = [t for t in targets if shapely.get_dimensions(t) == 2 and t.area > 1]
    layer = zone(*({"polygon": tuple(shapely.get_coordinates(t)[:-1])} for t in shapes))
    test = OVERLAP if kind == "overlap" else {"within": {"max_outside_area": "0 m2"}}
    rules = rule_set(test)
    first = report(_submitted(ORIGIN.to_degrees(drawn)), layer, rules)
    said = first.get("suggested_boundary")
    if first["outcome"] != "violation":
        assert said is None
        return
    assert said is not None
    if said["geometry"] is None:
        return
    boundary = shape_of(first)
    assert boundary.is_valid
    parts = ORIGIN.to_metres(np.array(shapely.get_parts(boundary), dtype=object))
    assert not narrower_than(parts, 0.015).any()
    again = report(_submitted(boundary), layer, rules)
    assert again["outcome"] == "pass"
    assert [p for f in again["findings"] for p in f["patches"] if p["kind"] == "conflict"] == []
    assert again["submission"]["area_m2"] == pytest.approx(said["area_m2"], abs=0.02)


def _submitted(geometry: Any) -> Submission:
    feature = {
        "type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(geometry),
    }  # fmt: skip
    return read_submission(feature, region_bbox=REGION)
