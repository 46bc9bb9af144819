"""Cases in which something wrong once passed: every one is a violation or undetermined."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import shapely

from planning_rules.canonical_json import geometry_json
from planning_rules.engine import judge
from planning_rules.overlay import TargetFeature, TargetLayer
from planning_rules.report import build_report
from planning_rules.rule_case import Shape
from planning_rules.submission import read_submission

Judged = Callable[..., Any]
Zone = Callable[..., TargetLayer]
SITE = {"rectangle": (0, 0, 100, 100)}
OVERLAP = {"overlap": {"max_area": "0 m2"}}
HALVES = ({"rectangle": (0, 0, 100, 50)}, {"rectangle": (0, 50, 100, 100)})
STATUS = {"layer": "zone", "filter": "status = 'in-force'"}
USES = {"compatibility": {"matrix": "m", "max_share": {"forbidden": "0 %", "conditional": "15 %"}}}
FAR = {
    "limits": [{"attribute": "floor_area_ratio", "op": "<=", "bound": "target.far_max", "unit": 1}]
}


def use(rectangle: Any, code: str = "07", **more: Any) -> dict[str, Any]:
    attributes = {"landuse_code": code, "code_scheme": "landuse-2023", **more}
    return {"rectangle": rectangle, "attributes": attributes}


# Lines and points on inner boundaries.
@pytest.mark.parametrize(
    ("site", "value"),
    [
        ({"line": ((0, 50), (100, 50))}, 100),
        ({"line": ((-30, 50), (130, 50))}, 100),
        ({"line": ((20, 20), (20, 50), (80, 50))}, 90),
        ({"point": (50, 50)}, 1),
    ],
)
def test_the_edge_between_two_parcels_is_inside_both_together(
    judged: Judged, zone_of: Zone, site: Any, value: float
) -> None:
    whole = judged(OVERLAP, site, zone_of(SITE))
    split = judged(OVERLAP, site, zone_of(*HALVES))
    for finding in (whole, split):
        assert finding.outcome == "violation"
        assert finding.result.measured.value == pytest.approx(value, abs=0.02)


@pytest.mark.parametrize(
    "site",
    [{"line": ((0, 0), (100, 0))}, {"line": ((0, 0), (0, 100))}, {"point": (0, 50)},
     {"line": ((-50, 50), (0, 50))}],
)  # fmt: skip
def test_the_outer_edge_is_still_a_touch(judged: Judged, zone_of: Zone, site: Any) -> None:
    finding = judged(OVERLAP, site, zone_of(*HALVES))
    assert finding.outcome == "pass"
    assert {patch.kind for patch in finding.result.patches} == {"touch"}


def test_a_feature_that_is_not_asked_for_makes_no_inside(judged: Judged, zone_of: Zone) -> None:
    core, other = ({**h, "attributes": {"zone": z}} for h, z in zip(HALVES, "ab", strict=True))
    target = {"layer": "zone", "filter": "zone = 'a'"}
    line = {"line": ((0, 50), (100, 50))}
    assert judged(OVERLAP, line, zone_of(core, other), target=target).outcome == "pass"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([((50, -50), (50, 50))], "violation"),
        ([((50, -50), (50, 0)), ((50, 0), (50, 50))], "violation"),
        ([((50, 0), (50, 50))], "pass"),
        ([((0, -50), (0, 50))], "pass"),
    ],
    ids=["crosses", "crosses where two features meet", "ends on the site", "site ends on it"],
)
def test_a_line_that_crosses_a_line(
    judged: Judged, zone_of: Zone, lines: Any, expected: str
) -> None:
    layer = zone_of(*({"line": line} for line in lines))
    assert judged(OVERLAP, {"line": ((0, 0), (100, 0))}, layer).outcome == expected


# Filters that cannot be decided.
def test_a_parcel_with_an_unknown_filter_is_not_dropped(judged: Judged, zone_of: Zone) -> None:
    limited = {**SITE, "attributes": {"far_max": 1.0}}
    finding = judged(FAR, SITE, zone_of(limited), {"floor_area_ratio": 9}, target=STATUS)
    assert finding.outcome == "undetermined"
    both = zone_of({**SITE, "attributes": {"far_max": 10, "status": "in-force"}}, limited)
    finding = judged(FAR, SITE, both, {"floor_area_ratio": 9}, target=STATUS)
    assert finding.outcome == "undetermined"
    parcels = zone_of(use((0, 0, 100, 100), status="in-force"), use((0, 0, 50, 100), "10"))
    finding = judged(USES, SITE, parcels, {"proposed_use": "07"}, target=STATUS)
    assert finding.outcome == "undetermined"


def test_an_unclear_strip_of_a_rigid_line(judged: Judged, zone_of: Zone) -> None:
    target = {"layer": "zone", "filter": "zone = 'core'"}
    strip = zone_of({"rectangle": (98, 0, 300, 100)}, accuracy_m=5.0)
    assert judged(OVERLAP, SITE, strip, target=target).outcome == "undetermined"
    # Unclear and admitted together are wide enough, also for an elastic rule.
    pair = zone_of(
        {"rectangle": (97, 0, 300, 100)},
        {"rectangle": (94, 0, 97, 100), "attributes": {"zone": "core"}},
        accuracy_m=5.0,
    )
    assert judged(OVERLAP, SITE, pair, target=target, rigidity="elastic").outcome == "undetermined"


# Compatibility and limits.
def test_a_small_share_of_a_large_site_is_a_house(judged: Judged, zone_of: Zone) -> None:
    site = {"rectangle": (0, 0, 10_000, 10_000)}
    parcels = zone_of(
        use((0, 0, 70, 70), "09"), use((70, 0, 10_000, 70)), use((0, 70, 10_000, 10_000))
    )
    finding = judged(USES, site, parcels, {"proposed_use": "07"})
    assert finding.outcome == "violation"
    assert finding.result.measured.unit == "m2"
    assert "0.005 % does not" in finding.message.en
    assert finding.result.measured.value == pytest.approx(4900, rel=0.01)


@pytest.mark.parametrize("rigidity", ["rigid", "elastic"])
def test_narrow_parcels_side_by_side_are_one_use(
    judged: Judged, zone_of: Zone, rigidity: str
) -> None:
    site = {"rectangle": (0, 0, 20, 100)}
    strips = [use((i * 0.4, 0, (i + 1) * 0.4, 100), "09") for i in range(50)]
    layer = zone_of(*strips, accuracy_m=0.5)
    finding = judged(USES, site, layer, {"proposed_use": "07"}, rigidity=rigidity)
    assert finding.outcome == "violation"


def test_a_forbidden_strip_of_a_rigid_plan_is_reviewed(judged: Judged, zone_of: Zone) -> None:
    layer = zone_of(use((0, 0, 99.6, 100)), use((99.6, 0, 200, 100), "09"), accuracy_m=0.5)
    attributes = {"proposed_use": "07"}
    assert judged(USES, SITE, layer, attributes).outcome == "undetermined"
    assert judged(USES, SITE, layer, attributes, rigidity="elastic").outcome == "pass"


def test_no_parcel_under_the_site_is_undetermined(judged: Judged, zone_of: Zone) -> None:
    attributes = {"proposed_use": "07", "floor_area_ratio": 9}
    for test in (USES, FAR):
        assert judged(test, SITE, zone_of(), attributes).outcome == "undetermined"
    half = zone_of(use((0, 0, 50, 100)))
    assert judged(USES, SITE, half, attributes).outcome == "undetermined"
    assert judged(USES, SITE, zone_of(use((0, 0, 100, 100))), attributes).outcome == "pass"
    violation = zone_of(use((0, 0, 50, 100), "09"))
    assert judged(USES, SITE, violation, attributes).outcome == "violation"


def test_a_feature_without_an_id_still_counts(judged: Judged) -> None:
    table = {"decision_table": {"hit_policy": "UNIQUE", "inputs": ["target.g"],
                                "rows": [{"in": ["I"], "out": "violation"}]}}  # fmt: skip
    piece = shapely.to_wkb(Shape(rectangle=(0, 0, 100, 100)).geometry())
    world = shapely.to_wkb(shapely.box(109, 18, 111, 20))
    layer = TargetLayer("zone", 1, None, 0.0, world, (TargetFeature(1, "", {"g": "I"}, (piece,)),))
    assert judged(table, SITE, layer).outcome == "violation"


# Distances and places without data.
REGION = (107.9, 17.6, 111.9, 20.7)


def with_coverage(layer: TargetLayer, *holes: Any, **changes: Any) -> TargetLayer:
    covered = shapely.box(*REGION)
    for hole in holes:
        covered = shapely.difference(covered, Shape(rectangle=hole).geometry())
    return replace(layer, coverage=shapely.to_wkb(covered), **changes)


@pytest.mark.parametrize(
    ("hole", "expected"),
    [
        ((140, -500, 160, 600), "undetermined"),
        ((299, -500, 310, 600), "undetermined"),
        ((301, -500, 310, 600), "pass"),
        ((150, -500, 150.01, 600), "pass"),
        ((290, 290, 300, 300), "pass"),
    ],
    ids=["near", "just inside", "beyond", "a cut", "in the corner of the box only"],
)
def test_a_hole_in_the_data_within_the_minimum(
    judged: Judged, zone_of: Zone, hole: Any, expected: str
) -> None:
    test = {"distance": {"min": "200 m"}}
    assert judged(test, SITE, with_coverage(zone_of(), hole)).outcome == expected
    near = zone_of({"line": ((130, -500), (130, 600))})
    assert judged(test, SITE, with_coverage(near, hole)).outcome == "violation"


def test_beyond_the_region_no_data_is_expected(judged: Judged, zone_of: Zone) -> None:
    test = {"distance": {"min": "200 m"}}
    edge = Shape(rectangle=(-900, -900, 150, 900)).geometry().bounds
    cut = replace(zone_of(), coverage=shapely.to_wkb(shapely.box(*edge)))
    assert judged(test, SITE, cut).outcome == "undetermined"
    assert judged(test, SITE, replace(cut, region=edge)).outcome == "pass"


# What the applicant says.
@pytest.mark.parametrize("accuracy", [1e6, 1.01, -1, "coarse", True, [1]])
def test_an_applicant_cannot_switch_rules_off_by_accuracy(
    judged: Judged, zone_of: Zone, submit: Any, accuracy: Any
) -> None:
    finding = judged(OVERLAP, SITE, zone_of(SITE), {"accuracy_m": accuracy}, rigidity="elastic")
    assert finding.outcome == "violation"
    assert "accuracy-ignored" in [note.code for note in submit(SITE, accuracy_m=accuracy).notes]
    assert [note.code for note in submit(SITE, accuracy_m=1.0).notes] == ["datum-not-provable"]


def test_a_parcel_does_not_borrow_answers() -> None:
    def parcel(west: float, **properties: Any) -> dict[str, Any]:
        shape = Shape(rectangle=(west, 0, west + 50, 50)).geometry()
        return {"type": "Feature", "properties": properties, "geometry": geometry_json(shape)}

    one = {"document": "甲", "number": "1"}
    two = {"document": "乙", "number": "2"}
    collection = {
        "type": "FeatureCollection",
        "features": [
            parcel(0, land_take=False, name="东", documents=[one], declared_area_m2=5, same=1),
            parcel(300, documents=[one, two], same=1),
        ],
    }
    submission = read_submission(collection, region_bbox=REGION)
    assert submission.attributes == {
        "land_take": None, "name": "东", "documents": [one, two], "declared_area_m2": None,
        "same": 1,
    }  # fmt: skip
    noted = [note.text.en for note in submission.notes if note.code == "parcels-differ"]
    assert len(noted) == 2
    assert "'land_take'" in noted[1]


def test_green_ratio_1_is_not_100_percent(judged: Judged, zone_of: Zone) -> None:
    test = {"limits": [{"attribute": "green_ratio", "op": ">=", "bound": "target.g", "unit": "%"}]}
    layer = zone_of({**SITE, "attributes": {"g": 30}})
    assert judged(test, SITE, layer, {"green_ratio": 1}).outcome == "undetermined"
    assert judged(test, SITE, layer, {"green_ratio": 30}).outcome == "pass"


# Reports and rules that have ended.
def report_on(rules: Any, submission: Any, layer: TargetLayer, day: str) -> dict[str, Any]:
    return build_report(
        submission, {"zone": layer}, rules, date.fromisoformat(day), report_id="R", created="C"
    )


def test_a_report_in_which_nothing_was_checked_is_no_pass(
    rule_set: Any, submit: Any, zone_of: Zone
) -> None:
    early = report_on(rule_set(OVERLAP), submit(SITE), zone_of(), "2000-01-01")
    assert early["outcome"] == "undetermined"
    assert "nothing was checked" in early["summary"]["en"]
    assert report_on(rule_set(OVERLAP), submit(SITE), zone_of(), "2026-05-01")["outcome"] == "pass"


@pytest.mark.parametrize(
    ("features", "options", "changes", "expected"),
    [
        ([SITE], {}, {}, "undetermined"),
        ([SITE], {}, {"superseded_by": "T-RULE-1"}, "undetermined"),
        ([SITE], {}, {"superseded_by": None}, "not-applicable"),
        ([{"rectangle": (100, 0, 200, 100)}], {}, {}, "not-applicable"),
        ([], {}, {}, "not-applicable"),
        ([], {"coverage": "none"}, {}, "undetermined"),
        ([], {"coverage": (-10, -10, 50, 110)}, {}, "undetermined"),
        ([SITE], {}, {"target": {"layer": "zone", "filter": "a = 1"}}, "undetermined"),
        ([], {}, {"test": {"within": {"max_outside_area": "0 m2"}}}, "undetermined"),
        ([{"rectangle": (150, 0, 200, 100)}], {}, {"test": {"distance": {"min": "60 m"}}},
         "undetermined"),
        ([{"rectangle": (180, 0, 200, 100)}], {}, {"test": {"distance": {"min": "60 m"}}},
         "not-applicable"),
    ],
)  # fmt: skip
def test_a_rule_that_ended_without_its_successor(
    rule_set: Any, submit: Any, zone_of: Zone, features: Any, options: Any, changes: Any,
    expected: str,
) -> None:  # fmt: skip
    parts = {"test": OVERLAP, "superseded_by": "T-RULE-2", **changes}
    rules = rule_set(parts.pop("test"), valid={"from": "2020-01-01", "to": "2026-01-01"}, **parts)
    layer = zone_of(*features, **options)
    (finding,) = judge(submit(SITE), {"zone": layer}, rules, date(2026, 1, 2))
    assert finding.outcome == expected
    if expected == "undetermined":
        assert "successor" in finding.message.en


@pytest.mark.parametrize("feature", [{"line": ((-50, 50), (150, 50))}, {"point": (50, 50)}])
def test_a_layer_of_lines_or_points_is_concerned(
    rule_set: Any, submit: Any, zone_of: Zone, feature: Any
) -> None:
    report = report_on(rule_set(OVERLAP), submit(SITE), zone_of(feature), "2026-05-01")
    assert report["outcome"] == "violation"
    assert [e["state"] for e in report["layers"] if e["layer"] == "zone"] == ["concerned"]
