"""Folders: the newest file, whole, and not the one that somebody is still writing."""

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gis_service.harvesting import folder
from gis_service.harvesting.fetched import FetchRoom
from layers.errors import LimitExceeded, NotFound, Unavailable

from .conftest import make_source, write_forest


@pytest.fixture
def exchange(tmp_path: Path) -> Path:
    made = tmp_path / "exchange"
    made.mkdir()
    return made


def aged(path: Path, seconds: float) -> Path:
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_the_newest_matching_file_is_copied(exchange: Path, room: FetchRoom) -> None:
    aged(write_forest(exchange / "2025.geojson", range(3)), 5000)
    newest = write_forest(exchange / "2026.geojson", range(5))
    (exchange / "2027.txt").write_text("other")
    got = folder.fetch(make_source("folder", str(exchange)), room)
    assert got.path.name == "2026.geojson"
    assert got.path.read_bytes() == newest.read_bytes()
    assert got.path.parent != exchange


def test_the_digest_tells_contents_apart_and_not_times(
    exchange: Path, room: FetchRoom, tmp_path: Path
) -> None:
    def digest(numbers: range, name: str) -> str:
        write_forest(exchange / "a.geojson", numbers)
        one = replace(room, folder=tmp_path / name)
        one.folder.mkdir()
        return folder.fetch(make_source("folder", str(exchange)), one).sha256

    first = digest(range(3), "1")
    assert digest(range(3), "2") == first
    assert digest(range(4), "3") != first


def test_a_shapefile_comes_with_its_siblings(exchange: Path, room: FetchRoom) -> None:
    for suffix in ("shp", "shx", "dbf", "prj"):
        (exchange / f"a.{suffix}").write_bytes(suffix.encode())
    (exchange / "b.dbf").write_bytes(b"other")
    (exchange / "a.txt").write_bytes(b"notes")
    got = folder.fetch(make_source("folder", str(exchange), glob="*.shp"), room)
    assert sorted(p.name for p in got.path.iterdir()) == ["a.dbf", "a.prj", "a.shp", "a.shx"]


def test_a_file_that_has_just_changed_is_left_for_later(exchange: Path, room: FetchRoom) -> None:
    written = write_forest(exchange / "a.geojson", range(3))
    source = make_source("folder", str(exchange), settle_s=60)
    changed = written.stat().st_ctime
    with pytest.raises(Unavailable) as caught:
        folder.fetch(source, replace(room, now=lambda: changed + 59))
    assert caught.value.code == "not-settled"
    assert folder.fetch(source, replace(room, now=lambda: changed + 61)).path.is_file()


def test_a_copier_that_keeps_old_times_is_noticed_too(exchange: Path, room: FetchRoom) -> None:
    """``cp -p`` and rsync give a growing file the time of its original; ctime tells."""
    written = aged(write_forest(exchange / "a.geojson", range(3)), 100_000)
    source = make_source("folder", str(exchange), settle_s=60)
    with pytest.raises(Unavailable):
        folder.fetch(source, replace(room, now=lambda: written.stat().st_ctime + 1))


def test_a_file_that_grows_while_it_is_read_is_left_for_later(
    exchange: Path, room: FetchRoom
) -> None:
    written = write_forest(exchange / "a.geojson", range(3))

    def meanwhile(_seconds: float) -> None:
        with written.open("ab") as file:
            file.write(b"more")

    with pytest.raises(Unavailable) as caught:
        folder.fetch(make_source("folder", str(exchange)), replace(room, sleep=meanwhile))
    assert caught.value.code == "not-settled"


def test_a_newer_file_that_appears_meanwhile_is_not_passed_over(
    exchange: Path, room: FetchRoom
) -> None:
    write_forest(exchange / "a.geojson", range(3))
    checks: list[int] = []

    def meanwhile() -> None:
        if not checks:
            checks.append(1)
            write_forest(exchange / "b.geojson", range(4))

    with pytest.raises(Unavailable):
        folder.fetch(make_source("folder", str(exchange)), replace(room, check=meanwhile))


def test_links_are_not_followed(exchange: Path, room: FetchRoom, tmp_path: Path) -> None:
    secret = write_forest(tmp_path / "secret.geojson", range(3))
    (exchange / "a.geojson").symlink_to(secret)
    with pytest.raises(NotFound):
        folder.fetch(make_source("folder", str(exchange)), room)


def test_a_link_put_in_the_place_of_the_file_is_not_followed(
    exchange: Path, room: FetchRoom, tmp_path: Path
) -> None:
    written = write_forest(exchange / "a.geojson", range(3))
    secret = write_forest(tmp_path / "secret.geojson", range(9))

    def meanwhile(_seconds: float) -> None:
        written.unlink()
        written.symlink_to(secret)

    with pytest.raises(Unavailable):
        folder.fetch(make_source("folder", str(exchange)), replace(room, sleep=meanwhile))
    copied = [p for p in room.folder.rglob("*") if p.is_file()]
    assert all(p.read_bytes() != secret.read_bytes() for p in copied)


def test_what_is_not_there_is_told_apart(exchange: Path, room: FetchRoom) -> None:
    with pytest.raises(NotFound) as caught:
        folder.fetch(make_source("folder", str(exchange)), room)
    assert caught.value.code == "no-file"
    with pytest.raises(Unavailable):
        folder.fetch(make_source("folder", str(exchange / "gone")), room)


def test_a_file_over_the_bound_is_not_copied(exchange: Path, room: FetchRoom) -> None:
    write_forest(exchange / "a.geojson", range(30))
    with pytest.raises(LimitExceeded):
        folder.fetch(make_source("folder", str(exchange)), replace(room, largest_bytes=100))
    assert list(room.folder.iterdir()) == []


def test_a_stop_is_heard_while_copying(exchange: Path, room: FetchRoom) -> None:
    write_forest(exchange / "a.geojson", range(30))

    class Enough(Exception):
        pass

    def stop() -> Any:
        raise Enough

    with pytest.raises(Enough):
        folder.fetch(make_source("folder", str(exchange)), replace(room, check=stop))


def test_the_digest_is_of_name_length_and_bytes(exchange: Path, room: FetchRoom) -> None:
    content = write_forest(exchange / "a.geojson", range(2)).read_bytes()
    expected = hashlib.sha256(f"a.geojson\0{len(content)}\0".encode() + content).hexdigest()
    assert folder.fetch(make_source("folder", str(exchange)), room).sha256 == expected
