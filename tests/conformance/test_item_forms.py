"""Items in other forms than GeoJSON: read back by GDAL, pyarrow and Python's csv module."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from pyproj import CRS, Transformer

from .conftest import BOXES, LAYER, Site

ITEMS = f"/ogc/collections/{LAYER}/items"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8", "fgb": "application/flatgeobuf",
    "parquet": "application/vnd.apache.parquet", "gpkg": "application/geopackage+sqlite3",
}  # fmt: skip


def fetched(site: Site, form: str, **asked: Any) -> Any:
    answer = site.client.get(ITEMS, params={"f": form, "limit": 1000, **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPES[form]
    assert "attachment" in answer.headers["content-disposition"]
    return answer


def by_gdal(content: bytes, path: Path) -> tuple[dict[str, Any], list[shapely.Geometry]]:
    path.write_bytes(content)
    meta, _, shapes, columns = pyogrio.raw.read(path)
    names = list(meta["fields"])
    return (
        {"crs": meta["crs"], **dict(zip(names, columns, strict=True))},
        shapely.from_wkb(shapes).tolist(),
    )


@pytest.mark.parametrize("form", ["fgb", "gpkg"])
def test_files_of_gdal(site: Site, form: str, tmp_path: Path) -> None:
    table, shapes = by_gdal(fetched(site, form).content, tmp_path / f"x.{form}")
    found = dict(zip(table["parcel_id"], shapes, strict=True))
    assert len(found) == 25
    for i, box in enumerate(BOXES):
        assert shapely.equals(shapely.normalize(found[f"P{i:02}"]), box)
    far = dict(zip(table["parcel_id"], table["far_max"], strict=True))
    assert far["P04"] == 1.0
    assert np.isnan(far["P05"])


@pytest.mark.parametrize("form", ["fgb", "gpkg"])
def test_files_are_east_north_whatever_the_uri_says(site: Site, form: str, tmp_path: Path) -> None:
    content = fetched(site, form, crs=EPSG + "4525").content
    table, shapes = by_gdal(content, tmp_path / f"x.{form}")
    assert CRS.from_user_input(table["crs"]).to_epsg() == 4525
    lon, lat = shapely.get_coordinates(BOXES[0]).T
    east, north = Transformer.from_crs("EPSG:4490", "EPSG:4525", always_xy=True).transform(lon, lat)
    first = shapes[list(table["parcel_id"]).index("P00")]
    expected = shapely.Polygon(np.column_stack((east, north)))
    assert first.hausdorff_distance(expected) < 2e-3


def test_geoparquet(site: Site) -> None:
    table = pq.read_table(io.BytesIO(fetched(site, "parquet").content))
    geo = json.loads(table.schema.metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert "crs" not in geo["columns"]["geometry"]  # that is CRS84
    shapes = shapely.from_wkb(table.column("geometry").to_pylist())
    assert all(shapely.equals(one, box) for one, box in zip(shapes, BOXES, strict=True))
    assert table.column("far_max").to_pylist()[4:6] == [1.0, None]
    zone = pq.read_table(io.BytesIO(fetched(site, "parquet", crs=EPSG + "4525").content))
    told = json.loads(zone.schema.metadata[b"geo"])["columns"]["geometry"]["crs"]
    assert told["id"] == {"authority": "EPSG", "code": 4525}


def test_csv_opens_in_a_spreadsheet(site: Site) -> None:
    text = fetched(site, "csv").content
    assert text.startswith(b"\xef\xbb\xbf")  # or Chinese is garbled there
    rows = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))
    assert [row["parcel_id"] for row in rows] == [f"P{i:02}" for i in range(25)]
    assert shapely.from_wkt(rows[3]["wkt"]).equals(BOXES[3])
    assert (rows[4]["far_max"], rows[5]["far_max"]) == ("1.0", "")


@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_files_are_pages_of_the_same_question(site: Site, form: str) -> None:
    answer = fetched(site, form, limit=4, filter="far_max > 2", sortby="-far_max")
    assert answer.headers["ogc-numbermatched"] == "13"
    following = [link for link in answer.headers["link"].split(", ") if 'rel="next"' in link]
    assert len(following) == 1
    address = following[0].split(">")[0].strip("<")
    again = site.client.get(address)
    assert again.headers["content-type"] == MEDIA_TYPES[form]
    assert again.content != answer.content
    last = fetched(site, form, filter="far_max > 5.9")
    assert 'rel="next"' not in last.headers["link"]


def test_the_accept_header_chooses(site: Site) -> None:
    for accept, expected in (
        ("text/csv", "text/csv; charset=utf-8"), ("application/flatgeobuf", MEDIA_TYPES["fgb"]),
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "application/geo+json"), ("application/json", "application/geo+json"),
        ("text/csv;q=0.1, application/geo+json;q=0.9", "application/geo+json"),
    ):  # fmt: skip
        answer = site.client.get(ITEMS, params={"limit": 1}, headers={"accept": accept})
        assert answer.headers["content-type"] == expected, accept
        assert "Accept" in answer.headers["vary"]
    asked = {"limit": 1, "f": "json"}
    both = site.client.get(ITEMS, params=asked, headers={"accept": "text/csv"})
    assert both.headers["content-type"] == "application/geo+json"


def test_a_day_without_an_edition_is_an_empty_file(site: Site, tmp_path: Path) -> None:
    content = fetched(site, "gpkg", datetime="1999-01-01").content
    assert by_gdal(content, tmp_path / "x.gpkg")[1] == []


def test_formulas_stay_text(tmp_path: Path) -> None:
    from layers.crs import parse_crs
    from layers.text import Text
    from layers.writers.csv_file import write_csv
    from layers.writers.table import FeatureBatch, FeatureTable, TableHead

    shapes = np.array([shapely.Point(110, 19)], dtype=object)
    names = ({"name": "=HYPERLINK(1)"},)
    from layers.catalog import Attribute

    attribute = Attribute(name="name", type="string", title=Text(zh="名", en="Name"))
    head = TableHead("x", Text(zh="甲", en="X"), "point", (attribute,))
    table = FeatureTable(head, [FeatureBatch(["1"], names, shapes)])
    path = tmp_path / "x.csv"
    assert write_csv(table, path, parse_crs("CRS84")).features == 1
    (row,) = csv.DictReader(io.StringIO(path.read_text("utf-8-sig")))
    assert row["name"] == "'=HYPERLINK(1)"
