"""OGC API Features Part 1: Core, OpenAPI 3.0, HTML, GeoJSON."""

import re
from typing import Any

import pytest
import shapely
from openapi_spec_validator import validate
from shapely.geometry import shape

from .conftest import BOXES, LAYER, Site

STANDARD = "ogcapi-features-1"
ITEMS = f"/ogc/collections/{LAYER}/items"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


def requirement(identifier: str) -> pytest.MarkDecorator:
    return pytest.mark.requirement(STANDARD, identifier)


def rels(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for link in document["links"]:
        found.setdefault(link["rel"], []).append(link)
    return found


@requirement("/req/core/root-op")
@requirement("/req/core/root-success")
def test_landing_page(site: Site) -> None:
    landing = site.get("/ogc")
    links = rels(landing)
    assert {"service-desc", "conformance", "data", "self"} <= set(links)
    assert landing["title"]
    for rel in ("service-desc", "conformance", "data"):
        assert site.client.get(links[rel][0]["href"]).status_code == 200


def definition(site: Site) -> dict[str, Any]:
    answer = site.client.get("/ogc/api", headers={
        "accept": "application/vnd.oai.openapi+json;version=3.0"})  # fmt: skip
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


@requirement("/req/core/api-definition-op")
@requirement("/req/core/api-definition-success")
@requirement("/req/oas30/oas-definition-1")
@requirement("/req/oas30/oas-definition-2")
def test_api_definition_is_valid(site: Site) -> None:
    document = definition(site)
    validate(document)
    (link,) = rels(site.get("/ogc"))["service-desc"]
    assert link["type"] == "application/vnd.oai.openapi+json;version=3.0"


@requirement("/req/oas30/oas-impl")
def test_api_definition_points_to_no_other_host(site: Site) -> None:
    """The suites follow every remote reference, also where there is no network."""
    text = site.client.get("/ogc/api?f=json").text
    assert set(re.findall(r'"\$ref":\s*"([^"]{2})', text)) == {"#/"}


@requirement("/req/oas30/completeness")
def test_api_definition_has_every_path(site: Site) -> None:
    paths = definition(site)["paths"]
    assert set(paths) >= {
        "/", "/conformance", "/collections", "/collections/{layer}",
        f"/collections/{LAYER}/items", "/collections/{layer}/items/{feature}", "/processes",
        "/processes/{process}/execution", "/jobs/{job}/results",
    }  # fmt: skip
    assert paths["/jobs/{job}"].keys() >= {"get", "delete"}


@requirement("/req/oas30/exceptions-codes")
def test_api_definition_tells_of_errors(site: Site) -> None:
    for path, operations in definition(site)["paths"].items():
        for operation in operations.values():
            assert "default" in operation["responses"], path


@requirement("/req/oas30/security")
def test_api_definition_tells_of_keys(site: Site) -> None:
    document = definition(site)
    assert document["components"]["securitySchemes"]
    item = document["paths"]["/collections/{layer}/items/{feature}"]
    assert item["put"]["security"]
    assert "security" not in item["get"]


@requirement("/req/core/conformance-op")
@requirement("/req/core/conformance-success")
def test_conformance_declaration(site: Site) -> None:
    classes = site.get("/ogc/conformance")["conformsTo"]
    for name in ("core", "oas30", "html", "geojson"):
        assert f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{name}" in classes


@requirement("/req/core/http")
def test_methods_and_status_codes_are_those_of_http(site: Site) -> None:
    assert site.client.head("/ogc/collections").status_code == 200
    refused = site.client.post("/ogc/collections", json={})
    assert refused.status_code == 405
    assert "GET" in refused.headers["allow"]


@requirement("/req/core/crs84")
def test_coordinates_are_longitude_latitude_unless_asked(site: Site) -> None:
    first = site.get(ITEMS, limit=1)["features"][0]
    assert shape(first["geometry"]).equals(BOXES[0])


@requirement("/req/core/fc-md-op")
@requirement("/req/core/fc-md-success")
@requirement("/req/core/fc-md-links")
def test_list_of_collections(site: Site) -> None:
    document = site.get("/ogc/collections")
    links = rels(document)
    assert links["self"]
    assert any(link["type"] == "text/html" for link in links["alternate"])


@requirement("/req/core/fc-md-items")
@requirement("/req/core/fc-md-items-links")
def test_collections_have_links_to_their_items(site: Site) -> None:
    collections = site.get("/ogc/collections")["collections"]
    assert LAYER in {one["id"] for one in collections}
    for one in collections:
        items = rels(one)["items"]
        assert all(link["type"] for link in items)
        for link in items:
            answer = site.client.get(link["href"])
            assert answer.status_code == 200
            assert answer.headers["content-type"].split(";")[0] == link["type"].split(";")[0]


@requirement("/req/core/fc-md-extent")
def test_extents_hold_the_features(site: Site) -> None:
    one = site.get(f"/ogc/collections/{LAYER}")
    extent = shapely.box(*one["extent"]["spatial"]["bbox"][0])
    for feature in site.get(ITEMS, limit=100)["features"]:
        assert extent.buffer(1e-9).covers(shape(feature["geometry"]))
    assert one["extent"]["temporal"]["interval"][0][0].startswith("2021-01-01")


@requirement("/req/core/sfc-md-op")
@requirement("/req/core/sfc-md-success")
def test_one_collection_is_as_in_the_list(site: Site) -> None:
    listed = {one["id"]: one for one in site.get("/ogc/collections")["collections"]}[LAYER]
    alone = site.get(f"/ogc/collections/{LAYER}")
    for name in ("id", "title", "extent", "crs", "storageCrs", "itemType"):
        assert alone[name] == listed[name]
    assert site.client.get("/ogc/collections/nobody").status_code == 404


@requirement("/req/core/fc-op")
@requirement("/req/core/fc-response")
def test_features(site: Site) -> None:
    answer = site.get(ITEMS, limit=1000)
    assert answer["type"] == "FeatureCollection"
    assert [one["properties"]["parcel_id"] for one in answer["features"]] == [
        f"P{i:02}" for i in range(25)
    ]


def parameter(site: Site, name: str) -> dict[str, Any]:
    document = definition(site)
    operation = document["paths"][f"/collections/{LAYER}/items"]["get"]
    assert {"$ref": f"#/components/parameters/{name}"} in operation["parameters"]
    found: dict[str, Any] = document["components"]["parameters"][name]
    assert (found["in"], found["required"], found["name"]) == ("query", False, name)
    return found


@requirement("/req/core/fc-bbox-definition")
def test_bbox_definition(site: Site) -> None:
    found = parameter(site, "bbox")
    assert (found["style"], found["explode"]) == ("form", False)
    assert found["schema"]["type"] == "array"
    assert found["schema"]["items"] == {"type": "number"}
    assert [one["minItems"] for one in found["schema"]["oneOf"]] == [4, 6]


@requirement("/req/core/fc-bbox-response")
def test_bbox_response(site: Site) -> None:
    box = (110.021, 19.001, 110.045, 19.002)
    found = site.get(ITEMS, bbox=",".join(map(str, box)))
    hit = [f"P{i:02}" for i, one in enumerate(BOXES) if one.intersects(shapely.box(*box))]
    assert [one["properties"]["parcel_id"] for one in found["features"]] == hit == [
        "P02", "P03", "P04",
    ]  # fmt: skip
    with_heights = "110.021,19.001,-5,110.045,19.002,5"
    assert site.get(ITEMS, bbox=with_heights)["numberMatched"] == 3
    assert site.get(ITEMS, bbox="110.2,19,-170,20")["numberMatched"] == 5


@requirement("/req/core/fc-limit-definition")
def test_limit_definition(site: Site) -> None:
    schema = parameter(site, "limit")["schema"]
    assert schema["type"] == "integer"
    assert (schema["minimum"], schema["default"]) == (1, 100)
    assert schema["maximum"] >= schema["default"]


@requirement("/req/core/fc-limit-response-1")
def test_limit_response(site: Site) -> None:
    assert len(site.get(ITEMS, limit=7)["features"]) == 7
    assert len(site.get(ITEMS, limit=10**12)["features"]) == 25


@requirement("/req/core/fc-time-definition")
def test_datetime_definition(site: Site) -> None:
    assert parameter(site, "datetime")["schema"] == {"type": "string"}


@requirement("/req/core/fc-time-response")
def test_datetime_response(site: Site) -> None:
    qgis = "0000-01-01T00:00:00Z/9999-12-31T00:00:00Z"
    for value in ("2026-06-01", "2026-06-01T10:00:00Z", "../..", "2021-01-01/..", "/2026-01-01",
                  qgis, "2020-01-01/2021-06-01"):  # fmt: skip
        assert site.get(ITEMS, datetime=value)["numberMatched"] == 25, value
    for value in ("2020-12-31", "../2019-12-31", "2019-01-01/2020-01-01"):
        assert site.get(ITEMS, datetime=value)["numberMatched"] == 0, value


@requirement("/req/core/query-param-unknown")
@pytest.mark.parametrize(
    "path",
    ["/ogc", "/ogc/conformance", "/ogc/api", "/ogc/collections", f"/ogc/collections/{LAYER}", ITEMS,
     f"{ITEMS}/1", f"/ogc/collections/{LAYER}/schema", "/ogc/processes", "/ogc/processes/echo",
     "/ogc/jobs"],
)  # fmt: skip
def test_unknown_parameters_are_refused(site: Site, path: str) -> None:
    answer = site.client.get(path, params={"no_such_parameter": "1"})
    assert answer.status_code == 400
    assert "no_such_parameter" in answer.json()["detail"]


@requirement("/req/core/query-param-invalid")
@pytest.mark.parametrize(
    "asked",
    [
        {"limit": "0"}, {"limit": "x"}, {"bbox": "1,2,3"}, {"bbox": "a,b,c,d"},
        {"bbox": "1,5,3,2"}, {"datetime": "yesterday"}, {"datetime": "2026-02-30"},
        {"datetime": "2026-05-01/2025-01-01"}, {"crs": "x"}, {"f": "x"}, {"far_max": "high"},
        {"offset": "-1"}, {"after": "x"}, {"after": "W251bGwsIDEsIDVd"}, {"offset": "1" * 18},
    ],
)  # fmt: skip
def test_invalid_values_are_refused(site: Site, asked: dict[str, str]) -> None:
    answer = site.client.get(ITEMS, params=asked)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.json()["detail"]) > 10


