"""Downloads of layers: read back by GDAL, compared with the items of the same layer."""

import json
from pathlib import Path
from typing import Any

import pyogrio
import pytest
import shapely
from starlette.testclient import TestClient

from gis_service.library import Library
from layers.readers import open_source, stream

LAYER = "ecological_redline"
EVERYWHERE = {"limit": "10000"}


def items(client: TestClient, layer: str = LAYER, **query: str) -> list[Any]:
    answer = client.get(f"/ogc/collections/{layer}/items", params={**EVERYWHERE, **query})
    found: list[Any] = answer.json()["features"]
    return found


def download(client: TestClient, path: Path, name: str, **query: str) -> Path:
    answer = client.get(f"/export/{name}", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert answer.headers["x-content-type-options"] == "nosniff"
    path.write_bytes(answer.content)
    return path


def test_a_geopackage_holds_the_features_of_the_layer(client: TestClient, tmp_path: Path) -> None:
    path = download(client, tmp_path / "a.gpkg", f"{LAYER}.gpkg")

    meta, _, encoded, columns = pyogrio.raw.read(path)

    expected = items(client)
    assert meta["crs"] == "EPSG:4490"
    assert len(encoded) == len(expected) > 0
    for wkb, item in zip(encoded, expected, strict=True):
        found = shapely.from_wkb(wkb)
        assert shapely.hausdorff_distance(found, shapely.from_geojson(
            json.dumps(item["geometry"]))) < 2e-8  # fmt: skip
    names = list(meta["fields"])
    for name, value in expected[0]["properties"].items():
        if not isinstance(value, float | bool):
            assert columns[names.index(name)][0] == value


@pytest.mark.parametrize("crs", ["EPSG:4525", "http://www.opengis.net/def/crs/EPSG/0/4525"])
def test_a_box_and_a_zone(client: TestClient, tmp_path: Path, crs: str) -> None:
    first = shapely.from_geojson(json.dumps(items(client)[0]["geometry"]))
    inside = shapely.point_on_surface(first)
    box = ",".join(f"{v:.6f}" for v in shapely.buffer(inside, 0.01).bounds)

    path = download(client, tmp_path / "a.zip", f"{LAYER}.zip", bbox=box, crs=crs)

    info = pyogrio.read_info(f"/vsizip/{path}")
    assert info["crs"] == "EPSG:4525"
    assert 0 < info["features"] == len(items(client, bbox=box)) < len(items(client))


def test_drawing_geojson_and_boundary_points(client: TestClient, tmp_path: Path) -> None:
    body = client.get(f"/export/{LAYER}.geojson").json()
    assert [f["id"] for f in body["features"]] == [f["id"] for f in items(client)]

    drawing = download(client, tmp_path / "a.dxf", f"{LAYER}.dxf", crs="EPSG:4525")
    job = tmp_path / "job"
    job.mkdir()
    layers = [n for b in stream(open_source(drawing, job)) for n in b.columns["Layer"].to_pylist()]
    assert layers.count("ECOLOGICAL_REDLINE_LABEL") == len(body["features"])


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("no_layer.gpkg", 404, "not-found"),
        (f"{LAYER}.exe", 404, "not-found"),
        (LAYER, 404, "not-found"),
        (f"{LAYER}.gpkg?bbox=1,2,3", 400, "bad-parameter"),
        (f"{LAYER}.gpkg?crs=EPSG:2360", 400, "crs-not-offered"),
        (f"{LAYER}.gpkg?crs=gcj02", 400, "crs-not-offered"),
        (f"{LAYER}.gpkg?crs=nonsense", 400, "crs-not-offered"),
        (f"{LAYER}.gpkg?crs=EPSG:32650", 400, "crs-not-offered"),
        (f"{LAYER}.gpkg?box=1,2,3,4", 400, "unknown-parameter"),
        (f"{LAYER}.geojson?crs=EPSG:4525", 422, "format-without-crs"),
        (f"{LAYER}.dxf", 422, "projected-crs-needed"),
        (f"{LAYER}.gpkg?datetime=1900-01-01", 404, "no-edition"),
    ],
)
def test_what_cannot_be_given(client: TestClient, path: str, status: int, code: str) -> None:
    answer = client.get(f"/export/{path}")

    assert answer.status_code == status, answer.text
    assert answer.json()["type"].endswith(code)
    assert "--" not in answer.text  # options of a command are no help to who asks over HTTP


@pytest.mark.parametrize("query", [{}, {"bbox": "108,18,111,20.5"}])
def test_more_than_the_limit_is_413_with_advice(
    client: TestClient, library: Library, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]
) -> None:
    limits = library.config.limits.model_copy(update={"export_features": 3})
    config = library.config.model_copy(update={"limits": limits})
    monkeypatch.setattr(library, "config", config)

    answer = client.get(f"/export/{LAYER}.gpkg", params=query)

    assert answer.status_code == 413
    assert "bbox" in answer.json()["detail"]
