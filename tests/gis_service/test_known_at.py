"""A check by what was known at a moment; without one a report has the bytes that it always had."""

import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely
from starlette.testclient import TestClient

from gis_service import start
from gis_service.app import create_app
from gis_service.checking import CheckRequest, check
from gis_service.library import Library
from gis_service.routes.requests import past_moment
from gis_service.settings import Settings
from gis_service.verification import verify
from layers.catalog import Catalog
from layers.database import connect
from layers.editions import withdraw
from layers.errors import BadParameter
from planning_rules.report import digest
from planning_rules.report_html import render_html
from tests.conftest import publish_layer_on

SITE = {
    "type": "Feature",
    "geometry": json.loads(shapely.to_geojson(shapely.box(109.80, 19.20, 109.801, 19.201))),
    "properties": {"land_take": True, "name": "站"},
}
DAY = datetime.date(2026, 5, 1)
RULE = "HN-PBF-001"


def now() -> datetime.datetime:
    found = datetime.datetime.now(datetime.UTC)
    time.sleep(0.01)
    return found


@pytest.fixture
def library(
    database: str, catalog: Catalog, tmp_path: Path
) -> Iterator[tuple[Library, list[datetime.datetime]]]:
    """Farmland on the site, corrected by a back-dated edition, which is withdrawn again."""
    moments = [now()]
    with connect(database) as connection:
        publish = publish_layer_on(connection, catalog)
        layer = "permanent_basic_farmland"
        publish(layer, [shapely.box(109.8005, 19.19, 109.81, 19.21)], {"farmland_id": ["F1"]})
        moments.append(now())
        later = publish(
            layer, [shapely.box(109.9, 19.3, 109.91, 19.31)], {"farmland_id": ["F9"]},
            valid_from=datetime.date(2022, 1, 1),
        )  # fmt: skip
        moments.append(now())
        withdraw(connection, "overall-plan", later)
        moments.append(now())
    settings = Settings(check_processes=1, pool_size=2, data_dir=tmp_path)
    with start.library(settings, database) as opened:
        yield opened, moments


def outcome(report: dict[str, Any]) -> str:
    (found,) = [one["outcome"] for one in report["findings"] if one["rule_id"] == RULE]
    return str(found)


def test_each_moment_has_its_own_answer_for_the_same_day(
    library: tuple[Library, list[datetime.datetime]],
) -> None:
    opened, moments = library
    reports = [check(opened, CheckRequest(SITE, as_of=DAY, known_at=moment)) for moment in moments]
    assert [outcome(one) for one in reports] == ["undetermined", "violation", "pass", "violation"]
    today = check(opened, CheckRequest(SITE, as_of=DAY))
    assert outcome(today) == "violation"
    for report, moment in zip(reports, moments, strict=True):
        told = datetime.datetime.fromisoformat(report["provenance"]["known_at"])
        assert told == moment
        found = verify(opened, json.loads(json.dumps(report)), replay_too=True)
        assert all(one.good for one in found.checks), found
        assert report["provenance"]["known_at"] in render_html(report, "en")


def test_without_a_moment_nothing_of_it_is_in_the_report(
    library: tuple[Library, list[datetime.datetime]],
) -> None:
    opened, moments = library
    plain = check(opened, CheckRequest(SITE, as_of=DAY))
    assert "known_at" not in json.dumps(plain)
    assert "As known at" not in render_html(plain, "en")
    same = check(opened, CheckRequest(SITE, as_of=DAY, known_at=moments[-1]))
    assert same["digest"] != plain["digest"]
    del same["provenance"]["known_at"]  # nothing else differs
    assert digest(same) == plain["digest"]


def test_over_http(library: tuple[Library, list[datetime.datetime]]) -> None:
    opened, moments = library
    path = "/ogc/processes/conflict-check/execution"
    app = create_app(opened)
    with TestClient(app, base_url="http://localhost") as client:
        answers = []
        for moment in (moments[1], moments[2]):
            inputs = {"submission": SITE, "as_of": "2026-05-01", "known_at": moment.isoformat()}
            answers.append(client.post(path, json={"inputs": inputs}).json())
        assert [outcome(one) for one in answers] == ["violation", "pass"]
        inputs = {"submission": SITE, "known_at": "2999-01-01T00:00:00Z"}
        refused = client.post(path, json={"inputs": inputs})
        assert refused.status_code == 400
        assert "known_at" in refused.json()["detail"]
        described = client.get("/ogc/processes/conflict-check").json()
        assert "known_at" in described["inputs"]


@pytest.mark.parametrize(
    "text", ["2026-01-31", "2026-01-31T08:00:00", "yesterday", "2999-01-01T00:00:00Z", ""]
)
def test_what_is_no_past_moment_is_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="known_at"):
        past_moment(text, "known_at")


def test_an_offset_is_understood() -> None:
    found = past_moment("2026-01-31T08:00:00+08:00", "known_at")
    assert found == datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
