"""Bad input over HTTP, row by row: each has a clear answer, and none ends in a pass."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import shapely
from starlette.testclient import TestClient

from gis_service import start
from gis_service.app import create_app
from gis_service.library import Library
from gis_service.local_postgis import LocalPostgis
from gis_service.settings import Settings
from layers.catalog import Catalog
from layers.database import create_database
from tests.gis_service.submissions.conftest import lay_ground
from tests.gis_service.submissions.test_intake import comb

Site = Callable[..., dict[str, Any]]
GEOJSON = {"Content-Type": "application/geo+json"}
EXECUTION = "/ogc/processes/conflict-check/execution"


@pytest.fixture(scope="module")
def library(
    cluster: LocalPostgis, template: str, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Library]:
    """One for all rows, with the whole rule set: what is unknown meets a rule that asks for it."""
    create_database(cluster.dsn(), "test_bad_input", template=template)
    dsn = cluster.dsn("test_bad_input")
    lay_ground(dsn, catalog)
    data_dir = tmp_path_factory.mktemp("data")
    settings = Settings(check_processes=1, pool_size=4, data_dir=data_dir)
    with start.library(settings, dsn) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(library: Library) -> Iterator[TestClient]:
    app = create_app(library)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as opened:
        yield opened


def post(client: TestClient, content: bytes | str, **headers: str) -> Any:
    return client.post("/submissions", content=content, headers={**GEOJSON, **headers})


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """A problem document of RFC 9457, in words of ours; nothing was stored."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"].endswith(f":{code}"), body
    assert body["detail"]
    assert "Traceback" not in answer.text
    assert "/work" not in answer.text
    assert "SELECT" not in answer.text
    return body


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"a": 1, "a": 2}', "duplicate-member"),
        ('{"a": NaN}', "invalid-json"),
        ('{"a": Infinity}', "invalid-json"),
        ('{"a": 1e400}', "invalid-json"),
        ('{"a": "\\ud800"}', "invalid-json"),
        ('{"a": 1', "invalid-json"),
        ('{"a": 1} {"a": 2}', "invalid-json"),
        ("{'a': 1}", "invalid-json"),
    ],
)
def test_json_that_is_none(client: TestClient, text: str, code: str) -> None:
    problem(post(client, text), 422, code)
    wrapped = '{"inputs": {"submission": ' + text + "}}"
    problem(client.post(EXECUTION, content=wrapped), 422, code)


def test_an_attribute_twice_is_named(client: TestClient, site: Site) -> None:
    text = json.dumps(site(land_take=True)).replace(
        '"land_take": true', '"land_take": true, "land_take": false'
    )
    body = problem(post(client, text), 422, "duplicate-member")
    assert body["errors"] == [{"at": "/land_take", "reason": "stands twice"}]


@pytest.mark.parametrize(
    ("position", "code"),
    [
        ([109.8], "invalid-geometry"), ([None, 19.2], "invalid-geometry"),
        (["109.8", "19.2"], "invalid-geometry"), ([True, 19.2], "invalid-geometry"),
        ([1e308, 19.2], "invalid-geometry"), ([1e9, 1e9], "invalid-geometry"),
        ([[109.8, 19.2], 19.2], "invalid-geometry"), ({"x": 109.8}, "invalid-geometry"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], "invalid-geometry"),
    ],
)  # fmt: skip
def test_positions(client: TestClient, site: Site, position: Any, code: str) -> None:
    feature = site()
    feature["geometry"]["coordinates"][0][1] = position
    body = problem(post(client, json.dumps(feature)), 422, code)
    assert body["errors"][0]["at"].startswith("/geometry/coordinates/0/1")


