"""Place names in tianditu's shapes: ``/geocoder`` and ``/v2/search``.

The names are the library's own (``gis_service.gazetteer``). Parameters come as JSON in a parameter,
also with single quotes, as its clients write it; ``status`` is text or number just as there.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from gis_service.gazetteer import COUNTRY, Gazetteer, Names
from gis_service.routes.requests import library_of, parse_json
from gis_service.routes.tianditu import query_of, refused_key, tianditu_json
from layers.crs import Box
from layers.errors import GisError
from layers.place_names import Place, in_box, named, near

_OK: Final = {"cndesc": "服务正常", "infocode": 1000}
_NOTHING: Final = {"cndesc": "没有找到结果", "infocode": 3001}
_MOST_COUNT: Final = 300
_NEAR_M: Final = 20_000.0
_DIRECTIONS: Final = ("北", "东北", "东", "东南", "南", "西南", "西", "西北")

Values = dict[str, Any]


class Refused(Exception):
    """A parameter is wrong; the number is tianditu's ``infocode``."""

    def __init__(self, infocode: int, text: str) -> None:
        """Take the number and what it says."""
        super().__init__(text)
        self.infocode, self.text = infocode, text


def gazetteer_of(request: Request) -> Gazetteer:
    """The gazetteer of the application that got the request."""
    found: Gazetteer = request.app.state.gazetteer
    return found


def values_of(text: str | None) -> Values:
    """The JSON of a parameter; single quotes are taken for double ones."""
    if not text or len(text) > 10_000:
        raise Refused(2001, "缺少参数")
    for form in (text, text.replace("'", '"')):
        try:
            found = parse_json(form.encode())
        except GisError:
            continue
        if isinstance(found, dict):
            return found
    raise Refused(2001, "参数格式错误")


def _number(values: Values, name: str, default: float | None = None) -> float:
    value = values.get(name, default)
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise Refused(2001, f"参数 {name} 有误") from None
    if not math.isfinite(found):
        raise Refused(2001, f"参数 {name} 有误")
    return found


def geocoder(request: Request) -> Response:
    """Where a name is (``ds``), or what is at a place (``postStr``)."""
    pairs = query_of(request)
    refused = refused_key(request)
    if refused is not None:
        return refused
    try:
        if "POSTSTR" in pairs:
            return tianditu_json(_reverse(request, values_of(pairs["POSTSTR"])))
        return tianditu_json(_geocode(request, values_of(pairs.get("DS"))))
    except Refused:
        return tianditu_json({"msg": "参数格式错误", "status": 400})


def _geocode(request: Request, values: Values) -> Values:
    word = str(values.get("keyWord", ""))
    gazetteer = gazetteer_of(request)
    found = named(gazetteer.names().places, word)
    if not found:
        return {"msg": "无结果", "searchVersion": "7.5.0V", "status": "101"}
    place = found[0]
    score = 100 if place.name == word else round(100 * len(word) / len(place.name))
    return {
        "msg": "ok",
        "location": {
            "score": score, "level": gazetteer.kind(place), "lon": degrees(place.lon),
            "lat": degrees(place.lat), "keyWord": word,
        },
        "searchVersion": "7.5.0V",
        "status": "0",
    }  # fmt: skip


def _reverse(request: Request, values: Values) -> Values:
    lon, lat = _number(values, "lon"), _number(values, "lat")
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise Refused(2001, "坐标有误")
    gazetteer = gazetteer_of(request)
    names = gazetteer.names()
    unit = gazetteer.unit_at(names, lon, lat)
    if unit is None:
        return {"msg": "无结果", "status": "101"}
    unit_layer = unit.layer_id
    around = near([one for one in names.places if one.layer_id != unit_layer], lon, lat, _NEAR_M)
    component = _component(request, unit, around, lon, lat)
    town = component["town"] or component["poi"]
    name = f"{component['province']}{component['county']}{town}"
    side = component["address_position"]
    return {
        "result": {
            "formatted_address": f"{name}{side}方向约{component['address_distance']}米"
            if town and component["address_distance"] else name,
            "location": {"lon": lon, "lat": lat},
            "addressComponent": component,
        },
        "msg": "ok",
        "status": "0",
    }  # fmt: skip


