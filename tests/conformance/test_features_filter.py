"""OGC API Features Part 3: filtering, and CQL2 as text and JSON; GEOS is the spatial oracle."""

import json
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from shapely.geometry import mapping

from .conftest import BOXES, LAYER, Site

ITEMS = f"/ogc/collections/{LAYER}/items"
QUERYABLES = f"/ogc/collections/{LAYER}/queryables"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
AREA = shapely.box(110.045, 19.001, 110.105, 19.005)


def requirement(identifier: str) -> pytest.MarkDecorator:
    return pytest.mark.requirement("ogcapi-features-3", identifier)


def cql2(identifier: str) -> pytest.MarkDecorator:
    return pytest.mark.requirement("cql2", identifier)


def found(site: Site, text: Any, **more: Any) -> list[int]:
    """Numbers of the parcels that match."""
    asked = {"filter": text, "limit": 1000, **more}
    if not isinstance(text, str):
        asked |= {"filter": json.dumps(text), "filter-lang": "cql2-json"}
    features = site.get(ITEMS, **asked)["features"]
    return [int(one["properties"]["parcel_id"][1:]) for one in features]


def refused(site: Site, text: str, **more: str) -> dict[str, Any]:
    answer = site.client.get(ITEMS, params={"filter": text, **more})
    assert answer.status_code == 400, answer.text
    problem: dict[str, Any] = answer.json()
    assert len(problem["detail"]) > 15
    return problem


@requirement("/req/queryables/queryables-link")
def test_collections_link_to_their_queryables(site: Site) -> None:
    links = {link["rel"]: link for link in site.get(f"/ogc/collections/{LAYER}")["links"]}
    link = links["http://www.opengis.net/def/rel/ogc/1.0/queryables"]
    assert site.client.get(link["href"]).status_code == 200


@requirement("/req/queryables/get-queryables-op")
@requirement("/req/queryables/get-queryables-response")
def test_queryables(site: Site) -> None:
    answer = site.client.get(QUERYABLES, headers={"accept": "application/schema+json"})
    assert answer.headers["content-type"] == "application/schema+json"
    schema = answer.json()
    assert schema["type"] == "object"
    assert schema["$id"].endswith(QUERYABLES)
    assert schema["properties"]["geometry"]["format"] == "geometry-polygon-or-multipolygon"
    assert schema["additionalProperties"] is False


@requirement("/req/queryables/expression-construction")
def test_every_queryable_can_be_filtered_by(site: Site) -> None:
    for name in site.get(QUERYABLES)["properties"]:
        assert isinstance(found(site, f'"{name}" IS NOT NULL'), list)
    assert refused(site, "no_such = 1")["type"].endswith("unknown-property")


@requirement("/req/queryables-query-parameters/parameters")
def test_queryables_are_parameters(site: Site) -> None:
    page = site.get(ITEMS, landuse_code="0701", name="Alpha", limit=1000)
    assert page["numberMatched"] == 13
    document = site.get("/ogc/api", f="json")["paths"][f"/collections/{LAYER}/items"]["get"]
    names = {one.get("name") for one in document["parameters"]}
    assert set(site.get(QUERYABLES)["properties"]) - {"geometry"} <= names


@requirement("/req/filter/filter-param")
@requirement("/req/filter/response")
def test_filter(site: Site) -> None:
    assert found(site, "far_max > 5") == [21, 22, 23, 24]
    refused(site, "far_max >")


@requirement("/req/filter/filter-lang-param")
def test_filter_language(site: Site) -> None:
    assert found(site, "far_max > 5.9", **{"filter-lang": "cql2-text"}) == [24]
    refused(site, "far_max > 5", **{"filter-lang": "ecql"})
    refused(site, "far_max > 5", **{"filter-lang": "cql2-json"})


@requirement("/req/filter/filter-crs-wgs84")
@requirement("/req/filter/filter-crs-param")
@pytest.mark.parametrize("code", ["4490", "4525", "3857"])
def test_filter_crs(site: Site, code: str) -> None:
    plain = found(site, f"S_INTERSECTS(geometry, {AREA.wkt})")
    assert plain == [4, 5, 6, 7, 8, 9, 10]
    base = "EPSG:4326" if code == "3857" else "EPSG:4490"
    lon, lat = shapely.get_coordinates(AREA).T
    there = np.column_stack(Transformer.from_crs(base, f"EPSG:{code}").transform(lat, lon))
    text = f"S_INTERSECTS(geometry, {shapely.to_wkt(shapely.Polygon(there), 9)})"
    assert found(site, text, **{"filter-crs": EPSG + code}) == plain
    refused(site, text, **{"filter-crs": "EPSG:4490"})


@requirement("/req/filter/mixing-expressions")
def test_filters_and_parameters_all_hold(site: Site) -> None:
    both = found(site, "far_max > 2", landuse_code="0701", bbox="110.0,19,110.145,19.01")
    assert both == [12, 14]


