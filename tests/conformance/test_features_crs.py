"""OGC API Features Part 2: coordinate reference systems by reference; pyproj is the oracle."""

import re
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import CRS, Transformer
from shapely.geometry import shape

from .conftest import BOXES, LAYER, Site

ITEMS = f"/ogc/collections/{LAYER}/items"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
OFFERED = ("4490", "4326", "3857", "4524", "4525", "4526", "4545", "4546", "4547")


def requirement(identifier: str) -> pytest.MarkDecorator:
    return pytest.mark.requirement("ogcapi-features-2", identifier)


def official(code: str) -> Transformer:
    """From longitude, latitude to a CRS in the order of its authority.

    CGCS2000 and WGS 84 are declared equal, so each CRS is reached inside its own datum.
    """
    base = CRS.from_epsg(int(code)).geodetic_crs
    return Transformer.from_crs(base, f"EPSG:{code}")


def moved(geometry: shapely.Geometry, code: str) -> np.ndarray[Any, Any]:
    lon, lat = shapely.get_coordinates(geometry).T
    return np.column_stack(official(code).transform(lat, lon))


@requirement("/req/crs/crs-uri")
@requirement("/req/crs/fc-md-crs-list")
def test_collections_list_their_crs_as_uris(site: Site) -> None:
    listed = site.get(f"/ogc/collections/{LAYER}")["crs"]
    assert listed[0] == CRS84
    assert set(listed) == {CRS84, *(EPSG + code for code in OFFERED)}
    for uri in listed:
        assert re.fullmatch(r"http://www\.opengis\.net/def/crs/\w+/[\d.]+/\w+", uri)


@requirement("/req/crs/fc-md-crs-list-global")
def test_no_global_list_is_pointed_to(site: Site) -> None:
    """Each collection has its own list, so no entry is the pointer ``#/crs``."""
    for one in site.get("/ogc/collections")["collections"]:
        assert one["crs"]
        assert not any(uri.startswith("#") for uri in one["crs"])


@requirement("/req/crs/fc-md-storageCrs")
@requirement("/req/crs/fc-md-storageCrs-valid-value")
def test_storage_crs_is_one_of_the_list(site: Site) -> None:
    one = site.get(f"/ogc/collections/{LAYER}")
    assert one["storageCrs"] == EPSG + "4490"
    assert one["storageCrs"] in one["crs"]


def schema_of(site: Site, name: str) -> dict[str, Any]:
    found = site.get("/ogc/api", f="json")["components"]["parameters"][name]
    assert (found["in"], found["required"], found["style"], found["explode"]) == (
        "query", False, "form", False,
    )  # fmt: skip
    schema: dict[str, Any] = found["schema"]
    return schema


@requirement("/req/crs/fc-crs-definition")
def test_crs_definition(site: Site) -> None:
    schema = schema_of(site, "crs")
    assert (schema["type"], schema["format"]) == ("string", "uri")


@requirement("/req/crs/fc-bbox-crs-definition")
def test_bbox_crs_definition(site: Site) -> None:
    schema = schema_of(site, "bbox-crs")
    assert (schema["type"], schema["format"]) == ("string", "uri")


@requirement("/req/crs/fc-crs-valid-value")
@requirement("/req/crs/crs-exception")
@pytest.mark.parametrize("value", [EPSG + "27700", "EPSG:4490", "x", EPSG + "999999"])
def test_only_listed_crs_are_accepted(site: Site, value: str) -> None:
    for path in (ITEMS, f"{ITEMS}/1"):
        answer = site.client.get(path, params={"crs": value})
        assert answer.status_code == 400
        assert EPSG + "4490" in answer.json()["detail"]


@requirement("/req/crs/fc-crs-default-value")
def test_crs84_unless_asked(site: Site) -> None:
    answer = site.client.get(ITEMS, params={"limit": 1})
    assert answer.headers["content-crs"] == f"<{CRS84}>"
    assert shape(answer.json()["features"][0]["geometry"]).equals(BOXES[0])


@requirement("/req/crs/fc-crs-action")
@requirement("/req/crs/ogc-crs-header")
@requirement("/req/crs/ogc-crs-header-value")
@pytest.mark.parametrize("code", OFFERED)
def test_answers_are_in_the_crs_and_its_axis_order(site: Site, code: str) -> None:
    """Traps 1 to 6 and 12: latitude or northing first, as the URI says and QGIS expects."""
    tolerance = 2e-8 if code in ("4490", "4326") else 1e-3
    for path in (ITEMS, f"{ITEMS}/4"):
        answer = site.client.get(path, params={"crs": EPSG + code})
        assert answer.headers["content-crs"] == f"<{EPSG}{code}>"
        found = answer.json()
        feature = found if path != ITEMS else found["features"][3]
        answered = np.array(feature["geometry"]["coordinates"][0])
        assert np.abs(answered - moved(BOXES[3], code)).max() < tolerance


@requirement("/req/crs/geojson")
def test_geojson_carries_no_crs_member(site: Site) -> None:
    text = site.client.get(ITEMS, params={"crs": EPSG + "4525"}).text
    assert '"crs"' not in text


@requirement("/req/crs/fc-bbox-crs-default-value")
def test_boxes_are_crs84_unless_said(site: Site) -> None:
    asked = site.get(ITEMS, bbox="110.031,19.001,110.032,19.002", crs=EPSG + "4490")
    assert [one["properties"]["parcel_id"] for one in asked["features"]] == ["P03"]


@requirement("/req/crs/fc-bbox-crs-valid-values")
@requirement("/req/crs/bbox-crs-exception")
def test_only_listed_box_crs_are_accepted(site: Site) -> None:
    asked = {"bbox": "1,2,3,4", "bbox-crs": EPSG + "27700"}
    assert site.client.get(ITEMS, params=asked).status_code == 400


@requirement("/req/crs/fc-bbox-crs-action")
@pytest.mark.parametrize("code", OFFERED)
def test_boxes_are_read_in_their_crs_and_axis_order(site: Site, code: str) -> None:
    """Traps 7, 8 and 13: the whole of a box in authority order found nothing, or a failure."""
    inside = shapely.box(110.0315, 19.003, 110.0385, 19.007)
    corners = moved(inside, code)
    box = [*corners.min(axis=0), *corners.max(axis=0)]
    asked = {"bbox": ",".join(f"{side:.9f}" for side in box), "bbox-crs": EPSG + code}
    found = site.get(ITEMS, **asked)["features"]
    assert [one["properties"]["parcel_id"] for one in found] == ["P03"]
    wrong = [box[1], box[0], box[3], box[2]]
    swapped = {**asked, "bbox": ",".join(f"{side:.9f}" for side in wrong)}
    answer = site.client.get(ITEMS, params=swapped)
    assert answer.status_code == 400 or answer.json()["numberReturned"] == 0
