"""Collections and items over HTTP: the forms of the standard, paging, CRS, bad parameters."""

import math
import re
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from shapely.geometry import shape
from starlette.testclient import TestClient

from gis_service.conformance import CLASSES

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
LAYER = "planned_landuse"
LAYERS = {
    "permanent_basic_farmland", "ecological_redline", "urban_development_boundary",
    "planned_landuse", "detailed_plan_parcel", "forest_land", "nature_reserve",
    "drinking_water_protection_zone", "heritage_protection_scope",
    "heritage_construction_control_zone", "coastline", "sea_use_zone", "highway",
    "obstacle_limitation_surface", "current_landuse", "county", "river_management_range",
    "power_line_corridor", "geohazard_prone_area",
}  # fmt: skip


def get(client: TestClient, path: str, **parameters: Any) -> dict[str, Any]:
    # An empty mapping would drop the query of a link that is followed.
    answer = client.get(path, params=parameters or None, headers={"accept": "application/json"})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_landing_page_has_the_links_that_qgis_needs(client: TestClient) -> None:
    links = {link["rel"]: link for link in get(client, "/ogc")["links"]}
    assert links["service-desc"]["type"] == "application/vnd.oai.openapi+json;version=3.0"
    assert links["data"]["type"] == "application/json"
    assert "conformance" in links
    for rel in ("service-desc", "data", "conformance"):
        assert client.get(links[rel]["href"]).status_code == 200


def test_conformance_says_what_is_true(client: TestClient) -> None:
    classes = set(get(client, "/ogc/conformance")["conformsTo"])
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in classes
    assert "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs" in classes
    assert classes == set(CLASSES)


def test_every_layer_is_a_collection_with_true_extent_and_crs(client: TestClient) -> None:
    collections = {one["id"]: one for one in get(client, "/ogc/collections")["collections"]}
    assert set(collections) >= LAYERS
    for one in (found for name, found in collections.items() if name != "catalogue"):
        west, south, east, north = one["extent"]["spatial"]["bbox"][0]
        assert 107 < west <= east < 113
        assert 17 < south <= north < 21
        assert one["storageCrs"] == EPSG + "4490"
        assert EPSG + "4525" in one["crs"]
        assert "synthetic" in one["title"] or "演示" in one["title"]
    alone = get(client, f"/ogc/collections/{LAYER}")
    assert alone["crs"] == collections[LAYER]["crs"]


@pytest.mark.parametrize(
    "path",
    [
        "/ogc", "/ogc/collections", f"/ogc/collections/{LAYER}",
        "/ogc/processes/conflict-check", "/ogc/conformance", "/ogc/api",
    ],
)  # fmt: skip
def test_pages_for_people_ask_no_other_host(client: TestClient, path: str) -> None:
    chinese = {"accept": "text/html", "accept-language": "zh-CN,zh;q=0.9"}
    for headers in (chinese, {"accept": "text/html", "accept-language": "en-GB"}):
        page = client.get(path, headers=headers)
        assert page.status_code == 200, page.text
        loaded = re.findall(r"""(?:src|<link[^>]*href)\s*=\s*["'](http[^"']+)""", page.text)
        assert all(url.startswith("http://localhost/") for url in loaded), loaded
    assert "规划" in client.get(path, headers=chinese).text
    assert client.get(path + "?f=html&lang=zh").status_code == 200


def test_openapi_gives_qgis_its_page_size(client: TestClient) -> None:
    limit = get(client, "/ogc/api")["components"]["parameters"]["limit"]["schema"]
    assert (limit["default"], limit["maximum"]) == (100, 10_000)


def test_next_links_walk_through_all_features_once(client: TestClient) -> None:
    answer = get(client, "/ogc/collections/county/items", limit=5)
    total, ids = answer["numberMatched"], []
    while True:
        assert answer["numberReturned"] == len(answer["features"])
        ids += [feature["id"] for feature in answer["features"]]
        following = [link["href"] for link in answer["links"] if link["rel"] == "next"]
        if not following:
            break
        answer = get(client, following[0])
    assert len(ids) == len(set(ids)) == total


def test_media_type_and_content_crs(client: TestClient) -> None:
    answer = client.get(f"/ogc/collections/{LAYER}/items", params={"limit": 1})
    assert answer.headers["content-type"] == "application/geo+json"
    assert answer.headers["content-crs"] == "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"
    assert answer.json()["timeStamp"].endswith("Z")


@pytest.mark.parametrize("code", ["4490", "4326", "4525", "4546", "3857"])
def test_items_come_in_the_authoritys_axis_order(client: TestClient, code: str) -> None:
    path = "/ogc/collections/county/items"
    plain = get(client, path, limit=1)["features"][0]
    asked = get(client, path, limit=1, crs=EPSG + code)["features"][0]
    base = "EPSG:4326" if code in ("3857", "4326") else "EPSG:4490"
    official = Transformer.from_crs(base, f"EPSG:{code}")  # axis order of the authority
    lon, lat = shapely.get_coordinates(shape(plain["geometry"])).T
    expected = np.column_stack(official.transform(lat, lon))
    answered = shapely.get_coordinates(shape(asked["geometry"]))
    tolerance = 1e-8 if code in ("4490", "4326") else 2e-3
    assert np.abs(answered - expected).max() < tolerance