@requirement("/req/features-filter/response")
def test_pages_of_a_filter_are_its_features(site: Site) -> None:
    page = site.get(ITEMS, filter="far_max > 2", limit=4, sortby="-far_max")
    seen = [one["properties"]["far_max"] for one in page["features"]]
    while True:
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        if not following:
            break
        page = site.get(following[0])
        seen += [one["properties"]["far_max"] for one in page["features"]]
    expected = [i / 4 for i in range(24, 8, -1) if i % 5]
    assert seen == expected
    assert page["numberMatched"] == len(expected)


@cql2("/req/basic-cql2/cql2-filter")
@cql2("/req/cql2-text/basic-cql2")
def test_logic_binds_as_the_standard_says(site: Site) -> None:
    text = "landuse_code = '0701' OR landuse_code = '0801' AND NOT far_max < 5"
    expected = [i for i in range(25) if i % 2 == 0 or (i % 5 and i / 4 >= 5)]
    assert found(site, text) == expected


@cql2("/req/basic-cql2/property")
def test_names_quoted_or_not(site: Site) -> None:
    assert found(site, '"far_max" > 5') == found(site, "far_max > 5")


@cql2("/req/basic-cql2/binary-comparison-predicate")
@pytest.mark.parametrize(
    ("sign", "holds"),
    [("=", operator.eq), ("<>", operator.ne), ("<", operator.lt), ("<=", operator.le),
     (">", operator.gt), (">=", operator.ge)],
)  # fmt: skip
def test_comparisons(site: Site, sign: str, holds: Callable[[float, float], bool]) -> None:
    expected = [i for i in range(25) if i % 5 and holds(i / 4, 1)]
    assert found(site, f"far_max {sign} 1") == expected


@cql2("/req/basic-cql2/null-predicate")
def test_null(site: Site) -> None:
    assert found(site, "far_max IS NULL") == [0, 5, 10, 15, 20]


@cql2("/req/advanced-comparison-operators/like-predicate")
@cql2("/req/cql2-text/advanced-comparison-operators")
def test_like(site: Site) -> None:
    assert found(site, "parcel_id LIKE 'P1_' AND name LIKE 'Al%'") == [10, 12, 14, 16, 18]


@cql2("/req/advanced-comparison-operators/between-predicate")
def test_between(site: Site) -> None:
    assert found(site, "far_max BETWEEN 1 AND 2") == [4, 6, 7, 8]


@cql2("/req/advanced-comparison-operators/in-predicate")
def test_in(site: Site) -> None:
    assert found(site, "parcel_id IN ('P01', 'P07', 'P99')") == [1, 7]


@cql2("/req/case-insensitive-comparison/casei-function")
@cql2("/req/cql2-text/case-insensitive-comparison")
def test_casei(site: Site) -> None:
    assert found(site, "CASEI(name) = CASEI('ALPHA')") == list(range(0, 25, 2))


@cql2("/req/cql2-text/escaping")
def test_quotes_are_doubled(site: Site) -> None:
    assert found(site, "name = 'it''s'") == []
    refused(site, "name = 'it's'")


@cql2("/req/property-property/withdraw-permissions")
@cql2("/req/cql2-text/property-property")
def test_properties_and_literals_on_either_side(site: Site) -> None:
    assert found(site, "5 < far_max") == found(site, "far_max > 5")
    assert found(site, "far_max = far_max") == [i for i in range(25) if i % 5]


@cql2("/req/arithmetic/arithmetic")
@cql2("/req/cql2-text/arithmetic")
def test_arithmetic(site: Site) -> None:
    assert found(site, "(far_max + 1) * 2 - 3 = 1 + 2 ^ 2") == [12]


OPERATORS = {
    "s_intersects": shapely.intersects, "s_equals": shapely.equals,
    "s_disjoint": shapely.disjoint, "s_touches": shapely.touches, "s_within": shapely.within,
    "s_overlaps": shapely.overlaps, "s_crosses": shapely.crosses, "s_contains": shapely.contains,
}  # fmt: skip


@cql2("/req/basic-spatial-functions/spatial-predicate")
@cql2("/req/basic-spatial-functions-plus/spatial-data-types")
@cql2("/req/spatial-functions/spatial-data-types")
@cql2("/req/cql2-text/basic-spatial-functions")
@cql2("/req/cql2-text/basic-spatial-functions-plus")
@cql2("/req/cql2-text/spatial-functions")
@cql2("/req/cql2-json/spatial-functions")
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "shape",
    [
        shapely.Point(110.055, 19.005), shapely.MultiPoint([(110.055, 19.005), (110.2, 19.0)]),
        shapely.LineString([(110.0, 19.005), (110.1, 19.005)]),
        shapely.MultiLineString([[(110.0, 19.005), (110.1, 19.005)], [(109, 19), (109.5, 19)]]),
        AREA, BOXES[7], shapely.MultiPolygon([BOXES[1], BOXES[4]]),
    ],
    ids=lambda one: one.geom_type,
)  # fmt: skip
def test_spatial_functions(site: Site, name: str, shape: shapely.Geometry) -> None:
    expected = np.flatnonzero(OPERATORS[name](np.array(BOXES), shape)).tolist()
    assert found(site, f"{name}(geometry, {shape.wkt})") == expected
    as_json = {"op": name, "args": [{"property": "geometry"}, mapping(shape)]}
    assert found(site, as_json) == expected


