"""Place names of the library in tianditu's shapes, as its clients parse them."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
import shapely
from starlette.testclient import TestClient

HAIKOU = "156460100"


def get(client: TestClient, path: str, **parameters: Any) -> Any:
    texts = {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
        for name, value in parameters.items()
    }
    answer = client.get(f"{path}?{urlencode(texts)}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json;charset=UTF-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    return answer.json()


def counties(client: TestClient) -> dict[str, shapely.Geometry]:
    page = client.get("/ogc/collections/county/items?limit=100&f=json").json()
    return {one["properties"]["admin_code"]: shapely.geometry.shape(one["geometry"])
            for one in page["features"]}  # fmt: skip


def places(client: TestClient) -> list[tuple[str, float, float]]:
    page = client.get("/ogc/collections/town_place/items?limit=1000&f=json").json()
    return [(one["properties"]["name"], *one["geometry"]["coordinates"])
            for one in page["features"]]  # fmt: skip


def search(client: TestClient, word: str, **values: Any) -> Any:
    return get(client, "/v2/search", type="query", postStr={"keyWord": word, **values})


def test_a_name_is_found_where_the_library_has_it(client: TestClient) -> None:
    # A county seat is called as its county, which comes first.
    name, lon, lat = next(one for one in places(client) if "镇" in one[0])
    found = get(client, "/geocoder", ds={"keyWord": name})
    assert (found["msg"], found["status"]) == ("ok", "0")
    at = found["location"]
    assert at["score"] == 100
    assert at["keyWord"] == name
    assert (float(at["lon"]), float(at["lat"])) == pytest.approx((lon, lat), abs=1e-5)
    assert get(client, "/geocoder", ds={"keyWord": "亚特兰蒂斯"})["status"] == "101"


@pytest.mark.parametrize("form", ["{'lon':%s,'lat':%s,'ver':1}", '{"lon":%s,"lat":"%s","ver":1}'])
def test_a_place_has_its_address(client: TestClient, form: str) -> None:
    """Single quotes are what most clients send; the unit is the one that holds the point."""
    areas = counties(client)
    lon, lat = 110.33, 19.9
    (code,) = [code for code, area in areas.items() if area.contains(shapely.Point(lon, lat))]
    found = get(client, "/geocoder", postStr=form % (lon, lat), type="geocode")
    assert (found["msg"], found["status"]) == ("ok", "0")
    component = found["result"]["addressComponent"]
    assert {
        "address", "address_distance", "address_position", "city", "city_code", "county",
        "county_code", "nation", "poi", "poi_distance", "poi_position", "province",
        "province_code", "road", "road_distance", "town", "town_code",
    } == set(component)  # fmt: skip
    assert component["county_code"] == "156" + code
    assert component["province_code"] == "156460000"
    assert found["result"]["location"] == {"lon": lon, "lat": lat}
    # The nearest named place, by the geodesic and the compass.
    from pyproj import Geod

    geod = Geod(a=6378137, rf=298.257222101)
    others = [one for one in places(client) if one[0] != component["county"]]
    azimuth, _, metres = min(
        (geod.inv(x, y, lon, lat) for _, x, y in others), key=lambda one: one[2]
    )
    if component["town"]:
        assert component["address_distance"] == pytest.approx(metres, abs=1)
        sides = ("北", "东北", "东", "东南", "南", "西南", "西", "西北")
        assert component["address_position"] == sides[round(azimuth % 360 / 45) % 8]


def test_nothing_is_at_sea(client: TestClient) -> None:
    assert get(client, "/geocoder", postStr="{'lon':100,'lat':10,'ver':1}")["status"] == "101"


@pytest.mark.parametrize("text", ["", "{", "{'lon':'x','lat':1}", "{'lon':1e400,'lat':1}", "[1]"])
def test_bad_parameters_in_their_words(client: TestClient, text: str) -> None:
    assert get(client, "/geocoder", postStr=text) == {"msg": "参数格式错误", "status": 400}
    status = get(client, "/v2/search", postStr=text)["status"]
    assert status["infocode"] in range(2001, 2008)


def test_search_pages_and_says_how_many(client: TestClient) -> None:
    first = search(client, "镇", queryType="1", start="0", count="3")
    assert first["status"] == {"cndesc": "服务正常", "infocode": 1000}
    assert first["resultType"] == 1
    assert len(first["pois"]) == 3
    second = search(client, "镇", queryType=7, start=3, count=3)
    ids = {one["hotPointID"] for one in first["pois"] + second["pois"]}
    assert len(ids) == 6
    whole = search(client, "镇", queryType=1, count=300)
    assert int(first["count"]) == len(whole["pois"]) if int(first["count"]) <= 300 else 300
    poi = first["pois"][0]
    assert "镇" in poi["name"]
    assert {"name", "address", "lonlat", "phone", "poiType", "hotPointID", "source", "typeName",
            "province", "city", "county"} <= set(poi)  # fmt: skip
    none = search(client, "亚特兰蒂斯", queryType=1)
    assert (none["count"], none["pois"], none["status"]["infocode"]) == ("0", [], 3001)


def test_search_by_view_surroundings_and_polygon(client: TestClient) -> None:
    """Hits and misses against the places themselves."""
    known = [one for one in places(client) if "镇" in one[0]]
    _, lon, lat = known[0]
    box = (lon - 0.2, lat - 0.2, lon + 0.2, lat + 0.2)
    inside = {one[0] for one in known if box[0] <= one[1] <= box[2] and box[1] <= one[2] <= box[3]}
    view = search(client, "镇", queryType=2, mapBound=",".join(map(str, box)), count=300)
    towns = {one["name"] for one in view["pois"] if one["hotPointID"].startswith("town_place.")}
    assert towns == inside
    ring = f"{box[0]},{box[1]},{box[2]},{box[1]},{box[2]},{box[3]},{box[0]},{box[3]}"
    polygon = search(client, "镇", queryType=10, polygon=ring, count=300)
    assert polygon["pois"] == view["pois"]
    from pyproj import Geod

    geod = Geod(a=6378137, rf=298.257222101)
    near = {one[0] for one in known if geod.inv(lon, lat, one[1], one[2])[2] <= 15000}
    around = search(
        client, "镇", queryType=3, pointLonlat=f"{lon},{lat}", queryRadius="15000", count=300
    )
    named = [one["name"] for one in around["pois"] if one["hotPointID"].startswith("town_place.")]
    assert set(named) == near
    assert named[0] == known[0][0], "the nearest comes first"


def test_search_in_a_unit_suggestions_and_statistics(client: TestClient) -> None:
    area = counties(client)["460100"]
    known = {one[0] for one in places(client) if area.contains(shapely.Point(one[1:]))}
    found = search(client, "", queryType=12, specify=HAIKOU, count=300)
    assert known <= {one["name"] for one in found["pois"]}
    assert {one["countyCode"] for one in found["pois"]} == {HAIKOU}
    suggested = search(client, "镇", queryType=4)
    assert suggested["resultType"] == 4
    assert {"name", "address", "gbCode"} == set(suggested["suggests"][0])
    counted = search(client, "镇", queryType=14)
    assert counted["resultType"] == 2
    assert counted["statistics"]["count"] == sum(
        one["count"] for one in counted["statistics"]["allAdmins"]
    )


@pytest.mark.parametrize(
    ("values", "infocode"),
    [
        ({"queryType": 99}, 2002), ({"queryType": 2}, 2005), ({"queryType": 3}, 2006),
        ({"queryType": 10, "polygon": "1,2"}, 2004), ({"queryType": 2, "mapBound": "a"}, 2004),
    ],
)  # fmt: skip
def test_wrong_parameters_have_their_numbers(
    client: TestClient, values: dict[str, Any], infocode: int
) -> None:
    assert search(client, "镇", **values)["status"]["infocode"] == infocode


def test_administrative_units_with_their_outlines(client: TestClient) -> None:
    areas = counties(client)
    found = get(client, "/v2/administrative", keyword=HAIKOU, childLevel="0", extensions="true")
    assert (found["status"], found["message"]) == (200, "成功")
    (unit,) = found["data"]["district"]
    assert (unit["gb"], unit["pgb"], unit["level"]) == (HAIKOU, "156460000", 2)
    outline = shapely.from_wkt(unit["boundary"])
    assert outline.geom_type == "MultiPolygon"
    area = areas["460100"]
    assert outline.symmetric_difference(area).area < 0.01 * area.area
    assert area.contains(shapely.Point(unit["center"]["lng"], unit["center"]["lat"]))
    by_name = get(client, "/v2/administrative", keyword=unit["name"])
    assert [one["gb"] for one in by_name["data"]["district"]] == [HAIKOU]
    province = get(client, "/v2/administrative", keyword="156460000", childLevel="1")
    (whole,) = province["data"]["district"]
    assert {one["gb"] for one in whole["children"]} == {"156" + code for code in areas}
    assert "boundary" not in whole
    old = get(client, "/administrative", postStr={"searchWord": unit["name"], "needPolygon": True})
    assert old["returncode"] == "100"
    region = old["data"][0]["points"][0]["region"]
    ring = shapely.Polygon([tuple(map(float, pair.split())) for pair in region.split(",")])
    assert ring.intersection(area).area > 0.5 * ring.area


def test_names_follow_the_library(client: TestClient) -> None:
    """The gazetteer is read again when other contents are in force, and not before."""
    gazetteer = client.app.state.gazetteer  # type: ignore[attr-defined]
    first = gazetteer.names()
    assert gazetteer.names() is first
    assert first.dividing is not None
    assert len(first.units) == len(counties(client))
