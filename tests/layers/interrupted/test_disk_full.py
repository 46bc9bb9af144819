"""A disk that fills up: one clear line, the old edition in force, and a second run succeeds."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gis_service.local_postgis import LocalPostgis
from layers.contents import sweep_dead_contents
from layers.database import connect

PROGRAM = Path(sys.executable).with_name("gis-service")
PLAN, LAYER = "overall-plan", "ecological_redline"
MIB = 1 << 20


@dataclass(frozen=True)
class Disk:
    """A small disk of its own."""

    root: Path

    def fill(self, leave: int) -> None:
        """Leave so many bytes free."""
        with (self.root / "filler").open("wb") as file:
            free = shutil.disk_usage(self.root).free
            file.write(b"\0" * max(0, free - leave))

    def clear(self) -> None:
        (self.root / "filler").unlink(missing_ok=True)


@pytest.fixture
def new_disk() -> Iterator[Callable[[int], Disk]]:
    """Not below pytest's own folders: the server's user has to reach it."""
    made: list[Path] = []

    def make(size: int) -> Disk:
        root = Path(tempfile.mkdtemp(prefix="gis-test-disk-"))
        root.chmod(0o711)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(root)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            root.rmdir()
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
        made.append(root)
        return Disk(root)

    yield make
    for root in made:
        subprocess.run(["umount", "-l", str(root)], check=True)
        root.rmdir()


@pytest.fixture
def on_disk(
    cluster: LocalPostgis, template: str, new_disk: Callable[[int], Disk]
) -> Iterator[tuple[str, Disk]]:
    """The DSN of a database of which the rows lie on a small disk."""
    disk = new_disk(160 * MIB)
    room = disk.root / "space"
    room.mkdir(mode=0o700)
    with psycopg.connect(cluster.dsn(), autocommit=True) as server:
        found = server.execute("SHOW data_directory").fetchone()
        assert found is not None
        owner = Path(found[0]).stat()
        os.chown(room, owner.st_uid, owner.st_gid)
        server.execute(f"CREATE TABLESPACE small_disk LOCATION '{room}'")
        try:
            server.execute(f"CREATE DATABASE on_disk TEMPLATE {template} TABLESPACE small_disk")
            yield cluster.dsn("on_disk"), disk
        finally:
            disk.clear()
            server.execute("DROP DATABASE IF EXISTS on_disk WITH (FORCE)")
            server.execute("DROP TABLESPACE small_disk")


def gis(dsn: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(PROGRAM), *arguments], capture_output=True, text=True, check=False, timeout=180,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "DATABASE_URL": dsn, **environment},
    )  # fmt: skip


def load(dsn: str, file: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return gis(dsn, "import", str(file), "--plan", PLAN, "--layer", LAYER, **environment)


def refused(done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == 2, (done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert "Traceback" not in done.stderr
    assert "disk is full" in lines[-1]
    assert len([line for line in lines if "full" in line]) == 1


def test_the_disk_of_the_database_fills_up(
    on_disk: tuple[str, Disk], write: Callable[..., Path], seen: Any, tmp_path: Path
) -> None:
    dsn, disk = on_disk
    assert load(dsn, write(tmp_path / "a.gpkg", 200)).returncode == 0
    assert gis(dsn, "publish", PLAN).returncode == 0
    before = seen(dsn)
    large = write(tmp_path / "b.gpkg", 3000)
    disk.fill(leave=MIB)
    refused(load(dsn, large))
    assert seen(dsn) == before
    disk.clear()
    with connect(dsn) as connection:
        sweep_dead_contents(connection)
        found = connection.execute("SELECT count(*) FROM library.layer_content").fetchone()
        assert found == (1,)  # nothing half done is left
    done = load(dsn, large)
    assert done.returncode == 0, done.stderr
    draft = seen(dsn)
    with connect(dsn) as connection:  # what was dropped gives its place back now, not later
        connection.execute("CHECKPOINT")
    disk.fill(leave=MIB // 4)
    refused(gis(dsn, "publish", PLAN))
    assert seen(dsn) == draft  # the old edition in force, the draft as it was
    disk.clear()
    assert gis(dsn, "publish", PLAN).returncode == 0
    after = seen(dsn)
    assert after.states == ("superseded", "published")
    assert len(after.features) == 3000
    assert {row[0] for row in after.overlay} == set(range(1, 3001))


@pytest.mark.parametrize("leave", [8 << 10, 48 << 10])
def test_the_disk_of_the_import_itself_fills_up(
    database: str, new_disk: Callable[[int], Disk], write: Callable[..., Path], seen: Any,
    tmp_path: Path, leave: int,
) -> None:  # fmt: skip
    disk = new_disk(16 * MIB)
    assert load(database, write(tmp_path / "a.gpkg", 200)).returncode == 0
    assert gis(database, "publish", PLAN).returncode == 0
    before = seen(database)
    large = write(tmp_path / "b.gpkg", 3000)
    disk.fill(leave)
    refused(load(database, large, TMPDIR=str(disk.root)))
    assert seen(database) == before
    disk.clear()
    done = load(database, large, TMPDIR=str(disk.root))
    assert done.returncode == 0, done.stderr
    assert not list(disk.root.glob("gis-import-*"))
