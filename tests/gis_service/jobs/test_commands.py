"""``sources`` and ``jobs`` as processes, and the same over HTTP for inside the house."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from gis_service.library import Library
from gis_service.problems import HANDLERS
from gis_service.routes import sources as source_routes

from .conftest import Place


@pytest.fixture
def call(queue_dsn: str, place: Place) -> Any:
    def run(*arguments: str, code: int = 0, **environment: str) -> str:
        program = Path(sys.executable).with_name("gis-service")
        done = subprocess.run(
            [str(program), *arguments],
            env={
                **os.environ,
                "DATABASE_URL": queue_dsn,
                "CONFIG_DIR": str(place.config_dir),
                "LANG": "en",
                **environment,
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code < 2 else done.stderr

    return run


def test_a_source_from_list_to_history(call: Any, place: Place) -> None:
    (listed,) = json.loads(call("sources", "list", "--json"))
    assert (listed["id"], listed["last"]) == ("forestry", None)
    assert listed["next"].endswith("+08:00")
    place.put(5)
    report = json.loads(call("sources", "harvest", "forestry", "--json"))
    assert (report["outcome"], report["import"]["accepted"]) == ("draft", 5)
    assert report["changes"]["added"] == 5
    assert "unchanged" in call("sources", "harvest", "forestry")
    shown = call("sources", "show", "forestry")
    assert "forest-plan / forest_land" in shown
    history = json.loads(call("sources", "history", "forestry", "--json"))
    assert [entry["outcome"] for entry in history] == ["unchanged", "draft"]
    assert "+5 -0 ~0" in call("sources", "history", "forestry")


def test_a_failed_harvest_says_why_and_ends_with_one(call: Any, place: Place) -> None:
    out = call("sources", "harvest", "forestry", code=1)
    assert "failed" in out
    assert "*.geojson" in out
    assert "匹配" in call("sources", "harvest", "forestry", code=1, LANG="zh_CN.UTF-8")
    assert "forestry" in call("sources", "harvest", "other", code=2)


def test_a_wrong_register_is_one_line(call: Any, place: Place) -> None:
    place.register(schedule="sometimes")
    err = call("sources", "list", code=2)
    assert len(err.strip().splitlines()) == 1
    assert "sources.yml" in err


def test_a_harvest_left_to_a_worker_is_a_job_that_can_be_cancelled(call: Any, place: Place) -> None:
    number = json.loads(call("sources", "harvest", "forestry", "--queue", "--json"))["job"]
    call("sources", "harvest", "forestry", "--queue", code=2)
    (job,) = json.loads(call("jobs", "list", "--json"))
    assert (job["id"], job["status"], job["args"]["source_id"]) == (number, "todo", "forestry")
    assert "deferred" in call("jobs", "show", str(number))
    assert "cancelled" in call("jobs", "cancel", str(number))
    call("jobs", "retry", str(number), code=2)
    assert str(number) in call("jobs", "list", "--status", "cancelled")
    assert "99999" in call("jobs", "show", "99999", code=2)


@pytest.fixture
def inside(library: Library, place: Place) -> Any:
    """An application of the house alone, with the routes that the public one does not have."""
    settings = library.settings.model_copy(update={"config_dir": place.config_dir})
    app = Starlette(routes=source_routes.ROUTES, exception_handlers=HANDLERS)
    app.state.library = Library(
        settings, library.config, library.catalog, library.rule_set, library.pool,
        library.sandbox, library.keys,
    )  # fmt: skip
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def test_inside_the_house_the_state_is_read_over_http(inside: Any) -> None:
    (listed,) = inside.get("/sources").json()["sources"]
    assert listed["id"] == "forestry"
    assert inside.get("/sources/forestry").json()["kind"] == "folder"
    assert inside.get("/sources/forestry/harvests").json() == {"harvests": []}
    problem = inside.get("/sources/other")
    assert problem.status_code == 404
    assert problem.headers["content-type"] == "application/problem+json"
    assert inside.get("/sources?limit=3").json()["status"] == 400
    assert inside.post("/sources").status_code == 405


def test_the_register_over_http_shows_no_names_of_secrets(inside: Any, place: Place) -> None:
    place.register(
        kind="ogc-features",
        location="https://data.example.cn/ogc/collections/a",
        credentials={"bearer": "HARVEST_CANARY"},
    )
    answer = inside.get("/sources/forestry")
    assert answer.json()["credentials"] is True
    assert "CANARY" not in answer.text


def test_the_public_application_has_no_such_address(client: TestClient) -> None:
    for path in ("/sources", "/sources/forestry", "/sources/forestry/harvests"):
        assert client.get(path).status_code == 404
