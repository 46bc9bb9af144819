"""The walk: drafts with a report of what changed, people's work untouched, each occasion once."""

import datetime
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import shapely

from gis_service.harvesting import runs
from gis_service.harvesting.harvest import HarvestHouse, Stopped, harvest
from gis_service.harvesting.sources import RegisteredSource
from layers import editions, plan_import
from layers.database import Connection, connect
from layers.deltas import put_feature
from layers.errors import Unavailable

from .conftest import DAY, PROJECT, Collection, make_source, write_forest


@pytest.fixture
def exchange(tmp_path: Path) -> Path:
    made = tmp_path / "exchange"
    made.mkdir()
    return made


@pytest.fixture
def own(house: HarvestHouse) -> Iterator[Connection]:
    with connect(house.dsn) as connection:
        yield connection


@pytest.fixture
def folder_source(exchange: Path) -> RegisteredSource:
    return make_source("folder", str(exchange))


def editions_of(own: Connection) -> list[dict[str, Any]]:
    return editions.list_editions(own, "forest-plan")


def everything(own: Connection) -> list[Any]:
    """All that readers could see of the plan; equal before and after = nothing was touched."""
    return own.execute(
        "SELECT (SELECT jsonb_agg(e ORDER BY e.id) FROM library.edition AS e),"
        " (SELECT jsonb_agg(l ORDER BY l.edition_id, l.layer_id) FROM library.edition_layer AS l),"
        " (SELECT jsonb_agg(f ORDER BY f.id) FROM library.in_force AS f),"
        " (SELECT array_agg(c.id ORDER BY c.id) FROM library.layer_content AS c)"
    ).fetchall()


def test_a_new_source_becomes_a_draft_with_a_report(
    house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
) -> None:
    write_forest(exchange / "a.geojson", range(12))
    report = harvest(house, folder_source, "first").report
    assert report["outcome"] == "draft"
    assert report["import"]["accepted"] == 12
    assert report["changes"] == {"against": None, "added": 12, "removed": 0, "changed": 0}
    (edition,) = editions_of(own)
    assert (edition["id"], edition["state"]) == (report["edition"], "draft")
    assert edition["layers"][0]["features"] == 12
    assert editions.contents_in_force(own, None, DAY) == {}
    stored = runs.stored(own, "forestry", "first")
    assert stored is not None
    assert stored["report"] == report
    assert report["duration_s"] > 0


def test_what_changed_is_counted_against_what_is_in_force(
    house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
) -> None:
    write_forest(exchange / "a.geojson", range(40))
    harvest(house, folder_source, "1")
    first = editions.publish(own, "forest-plan")
    collection = json.loads(write_forest(exchange / "a.geojson", range(1, 42)).read_text())
    collection["features"][5]["properties"]["protection_grade"] = "II"
    collection["features"][6]["geometry"]["coordinates"][0][2][0] += 0.0001
    (exchange / "a.geojson").write_text(json.dumps(collection), "utf-8")
    changes = harvest(house, folder_source, "2").report["changes"]
    assert changes["against"] == first
    assert (changes["added"], changes["removed"], changes["changed"]) == (2, 1, 2)
    assert changes["geometry_changed"] == 1
    assert changes["changed_attributes"] == {"protection_grade": 1}


def test_the_same_file_makes_no_draft(
    house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
) -> None:
    write_forest(exchange / "a.geojson", range(5))
    harvest(house, folder_source, "1")
    before = everything(own)
    assert harvest(house, folder_source, "2").outcome == "unchanged"  # as in the draft
    assert everything(own) == before
    editions.publish(own, "forest-plan")
    before = everything(own)
    assert harvest(house, folder_source, "3").outcome == "unchanged"  # as in force
    assert everything(own) == before


def test_the_same_content_in_another_file_makes_no_draft(
    house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
) -> None:
    path = write_forest(exchange / "a.geojson", range(5))
    harvest(house, folder_source, "1")
    editions.publish(own, "forest-plan")
    collection = json.loads(path.read_text())
    path.write_text(json.dumps(collection, indent=3), "utf-8")
    before = everything(own)[0][:3]
    report = harvest(house, folder_source, "2").report
    assert report["outcome"] == "unchanged"
    assert everything(own)[0][:3] == before
    collection["features"].reverse()
    path.write_text(json.dumps(collection), "utf-8")
    assert harvest(house, folder_source, "3").outcome == "unchanged"
    assert everything(own)[0][:3] == before


