"""OGC API Features Part 5: schemas, queryables, sortables."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from .conftest import LAYER, LINES, Site

REL = "http://www.opengis.net/def/rel/ogc/1.0/"
KINDS = ("schema", "queryables", "sortables")
UCUM = {"m", "m2", "%", "1"}


def requirement(identifier: str) -> pytest.MarkDecorator:
    return pytest.mark.requirement("ogcapi-features-5", identifier)


def document(site: Site, kind: str, layer: str = LAYER) -> dict[str, Any]:
    answer = site.client.get(
        f"/ogc/collections/{layer}/{kind}", headers={"accept": "application/schema+json"}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/schema+json"
    found: dict[str, Any] = answer.json()
    return found


@requirement("/req/schemas/json-schema")
@pytest.mark.parametrize("kind", KINDS)
def test_they_are_json_schemas(site: Site, kind: str) -> None:
    found = document(site, kind)
    Draft202012Validator.check_schema(found)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["type"] == "object"
    assert site.client.get(found["$id"]).json() == found
    assert "?" not in found["$id"]


@requirement("/req/schemas/properties")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layer", "format"), [(LAYER, "polygon"), (LINES, "linestring")])
def test_properties_have_types_and_geometries_formats(
    site: Site, kind: str, layer: str, format: str
) -> None:
    found = document(site, kind, layer)
    for name, one in found["properties"].items():
        assert one.get("title") or name == "geometry"
        if name == "geometry":
            assert one["format"] == f"geometry-{format}-or-multi{format}"
            assert "type" not in one
        else:
            assert one["type"] in ("string", "number", "integer", "boolean")
    assert found["additionalProperties"] is False


@requirement("/req/schemas/additional-keywords")
def test_own_keywords_begin_as_the_standard_says(site: Site) -> None:
    known = {"title", "type", "format", "oneOf"}
    for one in document(site, "schema")["properties"].values():
        assert all(name in known or name.startswith("x-ogc-") for name in one)


@requirement("/req/schemas/role")
@requirement("/req/schemas/role-id")
def test_the_id_has_its_role(site: Site) -> None:
    found = [
        (name, one)
        for name, one in document(site, "schema", "county")["properties"].items()
        if one.get("x-ogc-role") == "id"
    ]
    assert len(found) <= 1
    assert all(one["type"] in ("string", "integer") for _, one in found)


@requirement("/req/schemas/unit")
def test_units_are_ucum(site: Site) -> None:
    units = {
        one["x-ogc-unit"]
        for one in document(site, "schema")["properties"].values()
        if "x-ogc-unit" in one
    }
    assert units
    assert units <= UCUM


@requirement("/rec/schemas/properties")
def test_code_lists_stand_in_the_schema_in_both_languages(site: Site) -> None:
    path = f"/ogc/collections/{LAYER}/schema"
    for language, title in (("en", "Paddy field"), ("zh", "水田")):
        found = site.client.get(path, headers={"accept-language": language}).json()
        assert {"const": "0101", "title": title} in found["properties"]["landuse_code"]["oneOf"]


@requirement("/req/core-roles-features/role-primary-geometry")
def test_the_geometry_has_its_role(site: Site) -> None:
    roles = [
        name
        for name, one in document(site, "schema")["properties"].items()
        if one.get("x-ogc-role") == "primary-geometry"
    ]
    assert roles == ["geometry"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "identifier",
    [pytest.param("link", marks=[requirement("/req/returnables-and-receivables/link"),
                                 requirement("/req/queryables/link"),
                                 requirement("/req/sortables/link")])],
)  # fmt: skip
def test_collections_link_to_them(site: Site, kind: str, identifier: str) -> None:
    links = {link["rel"]: link for link in site.get(f"/ogc/collections/{LAYER}")["links"]}
    link = links[REL + kind]
    assert link["type"] == "application/schema+json"
    assert site.client.get(link["href"]).json()["$id"].endswith(kind)


@requirement("/req/returnables-and-receivables/op")
@requirement("/req/returnables-and-receivables/response")
def test_features_are_what_the_schema_says(site: Site) -> None:
    found = document(site, "schema")
    names = set(found["properties"]) - {"geometry"}
    features = site.get(f"/ogc/collections/{LAYER}/items", limit=100)["features"]
    for feature in features:
        assert set(feature["properties"]) <= names
    assert set(found["required"]) <= names


@requirement("/req/queryables/op")
@requirement("/req/queryables/response")
def test_only_queryables_are_filtered_by(site: Site) -> None:
    path = f"/ogc/collections/{LAYER}/items"
    for name in document(site, "queryables")["properties"]:
        asked = {"filter": f'"{name}" IS NOT NULL'}
        assert site.client.get(path, params=asked).status_code == 200
    assert site.client.get(path, params={"filter": "no_such IS NULL"}).status_code == 400


@requirement("/req/sortables/op")
@requirement("/req/sortables/response")
def test_only_sortables_are_sorted_by(site: Site) -> None:
    path = f"/ogc/collections/{LAYER}/items"
    found = document(site, "sortables")["properties"]
    assert "geometry" not in found
    for name in found:
        for sign in ("+", "-", ""):
            assert site.client.get(path, params={"sortby": sign + name}).status_code == 200
    for bad in ("geometry", "no_such", "", "far_max,,name"):
        assert site.client.get(path, params={"sortby": bad}).status_code == 400
    down = site.get(path, sortby="-far_max", limit=3)["features"]
    assert [one["properties"]["far_max"] for one in down] == [6.0, 5.75, 5.5]
