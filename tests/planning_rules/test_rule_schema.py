"""The published JSON Schema, held against the shipped files by another validator."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from planning_rules.canonical_json import json_value
from planning_rules.rule_schema import RuleFile, RuleSetHead, rule_file_schema
from planning_rules.rule_set import _SECTIONS, RuleSet

FILES = sorted((Path(__file__).resolve().parents[2] / "config" / "rules").glob("*.yml"))
RULE_FILES = [path for path in FILES if path.name != "attributes.yml"]
VALIDATOR = jsonschema.Draft202012Validator(rule_file_schema())


def faults(content: Any) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(json_value(content))]


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(rule_file_schema())


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_the_shipped_files_keep_to_it(path: Path) -> None:
    assert faults(yaml.safe_load(path.read_text("utf-8"))) == []


RULE: dict[str, Any] = {
    "id": "T-ONE-1", "version": 1, "title": {"zh": "一", "en": "One"},
    "qualification": "prohibition", "rigidity": "rigid", "severity": "violation",
    "valid": {"from": "2020-01-01"},
    "legal_basis": [{"title": "法", "number": 2016, "verified": False}],
    "subject": {"kind": "project"}, "target": {"layer": "zone"},
    "test": {"overlap": {"max_area": "0 m2"}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"test": {"distance": {"min": 30}}}, True),
        ({"test": {"balance": {"quantity": "area(subject)", "reserve": "on-approval"}},
          "target": {"ledger": "land", "key": ["county_code", "year"]}}, True),
        ({"target": {"ledger": "land"}}, False),
        ({"target": {}}, False),
        ({"target": {"ledger": "land", "key": ["owner"]}}, False),
        ({"test": {"balance": {"op": "<="}}}, False),
        ({"colour": "red"}, False),
        ({"test": {}}, False),
        ({"test": {"overlap": {"max_area": "0 m2"}, "within": {"max_outside_area": "0 m2"}}},
         False),
        ({"test": {"overlap": {"max_area": "a lot"}}}, False),
        ({"test": {"overlap": {"max_area": {"value": 0, "unit": "m2"}}}}, False),
        ({"severity": "fatal"}, False),
        ({"id": "lower-case"}, False),
        ({"valid": {"first": "2020-01-01"}}, False),
        ({"legal_basis": []}, False),
        ({"legal_basis": [{"title": "法"}]}, False),
    ],
)  # fmt: skip
def test_it_tells_good_from_bad(change: dict[str, Any], good: bool) -> None:
    assert (faults({"rules": [{**RULE, **change}]}) == []) is good


def test_it_names_all_that_the_loader_reads() -> None:
    assert set(RuleFile.model_fields) == _SECTIONS
    made = {"defaults", "rules", "matrices", "plan_matrices", "profiles", "attributes", "sha256",
            "canonical_text"}  # fmt: skip
    assert set(RuleSetHead.model_fields) == set(RuleSet.model_fields) - made
