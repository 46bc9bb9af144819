"""Verdicts: order of evaluation, nothing fails open, and the known defects of other engines.

The defects (reference: planning-rules.md 2.7) each have a test that goes red when the defect is
put in: swapped fields, equality at the limit, unparsable limits, every second parcel, substring
codes, fail-open on error, sum instead of union.
"""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from planning_rules import engine
from planning_rules.canonical_json import canonical
from planning_rules.engine import judge
from planning_rules.finding import worst
from planning_rules.overlay import TargetFeature, TargetLayer
from planning_rules.rule_set import CompatibilityMatrix, RuleSet

SITE = {"rectangle": (0, 0, 100, 100)}
OVERLAP = {"overlap": {"max_area": "0 m2"}}
WITHIN = {"within": {"max_outside_area": "0 m2"}}
HALF = {"rectangle": (50, 0, 200, 100)}
DAY = date(2026, 5, 1)
Judged = Callable[..., Any]
Zone = Callable[..., TargetLayer]

LIMITS = {
    "limits": [
        {"attribute": "floor_area_ratio", "op": "<=", "bound": "target.far_max", "unit": 1},
        {"attribute": "building_density", "op": "<=", "bound": "target.density_max", "unit": "%"},
        {"attribute": "building_height_m", "op": "<=", "bound": "target.height_max", "unit": "m"},
        {"attribute": "green_ratio", "op": ">=", "bound": "target.green_min", "unit": "%"},
    ]
}
AT_LIMIT = {
    "floor_area_ratio": 2.5, "building_density": 35, "building_height_m": 24, "green_ratio": 30,
}  # fmt: skip
BOUNDS = {"far_max": 2.5, "density_max": 35, "height_max": 24, "green_min": 30}


def parcel(rectangle: Any = (0, 0, 100, 100), **bounds: Any) -> dict[str, Any]:
    return {"rectangle": rectangle, "attributes": {**BOUNDS, **bounds}}


def test_ranking() -> None:
    order = ("not-applicable", "pass", "warning", "conditional", "undetermined", "violation")
    for place, outcome in enumerate(order):
        assert worst(*order[: place + 1]) == outcome
        assert worst(*reversed(order[: place + 1])) == outcome


# Swapped fields: each figure is held against its own bound and no other.
@pytest.mark.parametrize(
    ("attribute", "value"),
    [("floor_area_ratio", 2.51), ("building_density", 35.1), ("building_height_m", 24.1),
     ("green_ratio", 29.9)],
)  # fmt: skip
def test_each_figure_has_its_own_bound(
    judged: Judged, zone_of: Zone, attribute: str, value: float
) -> None:
    finding = judged(LIMITS, SITE, zone_of(parcel()), {**AT_LIMIT, attribute: value})
    assert finding.outcome == "violation"
    assert finding.result.measured.quantity == attribute
    assert [d["attribute"] for d in finding.result.details if d["result"] == "fails"] == [attribute]
    # The same number everywhere but in its own field changes nothing.
    loose = {"far_max": 99, "density_max": 99, "height_max": 99, "green_min": 0}
    own = {"floor_area_ratio": "far_max", "building_density": "density_max",
           "building_height_m": "height_max", "green_ratio": "green_min"}[attribute]  # fmt: skip
    only = judged(
        LIMITS, SITE, zone_of(parcel(**{**loose, own: BOUNDS[own]})), {**AT_LIMIT, attribute: value}
    )
    assert only.outcome == "violation"


# Equality at the limit.
def test_equality_satisfies(judged: Judged, zone_of: Zone) -> None:
    assert judged(LIMITS, SITE, zone_of(parcel()), AT_LIMIT).outcome == "pass"


# Every parcel counts, wherever it stands in the list.
@pytest.mark.parametrize("bad", range(5))
def test_every_parcel_is_judged(judged: Judged, zone_of: Zone, bad: int) -> None:
    parcels = [
        parcel((i * 20, 0, i * 20 + 20, 100), **({"height_max": 10} if i == bad else {}))
        for i in range(5)
    ]
    finding = judged(LIMITS, SITE, zone_of(*parcels), AT_LIMIT)
    assert finding.outcome == "violation"
    assert [p.feature_id for p in finding.result.patches] == [f"F{bad + 1}"]
    assert len(finding.result.details) == 20