def star(points: int, west: float = 109.8) -> list[list[float]]:
    """star(n) of reliability B1/B2: about n^2/2 crossings."""
    step = 2 * math.pi * ((points - 1) // 2) / points
    ring = [[west + 0.01 * math.cos(i * step), 19.2 + 0.01 * math.sin(i * step)]
            for i in range(points)]  # fmt: skip
    return [*ring, ring[0]]


BOW = [[109.80, 19.20], [109.81, 19.21], [109.81, 19.20], [109.80, 19.21], [109.80, 19.20]]
SQUARE = [[109.80, 19.20], [109.81, 19.20], [109.81, 19.21], [109.80, 19.21], [109.80, 19.20]]
HOLE = [[109.90, 19.20], [109.91, 19.20], [109.91, 19.21], [109.90, 19.20]]
LINE = [[109.80, 19.20], [109.81, 19.20], [109.82, 19.20], [109.80, 19.20]]


@pytest.mark.parametrize(
    "rings",
    [[BOW], [SQUARE, HOLE], [SQUARE, SQUARE], [LINE], [star(51)], [star(1401)]],
    ids=["bow-tie", "hole-outside", "ring-twice", "no-area", "star-51", "star-1401"],
)
def test_invalid_geometry_is_refused_with_its_place(client: TestClient, rings: Any) -> None:
    feature = {"type": "Feature", "properties": {},
               "geometry": {"type": "Polygon", "coordinates": rings}}  # fmt: skip
    body = problem(post(client, json.dumps(feature)), 422, "invalid-geometry")
    assert body["errors"][0]["at"] == "/geometry/coordinates"
    assert "not mended silently" in body["detail"]


@pytest.mark.parametrize(
    ("geometry", "code"),
    [
        ({"type": "Polygon", "coordinates": []}, "empty-geometry"),
        ({"type": "Polygon", "coordinates": [[]]}, "empty-geometry"),
        ({"type": "MultiPolygon", "coordinates": []}, "empty-geometry"),
        ({"type": "GeometryCollection", "geometries": []}, "empty-geometry"),
        ({"type": "Curve", "coordinates": [[1, 2]]}, "invalid-geometry"),
        ({"type": "Polygon"}, "invalid-geometry"),
        ({"type": "GeometryCollection", "geometries": [
            {"type": "GeometryCollection", "geometries": []}]}, "invalid-geometry"),
        ({"type": "GeometryCollection", "geometries": [
            {"type": "Point", "coordinates": [109.8, 19.2]},
            {"type": "Polygon", "coordinates": [SQUARE]}]}, "mixed-dimensions"),
        ({"type": "Polygon", "coordinates": [[[p * 1e-9 + 109.8, q * 1e-9 + 19.2]
                                              for p, q in [(0, 0), (1, 0), (1, 1), (0, 0)]]]},
         "thinner-than-grid"),
        (None, "bad-input"),
        ([], "invalid-geometry"),
    ],
)  # fmt: skip
def test_geometries_that_are_none(client: TestClient, geometry: Any, code: str) -> None:
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    problem(post(client, json.dumps(feature)), 422, code)


def test_heights_are_dropped_and_said(client: TestClient, site: Site) -> None:
    feature = site()
    ring = feature["geometry"]["coordinates"][0]
    feature["geometry"]["coordinates"][0] = [[*p, 12.5] for p in ring]
    answer = post(client, json.dumps(feature))
    assert answer.status_code == 201
    assert [one["code"] for one in answer.json()["normalised"]["repairs"]] == ["z-dropped"]


def test_limits_on_vertices_and_parts(client: TestClient) -> None:
    turns = np.linspace(0, 2 * np.pi, 100_002)
    ring = np.column_stack([109.8 + 0.01 * np.cos(turns), 19.2 + 0.01 * np.sin(turns)]).tolist()
    ring[-1] = ring[0]
    many = {"type": "Polygon", "coordinates": [ring]}
    body = problem(post(client, json.dumps(many)), 413, "limit-exceeded")
    assert "100,000 vertices" in body["detail"]
    points = {"type": "MultiPoint", "coordinates": [[109.8 + i / 1e5, 19.2] for i in range(1_001)]}
    assert (
        "1,000 parts" in problem(post(client, json.dumps(points)), 413, "limit-exceeded")["detail"]
    )


def test_limits_on_bytes_depth_and_texts(client: TestClient, library: Library, site: Site) -> None:
    most = library.config.limits.submission_bytes
    problem(post(client, b"{" + b" " * most + b"}"), 413, "limit-exceeded")
    deep: Any = 1
    for _ in range(40):
        deep = {"a": deep}
    problem(post(client, json.dumps(site(extra=deep))), 413, "too-deep")
    problem(post(client, json.dumps(site(name="长" * 10_001))), 413, "limit-exceeded")
    problem(post(client, json.dumps(site(**{"n" * 201: 1}))), 413, "limit-exceeded")
    assert post(client, json.dumps(site(name="长" * 10_000))).status_code == 201


@pytest.mark.parametrize(
    ("attributes", "rule_id"),
    [
        ({"land_take": "true"}, "HN-PBF-001"),
        ({"land_take": 1}, "HN-PBF-001"),
        ({"land_take": None}, "HN-PBF-001"),
        ({"project_level": 5}, "HN-QUOTA-001"),
    ],
)
def test_wrong_types_are_unknown_and_said(
    client: TestClient, site: Site, attributes: dict[str, Any], rule_id: str
) -> None:
    """They neither switch a rule off nor open an exemption."""
    answer = post(client, json.dumps(site(side=2.0, **attributes))).json()
    report = client.get(f"/reports/{answer['report_id']}.json").json()
    finding = next(f for f in report["findings"] if f["rule_id"] == rule_id)
    assert finding["outcome"] in ("undetermined", "violation")
    assert finding["exemption"] is None
    notes = [note["code"] for note in answer["normalised"]["notes"]]
    said = None not in attributes.values()
    assert ("attribute-unusable" in notes) is said
    assert report["submission"]["notes"] == answer["normalised"]["notes"]


@pytest.mark.parametrize(
    "day",
    [
        "2026-02-30", "2026-13-01", "2026-1-1", "tomorrow", "20260101", "10000-01-01",
        "2026-01-01T00:00:00Z", "２０２６-01-01", "0000-01-01",
    ],
)  # fmt: skip
def test_days_that_are_none(client: TestClient, site: Site, day: str) -> None:
    text = json.dumps(site())
    answer = client.post("/submissions", params={"as_of": day}, content=text, headers=GEOJSON)
    problem(answer, 400, "bad-parameter")
    body = {"inputs": {"submission": site(), "as_of": day}}
    problem(client.post(EXECUTION, json=body), 400, "bad-parameter")


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "1949-10-01", "2050-01-01"])
def test_days_out_of_range_pass_nothing(client: TestClient, site: Site, day: str) -> None:
    """No plan and no rule is in force then; a report in which nothing was checked is no pass."""
    answer = client.post("/submissions", params={"as_of": day}, content=json.dumps(site()),
                         headers=GEOJSON)  # fmt: skip
    assert answer.status_code == 201
    assert answer.json()["outcome"] == "undetermined"