@cql2("/req/basic-spatial-functions/spatial-functions")
@cql2("/req/cql2-json/basic-spatial-functions")
def test_boxes(site: Site) -> None:
    last = [20, 21, 22, 23, 24]
    assert found(site, "S_INTERSECTS(geometry, BBOX(110.2, 19, 110.3, 20))") == last
    box = {"bbox": [110.2, 19, 110.3, 20]}
    as_json = {"op": "s_intersects", "args": [{"property": "geometry"}, box]}
    assert found(site, as_json) == last


@cql2("/req/spatial-functions/spatial-data-types")
def test_collections_of_geometries(site: Site) -> None:
    """GEOS relates collections by two operators only; the others are refused."""
    collection = "GEOMETRYCOLLECTION(POINT(110.055 19.005), LINESTRING(110.2 19, 110.21 19))"
    hit = [i for i, box in enumerate(BOXES) if box.intersects(shapely.from_wkt(collection))]
    assert found(site, f"S_INTERSECTS(geometry, {collection})") == hit
    refused(site, f"S_WITHIN(geometry, {collection})")


@cql2("/req/temporal-functions/temporal-functions")
@cql2("/req/temporal-functions/temporal-data-types")
@cql2("/req/cql2-text/temporal-functions")
@cql2("/req/cql2-json/temporal-functions")
def test_temporal_functions_take_times_only(site: Site) -> None:
    """No layer of the catalogue has a time; see tests/layers/test_cql2.py for what they give."""
    assert "time is needed" in refused(site, "T_AFTER(far_max, DATE('2026-01-01'))")["detail"]
    everything = "T_BEFORE(DATE('2025-12-31'), TIMESTAMP('2026-01-01T00:00:00Z'))"
    assert len(found(site, everything)) == 25
    spans = [{"interval": ["2026-02-01", "2026-03-01"]}, {"interval": ["2026-01-01", ".."]}]
    overlap = {"op": "t_during", "args": spans}
    assert len(found(site, overlap)) == 25


@cql2("/req/cql2-json/basic-cql2")
def test_json_logic(site: Site) -> None:
    small = {"op": "<", "args": [{"property": "far_max"}, 0.6]}
    named = {"op": "=", "args": [{"property": "parcel_id"}, "P09"]}
    known = {"op": "not", "args": [{"op": "isNull", "args": [{"property": "far_max"}]}]}
    tree = {"op": "and", "args": [known, {"op": "or", "args": [small, named]}]}
    assert found(site, tree) == [1, 2, 9]


@cql2("/req/cql2-json/advanced-comparison-operators")
@cql2("/req/cql2-json/case-insensitive-comparison")
def test_json_comparisons(site: Site) -> None:
    number = {"property": "far_max"}
    assert found(site, {"op": "between", "args": [number, 1, 2]}) == [4, 6, 7, 8]
    ids = {"op": "in", "args": [{"property": "parcel_id"}, ["P01", "P02"]]}
    assert found(site, ids) == [1, 2]
    name = {"op": "casei", "args": [{"property": "name"}]}
    like = {"op": "like", "args": [name, {"op": "casei", "args": ["AL%"]}]}
    assert found(site, like) == list(range(0, 25, 2))


@cql2("/req/cql2-json/property-property")
def test_json_properties_on_either_side(site: Site) -> None:
    sum_of = {"op": "+", "args": [{"property": "far_max"}, 1]}
    assert found(site, {"op": "<", "args": [6.9, sum_of]}) == [24]


@requirement("/req/filter/expression-construction")
@pytest.mark.parametrize(
    "text",
    [
        "(" * 60 + "far_max = 1" + ")" * 60, "pg_sleep(10) = 1", "lo_export(1, 'x') = 1",
        "name = 'x'; DROP TABLE library.plan", "1 = 1 UNION SELECT 1", "far_max = 'x'",
        "S_INTERSECTS(geometry, BBOX(110, 20, 111, 19))",
        "S_INTERSECTS(geometry, POLYGON((0 0, 1 1, 1 0, 0 1, 0 0)))",
        f"S_INTERSECTS(geometry, LINESTRING({', '.join(f'{i} 1' for i in range(3000))}))",
        f"name IN ({', '.join(['1'] * 2000)})",
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_what_is_no_filter_is_refused(site: Site, text: str) -> None:
    refused(site, text)