# A limit that cannot be read never passes, and never hides a violation.
@pytest.mark.parametrize("bound", [None, "", "见图则", "24-36", True, float("inf"), [24], "-3", -3])
def test_an_unreadable_bound_is_undetermined(judged: Judged, zone_of: Zone, bound: Any) -> None:
    finding = judged(LIMITS, SITE, zone_of(parcel(height_max=bound)), AT_LIMIT)
    assert finding.outcome == "undetermined"
    high = {**AT_LIMIT, "floor_area_ratio": 3}
    assert judged(LIMITS, SITE, zone_of(parcel(height_max=bound)), high).outcome == "violation"


@pytest.mark.parametrize("value", [None, "tall", True, [1], {"a": 1}, "24 %", -1])
def test_an_unreadable_figure_is_undetermined(judged: Judged, zone_of: Zone, value: Any) -> None:
    finding = judged(LIMITS, SITE, zone_of(parcel()), {**AT_LIMIT, "building_height_m": value})
    assert finding.outcome == "undetermined"


def test_a_strip_of_the_neighbours_parcel(judged: Judged, zone_of: Zone) -> None:
    mine, strict = parcel((0, 0, 99, 100)), parcel((99, 0, 200, 100), height_max=10)
    review = judged(LIMITS, SITE, zone_of(mine, strict, accuracy_m=2.0), AT_LIMIT)
    assert review.outcome == "undetermined"
    elastic = judged(
        LIMITS, SITE, zone_of(mine, strict, accuracy_m=2.0), AT_LIMIT, rigidity="elastic"
    )
    assert elastic.outcome == "pass"
    equal = judged(LIMITS, SITE, zone_of(mine, parcel((99, 0, 200, 100)), accuracy_m=2.0), AT_LIMIT)
    assert equal.outcome == "pass"


# Codes are equal or inherited level by level; never by substring.
@pytest.mark.parametrize(
    ("plan", "project", "expected"),
    [
        ("07", "07", "permitted"), ("070102", "0701", "permitted"), ("0701", "0801", "conditional"),
        ("09", "0901", "permitted"), ("09", "07", None), ("1007", "0907", None),
        ("0907", "10", None), ("107", "07", None), ("0", "07", None), ("", "07", None),
    ],
)  # fmt: skip
def test_codes_inherit_by_level(plan: str, project: str, expected: str | None) -> None:
    rows = {"07": {"07": "permitted", "08": "conditional"}, "09": {"09": "permitted"}}
    rows |= {"0": {"0": "permitted"}, "070": {"0": "permitted"}, "091": {"10": "permitted"}}
    matrix = CompatibilityMatrix(id="m", scheme="landuse-2023", rows=rows)
    assert matrix.verdict(plan, project) == expected