def test_a_changed_entry_reads_the_same_file_anew(
    house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
) -> None:
    write_forest(exchange / "a.geojson", range(5))
    harvest(house, folder_source, "1")
    editions.publish(own, "forest-plan")
    other = folder_source.model_copy(update={"coverage": "features"})
    report = harvest(house, other, "2").report
    assert report["outcome"] == "draft"
    assert report["changes"]["coverage_changed"] is True


def test_our_own_untouched_draft_is_brought_up_to_date(
    house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
) -> None:
    write_forest(exchange / "a.geojson", range(5))
    first = harvest(house, folder_source, "1").report
    write_forest(exchange / "a.geojson", range(6))
    second = harvest(house, folder_source, "2").report
    assert (second["outcome"], second["edition"]) == ("draft", first["edition"])
    assert editions_of(own)[0]["layers"][0]["features"] == 6


class TestPeoplesDrafts:
    def test_an_import_by_hand_is_not_overwritten(
        self, house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
    ) -> None:
        by_hand = write_forest(exchange.parent / "by-hand.geojson", range(3))
        plan_import.import_file(
            own, house.sandbox, house.catalog, by_hand, plan_id="forest-plan", valid_from=DAY,
            region_bbox=house.config.region.bbox,
        )  # fmt: skip
        write_forest(exchange / "a.geojson", range(9))
        before = everything(own)
        result = harvest(house, folder_source, "1")
        assert result.outcome == "conflict"
        assert result.report["error"]["code"] == "draft-in-work"
        assert everything(own) == before
        editions.publish(own, "forest-plan")
        assert harvest(house, folder_source, "2").outcome == "draft"  # the next tick

    def test_a_harvested_draft_that_was_edited_is_not_overwritten(
        self, house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
    ) -> None:
        write_forest(exchange / "a.geojson", range(5))
        content = harvest(house, folder_source, "1")
        stored = runs.stored(own, "forestry", "1")
        assert stored is not None
        assert content.outcome == "draft"
        put_feature(own, stored["content_id"], "F2", {"forest_id": "F2", "protection_grade": "II"},
                    shapely.box(109.6, 19.5, 109.601, 19.501))  # fmt: skip
        write_forest(exchange / "a.geojson", range(9))
        before = everything(own)
        assert harvest(house, folder_source, "2").outcome == "conflict"
        assert everything(own) == before

    def test_a_draft_that_was_just_opened_by_a_person_is_not_filled(
        self, house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
    ) -> None:
        editions.open_draft(own, "forest-plan", valid_from=datetime.date(2027, 1, 1))
        write_forest(exchange / "a.geojson", range(5))
        before = everything(own)
        assert harvest(house, folder_source, "1").outcome == "conflict"
        assert everything(own) == before

    def test_a_person_who_comes_between_the_look_and_the_store_wins(
        self, house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        write_forest(exchange / "a.geojson", range(5))
        real = editions.open_draft

        def late(*args: Any, **more: Any) -> int:
            real(own, "forest-plan", valid_from=datetime.date(2027, 1, 1))
            return real(*args, **more)

        monkeypatch.setattr(editions, "open_draft", late)
        assert harvest(house, folder_source, "1").outcome == "conflict"
        (edition,) = editions_of(own)
        assert (edition["valid_from"], edition["layers"]) == (datetime.date(2027, 1, 1), [])


class TestFailures:
    def test_a_failing_source_touches_nothing(
        self, house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
    ) -> None:
        path = write_forest(exchange / "a.geojson", range(5))
        harvest(house, folder_source, "1")
        editions.publish(own, "forest-plan")
        before = everything(own)
        path.write_bytes(path.read_bytes()[:-200])
        result = harvest(house, folder_source, "2")
        assert (result.outcome, result.report["error"]["code"]) == ("failed", "damaged-file")
        path.write_text("{}")
        assert harvest(house, folder_source, "3").outcome == "failed"
        path.unlink()
        assert harvest(house, folder_source, "4").report["error"]["code"] == "no-file"
        assert everything(own) == before

    def test_fewer_features_than_stated_change_nothing(
        self, house: HarvestHouse, own: Connection, collection: Collection
    ) -> None:
        source = make_source("ogc-features", collection.location, page_features=10)
        harvest(house, source, "1")
        editions.publish(own, "forest-plan")
        before = everything(own)
        collection.matched = 40
        result = harvest(house, source, "2")
        assert (result.outcome, result.report["error"]["code"]) == ("failed", "incomplete")
        assert everything(own) == before

    def test_rows_that_are_all_refused_make_no_draft(
        self, house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
    ) -> None:
        collection = json.loads(write_forest(exchange / "a.geojson", range(2)).read_text())
        for feature in collection["features"]:
            ring = feature["geometry"]["coordinates"][0]
            ring[1], ring[2] = ring[2], ring[1]
        (exchange / "a.geojson").write_text(json.dumps(collection))
        report = harvest(house, folder_source, "1").report
        assert (report["outcome"], report["import"]["refused"]) == ("refused", 2)
        assert editions_of(own) == []

    def test_a_missing_secret_is_named_and_an_inner_fault_says_nothing(
        self, house: HarvestHouse, own: Connection, collection: Collection,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        from gis_service.harvesting.harvest import FETCHERS, secret_of_environment

        source = make_source(
            "ogc-features", collection.location, credentials={"bearer": "HARVEST_UNSET"}
        )
        blind = replace(house, secret=secret_of_environment)
        assert "HARVEST_UNSET" in str(harvest(blind, source, "1").error)

        def broken(*_: Any) -> Any:
            raise RuntimeError("s3cret detail")

        monkeypatch.setitem(FETCHERS, "ogc-features", broken)
        result = harvest(house, source, "2")
        assert (result.outcome, result.report["error"]["code"]) == ("failed", "internal")
        assert "s3cret" not in json.dumps(result.report)

    def test_a_failed_occasion_is_tried_again_in_the_same_row(
        self, house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
    ) -> None:
        assert harvest(house, folder_source, "1").outcome == "failed"
        write_forest(exchange / "a.geojson", range(5))
        assert harvest(house, folder_source, "1").outcome == "draft"
        (row,) = runs.history(own, "forestry")
        assert (row["attempt"], row["outcome"]) == (2, "draft")


class TestOnce:
    def test_an_occasion_that_is_done_gives_its_result_again(
        self, house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
    ) -> None:
        write_forest(exchange / "a.geojson", range(5))
        first = harvest(house, folder_source, "1")
        write_forest(exchange / "a.geojson", range(9))
        before = everything(own)
        assert harvest(house, folder_source, "1").report == first.report
        assert everything(own) == before

    def test_one_source_is_harvested_by_one_process_at_a_time(
        self, house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
    ) -> None:
        write_forest(exchange / "a.geojson", range(5))
        inside, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            inside.set()
            go_on.wait(20)

        results: list[Any] = []
        thread = threading.Thread(
            target=lambda: results.append(harvest(house, folder_source, "1", hold))
        )
        thread.start()
        assert inside.wait(20)
        try:
            with pytest.raises(Unavailable) as caught:
                harvest(house, folder_source, "2")
            assert caught.value.code == "being-harvested"
        finally:
            go_on.set()
            thread.join()
        assert results[0].outcome == "draft"
        assert [row["occasion"] for row in runs.history(own, "forestry")] == ["1"]

    def test_a_late_finisher_is_fenced_out_with_its_draft(
        self, house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """Stopped for so long that another attempt took over: its work is thrown away."""
        write_forest(exchange / "a.geojson", range(5))
        real = editions.open_draft

        def overtaken(*args: Any, **more: Any) -> int:
            own.execute("UPDATE harvest.run SET attempt = attempt + 1 WHERE occasion = '1'")
            return real(*args, **more)

        monkeypatch.setattr(editions, "open_draft", overtaken)
        with pytest.raises(Exception, match="taken over"):
            harvest(house, folder_source, "1")
        assert editions_of(own) == []
        (row,) = runs.history(own, "forestry")
        assert (row["attempt"], row["outcome"]) == (2, "running")

    def test_a_stop_leaves_nothing_and_the_occasion_open(
        self, house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource
    ) -> None:
        write_forest(exchange / "a.geojson", range(5))
        calls: list[int] = []

        def stop() -> None:
            calls.append(1)
            if len(calls) == 3:
                raise Stopped

        with pytest.raises(Stopped):
            harvest(house, folder_source, "1", stop)
        assert editions_of(own) == []
        assert runs.history(own, "forestry")[0]["outcome"] == "stopped"
        assert harvest(house, folder_source, "1").outcome == "draft"


KILLED_HARVEST = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
import datetime
from gis_service.harvesting import harvest as walk
from gis_service.harvesting.sources import RegisteredSource
from gis_service.settings import load_service_config
from layers import contents, editions
from layers.catalog import load_catalog
from layers.sandbox import Sandbox

def die(*args, **more):
    os.kill(os.getpid(), signal.SIGKILL)

place = sys.argv[3]
owner = {"editions.put_layer": editions, "contents.finish_content": contents}
if place == "after-store":
    walk.publish_if_clean = die
elif place == "before-result":
    from gis_service.harvesting import runs
    runs.finish = die
else:
    module, name = place.split(".")
    setattr(owner[place], name, die)
config = Path(sys.argv[4]) / "config"
source = RegisteredSource.model_validate_json(sys.argv[2])
if __name__ == "__main__":
    with Sandbox() as sandbox:
        house = walk.HarvestHouse(
            dsn=sys.argv[1], catalog=load_catalog(config), config=load_service_config(config),
            field_maps_dir=config / "field_maps", sandbox=sandbox,
            today=lambda: datetime.date(2026, 1, 1),
        )
        walk.harvest(house, source, "1")
"""


@pytest.mark.parametrize(
    "place", ["contents.finish_content", "editions.put_layer", "before-result", "after-store"]
)
def test_killed_anywhere_and_run_again_gives_one_result(
    house: HarvestHouse, own: Connection, exchange: Path, folder_source: RegisteredSource,
    tmp_path: Path, place: str,
) -> None:  # fmt: skip
    write_forest(exchange / "a.geojson", range(7))
    script = tmp_path / "killed.py"
    script.write_text(KILLED_HARVEST)
    arguments = [house.dsn, folder_source.model_dump_json(), place, str(PROJECT)]
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    _await_released(own)
    stored = len(editions_of(own))
    assert stored == (1 if place == "after-store" else 0)
    assert harvest(house, folder_source, "1").outcome == "draft"
    (edition,) = editions_of(own)
    assert edition["layers"][0]["features"] == 7
    (row,) = runs.history(own, "forestry")
    assert (row["outcome"], row["edition_id"]) == ("draft", edition["id"])
    contents = own.execute("SELECT count(*) FROM library.layer_content").fetchone()
    assert contents == (1,)


def _await_released(own: Connection) -> None:
    """Until the server has noticed that the killed process is gone."""
    for _ in range(100):
        found = own.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
        if found == (0,):
            return
        time.sleep(0.1)


class TestPublishing:
    @pytest.fixture
    def bold(self, folder_source: RegisteredSource) -> RegisteredSource:
        return folder_source.model_copy(update={"publish": "when-clean"})

    @pytest.fixture
    def bold_house(self, house: HarvestHouse) -> HarvestHouse:
        return replace(house, publishing=frozenset({"forestry"}))

    def test_by_default_a_draft_stays_a_draft(
        self, bold_house: HarvestHouse, own: Connection, exchange: Path,
        folder_source: RegisteredSource,
    ) -> None:  # fmt: skip
        write_forest(exchange / "a.geojson", range(5))
        assert harvest(bold_house, folder_source, "1").outcome == "draft"
        assert editions.contents_in_force(own, None, DAY) == {}

    def test_a_clean_one_is_published_if_its_source_says_so(
        self, bold_house: HarvestHouse, own: Connection, exchange: Path, bold: RegisteredSource
    ) -> None:
        write_forest(exchange / "a.geojson", range(5))
        report = harvest(bold_house, bold, "1").report
        assert report["outcome"] == "published"
        assert editions.contents_in_force(own, None, DAY)["forest_land"].feature_count == 5

    def test_one_that_shrank_waits_for_a_person(
        self, bold_house: HarvestHouse, own: Connection, exchange: Path, bold: RegisteredSource
    ) -> None:
        write_forest(exchange / "a.geojson", range(20))
        harvest(bold_house, bold, "1")
        write_forest(exchange / "a.geojson", range(10))
        report = harvest(bold_house, bold, "2").report
        assert report["outcome"] == "draft"
        assert "content-shrunk" in report["import"]["issue_counts"]
        assert editions.contents_in_force(own, None, DAY)["forest_land"].feature_count == 20

    @pytest.mark.parametrize("shift_deg", [0.0003, 0.002])
    def test_one_that_moved_waits_for_a_person(
        self, bold_house: HarvestHouse, own: Connection, exchange: Path, bold: RegisteredSource,
        shift_deg: float,
    ) -> None:  # fmt: skip
        """0.0003 degrees are 32 m: advisory for people, and still no publish without them."""
        write_forest(exchange / "a.geojson", range(200))
        harvest(bold_house, bold, "1")
        write_forest(exchange / "a.geojson", range(200), shift=shift_deg)
        report = harvest(bold_house, bold, "2").report
        assert "datum-shift-suspected" in report["import"]["issue_counts"]
        assert report["outcome"] == "draft"

    def test_blocking_issues_wait_for_a_person(
        self, bold_house: HarvestHouse, own: Connection, exchange: Path, bold: RegisteredSource
    ) -> None:
        write_forest(exchange / "a.geojson", range(5), grade="no-such-grade")
        report = harvest(bold_house, bold, "1").report
        assert report["import"]["blocking_issues"] > 0
        assert report["outcome"] == "draft"
        assert editions.contents_in_force(own, None, DAY) == {}

    def test_killed_before_its_publish_it_is_published_by_the_next_run(
        self, bold_house: HarvestHouse, own: Connection, exchange: Path, bold: RegisteredSource,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        write_forest(exchange / "a.geojson", range(5))
        with monkeypatch.context() as patch:
            patch.setattr("gis_service.harvesting.harvest.publish_if_clean", lambda *_: False)
            assert harvest(bold_house, bold, "1").outcome == "draft"
        assert harvest(bold_house, bold, "1").outcome == "published"
        assert len(editions_of(own)) == 1

    def test_a_person_who_edits_before_the_publish_stops_it(
        self, bold_house: HarvestHouse, own: Connection, exchange: Path, bold: RegisteredSource,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        write_forest(exchange / "a.geojson", range(5))

        def edited(connection: Connection, edition_id: int) -> None:
            stored = runs.stored(own, "forestry", "1")
            assert stored is not None
            values = {"forest_id": "F2", "protection_grade": "II"}
            where = shapely.box(109.6, 19.5, 109.601, 19.501)
            put_feature(own, stored["content_id"], "F2", values, where)

        monkeypatch.setattr(runs, "lock_edition", edited)
        assert harvest(bold_house, bold, "1").outcome == "draft"
        assert editions.contents_in_force(own, None, DAY) == {}


def test_the_three_kinds_end_in_equal_contents(
    house: HarvestHouse, own: Connection, exchange: Path, collection: Collection, foreign_dsn: str
) -> None:
    """A folder, a service and a table that hold the same parcels give one content."""
    digests = []
    write_forest(exchange / "a.geojson", range(25))
    with psycopg.connect(foreign_dsn, autocommit=True) as foreign:
        for feature in collection.features:
            foreign.execute(
                "INSERT INTO parcels (forest_id, protection_grade, geom) VALUES (%s, 'I',"
                " ST_Multi(ST_SetSRID(ST_GeomFromGeoJSON(%s), 4490)))",
                (feature["id"], json.dumps(feature["geometry"])),
            )
    table = replace(house, secret=lambda _name: foreign_dsn)
    sources: list[tuple[HarvestHouse, RegisteredSource]] = [
        (house, make_source("folder", str(exchange), id="a-folder")),
        (house, make_source("ogc-features", collection.location, id="a-service")),
        (table, make_source("postgis", "public.parcels", id="a-table",
                            credentials={"dsn": "HARVEST_TABLE"})),
    ]  # fmt: skip
    for place, source in sources:
        report = harvest(place, source, "1").report
        digests.append((source.id, report["outcome"], report.get("error")))
        if report["outcome"] == "draft":
            editions.publish(own, "forest-plan")
    # The table lies in the order of its key; the rows are the same.
    assert digests == [("a-folder", "draft", None), ("a-service", "unchanged", None),
                       ("a-table", "unchanged", None)]  # fmt: skip


def test_rooms_of_the_dead_are_swept(
    house: HarvestHouse, exchange: Path, folder_source: RegisteredSource, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    dead, living = tmp_path / "gis-harvest-999999999-x", tmp_path / f"gis-harvest-{os.getpid()}-x"
    dead.mkdir()
    living.mkdir()
    write_forest(exchange / "a.geojson", range(2))
    harvest(house, folder_source, "1")
    assert not dead.exists()
    assert [path.name for path in tmp_path.glob("gis-harvest-*")] == [living.name]
