"""An edited rule set: a good one is taken up by a running service, one with a fault is not."""

import dataclasses
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gis_service.app import create_app
from gis_service.library import Library
from gis_service.rule_shelf import RuleShelf
from layers.catalog import Catalog
from layers.errors import BadConfiguration
from planning_rules.rule_set import load_rule_set
from tests.conftest import PROJECT

EXECUTION = "/ogc/processes/conflict-check/execution"


class Clock:
    """Moves when it is told to; files rest for ever between two looks."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "config" / "rules", tmp_path / "rules")
    for path in (*(tmp_path / "rules").iterdir(), tmp_path / "rules"):
        os.utime(path, (1, 1))
    return tmp_path / "rules"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf(folder: Path, catalog: Catalog, clock: Clock) -> RuleShelf:
    return RuleShelf(folder, catalog, clock=clock, wall_clock=lambda: 10_000.0)


def edit(folder: Path, old: str, new: str, name: str = "quotas.yml", at: float = 100) -> None:
    path = folder / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    os.utime(path, (at, at))


def later(shelf: RuleShelf, clock: Clock) -> str:
    clock.now += 3
    return shelf.current().sha256


def test_a_good_edit_is_taken_up(shelf: RuleShelf, folder: Path, clock: Clock) -> None:
    before = shelf.current().sha256
    edit(folder, "severity: violation", "severity: warning")
    assert shelf.current().sha256 == before, "looked at a moment ago"
    after = later(shelf, clock)
    assert after == load_rule_set(folder).sha256 != before
    assert shelf.refusal is None
    edit(folder, "severity: warning", "severity: violation", at=101)
    assert later(shelf, clock) == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("severity: violation", "severity: fatal", "HN-QUOTA-001"),
        ("severity: violation", "severity: [", "quotas.yml"),
        ("severity: violation", "severity: violation\n  colour: red", "HN-QUOTA-001"),
        ("current_landuse IN", "no_such_layer IN", "no_such_layer"),
        ("'01','02'", "'01','9999'", "9999"),
        ("area(subject", "area(everything", "quantity"),
        ("project_level = 'national-major'", "project_level = 'imperial'", "imperial"),
        ("project_level = 'national-major'", "project_level == 1", "HN-QUOTA-001"),
        ("id: HN-QUOTA-001", "id: HN-PBF-001", "HN-PBF-001"),
    ],
)
def test_a_set_with_a_fault_is_refused_and_the_old_one_goes_on(
    shelf: RuleShelf, folder: Path, clock: Clock, old: str, new: str, said: str
) -> None:
    before = shelf.current().sha256
    edit(folder, old, new)
    assert later(shelf, clock) == before
    assert shelf.refusal is not None
    assert said in shelf.refusal.reason.en
    assert later(shelf, clock) == before, "and it is not read again and again"
    edit(folder, new, old, at=101)
    assert later(shelf, clock) == before
    assert shelf.refusal is None, "mended"


def test_a_folder_that_goes_is_refused(shelf: RuleShelf, folder: Path, clock: Clock) -> None:
    before = shelf.current().sha256
    shutil.rmtree(folder)
    assert later(shelf, clock) == before
    assert shelf.refusal is not None


def test_nobody_judges_by_half_a_file(folder: Path, catalog: Catalog, clock: Clock) -> None:
    """A file that was touched within the last second is still being written."""
    wall = Clock()
    wall.now = 100.5
    shelf = RuleShelf(folder, catalog, clock=clock, wall_clock=wall)
    before = shelf.current().sha256
    edit(folder, "severity: violation", "severity: warning", at=100)
    assert later(shelf, clock) == before
    wall.now = 101.5
    assert later(shelf, clock) != before


def test_a_file_that_is_away_for_a_moment_takes_no_rule_along(
    folder: Path, catalog: Catalog, clock: Clock
) -> None:
    """Editors and rsync move a file away before its successor is there."""
    wall = Clock()
    wall.now = 100.5
    shelf = RuleShelf(folder, catalog, clock=clock, wall_clock=wall)
    before = shelf.current().sha256
    (folder / "quotas.yml").rename(folder / "quotas.yml~")
    os.utime(folder, (100, 100))
    assert later(shelf, clock) == before
    (folder / "quotas.yml~").rename(folder / "quotas.yml")
    os.utime(folder, (100, 100))
    wall.now = 102
    assert later(shelf, clock) == before
    (folder / "quotas.yml").unlink()
    os.utime(folder, (103, 103))
    wall.now = 105
    assert later(shelf, clock) != before, "it was taken away for good"


def test_what_changes_while_it_is_read_is_read_again(
    shelf: RuleShelf, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other half of an edit comes while the first is read: a set that nobody wrote."""
    import gis_service.rule_shelf as module

    load = module.load_rule_set

    def meanwhile(path: Path) -> Any:
        found = load(path)
        monkeypatch.setattr(module, "load_rule_set", load)
        edit(folder, "severity: warning", "severity: info", at=101)
        return found

    before = shelf.current().sha256
    edit(folder, "severity: violation", "severity: warning")
    monkeypatch.setattr(module, "load_rule_set", meanwhile)
    assert later(shelf, clock) == before
    assert later(shelf, clock) == load_rule_set(folder).sha256 != before