# Nothing fails open.
def test_an_error_in_measuring_is_undetermined(
    judged: Judged, zone_of: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(engine, "_CHECKS", {**engine._CHECKS, "overlap": broken})
    finding = judged(OVERLAP, SITE, zone_of(HALF))
    assert finding.outcome == "undetermined"
    assert "RuntimeError" in finding.message.en
    assert "secret" not in str(finding.as_json())


def test_a_piece_that_cannot_be_read_is_undetermined(judged: Judged, zone_of: Zone) -> None:
    good = zone_of()
    feature = TargetFeature(1, "F1", {}, (b"\x01\x03garbage",))
    broken = TargetLayer("zone", 1, None, 0.0, good.coverage, (feature,))
    for test in (OVERLAP, WITHIN, LIMITS, {"distance": {"min": "20 m"}}):
        assert judged(test, SITE, broken).outcome == "undetermined"


@pytest.mark.parametrize(
    "test",
    [OVERLAP, WITHIN, LIMITS, {"distance": {"min": "20 m"}},
     {"compatibility": {"matrix": "m", "max_share": {"forbidden": "0 %", "conditional": "9 %"}}},
     {"decision_table": {"hit_policy": "UNIQUE", "inputs": ["target.a"],
                         "rows": [{"in": [1], "out": "violation"}]}}],
)  # fmt: skip
def test_no_data_is_never_a_pass(judged: Judged, zone_of: Zone, test: Any) -> None:
    assert judged(test, SITE, None).outcome == "undetermined"
    assert judged(test, SITE, zone_of(coverage="none")).outcome == "undetermined"
    partly = zone_of(coverage=(-10, -10, 50, 110))
    assert judged(test, SITE, partly).outcome in ("undetermined", "violation")
    strict = judged(test, SITE, zone_of(coverage="none"), missing_data="violation")
    assert strict.outcome == "violation"


def test_a_measured_conflict_stands_beside_missing_data(judged: Judged, zone_of: Zone) -> None:
    layer = zone_of({"rectangle": (0, 0, 40, 100)}, coverage=(-10, -10, 50, 110))
    finding = judged(OVERLAP, SITE, layer)
    assert finding.outcome == "violation"
    assert any("no data" in reason.en for reason in finding.reasons)
    left = (0, 0, 50, 100)
    outside = judged(WITHIN, SITE, zone_of({"rectangle": left}, coverage=left))
    assert outside.outcome == "undetermined"
    assert outside.result.measured.value == 0


# Sum instead of union.
def test_overlapping_targets_count_once(judged: Judged, zone_of: Zone) -> None:
    doubled = zone_of(HALF, HALF, {"rectangle": (40, 0, 60, 100)})
    assert judged(OVERLAP, SITE, doubled).result.measured.value == pytest.approx(6000, rel=1e-3)
    limit = {"overlap": {"max_area": "6500 m2"}}
    assert judged(limit, SITE, doubled).outcome == "pass"


def test_within_takes_all_targets_together(judged: Judged, zone_of: Zone) -> None:
    layer = zone_of({"rectangle": (-9, -9, 40, 109)}, {"rectangle": (40, -9, 109, 109)})
    assert judged(WITHIN, SITE, layer).outcome == "pass"


def test_the_limit_of_an_overlap_is_kept_at_equality(judged: Judged, zone_of: Zone) -> None:
    measured = judged(OVERLAP, SITE, zone_of(HALF)).result.measured.value
    at = {"overlap": {"max_area": f"{measured:.2f} m2"}}
    below = {"overlap": {"max_area": f"{measured - 0.01:.2f} m2"}}
    assert judged(at, SITE, zone_of(HALF)).outcome == "pass"
    assert judged(below, SITE, zone_of(HALF)).outcome == "violation"


# Order of evaluation.
@pytest.mark.parametrize(
    ("day", "applies"),
    [("2019-12-31", False), ("2020-01-01", True), ("2020-06-30", True), ("2020-07-01", False)],
)
def test_validity_includes_both_ends(
    rule_set: Callable[..., RuleSet], submit: Any, zone_of: Zone, day: str, applies: bool
) -> None:
    rules = rule_set(OVERLAP, valid={"from": "2020-01-01", "to": "2020-06-30"})
    (finding,) = judge(submit(SITE), {"zone": zone_of(HALF)}, rules, date.fromisoformat(day))
    assert finding.outcome == ("violation" if applies else "not-applicable")


def test_an_unknown_condition_is_undetermined_and_shows_what_was_measured(
    judged: Judged, zone_of: Zone
) -> None:
    when = {"when": "land_take = TRUE"}
    for attributes in ({}, {"land_take": "yes"}, {"land_take": 1}, {"land_take": None}):
        finding = judged(OVERLAP, SITE, zone_of(HALF), attributes, subject=when)
        assert finding.outcome == "undetermined"
        assert finding.result.measured.value > 4900
        assert "land_take" in finding.message.zh
    assert judged(OVERLAP, SITE, zone_of(), {}, subject=when).outcome == "undetermined"
    no = judged(OVERLAP, SITE, zone_of(HALF), {"land_take": False}, subject=when)
    assert no.outcome == "not-applicable"
    yes = judged(OVERLAP, SITE, zone_of(HALF), {"land_take": True}, subject=when)
    assert yes.outcome == "violation"


def test_dimension_and_plan_rules(
    judged: Judged, zone_of: Zone, submit: Any, shipped: RuleSet
) -> None:
    line = {"line": [(0, 0), (100, 0)]}
    only_areas = judged(OVERLAP, line, zone_of(HALF), subject={"dimensions": ["area"]})
    assert only_areas.outcome == "not-applicable"
    with pytest.raises(ValueError, match="plans are compared by compatibility alone"):
        judged(OVERLAP, SITE, zone_of(HALF), subject={"kind": "plan"})
    findings = {one.rule.id: one for one in judge(submit(SITE), {}, shipped, DAY)}
    assert findings["HN-PLAN-001"].outcome == "not-applicable"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, "violation"), ({"severity": "warning"}, "warning"), ({"severity": "info"}, "pass"),
     ({"on_violation": {"outcome": "conditional"}}, "conditional")],
)  # fmt: skip
def test_severity_and_on_violation(
    judged: Judged, zone_of: Zone, changes: Any, expected: str
) -> None:
    assert judged(OVERLAP, SITE, zone_of(HALF), **changes).outcome == expected


