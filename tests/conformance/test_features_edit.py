"""OGC API Features Part 4: create, replace, update, delete, with optimistic locking by ETags."""

from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from shapely.geometry import mapping, shape

from .conftest import LAYER, Site

DRAFT = f"/ogc/collections/{LAYER}-draft/items"
BOX = shapely.box(110.5, 19.5, 110.501, 19.501)


def requirement(identifier: str) -> pytest.MarkDecorator:
    return pytest.mark.requirement("ogcapi-features-4", identifier)


def feature(box: shapely.Geometry = BOX, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": mapping(box),
        "properties": {"landuse_code": "0701", **properties},
    }


def send(site: Site, method: str, path: str, body: Any = None, **headers: str) -> Any:
    media_type = {"content-type": "application/geo+json"}
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.client.request(
        method, path, json=body, headers={**site.editor, **media_type, **headers}
    )


def made(site: Site) -> tuple[str, str]:
    """The address and the tag of a new feature."""
    answer = send(site, "POST", DRAFT, feature())
    assert answer.status_code == 201, answer.text
    return answer.headers["location"], answer.headers["etag"]


def read(site: Site, address: str) -> Any:
    return site.client.get(address, headers=site.editor)


@requirement("/req/create-replace-delete/methods")
@requirement("/req/update/methods")
@requirement("/req/create-replace-delete/options-op")
@requirement("/req/create-replace-delete/options-response")
def test_methods_are_told_by_options(site: Site) -> None:
    listed = send(site, "OPTIONS", DRAFT).headers["allow"].replace(" ", "").split(",")
    assert {"GET", "POST", "OPTIONS"} <= set(listed)
    one = send(site, "OPTIONS", f"{DRAFT}/1").headers["allow"].replace(" ", "").split(",")
    assert {"GET", "PUT", "PATCH", "DELETE", "OPTIONS"} <= set(one)


@requirement("/req/create-replace-delete/accept-post")
@requirement("/req/update/accept-patch")
def test_accepted_media_types_are_told(site: Site) -> None:
    assert "application/geo+json" in send(site, "OPTIONS", DRAFT).headers["accept-post"]
    patch = send(site, "OPTIONS", f"{DRAFT}/1").headers["accept-patch"]
    assert "application/merge-patch+json" in patch


@requirement("/req/create-replace-delete/create-post-op")
@requirement("/req/create-replace-delete/create-body")
@requirement("/req/create-replace-delete/create-response")
@requirement("/req/create-replace-delete/create-response-rid")
@requirement("/req/features/resources-endpoint")
@requirement("/req/features/geojson-create-replace")
def test_create(site: Site) -> None:
    address, _ = made(site)
    found = read(site, address)
    assert found.status_code == 200
    assert shape(found.json()["geometry"]).equals(BOX)
    assert found.json()["properties"]["landuse_code"] == "0701"
    assert address.endswith(f"/items/{found.json()['id']}")


@requirement("/req/create-replace-delete/create-content-type")
@requirement("/req/create-replace-delete/replace-content-type")
@requirement("/req/update/content-type")
def test_other_media_types_are_refused(site: Site) -> None:
    for method, path in (("POST", DRAFT), ("PUT", f"{DRAFT}/1"), ("PATCH", f"{DRAFT}/1")):
        assert send(site, method, path, feature(), content_type="text/csv").status_code == 400
    charset = "application/geo+json; charset=utf-8"
    assert send(site, "POST", DRAFT, feature(), content_type=charset).status_code == 201


@requirement("/req/create-replace-delete/replace-put-op")
@requirement("/req/create-replace-delete/replace-body")
@requirement("/req/create-replace-delete/replace-response")
@requirement("/req/features/resource-endpoint")
def test_replace(site: Site) -> None:
    address, _ = made(site)
    moved = shapely.box(110.6, 19.5, 110.601, 19.501)
    assert send(site, "PUT", address, feature(moved, far_max=2.5)).status_code == 204
    found = read(site, address).json()
    assert shape(found["geometry"]).equals(moved)
    assert found["properties"]["far_max"] == 2.5
    assert send(site, "PUT", address, feature()).status_code == 204
    assert "far_max" not in read(site, address).json()["properties"]  # replaced and not merged


@requirement("/req/create-replace-delete/replace-rid")
@requirement("/req/create-replace-delete/replace-rid-exception")
@requirement("/req/update/rid")
def test_the_address_names_the_feature(site: Site) -> None:
    address, _ = made(site)
    for method in ("PUT", "PATCH"):
        assert send(site, method, address, {**feature(), "id": "1"}).status_code == 422
        assert send(site, method, f"{DRAFT}/nobody", feature()).status_code == 404