@requirement("/req/core/fc-links")
@requirement("/req/core/fc-rel-type")
def test_links_of_pages(site: Site) -> None:
    page = site.get(ITEMS, limit=10)
    links = rels(page)
    assert links["self"][0]["type"] == "application/geo+json"
    assert {"text/html", "text/csv; charset=utf-8"} <= {one["type"] for one in links["alternate"]}
    for link in links["alternate"]:
        answer = site.client.get(link["href"])
        assert answer.headers["content-type"] == link["type"] or (
            link["type"] == "text/html" and answer.headers["content-type"].startswith("text/html")
        )
    seen = [one["id"] for one in page["features"]]
    while "next" in rels(page):
        page = site.get(rels(page)["next"][0]["href"])
        seen += [one["id"] for one in page["features"]]
    assert len(seen) == len(set(seen)) == 25


@requirement("/req/core/fc-timeStamp")
def test_time_stamp(site: Site) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", site.get(ITEMS)["timeStamp"])


@requirement("/req/core/fc-numberMatched")
def test_number_matched(site: Site) -> None:
    """Optional, and true where it is there; the same on every page."""
    assert site.get(ITEMS, limit=3)["numberMatched"] == 25
    page = site.get(ITEMS, limit=3, landuse_code="0701")
    while True:
        assert page["numberMatched"] == 13
        following = rels(page).get("next")
        if not following:
            break
        page = site.get(following[0]["href"])