EXEMPTIONS = [
    {"id": "first", "when": "a = 1", "outcome": "conditional", "requires": [{"document": "甲"}]},
    {"id": "second", "when": "b = 1", "outcome": "warning"},
]


def test_the_first_exemption_that_matches(judged: Judged, zone_of: Zone) -> None:
    def outcome(**attributes: Any) -> tuple[str, str | None]:
        finding = judged(OVERLAP, SITE, zone_of(HALF), attributes, exemptions=EXEMPTIONS)
        return finding.outcome, finding.exemption

    assert outcome() == ("violation", None)
    assert outcome(a=1) == ("conditional", "first")
    assert outcome(a=1, b=1) == ("conditional", "first")
    assert outcome(b=1) == ("warning", "second")
    assert outcome(a="1") == ("violation", None)


NEEDED = {
    "outcome": "conditional",
    "requires": [{"authority": "林业局", "document": "同意书"}, {"document": "说明"}],
}
CONSENT = {"authority": "林业局", "document": "同意书"}
NOTE = {"document": "说明", "number": "2"}


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([{**CONSENT, "number": "1"}, NOTE], "pass"),
        ([{**CONSENT, "number": 7}, NOTE], "pass"),
        ([{"authority": " 林业局 ", "document": "同意书", "number": "1"},
          {"authority": "任意", "document": "说明", "date": "2026-05-01"}], "pass"),
        ([{**CONSENT, "number": "1"}], "conditional"),
        ([{"authority": "农业局", "document": "同意书", "number": "1"}, NOTE], "conditional"),
        ([{"document": "同意书", "number": "1"}, NOTE], "conditional"),
        ([{"authority": "林业局", "document": "不同意书", "number": "1"}, NOTE], "conditional"),
        ([{**CONSENT, "date": "2026-05-02"}, NOTE], "conditional"),
        ([{**CONSENT, "date": "soon", "number": "1"}, NOTE], "conditional"),
        ([CONSENT, NOTE], "conditional"),
        ([{**CONSENT, "number": " "}, NOTE], "conditional"),
        ([{**CONSENT, "number": True}, NOTE], "conditional"),
        ("同意书", "conditional"), ([1, None, []], "conditional"), (None, "conditional"),
    ],
)  # fmt: skip
def test_documents_turn_conditional_into_a_pass(
    judged: Judged, zone_of: Zone, documents: Any, expected: str
) -> None:
    attributes = {"documents": documents}
    finding = judged(OVERLAP, SITE, zone_of(HALF), attributes, on_violation=NEEDED)
    assert finding.outcome == expected
    assert (len(finding.consent) == 2) == (expected == "pass")
    assert len(finding.requires) == 2


def test_documents_do_not_mend_a_violation_or_missing_data(judged: Judged, zone_of: Zone) -> None:
    documents = {"documents": [{**CONSENT, "number": "1"}, NOTE]}
    requires = [{"authority": "林业局", "document": "同意书"}]
    plain = judged(OVERLAP, SITE, zone_of(HALF), documents, requires=requires)
    assert plain.outcome == "violation"
    partly = zone_of({"rectangle": (0, 0, 40, 100)}, coverage=(-10, -10, 50, 110))
    consented = judged(OVERLAP, SITE, partly, documents, on_violation=NEEDED)
    assert consented.outcome == "undetermined"


def test_rigid_lines_send_accuracy_differences_to_review(judged: Judged, zone_of: Zone) -> None:
    strip = zone_of({"rectangle": (99, 0, 200, 100)}, accuracy_m=2.0)
    assert judged(OVERLAP, SITE, strip).outcome == "undetermined"
    assert judged(OVERLAP, SITE, strip, rigidity="elastic").outcome == "pass"
    # The applicant's stated accuracy counts too: hypot(0.8, 0.8) > 1.
    both = zone_of({"rectangle": (99, 0, 200, 100)}, accuracy_m=0.8)
    assert judged(OVERLAP, SITE, both).outcome == "violation"
    assert judged(OVERLAP, SITE, both, {"accuracy_m": 0.8}).outcome == "undetermined"
    assert judged(OVERLAP, SITE, both, {"accuracy_m": "0.8"}).outcome == "violation"


