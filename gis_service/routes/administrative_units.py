"""Administrative units in tianditu's shapes: ``/v2/administrative`` and the first version of it."""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from gis_service.gazetteer import COUNTRY, Gazetteer, Names
from gis_service.routes.place_search import Refused, Values, degrees, gazetteer_of, values_of
from gis_service.routes.requests import library_of
from gis_service.routes.tianditu import query_of, refused_key, tianditu_json
from layers.place_names import Place, named


def administrative(request: Request) -> Response:
    """Administrative units by name or code, with their outline if asked for."""
    refused = refused_key(request)
    if refused is not None:
        return refused
    pairs = query_of(request)
    gazetteer = gazetteer_of(request)
    names, word = gazetteer.names(), pairs.get("KEYWORD", "").strip()
    if not word:
        return tianditu_json({"status": 400, "message": "缺少 keyword", "data": None})
    with_outline = pairs.get("EXTENSIONS", "false").lower() == "true"
    district = [_district(gazetteer, names, unit, with_outline) for unit in _units(names, word)]
    region = _region(request, gazetteer, names, pairs, with_outline)
    if word in (region["gb"], region["name"], region["gb"].removeprefix(COUNTRY)):
        district = [region]
    suggestion = [{"name": one["name"], "gb": one["gb"]} for one in district]
    if not district:
        return tianditu_json({"status": 404, "message": "没有找到结果", "data": None})
    return tianditu_json(
        {
            "status": 200,
            "message": "成功",
            "data": {"suggestion": suggestion, "district": district[:10]},
        }
    )


def _units(names: Names, word: str) -> list[Place]:
    unit = names.units.get(word.removeprefix(COUNTRY))
    return [unit] if unit else named(names.units.values(), word)


def _district(gazetteer: Gazetteer, names: Names, unit: Place, with_outline: bool) -> Values:
    found: Values = {
        "gb": COUNTRY + unit.feature_id,
        "pgb": gazetteer.address(unit, names)["provinceCode"],
        "name": unit.name,
        "center": {"lng": unit.lon, "lat": unit.lat},
        "level": 2,
    }
    if with_outline:
        found["boundary"] = gazetteer.outline(names, unit)
    return found


def _region(
    request: Request, gazetteer: Gazetteer, names: Names, pairs: dict[str, str], with_outline: bool
) -> Values:
    region = library_of(request).config.region
    found: Values = {
        "gb": COUNTRY + region.code,
        "pgb": COUNTRY + "000000",
        "name": region.name.zh,
        "center": {"lng": region.center[0], "lat": region.center[1]},
        "level": 4,
    }
    if pairs.get("CHILDLEVEL", "0") not in ("", "0"):
        found["children"] = [
            _district(gazetteer, names, unit, False) for unit in names.units.values()
        ]
    if with_outline and pairs.get("KEYWORD", "") in (found["gb"], found["name"]):
        found["boundary"] = gazetteer.outline(names, None)
    return found


def old_administrative(request: Request) -> Response:
    """The first version of it: ``postStr`` with ``searchWord``."""
    refused = refused_key(request)
    if refused is not None:
        return refused
    try:
        values = values_of(query_of(request).get("POSTSTR"))
    except Refused:
        return tianditu_json({"msg": "参数格式错误", "returncode": "400"})
    gazetteer = gazetteer_of(request)
    names = gazetteer.names()
    units = _units(names, str(values.get("searchWord", "")))
    with_outline = str(values.get("needPolygon", "")).lower() == "true"
    data = []
    for unit in units[:10]:
        entry: Values = {
            "name": unit.name, "cityCode": COUNTRY + unit.feature_id, "adminType": "county",
            "lnt": unit.lon, "lat": unit.lat, "level": 11,
            "bound": ",".join(degrees(side) for side in unit.box),
        }  # fmt: skip
        if with_outline:
            entry["points"] = [{"region": ring} for ring in _rings(gazetteer.outline(names, unit))]
        data.append(entry)
    code = "100" if data else "101"
    return tianditu_json({"returncode": code, "msg": "ok" if data else "无结果", "data": data})


def _rings(outline: str | None) -> list[str]:
    """The rings of a WKT outline as ``x y,x y``."""
    return re.findall(r"\(([^()]+)\)", outline or "")


DOORS: Final[list[BaseRoute]] = [
    Route("/v2/administrative", administrative),
    Route("/administrative", old_administrative),
]
ROUTES: Final[list[BaseRoute]] = [
    *DOORS,
    *(Mount(f"/t{number}", routes=DOORS) for number in range(8)),
]
