"""Real processes that import and publish, and what is left of the library after them."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyogrio.raw
import pytest
import shapely

from gis_service.local_postgis import LocalPostgis
from layers.database import connect, create_database

PROJECT = Path(__file__).resolve().parents[3]
PLAN, LAYER = "overall-plan", "ecological_redline"
_numbers = itertools.count(1)

_STEP = """
import datetime, importlib, os, signal, sys
from pathlib import Path
from layers.catalog import load_catalog
from layers.database import connect
from layers import editions
from layers.plan_import import import_file
from layers.sandbox import Sandbox


def kill_at(step):
    module, name, moment = step.split(":")
    owner = importlib.import_module(module)
    plain = getattr(owner, name)

    def dies(*args, **options):
        if moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = plain(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, dies)


if __name__ == "__main__":
    dsn, what, path, step = sys.argv[1:]
    if step:
        kill_at(step)
    with connect(dsn) as connection:
        if what == "publish":
            print(editions.publish(connection, "overall-plan"))
        else:
            with Sandbox() as sandbox:
                print("go", flush=True)
                report = import_file(
                    connection, sandbox, load_catalog(Path("config")), Path(path),
                    plan_id="overall-plan", layer_id="ecological_redline",
                    valid_from=datetime.date(2026, 1, 1), region_bbox=(107.9, 17.6, 111.9, 20.7),
                )
                print(report.content_sha256, flush=True)
"""


@dataclass(frozen=True)
class Steps:
    """Starts an import or a publish in a process of its own."""

    script: Path
    folder: Path

    def start(
        self, dsn: str, what: str, path: Path | str = "", step: str = "", **environment: str
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(self.script), dsn, what, str(path), step],
            cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(self.folder),
                 **environment},
        )  # fmt: skip

    def run(self, *arguments: Any, **environment: str) -> tuple[int, str, str]:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=180)
        return process.returncode, out, err


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    script = tmp_path / "step.py"
    script.write_text(_STEP)
    return Steps(script, tmp_path)


@pytest.fixture
def new_database(cluster: LocalPostgis) -> Iterator[Callable[..., str]]:
    """Clones of a database, by its DSN; nobody may be connected to it."""
    made: list[str] = []

    def make(template: str) -> str:
        name = f"interrupted_{next(_numbers)}"
        source = psycopg.conninfo.conninfo_to_dict(template)["dbname"]
        create_database(cluster.dsn(), name, template=str(source))
        made.append(name)
        return cluster.dsn(name)

    yield make
    with psycopg.connect(cluster.dsn(), autocommit=True) as server:
        for name in reversed(made):
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _parcels(count: int) -> list[shapely.Geometry]:
    return [
        shapely.Point(109 + (n % 60) * 0.03, 18.5 + (n // 60) * 0.03).buffer(0.01, quad_segs=12)
        for n in range(count)
    ]


def _write(path: Path, count: int, changed: int = 0) -> Path:
    """A GeoPackage of circles with ids; of the first ``changed`` only a quarter is left."""
    shapes = _parcels(count)
    for n in range(changed):
        shapes[n] = shapes[n].intersection(shapely.box(*shapes[n].centroid.coords[0], 180, 90))
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array(shapes)),
        [np.array([f"R{n}" for n in range(len(shapes))], dtype=object)], ["HXBM"],
        geometry_type="Polygon", crs="EPSG:4490", driver="GPKG",
    )  # fmt: skip
    return path


@pytest.fixture
def write() -> Callable[..., Path]:
    return _write


@pytest.fixture
def seen() -> Callable[[str], "Library"]:
    return _seen


@dataclass(frozen=True)
class Library:
    """What readers see: the edition in force, its features, pieces and tiles, and the drafts."""

    states: tuple[str, ...]
    features: frozenset[tuple[Any, ...]]
    overlay: frozenset[tuple[Any, ...]]
    tiles: frozenset[tuple[Any, ...]]


def _seen(dsn: str) -> Library:
    """What a reader of the day finds now."""
    with connect(dsn) as connection:
        states = connection.execute("SELECT state FROM library.edition ORDER BY id").fetchall()
        held = connection.execute(
            "SELECT el.content_id FROM library.in_force AS f"
            " INNER JOIN library.edition_layer AS el ON el.edition_id = f.edition_id"
            " WHERE upper_inf(f.recorded) AND upper_inf(f.valid) AND el.layer_id = %s",
            (LAYER,),
        ).fetchone()
        content = held[0] if held else -1

        def rows(statement: str) -> frozenset[tuple[Any, ...]]:
            found = connection.execute(statement, {"content": content}).fetchall()
            assert len(set(found)) == len(found)
            return frozenset(found)

        return Library(
            tuple(state for (state,) in states),
            rows("SELECT feature_id, md5(ST_AsBinary(geom)), area_m2 FROM reading.feature"
                 " WHERE content_id = %(content)s"),
            rows("SELECT fid, piece, md5(ST_AsBinary(geom)) FROM reading.overlay_piece"
                 " WHERE content_id = %(content)s"),
            rows("SELECT base_zoom, x, y, fid, md5(ST_AsBinary(geom)), properties::text"
                 " FROM reading.tile_piece WHERE content_id = %(content)s"),
        )  # fmt: skip