def test_a_filter_that_cannot_be_decided_keeps_the_rule_from_passing(
    judged: Judged, zone_of: Zone
) -> None:
    target = {"layer": "zone", "filter": "zone = 'core'"}

    def outcome(*attributes: Any) -> str:
        features = [
            {"rectangle": (50, 10 * i, 90, 10 * i + 9), "attributes": a}
            for i, a in enumerate(attributes)
        ]
        return judged(OVERLAP, SITE, zone_of(*features), target=target).outcome

    assert outcome({"zone": "general"}) == "pass"
    assert outcome({"zone": "general"}, {}) == "undetermined"
    assert outcome({"zone": 1}) == "undetermined"
    assert outcome({}, {"zone": "core"}) == "violation"


@pytest.mark.parametrize("gap_m", [12.0, 14.9, 15.0, 15.1, 30.0])
def test_distance_by_class(judged: Judged, zone_of: Zone, gap_m: float) -> None:
    test = {"distance": {"min_by": {"property": "target.c", "map": {"a": "15 m", "b": "5 m"}}}}
    road = {"rectangle": (100 + gap_m, -50, 150 + gap_m, 150), "attributes": {"c": "a"}}
    finding = judged(test, SITE, zone_of(road))
    assert finding.outcome == ("violation" if gap_m < 15 else "pass")
    if gap_m <= 15.1:
        assert finding.result.measured.value == pytest.approx(gap_m, abs=0.01)
    else:
        assert finding.result.measured.value is None
        assert finding.result.measured.beyond_m > 15
    other = {**road, "attributes": {"c": "village"}}
    near = "undetermined" if gap_m < 16 else "pass"
    assert judged(test, SITE, zone_of(other)).outcome == near


def test_every_rule_has_its_entry_whatever_the_others_say(shipped: RuleSet, submit: Any) -> None:
    findings = judge(submit(SITE), {}, shipped, DAY)
    assert [f.rule.id for f in findings] == sorted(r.id for r in shipped.rules)
    assert not {f.outcome for f in findings} & {"pass", "warning", "conditional"}


@pytest.mark.parametrize("grade", [2**60, float("nan"), float("inf"), [1], "x" * 500])
def test_strange_attributes_of_a_plan_are_shown_as_text(
    judged: Judged, zone_of: Zone, grade: Any
) -> None:
    table = {
        "hit_policy": "UNIQUE",
        "inputs": ["target.grade"],
        "rows": [{"in": [1], "out": "violation"}, {"in": [2], "out": "pass"}],
    }
    odd = {**HALF, "attributes": {"grade": grade}}
    finding = judged({"decision_table": table}, SITE, zone_of(odd))
    assert finding.outcome == "undetermined"
    canonical(finding.as_json())


def test_decision_tables_and_unknown_inputs(judged: Judged, zone_of: Zone) -> None:
    def outcome(policy: str, grade: Any, rows: Any, **attributes: Any) -> str:
        inputs = ["target.grade", "subject.kind"]
        table = {"hit_policy": policy, "inputs": inputs, "rows": rows}
        feature = {**HALF, "attributes": {"grade": grade}}
        found: str = judged({"decision_table": table}, SITE, zone_of(feature), attributes).outcome
        return found

    rows = [
        {"in": [1, "any"], "out": "violation"},
        {"in": [2, ["a", "b"]], "out": "conditional"},
        {"in": [2, "other"], "out": "warning"},
        {"in": [True, "any"], "out": "pass"},
    ]
    assert outcome("UNIQUE", 1, rows) == "violation"
    assert outcome("UNIQUE", 2, rows, kind="b") == "conditional"
    assert outcome("UNIQUE", 2, rows, kind="c") == "warning"
    assert outcome("UNIQUE", 2, rows) == "undetermined"
    assert outcome("UNIQUE", 3, rows) == "undetermined"
    assert outcome("UNIQUE", "1", rows) == "undetermined"
    assert outcome("UNIQUE", True, rows) == "pass"
    twice = [{"in": [1, "any"], "out": "pass"}, {"in": ["any", "any"], "out": "violation"}]
    assert outcome("UNIQUE", 1, twice) == "undetermined"
    assert outcome("PRIORITY", 1, twice) == "pass"
    assert outcome("PRIORITY", 5, twice) == "violation"
    assert outcome("PRIORITY", None, twice) == "undetermined"
