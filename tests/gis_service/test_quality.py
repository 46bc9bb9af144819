"""The quality report of the demo's overall plan: command line, HTTP, and the four forms."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pyogrio
import pytest
from starlette.testclient import TestClient

from gis_service.quality_report.document import Document
from gis_service.quality_report.forms import render
from gis_service.quality_report.geopackage import write_geopackage
from layers.database import connect

PROGRAM = Path(sys.executable).with_name("gis-service")


def quality(dsn: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [str(PROGRAM), "quality", *arguments],
        env={**os.environ, "DATABASE_URL": dsn},
        capture_output=True,
        check=False,
    )


@pytest.fixture(scope="module")
def report(demo_dsn: str) -> Document:
    done = quality(demo_dsn, "overall-plan", "--json")
    assert done.returncode == 1, done.stderr  # the demo's control lines contradict each other
    document: Document = json.loads(done.stdout)
    return document


def of_code(report: Document, code: str) -> list[dict[str, Any]]:
    return [one for one in report["findings"] if one["code"].startswith(code)]


def test_overlaps_of_the_control_lines_are_those_of_postgis(
    report: Document, demo_dsn: str
) -> None:
    found = of_code(report, "control-line-overlap")
    total = sum(
        one["measured"]["value"]
        for one in found
        if {one["layer"], one["other_layer"]} == {"permanent_basic_farmland", "ecological_redline"}
    )
    with connect(demo_dsn) as connection:
        row = connection.execute(
            "SELECT sum(ST_Area(ST_Intersection(a.geom, b.geom)::geography))"
            " FROM library.layer_in_force AS one"
            " INNER JOIN library.feature AS a ON a.content_id = one.content_id"
            " INNER JOIN library.layer_in_force AS two ON two.layer_id = 'ecological_redline'"
            " INNER JOIN library.feature AS b ON b.content_id = two.content_id"
            " AND ST_Intersects(a.geom, b.geom)"
            " WHERE one.layer_id = 'permanent_basic_farmland'"
        ).fetchone()
    assert row is not None
    # Strips up to 2 mm are no findings.
    assert total == pytest.approx(row[0], rel=1e-6)
    assert total > 1000


def test_the_demo_covers_its_ground(report: Document) -> None:
    assert of_code(report, "gap") == []
    assert of_code(report, "overlap") == []
    assert sum(one["count"] for one in report["counts"]) == report["blocking"] + report["advisory"]


def test_http_gives_the_newest_run_in_four_forms(
    report: Document, client: TestClient, tmp_path: Path
) -> None:
    address = f"/editions/{report['edition']}/quality"
    assert client.get(f"{address}.json").json() == report
    assert client.get(address).json() == report
    page = client.get(address, headers={"accept": "text/html"}, params={"lang": "zh"})
    assert page.headers["content-type"].startswith("text/html")
    assert "数据质检报告" in page.text
    assert "<script" not in page.text
    assert f"{address}.xlsx" in page.text
    assert "#view=" in page.text
    book = openpyxl.load_workbook(io.BytesIO(client.get(f"{address}.xlsx").content))
    assert book.worksheets[1].max_row == len(report["findings"]) + 1
    file = tmp_path / "quality.gpkg"
    file.write_bytes(client.get(f"{address}.gpkg").content)
    layers = {name: pyogrio.read_info(file, layer=name) for name, _ in pyogrio.list_layers(file)}
    assert {name.replace("_", "-") for name in layers} == {f["code"] for f in report["findings"]}
    assert sum(info["features"] for info in layers.values()) == len(report["findings"])
    assert {info["crs"] for info in layers.values()} == {"EPSG:4490"}


def test_no_report_and_no_edition_are_one_answer(report: Document, client: TestClient) -> None:
    nobody = client.get("/editions/99999/quality")
    assert nobody.status_code == 404
    assert nobody.json()["type"].endswith("no-quality-run")
    assert client.get("/editions/x/quality").status_code == 404
    assert client.get(f"/editions/{report['edition']}/quality.pdf").status_code == 404
    misspelt = client.get(f"/editions/{report['edition']}/quality?layr=x")
    assert misspelt.status_code == 400


def hostile() -> Document:
    """A report whose data try to be a formula and a script."""
    finding = {
        "number": 1, "code": "unknown-code", "severity": "blocking", "origin": "edition",
        "title": {"zh": "代码不在编码表中", "en": "Unknown code"}, "layer": "planned_landuse",
        "feature_ids": ['=HYPERLINK("http://x")', "<script>alert(1)</script>"],
        "other_layer": None, "row": 7, "field": "landuse_code", "value": "=1+1",
        "measured": {"value": 12.5, "unit": "m2"}, "width_m": None, "place": [110.0, 19.5],
        "reason": {"zh": "@SUM(A1)", "en": "-2+3<img src=x>"}, "geometry": None,
    }  # fmt: skip
    count = {
        "layer": "planned_landuse", "code": "unknown-code", "origin": "edition",
        "severity": "blocking", "count": 5000, "title": finding["title"],
        "layer_title": {"zh": "规划用地", "en": "Planned land use"},
    }  # fmt: skip
    return {
        "run": 1, "plan": "overall-plan", "plan_title": {"zh": "总体规划", "en": "Overall plan"},
        "edition": 3, "edition_title": {"zh": "<b>版本</b>", "en": "=edition"}, "state": "draft",
        "valid_from": "2026-01-01", "synthetic": False, "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:00+00:00", "outcome": "blocked", "blocking": 5000,
        "advisory": 0, "layers": [], "counterparts": [], "counts": [count], "findings": [finding],
        "thresholds": {"rounding_m": 0.002}, "engine": {"geos": "3.14"},
    }  # fmt: skip


def test_no_text_becomes_a_formula_in_the_workbook() -> None:
    book = openpyxl.load_workbook(io.BytesIO(render(hostile(), {}, "xlsx", "en")))
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f", cell.coordinate
                assert not str(cell.value or "").startswith(("=", "+", "-", "@")), cell.coordinate
    assert book.worksheets[1]["J2"].value == "'=1+1"


def test_no_text_becomes_markup_in_the_page() -> None:
    for language in ("zh", "en"):
        page = render(hostile(), {}, "html", language).decode()
        assert "<script" not in page
        assert "<img" not in page
        assert "<b>版本" not in page
        assert "5,000" in page  # the whole count, though one finding is kept


def test_a_geopackage_of_nothing_and_of_rows_without_a_place(tmp_path: Path) -> None:
    empty = {**hostile(), "findings": []}
    write_geopackage(empty, tmp_path / "empty.gpkg")
    assert pyogrio.read_info(tmp_path / "empty.gpkg")["features"] == 0
    placeless = {**hostile()["findings"][0], "place": None}
    write_geopackage({**hostile(), "findings": [placeless]}, tmp_path / "one.gpkg")
    assert pyogrio.read_info(tmp_path / "one.gpkg", layer="unknown_code")["features"] == 1


def test_commands_refuse_what_they_cannot_do(demo_dsn: str, report: Document) -> None:
    assert quality(demo_dsn, "overall-plan", "-o", "quality.pdf").returncode == 2
    assert quality(demo_dsn, "overall-plan", "99999").returncode == 2
    assert quality(demo_dsn, "no-plan").returncode == 2
    stored = quality(demo_dsn, "overall-plan", "--stored", "--json")
    assert json.loads(stored.stdout)["run"] == report["run"]
