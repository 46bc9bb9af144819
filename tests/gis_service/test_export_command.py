"""``gis-service export`` as a real process on a database of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyogrio
import pytest
import shapely

from layers.database import connect

PROGRAM = Path(sys.executable).with_name("gis-service")
SHAPES = [shapely.box(110 + n / 100, 19, 110.005 + n / 100, 19.005) for n in range(5)]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(database: str, publish_layer_for) -> Run:  # type: ignore[no-untyped-def]
    with connect(database) as connection:
        publish = publish_layer_for(connection)
        publish("ecological_redline", SHAPES)
        publish("ecological_redline", SHAPES[:2], publish=False)

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {"DATABASE_URL": database, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            [str(PROGRAM), "export", *arguments], env=environment, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip

    return call


def test_the_edition_in_force_a_draft_and_a_box(run: Run, tmp_path: Path) -> None:
    whole = run("ecological_redline", "-o", str(tmp_path / "a.gpkg"), "--json")
    draft = run("ecological_redline", "--edition", "2", "-o", str(tmp_path / "b.gpkg"), "--json")
    part = run("ecological_redline", "--bbox", "110.0,18.9,110.012,19.1", "--crs", "EPSG:4525",
               "--format", "shp", "-o", str(tmp_path / "c.zip"))  # fmt: skip

    body = json.loads(whole.stdout)
    assert (whole.returncode, body["features"], body["format"]) == (0, 5, "geopackage")
    found = shapely.from_wkb(pyogrio.raw.read(tmp_path / "a.gpkg", columns=[])[2])
    assert [shapely.get_geometry(one, 0).normalize() for one in found] == [
        one.normalize() for one in SHAPES
    ]
    assert json.loads(draft.stdout)["features"] == 2
    assert part.returncode == 0, part.stderr
    info = pyogrio.read_info(f"/vsizip/{tmp_path / 'c.zip'}")
    assert (info["features"], info["crs"]) == (2, "EPSG:4525")


def test_what_cannot_run_says_why_in_one_line(run: Run, tmp_path: Path) -> None:
    out = str(tmp_path / "a.dxf")
    for arguments, word in (
        (("ecological_redline", "-o", out), "EPSG:4525"),
        (("no_layer", "-o", out), "no_layer"),
        (("ecological_redline", "--edition", "99", "-o", out), "99"),
        (("ecological_redline", "-o", str(tmp_path / "a.vrt")), "gpkg"),
        (("ecological_redline", "--as-of", "1900-01-01", "-o", out), "1900-01-01"),
    ):
        answer = run(*arguments)
        assert answer.returncode == 2
        assert word in answer.stderr
        assert "Traceback" not in answer.stderr
    assert list(tmp_path.iterdir()) == []
