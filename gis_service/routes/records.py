"""The catalogue as OGC API Records: search, one record, its ISO 19115 XML.

Records speak of the layers only that the caller may see; a record of any other answers like an
unknown one. What is searched is small (some hundred records), so it is filtered here.
"""

import datetime
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.catalogue_json import (
    CATALOGUE,
    ISO_TYPE,
    TYPES,
    collection_document,
    online_resources,
    record_feature,
)
from gis_service.library import today
from gis_service.problems import language_of
from gis_service.routes.page_links import page_link
from gis_service.routes.requests import (
    base_url,
    boxes_asked,
    day,
    integer,
    library_of,
    refuse_unknown,
)
from layers.catalogue_records import Record, catalogue_records
from layers.crs import Box, parse_crs
from layers.errors import BadParameter, NotFound
from layers.iso_metadata import iso_xml

_GEOJSON: Final = "application/geo+json"
_PARAMETERS: Final = ("q", "type", "bbox", "datetime", "limit", "offset", "ids")
_DEFAULT_LIMIT: Final = 100
_HEADERS: Final = {"Cache-Control": "no-cache", "Vary": "Accept, Accept-Language"}
_CRS84: Final = parse_crs("CRS84")
_XML: Final = ("application/xml", "text/xml", ISO_TYPE)


def catalogue(request: Request) -> Response:
    """The record collection."""
    refuse_unknown(request, ())
    region = library_of(request).config.region.bbox
    body = collection_document(base_url(request), language_of(request), region)
    return Response(orjson.dumps(body), media_type="application/json", headers=_HEADERS)


def records(request: Request) -> Response:
    """A page of records that fit the search."""
    refuse_unknown(request, _PARAMETERS)
    if request.query_params.get("f", "json") not in ("json", "geojson"):
        raise BadParameter(
            "Lists of records are given as GeoJSON (f=json); one record also as f=iso.",
            "记录列表以 GeoJSON 给出（f=json）；单条记录另有 f=iso。",
            code="format-not-offered",
        )
    most = library_of(request).config.limits.page_features
    limit = min(integer(request, "limit", _DEFAULT_LIMIT, 1), most)
    offset = integer(request, "offset", 0, 0)
    tests = [test for test in _tests(request) if test is not None]
    found = [one for one in _all(request) if all(test(one) for test in tests)]
    page = found[offset : offset + limit]
    address, language = base_url(request), language_of(request)
    links = [page_link(request, "self", _GEOJSON)]
    if offset + limit < len(found):
        links.append(page_link(request, "next", _GEOJSON, offset=str(offset + limit)))
    if offset:
        before = str(max(0, offset - limit))
        links.append(page_link(request, "prev", _GEOJSON, offset=before))
    stamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    body = {
        "type": "FeatureCollection",
        "features": [record_feature(one, address, language) for one in page],
        "links": links,
        "timeStamp": stamp.replace("+00:00", "Z"),
        "numberMatched": len(found),
        "numberReturned": len(page),
    }
    return Response(orjson.dumps(body), media_type=_GEOJSON, headers=_HEADERS)


def record(request: Request) -> Response:
    """One record, as GeoJSON or (``f=iso``, ``.xml``, Accept) as ISO 19115 XML."""
    refuse_unknown(request, ())
    asked = request.path_params["record"]
    found = next((one for one in _all(request) if one.id == asked.removesuffix(".xml")), None)
    if found is None:
        raise NotFound(f"There is no record '{asked[:80]}'.", f"没有记录“{asked[:80]}”。")
    form = _form(request, asked)
    address = base_url(request)
    if form == "json":
        body = orjson.dumps(record_feature(found, address, language_of(request)))
        return Response(body, media_type=_GEOJSON, headers=_HEADERS)
    document = iso_xml(found, online_resources(found, address), today())
    return Response(document, media_type="application/xml", headers=_HEADERS)


def _form(request: Request, asked: str) -> str:
    form = request.query_params.get("f")
    if form is None:
        accept = request.headers.get("accept", "").split(",")[0].split(";")[0].strip().lower()
        return "xml" if asked.endswith(".xml") or accept in _XML else "json"
    if form not in ("json", "geojson", "iso", "xml"):
        raise BadParameter(
            "A record is given as f=json or f=iso.", "记录以 f=json 或 f=iso 给出。",
            code="format-not-offered",
        )  # fmt: skip
    return "json" if form in ("json", "geojson") else "xml"