def _component(
    request: Request, unit: Place, around: Sequence[tuple[Place, float]], lon: float, lat: float
) -> Values:
    region = library_of(request).config.region
    towns = [one for one in around if "kind" in one[0].attributes and one[0].name != unit.name]
    roads = [one for one in around if "road_class" in one[0].attributes]
    town, poi, road = (found[0] if found else None for found in (towns, around, roads))

    def of(found: tuple[Place, float] | None) -> tuple[str, int, str]:
        if found is None:
            return "", 0, ""
        return found[0].name, round(found[1]), _direction(found[0], lon, lat)

    (poi_name, poi_m, poi_side), (town_name, town_m, town_side) = of(poi), of(town)
    road_name, road_m, _ = of(road)
    return {
        "nation": "中国",
        "province": region.name.zh, "province_code": COUNTRY + region.code,
        "city": "", "city_code": "",
        "county": unit.name, "county_code": COUNTRY + unit.feature_id,
        "town": town_name, "town_code": "",
        "address": town_name or poi_name,
        "address_distance": town_m or poi_m, "address_position": town_side or poi_side,
        "poi": poi_name, "poi_distance": poi_m, "poi_position": poi_side,
        "road": road_name, "road_distance": road_m,
    }  # fmt: skip


def _direction(place: Place, lon: float, lat: float) -> str:
    """On which side of the named place the point lies."""
    east = (lon - place.lon) * math.cos(math.radians(lat))
    angle = math.degrees(math.atan2(east, lat - place.lat)) % 360
    return _DIRECTIONS[round(angle / 45) % 8]