@requirement("/req/create-replace-delete/delete-op")
@requirement("/req/create-replace-delete/delete-response")
def test_delete(site: Site) -> None:
    address, _ = made(site)
    assert send(site, "DELETE", address).status_code == 204
    assert read(site, address).status_code == 404
    assert send(site, "DELETE", address).status_code == 404


@requirement("/req/update/patch-op")
@requirement("/req/update/body")
@requirement("/req/update/response")
@requirement("/req/features/update-json-merge-patch")
def test_update(site: Site) -> None:
    address, _ = made(site)
    merge = {"content_type": "application/merge-patch+json"}
    patch = {"properties": {"far_max": 3.5, "name": "A"}}
    assert send(site, "PATCH", address, patch, **merge).status_code == 204
    patch = {"properties": {"name": None}}
    assert send(site, "PATCH", address, patch, **merge).status_code == 204
    found = read(site, address).json()
    assert found["properties"] == {
        **feature()["properties"], "parcel_id": found["id"], "far_max": 3.5,
    }  # fmt: skip
    assert shape(found["geometry"]).equals(BOX)


@requirement("/req/features/schema")
def test_features_are_held_against_the_schema(site: Site) -> None:
    schema = site.client.get(f"/ogc/collections/{LAYER}-draft/schema", headers=site.editor).json()
    codes = {one["const"] for one in schema["properties"]["landuse_code"]["oneOf"]}
    assert "9999" not in codes
    for bad in (feature(landuse_code="9999"), feature(no_such=1), feature(far_max="high")):
        answer = send(site, "POST", DRAFT, bad)
        assert answer.status_code == 422
        assert answer.json()["errors"]


@requirement("/req/features/other-crs")
@pytest.mark.parametrize("code", ["4490", "4525"])
def test_content_crs(site: Site, code: str) -> None:
    lon, lat = shapely.get_coordinates(BOX).T
    there = np.column_stack(Transformer.from_crs("EPSG:4490", f"EPSG:{code}").transform(lat, lon))
    body = {**feature(), "geometry": {"type": "Polygon", "coordinates": [there.tolist()]}}
    uri = f"http://www.opengis.net/def/crs/EPSG/0/{code}"
    answer = send(site, "POST", DRAFT, body, content_crs=f"<{uri}>")
    stored = shape(read(site, answer.headers["location"]).json()["geometry"])
    assert stored.hausdorff_distance(BOX) < 2e-8


@requirement("/req/optimistic-locking-etags/etag-get-response")
def test_features_carry_their_tag(site: Site) -> None:
    address, tag = made(site)
    assert read(site, address).headers["etag"] == tag
    cached = site.client.get(address, headers={**site.editor, "if-none-match": tag})
    assert cached.status_code == 304


@requirement("/req/optimistic-locking-etags/etag-put-response")
@requirement("/req/optimistic-locking-etags/etag-patch-response")
def test_edits_tell_the_new_tag(site: Site) -> None:
    address, tag = made(site)
    for method in ("PUT", "PATCH"):
        answer = send(site, method, address, feature(far_max={"PUT": 1, "PATCH": 2}[method]))
        assert answer.headers["etag"] != tag
        tag = answer.headers["etag"]
        assert read(site, address).headers["etag"] == tag


@requirement("/req/optimistic-locking-etags/ifmatch-put-op")
@requirement("/req/optimistic-locking-etags/ifmatch-put-eval")
@requirement("/req/optimistic-locking-etags/ifmatch-patch-op")
@requirement("/req/optimistic-locking-etags/ifmatch-patch-eval")
@requirement("/req/optimistic-locking-etags/ifmatch-delete-op")
@requirement("/req/optimistic-locking-etags/ifmatch-delete-eval")
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_an_edit_of_an_older_state_is_refused(site: Site, method: str) -> None:
    address, old = made(site)
    new = send(site, "PUT", address, feature(far_max=2)).headers["etag"]
    body = None if method == "DELETE" else feature(far_max=3)
    late = send(site, method, address, body, if_match=old)
    assert late.status_code == 412
    assert late.headers["etag"] == new
    assert read(site, address).json()["properties"]["far_max"] == 2
    assert send(site, method, address, body, if_match=new).status_code == 204


@requirement("/req/optimistic-locking-etags/ifmatch-missing")
def test_without_a_tag_the_last_edit_wins(site: Site) -> None:
    """QGIS sends none."""
    address, _ = made(site)
    for value in (1, 2):
        assert send(site, "PUT", address, feature(far_max=value)).status_code == 204
    assert read(site, address).json()["properties"]["far_max"] == 2
