"""Builders: a rule of one test, a site and layers drawn in metres around an origin."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import shapely

from planning_rules.canonical_json import json_value
from planning_rules.engine import judge
from planning_rules.finding import Finding
from planning_rules.overlay import TargetLayer
from planning_rules.rule_case import CaseLayer, Shape
from planning_rules.rule_set import RuleSet, load_rule_set
from planning_rules.submission import Submission, read_submission

REGION = (108.3, 18.0, 111.3, 20.3)
DAY = date(2026, 5, 1)

Judge = Callable[..., Finding]
Submit = Callable[..., Submission]


@pytest.fixture(scope="session")
def shipped() -> RuleSet:
    return load_rule_set(Path(__file__).resolve().parents[2] / "config" / "rules")


@pytest.fixture(scope="session")
def rule_set() -> Callable[..., RuleSet]:
    """A rule set of one rule; keywords replace its parts."""

    def make(test: Mapping[str, Any], **changes: Any) -> RuleSet:
        rule = {
            "id": "T-RULE-1", "version": "1", "title": {"zh": "规则", "en": "Rule"},
            "qualification": "prohibition", "rigidity": "rigid", "severity": "violation",
            "valid": {"from": "2020-01-01"}, "legal_basis": [{"title": "法", "verified": False}],
            "subject": {}, "target": {"layer": "zone"}, "test": test, **changes,
        }  # fmt: skip
        return RuleSet.model_validate(
            {
                "id": "t", "version": "1", "jurisdiction": ["460000"], "status": "draft",
                "crs": "EPSG:4490", "area_method": "cgcs2000-ellipsoidal", "rules": [rule],
                "matrices": [MATRIX], "sha256": "0" * 64,
            }
        )  # fmt: skip

    return make


MATRIX = {
    "id": "m",
    "scheme": "landuse-2023",
    "rows": {"07": {"07": "permitted", "08": "conditional"}, "09": {"09": "permitted"}},
}


@pytest.fixture(scope="session")
def submit() -> Submit:
    """A submission from a shape in metres, through the same door as an applicant's."""

    def make(site: Mapping[str, Any], **attributes: Any) -> Submission:
        drawn = site if isinstance(site, shapely.Geometry) else Shape(**site).geometry()
        return read_submission(
            {
                "type": "Feature",
                "properties": attributes,
                "geometry": json_value(shapely.geometry.mapping(drawn)),
            },
            region_bbox=REGION,
        )

    return make


def zone(*features: Mapping[str, Any], **options: Any) -> TargetLayer:
    """The layer ``zone`` with features drawn in metres."""
    return CaseLayer(features=features, **options).target("zone")


@pytest.fixture(scope="session")
def zone_of() -> Callable[..., TargetLayer]:
    return zone


@pytest.fixture(scope="session")
def judged(rule_set: Callable[..., RuleSet], submit: Submit) -> Judge:
    """The finding of one rule on one site and one layer."""

    def run(
        test: Mapping[str, Any],
        site: Mapping[str, Any],
        layer: TargetLayer | None,
        attributes: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Finding:
        targets = {} if layer is None else {"zone": layer}
        submission = submit(site, **(attributes or {}))
        (finding,) = judge(submission, targets, rule_set(test, **changes), DAY)
        return finding

    return run