def test_bbox_in_the_authoritys_axis_order_finds_the_same(client: TestClient) -> None:
    path = f"/ogc/collections/{LAYER}/items"
    box = (110.30, 19.90, 110.34, 19.94)
    plain = get(client, path, limit=1000, bbox=",".join(map(str, box)))
    found = {feature["id"] for feature in plain["features"]}
    assert found
    for feature in plain["features"]:
        assert shape(feature["geometry"]).intersects(shapely.box(*box))
    swapped = get(client, path, limit=1000, bbox="19.90,110.30,19.94,110.34",
                  **{"bbox-crs": EPSG + "4490"})  # fmt: skip
    assert {feature["id"] for feature in swapped["features"]} == found
    with_heights = get(client, path, limit=1000, bbox="110.30,19.90,-10,110.34,19.94,10")
    assert {feature["id"] for feature in with_heights["features"]} == found
    zone = Transformer.from_crs("EPSG:4490", "EPSG:4525")
    corners = [zone.transform(lat, lon) for lon, lat in ((110.30, 19.90), (110.34, 19.94))]
    flat = ",".join(f"{value:.3f}" for corner in corners for value in corner)
    projected = get(client, path, limit=1000, bbox=flat, **{"bbox-crs": EPSG + "4525"})
    assert found <= {feature["id"] for feature in projected["features"]}


def test_a_box_over_the_antimeridian_is_two_boxes(client: TestClient) -> None:
    path = f"/ogc/collections/{LAYER}/items"
    assert get(client, path, bbox="110.30,19.90,-170,19.94")["numberReturned"] > 0
    assert get(client, path, bbox="170,19.90,-170,19.94")["numberReturned"] == 0


def test_datetime_asks_for_the_edition_of_the_day(client: TestClient) -> None:
    path = f"/ogc/collections/{LAYER}/items"
    assert get(client, path, limit=1, datetime="1999-01-01")["numberMatched"] == 0
    now = get(client, path, limit=1)["numberMatched"]
    assert now > 0
    # QGIS sends year 0 and 9999 for open ends.
    for value in ("0000-01-01T00:00:00Z/9999-12-31T00:00:00Z", "2026-06-01T00:00:00Z/..", "../.."):
        assert get(client, path, limit=1, datetime=value)["numberMatched"] == now


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"}, {"limit": "-1"}, {"limit": "abc"}, {"limit": "1e9"},
        {"bbox": "1,2,3"}, {"bbox": "a,b,c,d"}, {"bbox": "1,2,3,NaN"}, {"bbox": "1,5,3,2"},
        {"datetime": "yesterday"}, {"datetime": "2026-13-01"},
        {"datetime": "2026-05-01/2025-01-01"},
        {"crs": "EPSG:4490"}, {"crs": EPSG + "27700"}, {"bbox-crs": "x"},
        {"nonsense": "1"}, {"properties": "geom"}, {"f": "shp"}, {"after": "-1"},
    ],
)  # fmt: skip
def test_bad_parameters_are_400_and_say_what_to_do(
    client: TestClient, parameters: dict[str, str]
) -> None:
    answer = client.get(f"/ogc/collections/{LAYER}/items", params=parameters)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 400
    assert len(problem["detail"]) > 10


def test_a_limit_above_the_maximum_is_clamped(client: TestClient) -> None:
    assert get(client, "/ogc/collections/county/items", limit=10**9)["numberReturned"] > 0


def test_filter_by_attribute(client: TestClient) -> None:
    found = get(client, f"/ogc/collections/{LAYER}/items", landuse_code="0101", limit=50)
    assert found["numberReturned"] > 0
    assert {f["properties"]["landuse_code"] for f in found["features"]} == {"0101"}


def test_single_item_and_unknown_ones(client: TestClient) -> None:
    listed = get(client, "/ogc/collections/county/items", limit=1)["features"][0]
    alone = get(client, f"/ogc/collections/county/items/{listed['id']}")
    assert alone["geometry"] == listed["geometry"]
    assert alone["properties"] == listed["properties"]
    for path in ("county/items/nobody", "no_such_layer/items", "no_such_layer"):
        answer = client.get(f"/ogc/collections/{path}")
        assert answer.status_code == 404
        assert answer.json()["type"].startswith("urn:gis-service:problem:")


def test_schema_and_queryables_carry_code_lists(client: TestClient) -> None:
    schema = get(client, f"/ogc/collections/{LAYER}/schema")
    codes = {one["const"]: one["title"] for one in schema["properties"]["landuse_code"]["oneOf"]}
    assert codes["0101"] == "Paddy field"
    chinese = client.get(
        f"/ogc/collections/{LAYER}/schema", headers={"accept-language": "zh-CN,zh;q=0.9"}
    ).json()
    assert {"const": "0101", "title": "水田"} in chinese["properties"]["landuse_code"]["oneOf"]
    queryables = get(client, f"/ogc/collections/{LAYER}/queryables")
    assert queryables["properties"]["geometry"]["x-ogc-role"] == "primary-geometry"
    farmland = get(client, "/ogc/collections/permanent_basic_farmland/schema")["properties"]
    assert not {"telephone", "home_address", "responsible_identity_number"} & set(farmland)


def test_items_use_finite_coordinates_inside_the_region(client: TestClient) -> None:
    features = get(client, "/ogc/collections/coastline/items", limit=100)["features"]
    for feature in features:
        for lon, lat in shapely.get_coordinates(shape(feature["geometry"])):
            assert math.isfinite(lon)
            assert 107 < lon < 113
            assert 17 < lat < 21
