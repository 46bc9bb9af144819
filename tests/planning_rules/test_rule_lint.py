"""Every fault that lint knows is found in a set that has it, and only there."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from layers.catalog import Catalog, load_catalog
from planning_rules.condition import parse_condition
from planning_rules.condition_space import truths
from planning_rules.plan_matrix import PlanMatrix
from planning_rules.rule import Rule
from planning_rules.rule_case import CaseFile, load_cases
from planning_rules.rule_lint import Fault, lint
from planning_rules.rule_set import RuleSet

PROJECT = Path(__file__).resolve().parents[2]
DAY = date(2026, 5, 1)
OVERLAP = {"overlap": {"max_area": "0 m2"}}
ANY_CASES = ("hit", "miss", "touch")

MakeSet = Callable[..., RuleSet]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(PROJECT / "config")


def codes(faults: Sequence[Fault], weight: str | None = None) -> set[str]:
    return {f.code for f in faults if weight in (None, f.weight)}


def second(rules: RuleSet, **changes: Any) -> RuleSet:
    """The set with a second rule that differs as given."""
    raw = {**rules.rules[0].model_dump(by_alias=True), "id": "T-RULE-2", **changes}
    return rules.model_copy(update={"rules": (*rules.rules, Rule.model_validate(raw))})


def test_the_shipped_rules_have_no_faults(shipped: RuleSet, catalog: Catalog) -> None:
    cases = load_cases(PROJECT / "tests" / "cases")
    for day in (DAY, date(2026, 12, 1)):
        faults = lint(shipped, catalog, cases, day)
        assert [f for f in faults if f.weight != "note"] == []
    assert len(shipped.rules) >= 25


def test_citations_that_nobody_saw_are_notes(shipped: RuleSet) -> None:
    noted = {f.rule_id for f in lint(shipped, None, None, DAY) if f.code == "unverified-basis"}
    assert {"HN-ROAD-001", "HN-UDB-004"} <= noted
    assert "HN-ERL-001" not in noted


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({"layer": "nowhere"}, "unknown-layer"),
        ({"layer": "nature_reserve", "filter": "zones = 'core'"}, "unknown-layer-attribute"),
        ({"layer": "nature_reserve", "filter": "zone = 'buffer'"}, "unknown-code"),
        ({"layer": "nature_reserve", "filter": "zone IN ('core','inner')"}, "unknown-code"),
        ({"layer": "drinking_water_protection_zone", "filter": "zone_grade = '1'"}, "wrong-type"),
        # Personal fields are dropped at import: a rule on them would be undetermined for ever.
        ({"layer": "permanent_basic_farmland", "filter": "telephone IS NULL"},
         "unknown-layer-attribute"),
        ({"layer": "nature_reserve", "filter": "zone = 'core'"}, None),
    ],
)  # fmt: skip
def test_names_of_layers(
    rule_set: MakeSet, catalog: Catalog, target: Any, code: str | None
) -> None:
    found = codes(lint(rule_set(OVERLAP, target=target), catalog, None, DAY), "error")
    assert found == ({code} if code else set())


def test_values_of_tables_and_classes(rule_set: MakeSet, catalog: Catalog) -> None:
    table = {"hit_policy": "UNIQUE", "inputs": ["target.protection_grade"],
             "rows": [{"in": [["I", "V"]], "out": "violation"}]}  # fmt: skip
    target = {"layer": "forest_land"}
    faults = lint(rule_set({"decision_table": table}, target=target), catalog, None, DAY)
    assert [f.code for f in faults if f.weight == "error"] == ["unknown-code"]
    assert "'V'" in next(f.text.en for f in faults if f.code == "unknown-code")
    by = {"property": "target.road_class", "map": {"national": "20 m", "motorway": "30 m"}}
    test = {"distance": {"min_by": by}}
    faults = lint(rule_set(test, target={"layer": "highway"}), catalog, None, DAY)
    assert "'motorway'" in next(f.text.en for f in faults if f.code == "unknown-code")


def test_attributes_of_submissions(shipped: RuleSet) -> None:
    rule = shipped.rule("HN-PBF-001")
    assert rule is not None
    for when, code in (
        ("land_taken = TRUE", "unknown-attribute"),
        ("project_level = 'galactic'", "unknown-value"),
        ("land_take = 'yes'", "wrong-type"),
        ("limited_activity_code = TRUE", "wrong-type"),
    ):
        subject = rule.subject.model_copy(update={"when": when})
        changed = rule.model_copy(update={"subject": subject, "exemptions": ()})
        rules = shipped.model_copy(update={"rules": (changed,)})
        assert codes(lint(rules, None, None, DAY), "error") == {code}


@pytest.mark.parametrize(
    ("when", "exemptions", "expected"),
    [
        ("a = TRUE", ["a = FALSE"], "unreachable-exemption"),
        ("a = TRUE", ["a = FALSE AND b = 1"], "unreachable-exemption"),
        ("n >= 10", ["n BETWEEN 3 AND 9"], "unreachable-exemption"),
        ("n >= 10", ["n BETWEEN 3 AND 10"], None),
        ("c IN ('x','y')", ["c = 'z'"], "unreachable-exemption"),
        (None, ["c = 'x'", "c = 'x' AND b = 1"], "unreachable-exemption"),
        (None, ["c IN ('x','y')", "c IN ('y','z')"], None),
        ("a = TRUE", ["a = TRUE"], "exemption-swallows-rule"),
        ("a = TRUE", ["NOT (a = FALSE)"], "exemption-swallows-rule"),
        ("a = TRUE", ["a IS NOT NULL"], "exemption-swallows-rule"),
        (None, ["c IS NOT NULL"], None),
        ("c = 'x' AND c = 'y'", [], "never-applies"),
        ("n > 3 AND n < 3", [], "never-applies"),
        ("n > 3 AND n < 4", [], None),
        ("a IS NULL AND a = 1", [], "never-applies"),
    ],
)
def test_conditions_out_of_reach(
    rule_set: MakeSet, when: str | None, exemptions: list[str], expected: str | None
) -> None:
    stated = [{"id": f"e{i}", "when": w, "outcome": "pass"} for i, w in enumerate(exemptions)]
    rules = rule_set(OVERLAP, subject={"when": when}, exemptions=stated)
    found = codes(lint(rules, None, None, DAY), "error") - {"unknown-attribute"}
    assert found == ({expected} if expected else set())


def test_why_an_exemption_is_out_of_reach(rule_set: MakeSet) -> None:
    stated = [
        {"id": "e", "when": "a = FALSE", "outcome": "pass"},
        {"id": "f", "when": "b = 1", "outcome": "pass"},
        {"id": "g", "when": "b = 1 AND c = 2", "outcome": "pass"},
    ]
    rules = rule_set(OVERLAP, subject={"when": "a = TRUE"}, exemptions=stated)
    faults = lint(rules, None, None, DAY)
    texts = [f.text.en for f in faults if f.code == "unreachable-exemption"]
    assert ["'e' contradicts" in texts[0], "'g' is covered" in texts[1]] == [True, True]


def test_a_filter_that_selects_nothing(rule_set: MakeSet) -> None:
    target = {"layer": "zone", "filter": "z = 'a' AND z = 'b'"}
    faults = lint(rule_set(OVERLAP, target=target), None, None, DAY)
    assert codes(faults, "error") == {"filter-selects-nothing"}


@pytest.mark.parametrize(
    ("changes", "contradict"),
    [
        ({"qualification": "permission"}, True),
        ({"qualification": "permission", "subject": {"when": "NOT (a <> 1)"}}, True),
        ({"qualification": "permission", "subject": {"when": "a = 2"}}, False),
        ({"qualification": "permission", "target": {"layer": "other"}}, False),
        ({"qualification": "permission", "target": {"layer": "zone", "filter": "b = 1"}}, False),
        ({"qualification": "permission", "valid": {"from": "2030-01-01"}}, False),
        ({"qualification": "permission", "subject": {"when": "a = 1", "dimensions": ["point"]}},
         False),
        ({"qualification": "obligation"}, False),
        ({"qualification": "obligation", "test": {"within": {"max_outside_area": "0 m2"}}}, True),
    ],
)  # fmt: skip
def test_contradicting_rules(rule_set: MakeSet, changes: Any, contradict: bool) -> None:
    valid = {"from": "2020-01-01", "to": "2029-12-31"}
    subject = {"when": "a = 1", "dimensions": ["area", "line"]}
    rules = second(rule_set(OVERLAP, subject=subject, valid=valid), **changes)
    assert ("contradicting-rules" in codes(lint(rules, None, None, DAY))) is contradict


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("2026-08-15", None),
        ("2026-08-14", "overlapping-versions"),
        ("2026-08-16", "gap-in-succession"),
    ],
)
def test_succession(rule_set: MakeSet, first: str, code: str | None) -> None:
    old = rule_set(
        OVERLAP, valid={"from": "2020-01-01", "to": "2026-08-14"}, superseded_by="T-RULE-2"
    )
    assert "missing-successor" in codes(lint(old, None, None, DAY))
    own = rule_set(
        OVERLAP, valid={"from": "2020-01-01", "to": "2026-08-14"}, superseded_by="T-RULE-1"
    )
    assert "missing-successor" in codes(lint(own, None, None, DAY))
    both = second(old, valid={"from": first}, superseded_by=None)
    found = codes(lint(both, None, None, DAY)) - {"unverified-basis"}
    assert found == ({code} if code else set())


def test_expired_citations(rule_set: MakeSet) -> None:
    basis = [{"title": "旧法", "valid_to": "2026-04-30", "verified": True}]
    rules = rule_set(OVERLAP, legal_basis=basis)
    assert codes(lint(rules, None, None, date(2026, 4, 30))) == set()
    assert codes(lint(rules, None, None, DAY)) == {"expired-basis"}
    exempted = [{"id": "e", "when": "b = 1", "outcome": "pass", "legal_basis": basis}]
    assert "expired-basis" in codes(lint(rule_set(OVERLAP, exemptions=exempted), None, None, DAY))
    ended = rule_set(OVERLAP, legal_basis=basis, valid={"from": "2020-01-01", "to": "2026-04-30"})
    assert codes(lint(ended, None, None, DAY)) == set()


def cases(rule: str, *kinds: str, exemption: str | None = None) -> CaseFile:
    expect = {"outcome": "pass", "exemption": exemption}
    case = {"name": "n", "site": {"point": [0, 0]}, "expect": expect}
    return CaseFile.model_validate({"rule": rule, "cases": [{**case, "kind": k} for k in kinds]})


def test_rules_without_cases(rule_set: MakeSet) -> None:
    exemptions = [{"id": "e", "when": "b = 1", "outcome": "pass"}]
    rules = rule_set(OVERLAP, exemptions=exemptions)
    full = cases("T-RULE-1", *ANY_CASES, exemption="e")
    wanted = {"without-cases", "exemption-without-case", "case-of-unknown-rule"}
    assert codes(lint(rules, None, [full], DAY)) & wanted == set()
    for kind in ANY_CASES:
        fewer = cases("T-RULE-1", *(k for k in ANY_CASES if k != kind), exemption="e")
        faults = [f for f in lint(rules, None, [fewer], DAY) if f.code == "without-cases"]
        assert [kind in f.text.en for f in faults] == [True]
    assert "exemption-without-case" in codes(
        lint(rules, None, [cases("T-RULE-1", *ANY_CASES)], DAY)
    )
    assert "case-of-unknown-rule" in codes(lint(rules, None, [full, cases("T-X-9", "hit")], DAY))


def test_too_many_cases_are_said_to_be_unknown() -> None:
    wide = " AND ".join(f"(a{i} = 1 OR a{i} = 2)" for i in range(12))
    assert truths(parse_condition(wide)) is None
    two_names = truths(parse_condition("a < b"), parse_condition("a > b AND b = 3"))
    assert two_names is not None
    assert (True, True) not in two_names
    assert {(True, False), (False, True)} <= set(two_names)


PLANAR = {"distance": {"min": "20 m", "measure": "planar"}}


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"test": PLANAR, "target": {"layer": "highway"}}, "not-applied", "measure: geodesic"),
        ({"subject": {"plan_level": "overall"}}, "not-applied", "a project has no level"),
        ({"tolerance": {"grid_size": "0.01 m"}}, "not-applied", "storage grid"),
        ({"tolerance": {"grid_size": "1 mm"}}, None, ""),
        ({"target": {"layer": "forest_land", "plan_level": "overall"}}, "wrong-plan-level",
         "'special'"),
        ({"target": {"layer": "forest_land", "plan_level": "special"}}, None, ""),
    ],
)  # fmt: skip
def test_words_that_would_be_passed_over_in_silence(
    rule_set: MakeSet, catalog: Catalog, changes: Any, code: str | None, says: str
) -> None:
    parts = {"test": OVERLAP, "target": {"layer": "forest_land"}, **changes}
    faults = [f for f in lint(rule_set(**parts), catalog, None, DAY) if f.weight == "error"]
    assert {f.code for f in faults} == ({code} if code else set())
    assert all(says in f.text.en for f in faults)


def test_a_rule_without_cases_and_cases_without_a_rule(rule_set: MakeSet) -> None:
    rules = rule_set(OVERLAP, exemptions=[{"id": "e", "when": "b = 1", "outcome": "pass"}])
    site = {"rectangle": [0, 0, 1, 1]}

    def files(*kinds: str, rule: str = "T-RULE-1", exemption: str | None = None) -> Any:
        expect = {"outcome": "pass", "exemption": exemption}
        cases = [{"name": k, "kind": k, "site": site, "expect": expect} for k in kinds]
        return [CaseFile.model_validate({"rule": rule, "cases": cases})]

    def found(cases: Any) -> set[str]:
        return codes(lint(rules, None, cases, DAY)) - {"unverified-basis", "unknown-attribute"}

    assert found([]) == {"without-cases", "exemption-without-case"}
    assert found(files("hit", "miss")) == {"without-cases", "exemption-without-case"}
    assert found(files(*ANY_CASES)) == {"exemption-without-case"}
    assert found(files(*ANY_CASES, exemption="e")) == set()
    both = [*files(*ANY_CASES, exemption="e"), *files("hit", rule="T-GONE-9")]
    assert found(both) == {"case-of-unknown-rule"}


PLAN_MATRIX: dict[str, Any] = {
    "id": "p", "scheme": "landuse-2023",
    "layers": {
        "planned_landuse": {"property": "landuse_code", "scheme_property": "code_scheme"},
        "forest_land": {"class": "03"},
        "nature_reserve": {"property": "zone", "map": {"core": "reserve-core"}},
    },
    "crosswalks": [{"scheme": "landuse-2020", "codes": {"0204": "0205"}}],
    "rows": {"01": {"03": "conflict", "reserve-core": "conditional", "*": "unknown"}},
}  # fmt: skip
PLAN_TEST = {"compatibility": {"matrix": "p", "default": "undetermined"}}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"layers": {**PLAN_MATRIX["layers"], "nowhere": {"class": "03"}}}, "unknown-layer"),
        ({"layers": {**PLAN_MATRIX["layers"], "coastline": {"class": "12"}}}, "not-applied"),
        ({"layers": {**PLAN_MATRIX["layers"], "forest_land": {"property": "grade", "map": {
            "I": "03"}}}}, "unknown-layer-attribute"),
        ({"layers": {**PLAN_MATRIX["layers"], "nature_reserve": {"property": "zone", "map": {
            "core": "reserve-core", "buffer": "03"}}}}, "unknown-code"),
        ({"rows": {**PLAN_MATRIX["rows"], "9901": {"03": "conflict"}}}, "unknown-code"),
        ({"rows": {**PLAN_MATRIX["rows"], "02": {"reserve-cor": "conflict"}}}, "unknown-class"),
        ({"crosswalks": [{"scheme": "landuse-2020", "codes": {"0299": "0205"}}]}, "unknown-code"),
        ({"crosswalks": [{"scheme": "landuse-2020", "codes": {"0204": "0299"}}]}, "unknown-code"),
    ],
)  # fmt: skip
def test_names_in_matrices_between_plans(
    rule_set: MakeSet, catalog: Catalog, changes: Any, code: str | None
) -> None:
    matrix = PlanMatrix.model_validate({**PLAN_MATRIX, **changes})
    project = rule_set(OVERLAP, target={"layer": "planned_landuse"})
    raw = {**project.rules[0].model_dump(by_alias=True), "test": PLAN_TEST,
           "subject": {"kind": "plan", "plan_level": "special"}}  # fmt: skip
    rules = project.model_copy(
        update={"rules": (Rule.model_validate(raw),), "plan_matrices": (matrix,)}
    )
    found = codes(lint(rules, catalog, None, DAY), "error")
    assert found == ({code} if code else set())


def test_a_level_that_no_layer_of_the_matrix_has(rule_set: MakeSet, catalog: Catalog) -> None:
    project = rule_set(OVERLAP, target={"layer": "planned_landuse"})
    raw = {**project.rules[0].model_dump(by_alias=True), "test": PLAN_TEST,
           "subject": {"kind": "plan", "plan_level": "detailed"}}  # fmt: skip
    rules = project.model_copy(
        update={
            "rules": (Rule.model_validate(raw),),
            "plan_matrices": (PlanMatrix.model_validate(PLAN_MATRIX),),
        }
    )
    assert codes(lint(rules, catalog, None, DAY), "error") == {"wrong-plan-level"}