def degrees(value: float) -> str:
    """Degrees as text, to a decimetre."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def search(request: Request) -> Response:
    """Names by word, view, surroundings, polygon, unit or kind (``queryType``)."""
    refused = refused_key(request)
    if refused is not None:
        return refused
    word = ""
    try:
        values = values_of(query_of(request).get("POSTSTR"))
        word = str(values.get("keyWord", ""))
        return tianditu_json(_search(request, values, word))
    except Refused as error:
        status = {"cndesc": error.text, "infocode": error.infocode}
        return tianditu_json({"count": "0", "resultType": 1, "keyWord": word, "status": status})


_TYPES_WITHOUT_WORD: Final = {"12", "13", "14"}


def _search(request: Request, values: Values, word: str) -> Values:
    kind = str(values.get("queryType", "1"))
    chosen = _CHOICES.get(kind)
    if chosen is None:
        raise Refused(2002, "queryType 有误")
    if not word.strip() and kind not in _TYPES_WITHOUT_WORD:
        raise Refused(2003, "缺少 keyWord")
    gazetteer = gazetteer_of(request)
    names = gazetteer.names()
    found = chosen(gazetteer, names, values, word)
    start = max(0, int(_number(values, "start", 0)))
    count = max(1, min(_MOST_COUNT, int(_number(values, "count", 10))))
    head = {"count": str(len(found)), "keyWord": word, "status": _OK if found else _NOTHING}
    page = found[start : start + count]
    if kind == "4":
        return {**head, "resultType": 4,
                "suggests": [_suggestion(gazetteer, names, one) for one in page]}  # fmt: skip
    if kind == "14":
        return {**head, "resultType": 2, "statistics": _statistics(names, found)}
    return {**head, "resultType": 1, "pois": [_poi(gazetteer, names, one) for one in page]}


Choice = Callable[[Gazetteer, Names, Values, str], list[Place]]


def _by_word(_: Gazetteer, names: Names, values: Values, word: str) -> list[Place]:
    return _in_unit(named(names.places, word) if word else list(names.places), names, values)


def _in_view(_: Gazetteer, names: Names, values: Values, word: str) -> list[Place]:
    return in_box(named(names.places, word), _box(values.get("mapBound")))


def _nearby(_: Gazetteer, names: Names, values: Values, word: str) -> list[Place]:
    lon, lat = _pair(values.get("pointLonlat"))
    radius_m = min(_number(values, "queryRadius", 5000), 100_000.0)
    return [one for one, _ in near(named(names.places, word), lon, lat, radius_m)]


def _in_polygon(_: Gazetteer, names: Names, values: Values, word: str) -> list[Place]:
    numbers = _numbers(values.get("polygon"))
    if len(numbers) < 6 or len(numbers) % 2 or len(numbers) > 2000:
        raise Refused(2004, "polygon 有误")
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    return [one for one in named(names.places, word) if _inside(corners, one)]


def _inside(corners: Sequence[tuple[float, float]], place: Place) -> bool:
    """Even-odd: how often a line east of the place meets the outline."""
    inside = False
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (y0 > place.lat) != (y1 > place.lat):
            inside ^= place.lon < x0 + (place.lat - y0) * (x1 - x0) / (y1 - y0)
    return inside


def _of_kinds(gazetteer: Gazetteer, names: Names, values: Values, word: str) -> list[Place]:
    kinds = [one.strip() for one in str(values.get("dataTypes", "")).split(",") if one.strip()]
    chosen = _by_word(gazetteer, names, values, word)
    if "mapBound" in values:
        chosen = in_box(chosen, _box(values["mapBound"]))
    return [one for one in chosen if any(kind in gazetteer.kind(one) for kind in kinds)]


def _in_unit(places: list[Place], names: Names, values: Values) -> list[Place]:
    """Only what lies in the unit that ``specify`` names, if it names one."""
    code = str(values.get("specify", "")).removeprefix(COUNTRY)
    if code in names.units:
        return [one for one in places if code in (one.area_id, one.feature_id)]
    return places


_CHOICES: Final[dict[str, Choice]] = {
    "1": _by_word, "2": _in_view, "3": _nearby, "4": _by_word, "7": _by_word,
    "10": _in_polygon, "12": _by_word, "13": _of_kinds, "14": _by_word,
}  # fmt: skip


def _poi(gazetteer: Gazetteer, names: Names, place: Place) -> Values:
    kind = gazetteer.kind(place)
    address = gazetteer.address(place, names)
    return {
        "name": place.name,
        "address": f"{address['province']}{address['county']}",
        "lonlat": f"{degrees(place.lon)},{degrees(place.lat)}",
        "phone": "",
        "poiType": "101",
        "hotPointID": f"{place.layer_id}.{place.feature_id}",
        "source": "0",
        "typeName": kind,
        "eaddress": "",
        "ename": place.name_en or "",
        **address,
    }


def _suggestion(gazetteer: Gazetteer, names: Names, place: Place) -> Values:
    address = gazetteer.address(place, names)
    return {
        "name": place.name,
        "address": f"{address['province']}{address['county']}",
        "gbCode": address["countyCode"] or address["provinceCode"],
    }


def _statistics(names: Names, found: Sequence[Place]) -> Values:
    counts: dict[str, int] = {}
    for one in found:
        if one.area_id in names.units:
            counts[one.area_id] = counts.get(one.area_id, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {
        "count": len(found),
        "adminCount": len(ranked),
        "priorityCitys": [],
        "allAdmins": [
            {
                "adminName": names.units[code].name, "adminCode": COUNTRY + code, "count": count,
                "lon": degrees(names.units[code].lon), "lat": degrees(names.units[code].lat),
                "isleaf": True,
            }
            for code, count in ranked
        ],
    }  # fmt: skip


def _numbers(text: Any) -> list[float]:
    try:
        found = [float(part) for part in re.split(r"[,\s;]+", str(text or "").strip()) if part]
    except ValueError:
        found = [math.nan]
    if not all(map(math.isfinite, found)):
        raise Refused(2004, "坐标有误")
    return found


def _box(text: Any) -> Box:
    numbers = _numbers(text)
    if len(numbers) != 4:
        raise Refused(2005, "mapBound 有误")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _pair(text: Any) -> tuple[float, float]:
    numbers = _numbers(text)
    if len(numbers) != 2:
        raise Refused(2006, "pointLonlat 有误")
    return numbers[0], numbers[1]


DOORS: Final[list[BaseRoute]] = [
    Route("/geocoder", geocoder),
    Route("/v2/search", search),
]
ROUTES: Final[list[BaseRoute]] = [
    *DOORS,
    *(Mount(f"/t{number}", routes=DOORS) for number in range(8)),
]
