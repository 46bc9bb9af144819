"""Every form says what the JSON says: read back by other programs than those that wrote it."""

import io
import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pyogrio
import pypdfium2
import pytest
import shapely
from openpyxl import load_workbook
from starlette.testclient import TestClient

from gis_service.library import Library
from gis_service.report_forms import FORMS, form_of, render
from gis_service.report_forms.geojson import write_geojson
from gis_service.report_forms.geopackage import write_geopackage
from layers.area import area_m2
from layers.errors import NotFound

HOSTILE = '=cmd|"/c calc"!A1<script>alert(1)</script>'


@pytest.fixture(scope="module")
def report(client: TestClient) -> dict[str, Any]:
    """A violation of the demo with a hostile name."""
    for sample in client.get("/samples").json():
        site = client.get(sample["href"]).json()
        site["properties"]["name"] = HOSTILE
        body = {"inputs": {"submission": site}}
        made: dict[str, Any] = client.post(
            "/ogc/processes/conflict-check/execution", json=body
        ).json()
        if made["outcome"] == "violation" and any(f["patches"] for f in made["findings"]):
            return made
    raise AssertionError("no sample of the demo violates a rule")


def patches(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [patch for finding in report["findings"] for patch in finding["patches"]]


def written(client: TestClient, report: dict[str, Any], suffix: str, language: str = "zh") -> bytes:
    answer = client.get(f"/reports/{report['report_id']}.{suffix}?lang={language}")
    assert answer.headers["content-type"].startswith(FORMS[suffix].media_type)
    return answer.content


def test_the_pdf_holds_the_figures_and_chinese_text(
    client: TestClient, report: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(written(client, report, "pdf"))
    with pypdfium2.PdfDocument(path) as document:
        pages = [page.get_textpage().get_text_bounded() for page in document]
    joined = "".join("".join(pages).split())
    assert "规划冲突核查报告" in joined
    assert "单位（盖章）" in joined
    assert report["report_id"] in joined
    assert report["digest"].removeprefix("sha256:")[:20] in joined
    assert f"{report['submission']['area_m2']:,.2f}" in joined
    for finding in report["findings"]:
        assert finding["rule_id"] in joined


def test_the_pdf_fetches_nothing(library: Library, report: dict[str, Any]) -> None:
    from gis_service.report_forms.pdf import _refuse

    with pytest.raises(ValueError, match="fetches nothing"):
        _refuse("file:///etc/passwd")
    body = render(library.sandbox, report, form_of("pdf"), "en", None)
    assert body.startswith(b"%PDF-")


def test_the_workbook(client: TestClient, report: dict[str, Any]) -> None:
    book = load_workbook(io.BytesIO(written(client, report, "xlsx", "en")))
    assert book.sheetnames == [
        "Summary", "Findings", "Patches", "Land take", "Layers", "Provenance",
    ]  # fmt: skip
    findings = list(book["Findings"].iter_rows(min_row=2, values_only=True))
    assert [(row[0], row[3]) for row in findings] == [
        (f["rule_id"], f["outcome"]) for f in report["findings"]
    ]
    areas = [row[10] for row in book["Patches"].iter_rows(min_row=2, values_only=True)]
    assert areas == pytest.approx([p["area_m2"] for p in patches(report)])
    *rows, total = book["Land take"].iter_rows(min_row=2, values_only=True)
    assert sum(row[3] for row in rows) == pytest.approx(total[3], abs=0.001)
    raw = zipfile.ZipFile(io.BytesIO(written(client, report, "xlsx", "en")))
    sheets = "".join(raw.read(n).decode() for n in raw.namelist() if n.startswith("xl/worksheets"))
    assert "<f>" not in sheets, "a text became a formula"
    summary = dict(row[:2] for row in book["Summary"].iter_rows(values_only=True))
    assert summary["Project"] == HOSTILE
    assert summary["Digest"] == report["digest"]


def test_the_map_layers(report: dict[str, Any], tmp_path: Path) -> None:
    suggested = {"geometry": report["submission"]["geometry"], "parts": 1, "cut_to": ["HN-PBF-001"],
                 "area_m2": report["submission"]["area_m2"], "removed_m2": 1.5,
                 "message": {"zh": "建议", "en": "suggested"}}  # fmt: skip
    report = {**report, "suggested_boundary": suggested}
    collection = json.loads(write_geojson(report, "zh", None))
    kinds = [feature["properties"]["kind"] for feature in collection["features"]]
    assert kinds[:2] == ["site", "suggested-boundary"]
    assert len(kinds) == 2 + len(patches(report))
    assert collection["features"][1]["properties"]["area_m2"] == suggested["area_m2"]
    assert collection["digest"] == report["digest"]
    path = tmp_path / "report.gpkg"
    path.write_bytes(write_geopackage(report, "zh", None))
    layers = {str(name) for name, _ in pyogrio.list_layers(path)} - {"layer_styles"}
    counted = 0
    for layer in sorted(layers - {"site", "suggested_boundary"}):
        info = pyogrio.read_info(path, layer=layer)
        assert info["crs"] == "EPSG:4490"
        counted += info["features"]
    assert counted == len(patches(report))
    shape = shapely.from_wkb(pyogrio.raw.read(path, layer="suggested_boundary")[2][0])
    assert area_m2(shape) == pytest.approx(suggested["area_m2"], abs=0.01)
    site = pyogrio.read_info(path, layer="site")
    west, south, east, north = site["total_bounds"]
    assert 107 < west < east < 112
    assert 17 < south < north < 21
    styled = sqlite3.connect(path).execute("SELECT f_table_name, styleQML FROM layer_styles")
    styles = dict(styled.fetchall())
    assert set(styles) == layers
    assert all("<renderer-v2" in qml for qml in styles.values())


def test_the_page_has_a_code_and_no_script(client: TestClient, report: dict[str, Any]) -> None:
    page = written(client, report, "html").decode()
    assert "<script" not in page
    assert f"/reports/{report['report_id']}/verify" in page
    preferred = client.get(f"/reports/{report['report_id']}", headers={"accept": "application/pdf"})
    assert preferred.content.startswith(b"%PDF-")
    plain = client.get(f"/reports/{report['report_id']}", headers={"accept": "*/*"})
    assert plain.json()["digest"] == report["digest"]


def test_a_form_that_is_none(client: TestClient, report: dict[str, Any]) -> None:
    with pytest.raises(NotFound, match="pdf"):
        form_of("docx")
    answer = client.get(f"/reports/{report['report_id']}.docx")
    assert "xlsx" in answer.json()["detail"]
