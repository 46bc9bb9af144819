"""The same bytes from real processes: servers of 1, 2 and 8 workers, restarts, the CLI."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import shapely

from layers.catalog import Catalog
from layers.database import connect
from tests.conftest import publish_layer_on

PROGRAM = Path(sys.executable).with_name("gis-service")
DAY = "2026-05-01"
SITE = {
    "type": "Feature",
    "geometry": json.loads(shapely.to_geojson(shapely.box(109.80, 19.20, 109.8013, 19.2017))),
    "properties": {"land_take": True, "name": "站"},
}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def library_dsn(database: str, catalog: Catalog) -> str:
    """Farmland of many crooked strips: sums of areas whose order could show."""
    strips = [
        shapely.Polygon([
            (109.8 + i * 1e-5, 19.1999), (109.8 + i * 1e-5 + 7.3e-6, 19.1999 + i * 1e-6),
            (109.8 + i * 1e-5 + 9.1e-6, 19.2019), (109.8 + i * 1e-5 + 1.7e-6, 19.2018),
        ])
        for i in range(120)
    ]  # fmt: skip
    with connect(database) as connection:
        publish_layer_on(connection, catalog)(
            "permanent_basic_farmland",
            [*(shapely.set_precision(s, 1e-8) for s in strips),
             shapely.box(109.8006, 19.19, 109.81, 19.21)],
            {"farmland_id": [f"F{i}" for i in range(121)]},
        )  # fmt: skip
    return database


@contextmanager
def serving(dsn: str, folder: Path, workers: int) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "DATABASE_URL": dsn, "DATA_DIR": str(folder), "PORT": str(port),
                   "CHECK_PROCESSES": "1"}  # fmt: skip
    call = [str(PROGRAM), "serve", "--no-worker", "--workers", str(workers)]
    server = subprocess.Popen(call, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield _ready(f"http://localhost:{port}", server)
    finally:
        server.terminate()
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(timeout=60)


def _ready(address: str, server: "subprocess.Popen[bytes]") -> str:
    for _ in range(1500):
        assert server.poll() is None
        try:
            if httpx2.get(f"{address}/readyz", timeout=20).status_code == 200:
                return address
        except httpx2.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("the service did not come up")


def check(address: str) -> dict[str, Any]:
    # A connection of its own each time: the next worker may take it.
    answer = httpx2.post(
        f"{address}/ogc/processes/conflict-check/execution",
        json={"inputs": {"submission": SITE, "as_of": DAY}}, timeout=300,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_one_submission_has_one_digest_whoever_judges(library_dsn: str, tmp_path: Path) -> None:
    digests: dict[str, set[str]] = {}
    first: dict[str, Any] = {}
    for workers in (1, 2, 8):
        with serving(library_dsn, tmp_path, workers) as address:
            reports = [check(address) for _ in range(workers + 1)]
            digests[f"{workers} workers"] = {report["digest"] for report in reports}
            first = first or reports[0]
            # The report of the first server, judged again by this one.
            said = httpx2.get(
                f"{address}/reports/{first['report_id']}/verify?replay=true", timeout=300
            ).json()
            assert {one["check"]: one["good"] for one in said["checks"]}["replay"] is True, said
    assert first["outcome"] == "violation"
    assert first["suggested_boundary"]["area_m2"] > 0
    stored, site = tmp_path / "report.json", tmp_path / "site.geojson"
    stored.write_text(json.dumps(first), "utf-8")
    site.write_text(json.dumps(SITE), "utf-8")
    environment = {**os.environ, "DATABASE_URL": library_dsn, "DATA_DIR": str(tmp_path)}
    options: dict[str, Any] = {"env": environment, "capture_output": True, "text": True,
                               "check": False, "timeout": 300}  # fmt: skip
    verified = subprocess.run([str(PROGRAM), "verify", str(stored), "--replay"], **options)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    made = subprocess.run([str(PROGRAM), "check", str(site), "--as-of", DAY, "--json"], **options)
    digests["command line"] = {json.loads(made.stdout)["digest"]}
    assert set.union(*digests.values()) == {first["digest"]}, digests