@requirement("/req/core/fc-numberReturned")
def test_number_returned(site: Site) -> None:
    page = site.get(ITEMS, limit=4)
    assert page["numberReturned"] == len(page["features"]) == 4


@requirement("/req/core/f-op")
@requirement("/req/core/f-success")
@requirement("/req/core/f-links")
def test_one_feature(site: Site) -> None:
    listed = site.get(ITEMS, limit=1)["features"][0]
    alone = site.get(f"{ITEMS}/{listed['id']}")
    assert {name: alone[name] for name in listed} == listed
    links = rels(alone)
    assert links["self"][0]["type"] == "application/geo+json"
    assert links["collection"][0]["href"].endswith(f"/ogc/collections/{LAYER}")
    assert links["alternate"][0]["type"] == "text/html"
    assert site.client.get(f"{ITEMS}/nobody").status_code == 404


@requirement("/req/html/definition")
@requirement("/req/html/content")
@pytest.mark.parametrize(
    ("path", "shown"),
    [("/ogc", "collections"), ("/ogc/conformance", "ogcapi-features-1"),
     ("/ogc/collections", LAYER), (f"/ogc/collections/{LAYER}", "110"), (ITEMS, "P00"),
     (f"{ITEMS}/1", "P00"), ("/ogc/processes", "echo"), ("/ogc/processes/echo", "message"),
     ("/ogc/jobs", "<h1>")],
)  # fmt: skip
def test_pages_for_people(site: Site, path: str, shown: str) -> None:
    for language in ("zh-CN", "en"):
        headers = {"accept": "text/html", "accept-language": language}
        page = site.client.get(path, headers=headers)
        assert page.headers["content-type"].startswith("text/html")
        assert shown in page.text
        # What a page loads comes from this service: government networks are closed.
        loaded = re.findall(r"""(?:src|<link[^>]*href)\s*=\s*["'](http[^"']+)""", page.text)
        assert all(url.startswith("http://localhost/") for url in loaded)


@requirement("/req/geojson/definition")
@requirement("/req/geojson/content")
def test_geojson(site: Site) -> None:
    answer = site.client.get(ITEMS, headers={"accept": "application/geo+json"})
    assert answer.headers["content-type"] == "application/geo+json"
    for feature in answer.json()["features"]:
        assert feature["type"] == "Feature"
        assert set(feature) == {"type", "id", "geometry", "properties"}
        assert shape(feature["geometry"]).is_valid
