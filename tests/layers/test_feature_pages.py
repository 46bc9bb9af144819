"""Feature pages: content, paging, boxes, CRS and axis order against pyproj."""

import json
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from shapely.geometry import shape

from layers.catalog import Catalog
from layers.crs import parse_crs
from layers.database import Connection
from layers.errors import BadParameter
from layers.feature_pages import Page, PageQuery, page, single
from layers.page_order import START

LAYER = "detailed_plan_parcel"
CRS84 = parse_crs("CRS84")
BOXES = [shapely.box(110 + i / 100, 19, 110 + i / 100 + 0.01, 19.01) for i in range(25)]


@pytest.fixture
def content_id(connection: Connection, publish_layer: Any) -> int:
    publish_layer(
        LAYER,
        BOXES,
        {
            "parcel_id": [f"P{i:02}" for i in range(25)],
            "far_max": [2.5 if i % 2 else 1.0 for i in range(25)],
            "landuse_code": ["0701"] * 25,
            "name": ['a "quoted" 名称\\'] * 25,
        },
    )
    (found,) = connection.execute("SELECT max(id) FROM library.layer_content").fetchone()  # type: ignore[misc]
    return int(found)


def _page(connection: Connection, catalog: Catalog, content_id: int, **asked: Any) -> Page:
    query = PageQuery(**{"limit": 100, "crs": CRS84, **asked})
    return page(connection, catalog.layer(LAYER), content_id, 25, query)


def _features(found: Page) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads(b"[" + found.features_json + b"]")
    return features


def test_pages_walk_through_all_features_once(
    connection: Connection, catalog: Catalog, content_id: int
) -> None:
    seen, after = [], START
    while True:
        found = _page(connection, catalog, content_id, limit=10, after=after)
        seen += [feature["id"] for feature in _features(found)]
        assert found.matched == 25
        if found.next_after is None:
            break
        after = found.next_after
    assert seen == [str(i + 1) for i in range(25)]
    # A page that ends with the last feature has no next one.
    assert _page(connection, catalog, content_id, limit=25).next_after is None
    skipped = _page(connection, catalog, content_id, limit=3, offset=20)
    assert [feature["id"] for feature in _features(skipped)] == ["21", "22", "23"]


def test_a_feature_is_whole(connection: Connection, catalog: Catalog, content_id: int) -> None:
    (first, *_) = _features(_page(connection, catalog, content_id, limit=1))
    assert first["type"] == "Feature"
    assert first["properties"] == {
        "parcel_id": "P00", "far_max": 1.0, "landuse_code": "0701", "name": 'a "quoted" 名称\\',
    }  # fmt: skip
    assert shape(first["geometry"]).equals(BOXES[0])
    assert "crs" not in first["geometry"]  # PostGIS adds one unless told not to


@pytest.mark.parametrize("code", ["EPSG:4490", "EPSG:4525", "EPSG:4546", "EPSG:3857"])
def test_answers_are_in_the_authoritys_order(
    connection: Connection, catalog: Catalog, content_id: int, code: str
) -> None:
    """The oracle is pyproj without always_xy: it follows the authority's definition."""
    found = _page(connection, catalog, content_id, limit=1, crs=parse_crs(code))
    answered = np.array(_features(found)[0]["geometry"]["coordinates"][0])
    # CGCS2000 and WGS 84 are declared equal: 3857 is asked from 4326.
    base = "EPSG:4326" if code == "EPSG:3857" else "EPSG:4490"
    official = Transformer.from_crs(base, code)
    lon, lat = shapely.get_coordinates(BOXES[0]).T
    expected = np.column_stack(official.transform(lat, lon))
    tolerance = 1e-8 if code == "EPSG:4490" else 1e-3
    assert np.abs(answered - expected).max() < tolerance


def test_boxes_and_attributes_filter(
    connection: Connection, catalog: Catalog, content_id: int
) -> None:
    box = ((110.021, 19.001, 110.039, 19.002),)
    near = _page(connection, catalog, content_id, boxes=box)
    assert [feature["id"] for feature in _features(near)] == ["3", "4"]
    assert near.matched == 2
    high = _page(connection, catalog, content_id, boxes=box, equal={"far_max": "2.5"})
    assert [feature["id"] for feature in _features(high)] == ["4"]
    two_boxes = (*box, (110.2401, 19.0, 110.2402, 19.001))
    assert _page(connection, catalog, content_id, boxes=two_boxes).returned == 3
    none = _page(connection, catalog, content_id, equal={"name": "'; DROP TABLE library.plan; --"})
    assert (none.returned, none.matched, none.features_json) == (0, 0, b"")


def test_wrong_filters_are_refused(
    connection: Connection, catalog: Catalog, content_id: int
) -> None:
    for equal in ({"far_max": "high"}, {"far_max": "NaN"}, {"no_such": "1"}):
        with pytest.raises(BadParameter):
            _page(connection, catalog, content_id, equal=equal)


def test_chosen_properties_and_no_geometry(
    connection: Connection, catalog: Catalog, content_id: int
) -> None:
    found = _page(
        connection, catalog, content_id, limit=1, properties=("far_max",), with_geometry=False
    )
    assert _features(found) == [
        {"type": "Feature", "id": "1", "geometry": None, "properties": {"far_max": 1.0}}
    ]


def test_single(connection: Connection, content_id: int) -> None:
    text = single(connection, content_id, "7", CRS84)
    assert text is not None
    assert json.loads(text)["properties"]["parcel_id"] == "P06"
    assert single(connection, content_id, "nobody", CRS84) is None
