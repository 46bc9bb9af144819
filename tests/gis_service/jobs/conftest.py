"""A workshop of one's own: a config folder with one registered folder, and worker processes."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from gis_service.jobs.schema import install_queue
from layers.database import Connection, connect

PROJECT = Path(__file__).resolve().parents[3]


def until(condition: Callable[[], Any], seconds: float = 40.0) -> Any:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("did not happen in time")


@pytest.fixture
def queue_dsn(database: str) -> str:
    with connect(database) as connection:
        install_queue(connection)
    return database


@pytest.fixture
def own(queue_dsn: str) -> Iterator[Connection]:
    with connect(queue_dsn) as connection:
        yield connection


@dataclass
class Place:
    """A config folder with one source, ``forestry``, and the folder that it looks into."""

    config_dir: Path
    exchange: Path

    def register(self, **more: Any) -> None:
        entry = {
            "id": "forestry",
            "title": {"zh": "林业", "en": "Forestry"},
            "plan": "forest-plan",
            "layer": "forest_land",
            "kind": "folder",
            "location": str(self.exchange),
            "glob": "*.geojson",
            "settle_s": 0,
            "schedule": "0 0 1 1 *",
            **more,
        }
        text = yaml.safe_dump({"sources": [entry]}, allow_unicode=True)
        (self.config_dir / "sources.yml").write_text(text, "utf-8")

    def put(self, count: int) -> None:
        features = [
            {
                "type": "Feature",
                "properties": {"forest_id": f"F{n}", "protection_grade": "I"},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[109.5 + n * 0.01, 19.0], [109.501 + n * 0.01, 19.0],
                                     [109.501 + n * 0.01, 19.001], [109.5 + n * 0.01, 19.0]]],
                },
            }
            for n in range(count)
        ]  # fmt: skip
        text = json.dumps({"type": "FeatureCollection", "features": features})
        (self.exchange / "a.geojson").write_text(text, "utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    config_dir, exchange = tmp_path / "config", tmp_path / "exchange"
    shutil.copytree(PROJECT / "config", config_dir)
    exchange.mkdir()
    made = Place(config_dir, exchange)
    made.register()
    return made


WORKER = """
import sys
from pathlib import Path
from gis_service.harvesting import folder, harvest
from gis_service.jobs.worker import WorkerPlan, WorkerTimes, run_worker
from gis_service.settings import Settings

hold = Path(sys.argv[3])
plain = harvest.FETCHERS["folder"]

def slow(source, room):
    import os, time
    (hold / f"entered-{os.getpid()}").touch()
    while not (hold / "go").exists():
        if not (hold / "deaf").exists():
            room.check()
        time.sleep(0.05)
    return plain(source, room)

harvest.FETCHERS["folder"] = slow
if __name__ == "__main__":
    settings = Settings(config_dir=Path(sys.argv[2]), data_dir=hold)
    grace_s = float(sys.argv[4])
    times = WorkerTimes(grace_s, heartbeat_s=0.3, stalled_after_s=1.0, poll_s=0.2)
    sys.exit(0 if run_worker(settings, sys.argv[1], WorkerPlan(times=times)) else 1)
"""


@dataclass
class Workers:
    """Starts real worker processes whose fetch waits until it is told to go on."""

    dsn: str
    place: Place
    hold: Path
    running: list[subprocess.Popen[bytes]]

    def start(self, grace_s: float = 5.0) -> subprocess.Popen[bytes]:
        script = self.hold / "worker.py"
        script.write_text(WORKER)
        log = (self.hold / "worker.log").open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, str(script), self.dsn, str(self.place.config_dir),
                 str(self.hold), str(grace_s)],
                stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(PROJECT)},
            )  # fmt: skip
        self.running.append(process)
        return process

    def entered(self) -> list[int]:
        """Processes that are, or were, inside a fetch."""
        return [int(path.name.split("-")[1]) for path in self.hold.glob("entered-*")]

    def go(self) -> None:
        (self.hold / "go").touch()


@pytest.fixture
def workers(queue_dsn: str, place: Place, tmp_path: Path) -> Iterator[Workers]:
    hold = tmp_path / "hold"
    hold.mkdir()
    made = Workers(queue_dsn, place, hold, [])
    yield made
    for process in made.running:
        if process.poll() is None:
            process.kill()
        process.wait()


def harvests(own: Connection) -> list[tuple[Any, ...]]:
    return own.execute(
        "SELECT occasion, attempt, outcome, content_id FROM harvest.run ORDER BY id"
    ).fetchall()


def jobs_in(own: psycopg.Connection[Any], task: str = "harvest.source") -> list[tuple[Any, ...]]:
    return own.execute(
        "SELECT id, status::text, attempts FROM procrastinate.procrastinate_jobs"
        " WHERE task_name = %s ORDER BY id",
        (task,),
    ).fetchall()


def set_all(own: Connection, status: str) -> None:
    """Put every job into a state; the queue's triggers want its search path."""
    with own.transaction():
        own.execute("SET LOCAL search_path = procrastinate")
        own.execute(
            "UPDATE procrastinate_jobs SET status = %s::procrastinate_job_status", (status,)
        )
