"""The planners' cases: every rule ships hit, miss, touch and exemption, and all hold."""

from pathlib import Path

import pytest

from planning_rules.rule_case import CaseFile, RuleCase, load_cases, run_case
from planning_rules.rule_set import load_rule_set

PROJECT = Path(__file__).resolve().parents[2]
RULES = load_rule_set(PROJECT / "config" / "rules")
FILES = load_cases(PROJECT / "tests" / "cases")
CASES = [
    pytest.param(file.rule, case, id=f"{file.rule} {case.name}")
    for file in FILES
    for case in file.cases
]


@pytest.mark.parametrize(("rule_id", "case"), CASES)
def test_case(rule_id: str, case: RuleCase) -> None:
    assert run_case(rule_id, case, RULES).differences == ()


def test_every_rule_has_a_hit_a_miss_a_touch_and_an_exemption() -> None:
    kinds = {file.rule: {case.kind for case in file.cases} for file in FILES}
    assert set(kinds) == {rule.id for rule in RULES.rules}
    for rule_id, found in kinds.items():
        assert {"hit", "miss", "touch", "exemption"} <= found, rule_id


def test_a_wrong_expectation_is_told_apart() -> None:
    file = next(f for f in FILES if f.rule == "HN-PBF-001")
    hit = file.cases[0]
    wrong = hit.expect.model_copy(update={"outcome": "pass", "value": 1.0, "patches": {}})
    result = run_case(file.rule, hit.model_copy(update={"expect": wrong}), RULES)
    assert len(result.differences) == 3
    missing = run_case("HN-NONE-000", hit, RULES)
    assert missing.finding is None
    assert missing.differences
    assert isinstance(file, CaseFile)
