"""A changed rule set against stored reports: what would be judged otherwise, and what is pinned."""

import copy
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely

from gis_service import start
from gis_service.checking import CheckRequest, check
from gis_service.library import Library
from gis_service.rule_preview import Change, changes, preview, preview_report
from gis_service.settings import Settings
from layers.catalog import Catalog
from layers.database import connect
from planning_rules.rule_set import RuleSet, rule_set_of
from tests.conftest import publish_layer_on

PROGRAM = Path(sys.executable).with_name("gis-service")
DAY = datetime.date(2026, 5, 1)
SITE = {
    "type": "Feature",
    "geometry": json.loads(shapely.to_geojson(shapely.box(109.80, 19.20, 109.801, 19.201))),
    "properties": {"land_take": True, "name": "站"},
}
FIELDS = shapely.box(109.8005, 19.19, 109.81, 19.21)

Edit = Callable[[list[dict[str, Any]]], None]


@pytest.fixture
def own_library(database: str, catalog: Catalog, tmp_path: Path) -> Iterator[Library]:
    with connect(database) as connection:
        publish_layer_on(connection, catalog)(
            "permanent_basic_farmland", [FIELDS], {"farmland_id": ["F1"]}
        )
    settings = Settings(check_processes=1, pool_size=2, data_dir=tmp_path)
    with start.library(settings, database) as library:
        yield library


def edited(rule_set: RuleSet, edit: Edit) -> RuleSet:
    content = json.loads(rule_set.canonical_text)
    edit(content["rules"])
    return rule_set_of(json.dumps(content))


def farmland(rules: list[dict[str, Any]]) -> dict[str, Any]:
    return next(rule for rule in rules if rule["id"] == "HN-PBF-001")


def tolerate(rules: list[dict[str, Any]]) -> None:
    farmland(rules)["test"] = {"overlap": {"max_area": "100 ha"}}


def drop(rules: list[dict[str, Any]]) -> None:
    rules.remove(farmland(rules))


def add_towns(rules: list[dict[str, Any]]) -> None:
    rules.append(
        {**copy.deepcopy(farmland(rules)), "id": "T-TOWN-1", "target": {"layer": "town_place"}}
    )


def expire(rules: list[dict[str, Any]]) -> None:
    farmland(rules)["valid"]["to"] = "2026-04-30"


def made(library: Library) -> dict[str, Any]:
    return check(library, CheckRequest(SITE, as_of=DAY))


def test_the_same_rules_change_nothing_after_later_editions(
    own_library: Library, database: str, catalog: Catalog
) -> None:
    report = made(own_library)
    far = shapely.box(110.1, 19.1, 110.2, 19.2)
    with connect(database) as connection:
        publish_layer_on(connection, catalog)(
            "permanent_basic_farmland", [far], {"farmland_id": ["F2"]}
        )
    assert made(own_library)["outcome"] != report["outcome"]  # the library has changed
    found = list(preview(own_library, own_library.rule_set))
    assert len(found) == 2
    assert not any(one.differs for one in found)


def test_a_report_of_a_profile_is_judged_by_that_profile(own_library: Library) -> None:
    check(own_library, CheckRequest(SITE, as_of=DAY, profile="control-lines"))
    (found,) = preview(own_library, own_library.rule_set)
    assert (found.changes, found.differs) == ((), False)


@pytest.mark.parametrize(
    ("edit", "change"),
    [
        (tolerate, Change("HN-PBF-001", "violation", "pass")),
        (drop, Change("HN-PBF-001", "violation", None)),
        (expire, Change("HN-PBF-001", "violation", "not-applicable")),
        (add_towns, Change("T-TOWN-1", None, "undetermined")),
    ],
)
def test_a_changed_rule_is_named(own_library: Library, edit: Edit, change: Change) -> None:
    report = made(own_library)
    (found,) = preview(own_library, edited(own_library.rule_set, edit))
    assert found.report_id == report["report_id"]
    assert found.changes == (change,)
    assert found.before == "violation"
    assert found.after == ("violation" if edit is add_towns else "undetermined")
    with own_library.pool.connection() as connection:  # nothing was stored
        assert connection.execute("SELECT count(*) FROM library.report").fetchone() == (1,)


def test_a_layer_that_only_the_new_rules_read_is_that_of_the_day(
    own_library: Library, database: str, catalog: Catalog
) -> None:
    made(own_library)
    with connect(database) as connection:
        publish_layer_on(connection, catalog)(
            "town_place", [shapely.Point(109.8005, 19.2005)],
            {"place_id": ["T1"], "name": ["镇"]},
        )  # fmt: skip
    (found,) = preview(own_library, edited(own_library.rule_set, add_towns))
    assert found.changes == (Change("T-TOWN-1", None, "violation"),)


def test_what_cannot_be_judged_again_is_not_called_unchanged(own_library: Library) -> None:
    report = made(own_library)
    entry = next(e for e in report["provenance"]["editions"] if e["edition"] is not None)
    entry["content_sha256"] = "0" * 64
    found = preview_report(own_library, own_library.rule_set, report)
    assert found.differs
    assert found.after is None
    assert found.problem is not None
    assert "permanent_basic_farmland" in found.problem.en
    del report["provenance"]["editions"]
    assert preview_report(own_library, own_library.rule_set, report).differs


def test_several_versions_of_a_rule_are_one_answer() -> None:
    def report(*findings: tuple[str, str]) -> dict[str, Any]:
        return {"findings": [{"rule_id": r, "outcome": o} for r, o in findings]}

    before = report(("A", "not-applicable"), ("A", "pass"), ("B", "pass"))
    after = report(("A", "pass"), ("A", "not-applicable"), ("B", "pass"), ("C", "not-applicable"))
    assert list(changes(before, after)) == []
    assert list(changes(before, report(("A", "violation"), ("B", "pass")))) == [
        Change("A", "pass", "violation")
    ]


def test_the_command(own_library: Library, database: str, tmp_path: Path) -> None:
    made(own_library)
    folder = tmp_path / "rules.yml"
    folder.write_text(edited(own_library.rule_set, tolerate).canonical_text, "utf-8")

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {"DATABASE_URL": database, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            [str(PROGRAM), "rules", "preview", *arguments], env=environment, text=True,
            capture_output=True, check=False, timeout=120,
        )  # fmt: skip

    done = run(str(folder))
    assert done.returncode == 1, done.stderr
    assert "1 × HN-PBF-001: violation → pass" in done.stdout
    assert "1 of 1 stored reports" in done.stdout
    told = json.loads(run(str(folder), "--json").stdout)
    assert told["differing"][0]["changes"] == [
        {"rule": "HN-PBF-001", "before": "violation", "after": "pass"}
    ]
    none = run(str(folder), "--since", "2100-01-01")
    assert (none.returncode, "0 of 0" in none.stdout) == (0, True)
