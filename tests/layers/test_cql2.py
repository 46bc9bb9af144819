"""CQL2 against hand-written conditions on known rows, in both forms; refusals; the index."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from shapely.geometry import mapping

from layers.catalog import Attribute, Catalog, Layer
from layers.cql2 import parse_json_filter, parse_text_filter
from layers.cql2.tree import DEEPEST, MOST_VERTICES
from layers.crs import parse_crs
from layers.database import Connection
from layers.errors import BadParameter
from layers.feature_pages import PageQuery, compiled, page, page_statement
from layers.features import content_parts
from layers.page_order import START, After, SortKey, parse_sort
from layers.text import Text

CRS84 = parse_crs("CRS84")
COUNT = 24
ROWS: list[dict[str, Any]] = [
    {
        "parcel_id": f"P{i:02}",
        "far_max": None if i % 5 == 0 else i / 4,
        "landuse_code": ["0701", "0801", "1001"][i % 3],
        "name": None if i % 7 == 0 else ["Alpha", "beta", "O'Neil", "100%", "名称"][i % 5],
    }
    for i in range(COUNT)
]
BOXES = [shapely.box(110 + i / 100, 19, 110 + (i + 0.9) / 100, 19.01) for i in range(COUNT)]
Row = dict[str, Any]
AREA = shapely.Polygon([(110.045, 18.9), (110.105, 18.9), (110.105, 19.005), (110.045, 19.005)])


@pytest.fixture(scope="module")
def layer(catalog: Catalog) -> Layer:
    """Parcels with a day beside: no layer of the catalogue has one."""
    found = catalog.layer("detailed_plan_parcel")
    day = Attribute(name="approved", type="date", title=Text(zh="批准日", en="Approved"))
    return found.model_copy(update={"attributes": (*found.attributes, day)})


@pytest.fixture
def content_id(connection: Connection, publish_layer: Any) -> int:
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    columns["approved"] = [f"20{i:02}-0{1 + i % 9}-15" if i % 4 else None for i in range(COUNT)]
    publish_layer("detailed_plan_parcel", BOXES, columns)
    found = connection.execute("SELECT max(id) FROM library.layer_content").fetchone()
    return int(found[0]) if found else 0


def matching(connection: Connection, layer: Layer, content_id: int, **asked: Any) -> list[str]:
    query = PageQuery(**{"limit": 1000, "crs": CRS84, **asked})
    found = page(connection, layer, content_id, COUNT, query)
    features = json.loads(b"[" + found.features_json + b"]")
    assert found.matched == len(features)
    return [one["properties"]["parcel_id"] for one in features]


def number(row: Row) -> float:
    return -1e9 if row["far_max"] is None else float(row["far_max"])


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("landuse_code = '0701'", lambda r: r["landuse_code"] == "0701"),
        # AND binds tighter than OR: pygeofilter 0.4 reads it the other way.
        ("landuse_code = '0701' OR landuse_code = '0801' AND far_max > 3",
         lambda r: r["landuse_code"] == "0701" or (r["landuse_code"] == "0801" and number(r) > 3)),
        ("NOT landuse_code = '0701' AND far_max > 3",
         lambda r: r["landuse_code"] != "0701" and number(r) > 3),
        ("(landuse_code = '0701' OR landuse_code = '0801') AND far_max > 3",
         lambda r: r["landuse_code"] in ("0701", "0801") and number(r) > 3),
        ("far_max BETWEEN 1 AND 2.5", lambda r: 1 <= number(r) <= 2.5),
        ("far_max NOT BETWEEN 1 AND 2.5",
         lambda r: r["far_max"] is not None and not 1 <= number(r) <= 2.5),
        ("far_max IS NULL", lambda r: r["far_max"] is None),
        ("far_max IS NOT NULL AND name IS NULL", lambda r: number(r) > -1 and r["name"] is None),
        ("name IN ('Alpha', 'O''Neil')", lambda r: r["name"] in ("Alpha", "O'Neil")),
        ("name NOT IN ('Alpha')", lambda r: r["name"] is not None and r["name"] != "Alpha"),
        ("name LIKE 'Al%'", lambda r: (r["name"] or "").startswith("Al")),
        ("name LIKE '_eta'", lambda r: r["name"] == "beta"),
        ("name LIKE '100\\%'", lambda r: r["name"] == "100%"),
        ("name NOT LIKE '%a%'", lambda r: r["name"] is not None and "a" not in r["name"]),
        ("CASEI(name) LIKE CASEI('AL%')", lambda r: (r["name"] or "").lower().startswith("al")),
        ("CASEI(name) = casei('BETA')", lambda r: r["name"] == "beta"),
        ("name = '名称'", lambda r: r["name"] == "名称"),
        ('"name" = \'beta\' and TRUE', lambda r: r["name"] == "beta"),
        ("far_max * 2 + 1 >= 8 - 1", lambda r: number(r) * 2 + 1 >= 7),
        ("far_max - 1 - 1 > 2", lambda r: number(r) - 2 > 2),
        ("far_max % 2 = 0", lambda r: r["far_max"] is not None and number(r) % 2 == 0),
        ("far_max div 2 = 1", lambda r: r["far_max"] is not None and number(r) // 2 == 1),
        ("2 ^ far_max > 16", lambda r: r["far_max"] is not None and 2 ** number(r) > 16),
        ("-far_max < -4", lambda r: number(r) > 4),
        ("1 / far_max < 0.3", lambda r: r["far_max"] is not None and 1 / number(r) < 0.3),
        ("far_max > far_max - 1 AND parcel_id < landuse_code", lambda r: False),
        ("parcel_id > 'P20'", lambda r: r["parcel_id"] > "P20"),
        ("FALSE OR far_max <> 1", lambda r: r["far_max"] is not None and number(r) != 1),
    ],
)  # fmt: skip
def test_text_filters(
    connection: Connection, layer: Layer, content_id: int, text: str, holds: Callable[[Row], bool]
) -> None:
    expected = [row["parcel_id"] for row in ROWS if holds(row)]
    asked = parse_text_filter(text)
    assert matching(connection, layer, content_id, filter=asked) == expected


PAIRS: list[tuple[str, Any]] = [
    ("landuse_code = '0701' OR far_max > 3 AND NOT name IS NULL",
     {"op": "or", "args": [
         {"op": "=", "args": [{"property": "landuse_code"}, "0701"]},
         {"op": "and", "args": [
             {"op": ">", "args": [{"property": "far_max"}, 3]},
             {"op": "not", "args": [{"op": "isNull", "args": [{"property": "name"}]}]}]}]}),
    ("far_max BETWEEN 1 AND 2", {"op": "between", "args": [{"property": "far_max"}, 1, 2]}),
    ("name IN ('Alpha', 'beta')",
     {"op": "in", "args": [{"property": "name"}, ["Alpha", "beta"]]}),
    ("CASEI(name) LIKE CASEI('al%')",
     {"op": "like", "args": [{"op": "casei", "args": [{"property": "name"}]},
                             {"op": "casei", "args": ["al%"]}]}),
    ("S_INTERSECTS(geometry, POLYGON((110 19, 110.05 19, 110.05 19.1, 110 19)))",
     {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Polygon", "coordinates":
         [[[110, 19], [110.05, 19], [110.05, 19.1], [110, 19]]]}]}),
    ("S_INTERSECTS(geometry, BBOX(110.02, 19, 110.05, 19.1))",
     {"op": "s_intersects", "args": [{"property": "geometry"},
                                     {"bbox": [110.02, 19, 110.05, 19.1]}]}),
    ("T_AFTER(approved, DATE('2010-01-01'))",
     {"op": "t_after", "args": [{"property": "approved"}, {"date": "2010-01-01"}]}),
    ("T_DURING(approved, INTERVAL('2005-01-01', '..'))",
     {"op": "t_during", "args": [{"property": "approved"}, {"interval": ["2005-01-01", ".."]}]}),
    ("far_max + 1 * 2 > 5",
     {"op": ">", "args": [{"op": "+", "args": [{"property": "far_max"},
                                               {"op": "*", "args": [1, 2]}]}, 5]}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), PAIRS)
def test_json_and_text_are_one_tree(text: str, value: Any) -> None:
    assert parse_json_filter(value) == parse_text_filter(text)


SPATIAL = {
    "s_intersects": shapely.intersects, "s_equals": shapely.equals,
    "s_disjoint": shapely.disjoint, "s_touches": shapely.touches, "s_within": shapely.within,
    "s_overlaps": shapely.overlaps, "s_crosses": shapely.crosses, "s_contains": shapely.contains,
}  # fmt: skip


@pytest.mark.parametrize("name", SPATIAL)
@pytest.mark.parametrize(
    "shape",
    [AREA, BOXES[3], shapely.box(110.1, 18.9, 110.2, 19.0), shapely.box(110.031, 19, 110.032, 19.1),
     shapely.LineString([(110.0, 19.005), (110.1, 19.005)]), shapely.Point(110.055, 19.005)],
)  # fmt: skip
def test_spatial_operators_are_those_of_geos(
    connection: Connection, layer: Layer, content_id: int, name: str, shape: shapely.Geometry
) -> None:
    for text, wanted in (
        (f"{name}(geometry, {shape.wkt})", SPATIAL[name](np.array(BOXES), shape)),
        (f"{name.upper()}({shape.wkt}, geometry)", SPATIAL[name](shape, np.array(BOXES))),
    ):
        expected = [row["parcel_id"] for row, hit in zip(ROWS, wanted, strict=True) if hit]
        assert matching(connection, layer, content_id, filter=parse_text_filter(text)) == expected


@pytest.mark.parametrize("code", ["EPSG:4490", "EPSG:4525", "EPSG:4546", "EPSG:3857"])
def test_filter_crs_has_the_authoritys_axis_order(
    connection: Connection, layer: Layer, content_id: int, code: str
) -> None:
    """Traps 10 and 11: a polygon in authority order found nothing."""
    base = "EPSG:4326" if code == "EPSG:3857" else "EPSG:4490"
    official = Transformer.from_crs(base, code)
    lon, lat = shapely.get_coordinates(AREA).T
    there = shapely.Polygon(np.column_stack(official.transform(lat, lon)))
    asked = parse_text_filter(f"S_INTERSECTS(geometry, {shapely.to_wkt(there, 9)})")
    found = matching(connection, layer, content_id, filter=asked, filter_crs=parse_crs(code))
    assert found == [f"P{i:02}" for i in range(4, 11)]
    west, south, east, north = there.bounds
    boxed = parse_text_filter(f"S_INTERSECTS(geometry, BBOX({west}, {south}, {east}, {north}))")
    again = matching(connection, layer, content_id, filter=boxed, filter_crs=parse_crs(code))
    assert set(found) <= set(again)


def test_a_box_over_the_antimeridian_is_two(
    connection: Connection, layer: Layer, content_id: int
) -> None:
    asked = parse_text_filter("S_INTERSECTS(geometry, BBOX(110.2, 19, -170, 20))")
    assert matching(connection, layer, content_id, filter=asked) == ["P20", "P21", "P22", "P23"]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("approved > DATE('2010-05-01')", lambda d: d > "2010-05-01"),
        ("approved <= '2010-05-15'", lambda d: d <= "2010-05-15"),
        ("approved > TIMESTAMP('2010-02-14T23:59:59Z')", lambda d: d >= "2010-02-15"),
        ("T_BEFORE(approved, TIMESTAMP('2010-02-15T00:00:00Z'))", lambda d: d < "2010-02-15"),
        ("T_AFTER(approved, DATE('2010-05-01'))", lambda d: d > "2010-05-01"),
        ("T_DURING(approved, INTERVAL('2003-01-01', '2006-12-31'))",
         lambda d: "2003-01-01" < d < "2006-12-31"),
        ("T_INTERSECTS(approved, INTERVAL('..', '2006-07-15'))", lambda d: d <= "2006-07-15"),
        ("T_EQUALS(approved, DATE('2003-04-15'))", lambda d: d == "2003-04-15"),
        ("T_CONTAINS(INTERVAL('2003-01-01', '..'), approved)", lambda d: d > "2003-01-01"),
        ("T_DISJOINT(approved, INTERVAL('2003-01-01', '2018-01-01'))",
         lambda d: d < "2003-01-01" or d > "2018-01-01"),
        ("T_STARTS(approved, INTERVAL('2003-04-15', '..'))", lambda d: d == "2003-04-15"),
    ],
)  # fmt: skip
def test_times(
    connection: Connection, layer: Layer, content_id: int, text: str, holds: Callable[[str], bool]
) -> None:
    days = [f"20{i:02}-0{1 + i % 9}-15" if i % 4 else None for i in range(COUNT)]
    expected = [f"P{i:02}" for i, day in enumerate(days) if day and holds(day)]
    asked = parse_text_filter(text)
    assert matching(connection, layer, content_id, filter=asked) == expected


HOSTILE = [
    "", "far_max >", "far_max > > 2", "1 < far_max < 3", "(far_max > 1", "far_max > 1)",
    "no_such = 1", "far_max = 'high'", "name > 5", "name = TRUE AND", "far_max = NULL",
    "far_max LIKE 'a%'", "name LIKE landuse_code", "geometry = 5", "S_INTERSECTS(geometry)",
    "S_INTERSECTS(name, POINT(110 19))", "S_INTERSECTS(geometry, geometry, geometry)",
    "S_INTERSECTS(POINT(1 1), POINT(1 1))", "S_INTERSECTS(geometry, POINT(110))",
    "S_INTERSECTS(geometry, POLYGON((0 0, 1 1, 1 0, 0 1, 0 0)))",
    "S_INTERSECTS(geometry, POINT(500 19))", "S_INTERSECTS(geometry, POINT(NaN 19))",
    "S_INTERSECTS(geometry, POINT EMPTY)", "S_INTERSECTS(geometry, BBOX(1,2,3))",
    "S_INTERSECTS(geometry, BBOX(110,20,111,19))", "S_INTERSECTS(geometry, CIRCULARSTRING(0 0))",
    "approved > DATE('2026-02-30')", "approved > TIMESTAMP('yesterday')", "approved > DATE(2026)",
    "T_AFTER(far_max, DATE('2026-01-01'))", "T_DURING(approved, INTERVAL('2026-01-01'))",
    "T_DURING(approved, INTERVAL('2027-01-01', '2026-01-01'))", "T_AFTER(approved)",
    "pg_sleep(10) = 1", "lo_export(1, 'x') = 1", "S_BUFFER(geometry, 1)", "A_EQUALS(name, 'a')",
    "name = 'x'; DROP TABLE library.plan", "name = 'x' UNION SELECT 1", "name = 'x' -- y",
    "1 = 1 OR (SELECT count(*) FROM library.plan) > 0", "name = 'unclosed", "name = \\x00",
    "name = 'a\0b'", "CASEI(far_max) = 'a'", "far_max + name > 1", "name", "5", "far_max IN ()",
    "NOT", "AND", "POINT(110 19)", "name IS", "name BETWEEN 'a'", "\"\" = 1",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_bad_filters_are_refused_with_a_reason(layer: Layer, text: str) -> None:
    """Before any work is done: without a database at all."""
    from layers.cql2.condition import Columns, compile_filter
    from layers.feature_pages import _FEATURE

    columns = Columns(_FEATURE.geom, _FEATURE.attributes)
    with pytest.raises(BadParameter) as refused:
        compile_filter(parse_text_filter(text), layer, CRS84, columns)
    assert len(refused.value.text.en) > 10
    assert len(refused.value.text.zh) > 5


@pytest.mark.parametrize(
    "value",
    [
        None, [], {}, {"op": "=", "args": []}, {"op": "=", "args": [1]}, {"op": 5, "args": [1]},
        {"op": "pg_sleep", "args": [10]}, {"args": [1, 2]}, {"op": "and"}, {"property": 5},
        {"op": "isNull", "args": [[{"property": "name"}]]}, {"bbox": ["a", 1, 2, 3]},
        {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Polygon"}]},
        {"op": "s_intersects", "args": [{"property": "geometry"},
                                        {"type": "Point", "coordinates": ["a", {}]}]},
        {"date": 5}, {"timestamp": None}, {"interval": ["2026-01-01"]}, {"function": {"name": "x"}},
        {"op": "in", "args": [{"property": "name"}, {"a": 1}]}, {"op": "=", "args": [None, 1]},
    ],
)  # fmt: skip
def test_bad_json_filters_are_refused(layer: Layer, value: Any) -> None:
    from layers.cql2.condition import Columns, compile_filter
    from layers.feature_pages import _FEATURE

    columns = Columns(_FEATURE.geom, _FEATURE.attributes)
    with pytest.raises(BadParameter):
        compile_filter(parse_json_filter(value), layer, CRS84, columns)


def test_limits_hold_before_work_is_done() -> None:
    with pytest.raises(BadParameter, match="nested"):
        parse_text_filter("(" * (DEEPEST + 2) + "a = 1" + ")" * (DEEPEST + 2))
    with pytest.raises(BadParameter, match="nested"):
        parse_text_filter("NOT " * 5000 + "a = 1")
    with pytest.raises(BadParameter, match="nested"):
        parse_text_filter("a = " + "1 + " * 100 + "1")
    with pytest.raises(BadParameter, match="terms"):
        parse_text_filter(" OR ".join(["a = 1"] * 900))
    deep: Any = {"op": "=", "args": [{"property": "a"}, 1]}
    for _ in range(DEEPEST + 2):
        deep = {"op": "not", "args": [deep]}
    with pytest.raises(BadParameter, match="nested"):
        parse_json_filter(deep)
    ring = ", ".join(f"{110 + i / 1e6:.6f} 19" for i in range(MOST_VERTICES + 1))
    with pytest.raises(BadParameter, match="vertices"):
        parse_text_filter(f"S_INTERSECTS(geometry, LINESTRING({ring}))")
    positions = [[110 + i / 1e6, 19] for i in range(MOST_VERTICES + 1)]
    line = {"type": "LineString", "coordinates": positions}
    with pytest.raises(BadParameter, match="vertices"):
        parse_json_filter({"op": "s_intersects", "args": [{"property": "geometry"}, line]})
    wkt = "POLYGON((" + ", ".join(f"{i} {i}" for i in range(50_000)) + "))"
    with pytest.raises(BadParameter):
        parse_text_filter(f"S_INTERSECTS(geometry, {wkt})")
    # A hundred terms side by side are not a hundred levels.
    assert parse_text_filter(" OR ".join(["a = 1"] * 200))


def test_numbers_out_of_range_are_the_callers_fault(
    connection: Connection, layer: Layer, content_id: int
) -> None:
    asked = PageQuery(limit=5, crs=CRS84, filter=parse_text_filter("10 ^ far_max ^ 99 > 1"))
    with pytest.raises(BadParameter, match="out of range"), connection.transaction():
        page(connection, layer, content_id, COUNT, asked)


def test_a_zero_divisor_is_unknown_and_no_error(
    connection: Connection, layer: Layer, content_id: int
) -> None:
    asked = parse_text_filter("1 / (far_max - far_max) > 0 OR parcel_id = 'P01'")
    assert matching(connection, layer, content_id, filter=asked) == ["P01"]


@pytest.mark.parametrize(
    "text",
    [
        "S_INTERSECTS(geometry, POLYGON((110 19, 110.01 19, 110.01 19.01, 110 19)))",
        "S_WITHIN(geometry, BBOX(110, 19, 110.02, 19.02))",
        "S_CONTAINS(POLYGON((110 19, 110.01 19, 110.01 19.01, 110 19)), geometry)",
        "S_TOUCHES(geometry, BBOX(110, 19, 110.02, 19.02)) AND landuse_code = '0701'",
        "S_CROSSES(geometry, LINESTRING(110 19, 110.01 19.01))",
    ],
)
def test_spatial_operators_use_the_index(
    connection: Connection, publish_layer: Any, layer: Layer, text: str
) -> None:
    """Also where the filter's geometry came in another CRS: the literal is moved, not the rows."""
    many = [shapely.box(109 + i / 1000, 19, 109 + (i + 0.9) / 1000, 19.001) for i in range(2000)]
    publish_layer("detailed_plan_parcel", many, {"parcel_id": [str(i) for i in range(2000)]})
    found = connection.execute("SELECT max(id) FROM library.layer_content").fetchone()
    content = int(found[0]) if found else 0
    connection.execute("ANALYZE library.feature")
    parts = content_parts(connection, [content])
    query = PageQuery(limit=10, crs=CRS84, filter=parse_text_filter(text))
    from layers.feature_pages import _FEATURE

    statement, values = compiled(page_statement(layer, content, parts, query, [_FEATURE.fid]))
    plan = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}", values).fetchone()
    told = json.dumps(plan)
    assert '"Index Cond"' in told
    assert "geom" in told.split('"Index Cond"', 1)[1][:200]
    assert "_gist" in told or "geom_idx" in told or "Index Scan" in told


