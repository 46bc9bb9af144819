"""A small service for the conformance tests, and the table that ``make conformance`` prints.

Each test is of one requirement, marked with the standard and the identifier that the standard gives
it: ``@requirement("ogcapi-features-1", "/req/core/root-op")``. The service runs with the few rights
of a public one, on a library of its own; jobs are worked on when a test says so.
"""

import datetime
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import shapely
from starlette.testclient import TestClient

from gis_service import access_keys, start
from gis_service.app import create_app
from gis_service.jobs.processes import run_job
from gis_service.jobs.schema import install_queue
from gis_service.jobs.workshop import open_workshop
from gis_service.local_postgis import LocalPostgis
from gis_service.service_login import service_address
from gis_service.settings import Settings
from layers.catalog import Catalog
from layers.contents import create_content, finish_content, load_arrays
from layers.database import Connection, connect, create_database
from layers.draft_edits import open_plan_draft
from layers.editions import open_draft, publish, put_layer

LAYER = "detailed_plan_parcel"
LINES = "coastline"
REGION = (107.9, 17.6, 111.9, 20.7)
BOXES = [shapely.box(110 + i / 100, 19, 110 + (i + 0.9) / 100, 19.01) for i in range(25)]


@dataclass(frozen=True)
class Site:
    """The service under test; ``work`` does the jobs that wait."""

    client: TestClient
    owner: Connection
    dsn: str
    settings: Settings
    editor: dict[str, str]

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """A JSON document; an empty mapping would drop the query of a link that is followed."""
        answer = self.client.get(
            path, params=parameters or None, headers={"accept": "application/json"}
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def work(self, job: str) -> None:
        with open_workshop(self.settings, self.dsn) as workshop:
            run_job(workshop, job, lambda: False, lambda *_: None)


@pytest.fixture(scope="session")
def site(
    cluster: LocalPostgis, template: str, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    name = f"conformance_{uuid.uuid4().hex[:8]}"
    create_database(cluster.dsn(), name, template=template)
    dsn = cluster.dsn(name)
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("conformance"), check_processes=1, pool_size=4
    )
    with connect(dsn) as owner:
        install_queue(owner)
        columns = {
            "parcel_id": [f"P{i:02}" for i in range(25)],
            "landuse_code": [["0701", "0801"][i % 2] for i in range(25)],
            "far_max": [None if i % 5 == 0 else i / 4 for i in range(25)],
            "name": [["Alpha", "beta"][i % 2] for i in range(25)],
        }
        _publish(owner, catalog, LAYER, BOXES, columns)
        line = shapely.LineString([(110, 19.005), (110.3, 19.005)])
        _publish(owner, catalog, LINES, [line], {})
        today = datetime.date(2026, 1, 1)
        open_plan_draft(owner, catalog, "detailed-plan", region=REGION, valid_from=today)
        secret = access_keys.create(owner, "editor", "editor")[1]
        with (
            start.library(settings, service_address(settings, dsn)) as library,
            TestClient(create_app(library), base_url="http://localhost") as client,
        ):
            yield Site(client, owner, dsn, settings, {"authorization": f"Bearer {secret}"})


def _publish(
    owner: Connection, catalog: Catalog, layer: str, shapes: list[Any], columns: dict[str, Any]
) -> None:
    plan, _ = catalog.layer_with_plan(layer)
    content = create_content(owner, layer)
    load_arrays(owner, content, shapes, columns, 1)
    finish_content(owner, content, coverage=shapely.box(*REGION))
    with owner.transaction():
        edition = open_draft(owner, plan.id, valid_from=datetime.date(2021, 1, 1))
        put_layer(owner, edition, layer, content)
    publish(owner, plan.id, edition)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--table", action="store_true", help="print which requirements of the standards hold"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    for mark in item.iter_markers("requirement"):
        report.user_properties.append(("requirement", mark.args))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("--table", default=False):
        return
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, args in getattr(report, "user_properties", []):
                if name == "requirement" and (report.when == "call" or outcome != "passed"):
                    found[args].add(outcome)
    terminalreporter.section("requirements")
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (standard, identifier), outcomes in sorted(found.items()):
        word = "passed" if outcomes == {"passed"} else "FAILED"
        counts[standard][0 if word == "passed" else 1] += 1
        terminalreporter.write_line(f"{word:<7} {standard:<24} {identifier}")
    terminalreporter.write_line("")
    for standard, (passed, failed) in sorted(counts.items()):
        terminalreporter.write_line(f"{standard:<24} {passed:>3} passed {failed:>3} failed")