def test_malformed_documents_meet_no_requirement(client: TestClient, site: Site) -> None:
    wanted = {"authority": "自然资源部", "document": "国家统筹用地计划指标配置文件"}
    for documents, outcome in [
        ("有文件", "conditional"),
        ([{**wanted, "date": "2026-02-30"}], "conditional"),
        ([{**wanted}], "conditional"),
        ([{**wanted, "number": "自然资函〔2026〕1号"}], "pass"),
    ]:
        feature = site(side=2.0, project_level="national-major", documents=documents)
        answer = post(client, json.dumps(feature)).json()
        report = client.get(f"/reports/{answer['report_id']}.json").json()
        finding = next(f for f in report["findings"] if f["rule_id"] == "HN-QUOTA-001")
        assert finding["outcome"] == outcome
        codes = {note["code"] for note in answer["normalised"]["notes"]}
        assert bool(codes & {"attribute-unusable", "document-unusable"}) is (outcome != "pass")


@pytest.mark.parametrize(
    ("width", "status"), [("12 m", 400), (0, 400), (-5, 400), (1001, 400), (True, 400), (60, 201)]
)
def test_widths_of_centrelines(client: TestClient, width: Any, status: int) -> None:
    line = {"type": "LineString", "coordinates": [[109.80, 19.20], [109.81, 19.20]]}
    feature = {"type": "Feature", "geometry": line, "properties": {"line_width_m": width}}
    answer = post(client, json.dumps(feature))
    assert answer.status_code == status, answer.text
    if status == 400:
        assert answer.json()["errors"][0]["at"] == "/properties/line_width_m"


# Files: what a column holds is no better than what a JSON member holds.
def geopackage(folder: Path, **columns: Any) -> bytes:
    path = folder / "site.gpkg"
    pyogrio.raw.write(
        path, geometry=shapely.to_wkb(np.array([shapely.box(109.80, 19.20, 109.802, 19.202)],
                                               dtype=object)),
        field_data=[np.array([value]) for value in columns.values()], fields=list(columns),
        driver="GPKG", geometry_type="Polygon", crs="EPSG:4490",
    )  # fmt: skip
    return path.read_bytes()


def upload(client: TestClient, name: str, content: bytes, **fields: str) -> Any:
    return client.post("/submissions", files={"file": (name, content)}, data=fields)