@pytest.mark.parametrize("sort", ["far_max", "-far_max", "+name,-far_max", "landuse_code,-name"])
def test_sorted_pages_walk_through_all_features_once(
    connection: Connection, layer: Layer, content_id: int, sort: str
) -> None:
    keys = parse_sort(sort, layer)
    seen, after = [], START
    while True:
        query = PageQuery(limit=5, crs=CRS84, sort=keys, after=after)
        found = page(connection, layer, content_id, COUNT, query)
        seen += json.loads(b"[" + found.features_json + b"]")
        if found.next_after is None:
            break
        after = found.next_after
    order = [one["properties"]["parcel_id"] for one in seen]
    rows = list(ROWS)
    for key in reversed(keys):
        with_value = [row for row in rows if row[key.name] is not None]
        with_value.sort(key=lambda row, key=key: row[key.name], reverse=key.descending)  # type: ignore[misc]
        rows = [*with_value, *(row for row in rows if row[key.name] is None)]
    assert order == [row["parcel_id"] for row in rows]


def test_bad_orders_and_places_are_refused(
    connection: Connection, layer: Layer, content_id: int
) -> None:
    for text in ("", "no_such", "geometry", "far_max;name", "far_max,far_max", "--far_max",
                 ",".join(a.name for a in layer.kept_attributes[:6])):  # fmt: skip
        with pytest.raises(BadParameter):
            parse_sort(text, layer)
    for after in (After(1), After(1, ("x",)), After(1, ("1", "2"))):
        query = PageQuery(limit=1, crs=CRS84, sort=(SortKey("far_max"),), after=after)
        with pytest.raises(BadParameter):
            page(connection, layer, content_id, COUNT, query)


def test_geometry_of_geojson_is_the_same(
    connection: Connection, layer: Layer, content_id: int
) -> None:
    value = {"op": "s_intersects", "args": [{"property": "geometry"}, mapping(AREA)]}
    as_json = json.loads(json.dumps(value))
    found = matching(connection, layer, content_id, filter=parse_json_filter(as_json))
    assert found == [f"P{i:02}" for i in range(4, 11)]
