"""The samples of the first minute against every shipped rule, on the demo of the day."""

from typing import Any

import pytest
from starlette.testclient import TestClient

EXECUTION = "/ogc/processes/conflict-check/execution"


def judged(client: TestClient, site: str) -> dict[str, Any]:
    feature = client.get(f"/samples/{site}.geojson").json()
    report: dict[str, Any] = client.post(EXECUTION, json={"inputs": {"submission": feature}}).json()
    return report


def worse_than_pass(report: dict[str, Any]) -> dict[str, str]:
    good = ("pass", "not-applicable")
    return {f["rule_id"]: f["outcome"] for f in report["findings"] if f["outcome"] not in good}


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ("clean-site", {}),
        ("heritage-consent", {"HN-HERITAGE-002": "conditional"}),
        ("no-data", {"HN-HERITAGE-001": "undetermined", "HN-HERITAGE-002": "undetermined"}),
        ("too-dense", {"HN-DP-IND-001": "violation"}),
    ],
)
def test_a_sample_meets_the_rules_it_is_made_for(
    client: TestClient, site: str, expected: dict[str, str]
) -> None:
    assert worse_than_pass(judged(client, site)) == expected


def test_the_factory_on_the_fields_meets_many(client: TestClient) -> None:
    found = worse_than_pass(judged(client, "farmland-conflict"))
    assert found["HN-PBF-001"] == found["HN-UDB-001"] == "violation"
    assert found["HN-PLAN-USE-001"] == "violation"
    assert found["HN-FARM-001"] == "conditional"