def _all(request: Request) -> Sequence[Record]:
    library = library_of(request)
    visible = {layer.id for layer in library.visible_layers()}
    with library.pool.connection() as connection:
        return catalogue_records(
            connection, library.catalog, visible, today(), tell_reasons=not library.keepers
        )


Test = Callable[[Record], bool]


def _tests(request: Request) -> Sequence[Test | None]:
    return (
        _by_words(request.query_params.get("q")),
        _by_type(request.query_params.get("type")),
        _by_ids(request.query_params.get("ids")),
        _by_boxes(boxes_asked(request, _CRS84)),
        _by_time(request.query_params.get("datetime")),
    )


def _by_words(text: str | None) -> Test | None:
    """Terms behind commas are alternatives; words of one term stand together, in any case."""
    if text is None:
        return None
    terms = [" ".join(term.lower().split()) for term in text.split(",")]
    wanted = [term for term in terms if term]
    return lambda one: any(term in _words_of(one) for term in wanted)


def _words_of(one: Record) -> str:
    texts = (one.title, one.description, *one.keywords)
    return "\n".join(f"{' '.join(t.zh.split())}\n{' '.join(t.en.split())}" for t in texts).lower()


def _by_type(text: str | None) -> Test | None:
    """A type of catalogues (series, dataset) or our own word for it (plan, layer)."""
    if text is None:
        return None
    wanted = {name.strip() for name in text.split(",")}
    return lambda one: bool(wanted & {one.resource, TYPES[one.resource]})


def _by_ids(text: str | None) -> Test | None:
    if text is None:
        return None
    wanted = {name.strip() for name in text.split(",")}
    return lambda one: one.id in wanted


def _by_boxes(boxes: Sequence[Box]) -> Test | None:
    if not boxes:
        return None
    return lambda one: one.extent is not None and any(_meet(one.extent, box) for box in boxes)


def _meet(first: Box, second: Box) -> bool:
    return (
        first[0] <= second[2]
        and second[0] <= first[2]
        and first[1] <= second[3]
        and second[1] <= first[3]
    )


def _by_time(text: str | None) -> Test | None:
    """Days in force meet the instant or interval; records without a time do not."""
    if text is None:
        return None
    start, slash, end = text.partition("/")
    opened = ("", "..")
    first = datetime.date.min if slash and start in opened else day(start, "datetime")
    last = first
    if slash:
        last = datetime.date.max if end in opened else day(end, "datetime")
    if first > last:
        raise BadParameter(
            "datetime: the interval ends before it begins.", "datetime：区间的终点早于起点。"
        )
    return lambda one: (
        one.begins is not None and one.begins <= last and (one.ends is None or first < one.ends)
    )


def queryables(request: Request) -> Response:
    """What records can be searched by, as JSON Schema."""
    refuse_unknown(request, ())
    properties: dict[str, Any] = {
        "type": {"type": "string", "enum": [*TYPES.values()]},
        "title": {"type": "string"},
        "description": {"type": "string"},
        "keywords": {"type": "array", "items": {"type": "string"}},
        "geometry": {"format": "geometry-polygon", "x-ogc-role": "primary-geometry"},
        "time": {"type": "string", "format": "date", "x-ogc-role": "primary-interval-start"},
    }
    body = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{base_url(request)}/ogc/collections/{CATALOGUE}/queryables",
        "type": "object",
        "title": CATALOGUE,
        "properties": properties,
        "additionalProperties": False,
    }
    return Response(orjson.dumps(body), media_type="application/schema+json", headers=_HEADERS)


ROUTES: Final = [
    Route(f"/ogc/collections/{CATALOGUE}", catalogue),
    Route(f"/ogc/collections/{CATALOGUE}/items", records),
    Route(f"/ogc/collections/{CATALOGUE}/items/{{record}}", record),
    Route(f"/ogc/collections/{CATALOGUE}/queryables", queryables),
    Route(f"/ogc/collections/{CATALOGUE}/schema", queryables),
]
