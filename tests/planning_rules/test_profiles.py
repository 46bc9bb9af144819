"""Profiles: a report of some rules says so, and never looks like one of all rules."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from layers.errors import BadConfiguration, BadParameter
from planning_rules.report import build_report
from planning_rules.rule_case import CaseLayer
from planning_rules.rule_set import CheckProfile, RuleSet, load_rule_set

DAY = date(2026, 5, 1)
SITE = {"rectangle": (0, 0, 100, 100)}


@pytest.mark.parametrize(
    ("rules", "asked", "not_asked"),
    [
        (["HN-PBF-001"], ["HN-PBF-001"], ["HN-PBF-0011", "HN-PBF-002"]),
        (["HN-DP-*"], ["HN-DP-USE-001", "HN-DP-IND-001"], ["HN-DPX-001", "HN-PBF-001"]),
    ],
)
def test_which_rules_a_profile_asks_about(
    rules: list[str], asked: list[str], not_asked: list[str]
) -> None:
    profile = CheckProfile.model_validate(
        {"id": "p", "title": {"zh": "方案", "en": "P"}, "rules": rules}
    )
    assert all(profile.asks(one) for one in asked)
    assert not any(profile.asks(one) for one in not_asked)


def report(shipped: RuleSet, submit: Callable[..., Any], profile: str | None) -> dict[str, Any]:
    farmland = CaseLayer.model_validate({"features": [{"rectangle": [50, 0, 200, 100]}]})
    targets = {name: CaseLayer().target(name) for name in shipped.layers}
    targets["permanent_basic_farmland"] = farmland.target("permanent_basic_farmland")
    return build_report(
        submit(SITE, land_take=True, proposed_use="0701"), targets, shipped, DAY,
        report_id="r", created="2026-05-01T00:00:00Z", profile=profile,
    )  # fmt: skip


def test_a_report_of_a_profile_says_what_was_not_checked(shipped: RuleSet, submit: Any) -> None:
    whole, part = (report(shipped, submit, name) for name in (None, "planning-permit"))
    assert whole["outcome"] == "violation"
    assert "profile" not in whole
    assert "profile" not in whole["provenance"]["parameters"]
    assert part["profile"]["id"] == part["provenance"]["parameters"]["profile"] == "planning-permit"
    assert [f["rule_id"] for f in part["findings"]] == [f["rule_id"] for f in whole["findings"]]
    farmland = next(f for f in part["findings"] if f["rule_id"] == "HN-PBF-001")
    assert farmland["outcome"] == "not-applicable"
    assert "nothing was checked" in farmland["message"]["en"]
    assert "of the profile 'Planning permit' only" in part["summary"]["en"]
    assert "仅按方案" in part["summary"]["zh"]
    same = [f for f in part["findings"] if f["rule_id"].startswith("HN-DP-")]
    assert same == [f for f in whole["findings"] if f["rule_id"].startswith("HN-DP-")]


def test_a_profile_that_asks_about_the_conflict_finds_it(shipped: RuleSet, submit: Any) -> None:
    assert report(shipped, submit, "control-lines")["outcome"] == "violation"


def test_an_unknown_profile_is_refused(shipped: RuleSet, submit: Any) -> None:
    with pytest.raises(BadParameter, match="control-lines"):
        report(shipped, submit, "everything")


def test_a_profile_of_unknown_rules_refuses_the_set(tmp_path: Path) -> None:
    source = Path(__file__).resolve().parents[2] / "config" / "rules"
    for file in source.glob("*.yml"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    profile = {"id": "p", "title": {"zh": "方案", "en": "P"}, "rules": ["HN-NONE-*"]}
    (tmp_path / "more.yml").write_text(yaml.safe_dump({"profiles": [profile]}), "utf-8")
    with pytest.raises(BadConfiguration, match=r"profile p: there is no rule HN-NONE-\*"):
        load_rule_set(tmp_path)