@pytest.mark.parametrize(
    "text", ["１２", "1_2", "nan", "inf", "-Infinity", "12 m", "0x1f", "1e999"]
)
def test_figures_of_files_that_are_none(client: TestClient, tmp_path: Path, text: str) -> None:
    """Python's own float() reads the first five."""
    content = geopackage(tmp_path, name="站", building_height_m=text)
    answer = upload(client, "site.gpkg", content)
    assert answer.status_code == 201, answer.text
    report = client.get(f"/reports/{answer.json()['report_id']}.json").json()
    assert report["submission"]["attributes"]["building_height_m"] == text
    codes = [note["code"] for note in answer.json()["normalised"]["notes"]]
    assert ("attribute-unusable" in codes) is (text != "12 m")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_figures_of_files_that_are_not_finite(
    client: TestClient, tmp_path: Path, value: float
) -> None:
    content = geopackage(tmp_path, name="站", building_height_m=value)
    answer = upload(client, "site.gpkg", content)
    if answer.status_code == 201:  # GDAL's NaN is no value
        report = client.get(f"/reports/{answer.json()['report_id']}.json").json()
        assert report["submission"]["attributes"]["building_height_m"] is None
    else:
        assert "building_height_m" in problem(answer, 422, "bad-input")["detail"]


def test_two_columns_that_are_one_attribute(client: TestClient, tmp_path: Path) -> None:
    """DBF cuts names to ten bytes: 'floor_area' would be the ratio as well."""
    content = geopackage(tmp_path, floor_area_ratio=1.5, floor_area=9.5)
    body = problem(upload(client, "site.gpkg", content), 422, "attribute-twice")
    assert "floor_area_ratio, floor_area" in body["detail"]


def test_bad_forms(client: TestClient, site: Site) -> None:
    content = json.dumps(site()).encode()
    problem(upload(client, "s.geojson", content, attributes="[1]"), 422, "bad-form")
    problem(upload(client, "s.geojson", content, attributes="{"), 422, "invalid-json")
    problem(
        upload(client, "s.geojson", content, attributes='{"a": 1, "a": 2}'), 422,
        "duplicate-member",
    )  # fmt: skip
    problem(upload(client, "s.geojson", content, colour="red"), 422, "bad-form")
    problem(upload(client, "s.geojson", content, attributes="1" * (1 << 20 + 1)), 422, "bad-form")
    two = [("file", ("a.geojson", content)), ("file", ("b.geojson", content))]
    problem(client.post("/submissions", files=two), 422, "bad-form")
    twice = [("file", ("a.geojson", content)), ("as_of", (None, "2026-01-01")),
             ("as_of", (None, "2026-02-01"))]  # fmt: skip
    problem(client.post("/submissions", files=twice), 422, "bad-form")
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"", b"--x", b"--x\r\n\r\n" * 9, b"\x00" * 99):
        problem(client.post("/submissions", content=body, headers=form), 422, "bad-form")
    headers = {"Content-Type": "multipart/form-data"}
    problem(client.post("/submissions", content=b"x", headers=headers), 422, "bad-form")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("site.gpkg", b"GPKG", "unknown-format"),
        ("site.kml", b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><kml>&b;</kml>", None),
        ("site.shp", b"\x00\x00\x27\x0a" + b"\x00" * 96, None),
        ("../../etc/passwd", b"root:x:0:0", "unknown-format"),
        ("site.geojson", b"<OGRVRTDataSource/>", None),
        ("site.zip", b"PK\x05\x06" + b"\x00" * 18, None),
    ],
)
def test_files_that_are_none(
    client: TestClient, name: str, content: bytes, code: str | None
) -> None:
    answer = upload(client, name, content)
    assert answer.status_code == 422, answer.text
    if code is not None:
        problem(answer, 422, code)


def test_a_deadline_is_told_over_http(client: TestClient, library: Library) -> None:
    """Two combs keep the overlay busy for half a minute; the next sender is served."""
    limits = library.config.limits
    library.config = library.config.model_copy(
        update={"limits": limits.model_copy(update={"check_deadline_s": 2.0})}
    )
    combs = {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": one}}
        for one in (comb(), comb(turned=True))
    ]}  # fmt: skip
    answer = post(client, json.dumps(combs))
    assert answer.status_code == 422
    assert answer.json()["type"].split(":")[-1] in ("deadline-exceeded", "resource-limit")
    assert "nothing was stored" in answer.json()["detail"]
    library.config = library.config.model_copy(update={"limits": limits})
    square = {"type": "Polygon", "coordinates": [SQUARE]}
    assert post(client, json.dumps(square)).status_code == 201
