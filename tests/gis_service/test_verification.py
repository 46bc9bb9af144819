"""Reports are verified and replayed: after later editions, another rule set, any change."""

import copy
import datetime
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely
from starlette.testclient import TestClient

from gis_service import start
from gis_service.checking import CheckRequest, check
from gis_service.library import Library
from gis_service.settings import Settings
from gis_service.verification import differing, replay, verify
from layers.catalog import Catalog
from layers.database import connect
from layers.editions import withdraw
from layers.errors import BadInput
from tests.conftest import publish_layer_on

SITE = {
    "type": "Feature",
    "geometry": json.loads(shapely.to_geojson(shapely.box(109.80, 19.20, 109.801, 19.201))),
    "properties": {"land_take": True, "name": "站"},
}
DAY = datetime.date(2026, 5, 1)


@pytest.fixture
def own_library(database: str, catalog: Catalog, tmp_path: Path) -> Iterator[Library]:
    with connect(database) as connection:
        publish_layer_on(connection, catalog)(
            "permanent_basic_farmland", [shapely.box(109.8005, 19.19, 109.81, 19.21)],
            {"farmland_id": ["F1"]},
        )  # fmt: skip
    settings = Settings(check_processes=1, pool_size=2, data_dir=tmp_path)
    with start.library(settings, database) as library:
        yield library


def made(library: Library) -> dict[str, Any]:
    return check(library, CheckRequest(SITE, as_of=DAY))


def checks(library: Library, report: Any, *, replay_too: bool = False) -> dict[str, bool | None]:
    found = verify(library, report, replay_too=replay_too)
    return {one.name: one.good for one in found.checks}


def test_a_report_is_genuine_and_replays_after_later_editions(
    own_library: Library, database: str, catalog: Catalog
) -> None:
    report = made(own_library)
    assert report["outcome"] == "violation"
    with connect(database) as connection:
        later = publish_layer_on(connection, catalog)(
            "permanent_basic_farmland", [shapely.box(109.9, 19.3, 109.91, 19.31)],
            {"farmland_id": ["F9"]}, valid_from=datetime.date(2022, 1, 1),
        )  # fmt: skip
        assert made(own_library)["outcome"] != "violation"
        withdraw(connection, "overall-plan", later)
    stored = json.loads(json.dumps(report))
    assert checks(own_library, stored, replay_too=True) == {
        "digest": True, "signature": True, "issued": True, "replay": True,
    }  # fmt: skip


def test_every_changed_member_is_noticed(own_library: Library) -> None:
    report = made(own_library)
    for key in set(report) - {"digest", "signature", "report_id", "created"}:
        changed = copy.deepcopy(report)
        changed[key] = "changed"
        found = verify(own_library, changed)
        assert not found.valid, key
    for key in ("report_id", "created", "digest", "signature"):
        changed = {**report, key: "x"}
        assert not verify(own_library, changed).valid, key
    finding = copy.deepcopy(report)
    next(f for f in finding["findings"] if f["patches"])["patches"][0]["area_m2"] += 0.01
    assert checks(own_library, finding)["digest"] is False


def test_a_changed_report_that_keeps_its_digest_is_not_the_stored_one(
    own_library: Library,
) -> None:
    softened = copy.deepcopy(made(own_library))
    next(f for f in softened["findings"] if f["patches"])["patches"][0]["area_m2"] = 0.01
    found = checks(own_library, softened, replay_too=True)
    assert found == {"digest": False, "signature": True, "issued": False, "replay": False}


def test_a_forger_without_the_key_is_noticed(own_library: Library) -> None:
    """Content and digest changed together: the signature does not follow."""
    from planning_rules.report import digest

    report = made(own_library)
    forged = {**report, "outcome": "pass"}
    forged["digest"] = digest(forged)
    found = checks(own_library, forged, replay_too=True)
    assert found == {"digest": True, "signature": False, "issued": False, "replay": False}
    assert "outcome" in differing(forged, replay(own_library, forged))


def test_a_replay_takes_the_rule_set_of_the_report(
    own_library: Library, database: str, tmp_path: Path
) -> None:
    report = made(own_library)
    config = tmp_path / "config"
    shutil.copytree(own_library.settings.config_dir, config)
    rules = config / "rules" / "control-lines.yml"
    rules.write_text(rules.read_text("utf-8").replace("max_area: 0 m2", "max_area: 9 ha"), "utf-8")
    settings = Settings(check_processes=1, pool_size=2, data_dir=tmp_path, config_dir=config)
    with start.library(settings, database) as changed:
        assert changed.rule_set.sha256 != own_library.rule_set.sha256
        assert checks(changed, report, replay_too=True)["replay"] is True
        with connect(database) as connection, pytest.raises(Exception, match="was used"):
            connection.execute("DELETE FROM library.rule_set")


def test_what_cannot_be_replayed_says_why(own_library: Library) -> None:
    report = made(own_library)
    gone = copy.deepcopy(report)
    entry = next(e for e in gone["provenance"]["editions"] if e["edition"])
    entry["content_sha256"] = "0" * 64
    assert checks(own_library, gone, replay_too=True)["replay"] is None
    with pytest.raises(BadInput, match="permanent_basic_farmland"):
        replay(own_library, gone)
    for broken in ({"report_id": "x"}, {**report, "provenance": None}):
        assert checks(own_library, broken, replay_too=True)["replay"] is None
    with pytest.raises(BadInput):
        verify(own_library, [1])


def test_over_http(client: TestClient) -> None:
    body = {"inputs": {"submission": SITE}}
    report = client.post("/ogc/processes/conflict-check/execution", json=body).json()
    answer = client.get(f"/reports/{report['report_id']}/verify?replay=true").json()
    assert answer["valid"] is True
    assert [one["good"] for one in answer["checks"]] == [True] * 4
    page = client.get(f"/reports/{report['report_id']}/verify", headers={"accept": "text/html"})
    assert report["digest"] in page.text
    brought = client.post("/reports/verify", json={**report, "outcome": "pass"}).json()
    assert brought["valid"] is False
    (key,) = client.get("/.well-known/jwks.json").json()["keys"]
    assert key["crv"] == "P-256"
    assert "d" not in key