def test_who_asks_meanwhile_does_not_wait(
    shelf: RuleShelf, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gis_service.rule_shelf as module

    edit(folder, "severity: violation", "severity: warning")
    reading, go_on = threading.Event(), threading.Event()
    load = module.load_rule_set

    def slowly(path: Path) -> Any:
        reading.set()
        assert go_on.wait(20)
        return load(path)

    monkeypatch.setattr(module, "load_rule_set", slowly)
    before = shelf._current.sha256
    thread = threading.Thread(target=later, args=(shelf, clock))
    thread.start()
    assert reading.wait(20)
    assert later(shelf, clock) == before
    go_on.set()
    thread.join(20)
    assert shelf._current.sha256 != before


def test_nothing_to_go_on_with(folder: Path, catalog: Catalog) -> None:
    edit(folder, "severity: violation", "severity: fatal")
    with pytest.raises(BadConfiguration):
        RuleShelf(folder, catalog)


@pytest.fixture
def service(library: Library, shelf: RuleShelf) -> Iterator[TestClient]:
    app = create_app(dataclasses.replace(library, shelf=shelf))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as opened:
        yield opened


def test_a_running_service(
    service: TestClient, folder: Path, clock: Clock, shelf: RuleShelf
) -> None:
    """Checks go on by the old set while a faulty one lies in the folder, then by the new one."""
    site = service.get("/samples/clean-site.geojson").json()

    def checked_by() -> tuple[str, str]:
        report = service.post(EXECUTION, json={"inputs": {"submission": site}}).json()
        told = service.get("/rules").json()
        return report["provenance"]["rule_set"]["sha256"], told["sha256"]

    before = shelf.current().sha256
    edit(folder, "severity: violation", "severity: fatal")
    clock.now += 3
    assert checked_by() == (before, before)
    told = service.get("/rules").json()
    assert told["edited_set_refused"] is True
    assert "refusal" not in told, "what is wrong is told inside the house only"
    edit(folder, "severity: fatal", "severity: warning", at=101)
    clock.now += 3
    after = load_rule_set(folder).sha256
    assert checked_by() == (after, after)
    assert service.get("/rules").json()["edited_set_refused"] is False


def test_a_report_by_the_old_set_still_replays(
    service: TestClient, folder: Path, clock: Clock
) -> None:
    site = service.get("/samples/clean-site.geojson").json()
    report = service.post(EXECUTION, json={"inputs": {"submission": site}}).json()
    edit(folder, "severity: violation", "severity: warning")
    clock.now += 3
    assert service.get("/rules").json()["sha256"] != report["provenance"]["rule_set"]["sha256"]
    verified = service.get(f"/reports/{report['report_id']}/verify?replay=true").json()
    assert verified["valid"] is True
    assert [c["good"] for c in verified["checks"] if c["check"] == "replay"] == [True]
