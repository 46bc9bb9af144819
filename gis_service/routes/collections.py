"""Collections of the OGC API: items by our own SQL, queryables and schema from the catalogue."""

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.library import LayerInForce, today
from gis_service.ogc import (
    CRS84,
    OFFERED_CRS,
    add_catalogue,
    call,
    change_json,
    mend_collection,
    mend_collections,
)
from gis_service.problems import language_of
from gis_service.routes.requests import (
    base_url,
    boxes_asked,
    crs_asked,
    day_asked,
    integer,
    library_of,
    refuse_unknown,
)
from layers.catalog import Attribute, Catalog, Layer
from layers.crs import Crs, parse_crs
from layers.errors import BadParameter, NotFound

if TYPE_CHECKING:
    from layers.feature_pages import PageQuery

_GEOJSON: Final = "application/geo+json"
_SCHEMA: Final = "application/schema+json"
_PARAMETERS: Final = (
    "bbox", "bbox-crs", "crs", "datetime", "limit", "offset", "after", "properties",
    "skipGeometry",
)  # fmt: skip
_CRS84: Final = parse_crs(CRS84)


def collections(request: Request) -> Response:
    """The list of collections, by pygeoapi."""
    frame = request.app.state.ogc
    address, language = base_url(request), language_of(request)
    answer = call(frame, "describe_collections", request, address)
    answer = change_json(answer, mend_collections)
    region = library_of(request).config.region.bbox
    return change_json(answer, lambda found: add_catalogue(found, address, language, region))


def collection(request: Request) -> Response:
    """One collection, by pygeoapi."""
    layer = library_of(request).visible_layer(request.path_params["layer"])
    frame = request.app.state.ogc
    answer = call(frame, "describe_collections", request, base_url(request), layer.id)
    return change_json(answer, mend_collection)


def items(request: Request) -> Response:
    """A page of features as GeoJSON, made by one SQL statement."""
    from layers.feature_pages import PageQuery, page  # SQLAlchemy: a second, warmed up behind

    library = library_of(request)
    layer = library.visible_layer(request.path_params["layer"])
    names = [attribute.name for attribute in layer.kept_attributes]
    refuse_unknown(request, (*_PARAMETERS, *names))
    _refuse_other_formats(request)
    asked_day = day_asked(request, today())
    crs = crs_asked(request, "crs", OFFERED_CRS) or _CRS84
    query = PageQuery(
        limit=min(integer(request, "limit", 100, 1), library.config.limits.page_features),
        crs=crs,
        after=integer(request, "after", 0, 0),
        offset=integer(request, "offset", 0, 0),
        boxes=boxes_asked(request, crs_asked(request, "bbox-crs", OFFERED_CRS) or _CRS84),
        equal={name: request.query_params[name] for name in names if name in request.query_params},
        properties=_properties_asked(request, names),
        with_geometry=not _yes_or_no(request, "skipGeometry"),
    )
    try:
        content = library.content(layer.id, asked_day)
    except NotFound:
        if asked_day is None:
            raise
        return _empty_page(request, crs)  # the plan had no edition on that day: no features
    with library.pool.connection() as connection:
        found = page(connection, layer, content.content_id, content.feature_count, query)
    return _page_answer(request, query, content, found.features_json, found.returned,
                        found.matched, found.next_after)  # fmt: skip


def _yes_or_no(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false"):
        raise BadParameter(f"{name} is true or false.", f"{name} 应为 true 或 false。")
    return text == "true"


def _refuse_other_formats(request: Request) -> None:
    if request.query_params.get("f", "json") not in ("json", "geojson"):
        raise BadParameter(
            "Items are given as GeoJSON: f=json.", "要素以 GeoJSON 给出：f=json。",
            code="format-not-offered",
        )  # fmt: skip


def _properties_asked(request: Request, names: list[str]) -> tuple[str, ...] | None:
    text = request.query_params.get("properties")
    if text is None:
        return None
    asked = tuple(name for name in text.split(",") if name)
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise BadParameter(
            f"properties: unknown {', '.join(unknown)}.",
            f"properties：未知属性 {'、'.join(unknown)}。",
        )
    return asked


def _empty_page(request: Request, crs: Crs) -> Response:
    links = [_link(_with(request), "self")]
    return _collection_answer(b"", links, 0, 0, crs)


def _page_answer(
    request: Request,
    query: "PageQuery",
    content: LayerInForce,
    features_json: bytes,
    returned: int,
    matched: int | None,
    next_after: int | None,
) -> Response:
    links = [_link(_with(request), "self")]
    if next_after is not None:
        # Keyset paging: the next page starts behind the last feature, however many pages in.
        links.append(_link(_with(request, after=str(next_after), offset=None), "next"))
    links.append(
        _link(f"{base_url(request)}/ogc/collections/{content.layer_id}", "collection",
              "application/json")
    )  # fmt: skip
    return _collection_answer(features_json, links, returned, matched, query.crs)


def _collection_answer(
    features_json: bytes,
    links: list[dict[str, str]],
    returned: int,
    matched: int | None,
    crs: Crs,
) -> Response:
    stamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    rest: dict[str, Any] = {
        "links": links,
        "timeStamp": stamp.replace("+00:00", "Z"),
        "numberReturned": returned,
    }
    if matched is not None:
        rest["numberMatched"] = matched
    start = b'{"type":"FeatureCollection","features":['
    return Response(
        b"".join((start, features_json, b"],", orjson.dumps(rest)[1:])),
        media_type=_GEOJSON,
        headers={"Content-Crs": f"<{crs.uri}>", "Cache-Control": "no-cache"},
    )


def _with(request: Request, **changes: str | None) -> str:
    """The request's own address with some parameters changed or (None) dropped."""
    parameters = [(k, v) for k, v in request.query_params.multi_items() if k not in changes]
    parameters += [(k, v) for k, v in changes.items() if v is not None]
    query = urlencode(parameters, safe=":/,")
    return f"{base_url(request)}{request.url.path}" + (f"?{query}" if query else "")


def _link(href: str, rel: str, media_type: str = _GEOJSON) -> dict[str, str]:
    return {"href": href, "rel": rel, "type": media_type}


def item(request: Request) -> Response:
    """One feature by its id."""
    from layers.feature_pages import single

    library = library_of(request)
    layer = library.visible_layer(request.path_params["layer"])
    refuse_unknown(request, ("crs", "datetime"))
    _refuse_other_formats(request)
    crs = crs_asked(request, "crs", OFFERED_CRS) or _CRS84
    content = library.content(layer.id, day_asked(request, today()))
    feature_id = request.path_params["feature"]
    with library.pool.connection() as connection:
        found = single(connection, content.content_id, feature_id, crs)
    if found is None:
        raise NotFound(
            f"Layer {layer.id} has no feature '{feature_id}'.",
            f"图层 {layer.id} 没有要素“{feature_id}”。",
        )
    links = [
        _link(_with(request), "self"),
        _link(f"{base_url(request)}/ogc/collections/{layer.id}", "collection", "application/json"),
    ]
    body = found[:-1] + b',"links":' + orjson.dumps(links) + b"}"
    return Response(body, media_type=_GEOJSON, headers={"Content-Crs": f"<{crs.uri}>"})


def queryables(request: Request) -> Response:
    """What items can be filtered by, as JSON Schema."""
    return _schema_answer(request, "queryables", required=False)


def schema(request: Request) -> Response:
    """What a feature is made of, as JSON Schema (OGC API Features Part 5)."""
    return _schema_answer(request, "schema", required=True)


def _schema_answer(request: Request, kind: str, *, required: bool) -> Response:
    refuse_unknown(request, ())
    library = library_of(request)
    layer = library.visible_layer(request.path_params["layer"])
    language = language_of(request)
    document: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{base_url(request)}/ogc/collections/{layer.id}/{kind}",
        "type": "object",
        "title": layer.title.in_language(language),
        "properties": {
            "geometry": {
                "format": f"geometry-{_GEOMETRY_FORMATS[layer.geometry]}",
                "x-ogc-role": "primary-geometry",
            },
            **{
                attribute.name: _property(attribute, layer, library.catalog, language)
                for attribute in layer.kept_attributes
            },
        },
        "additionalProperties": False,
    }
    if required:
        document["required"] = [a.name for a in layer.kept_attributes if a.required]
    return Response(orjson.dumps(document), media_type=_SCHEMA)


_GEOMETRY_FORMATS: Final[Mapping[str, str]] = {
    "polygon": "polygon-or-multipolygon",
    "line": "linestring-or-multilinestring",
    "point": "point-or-multipoint",
}


def _property(
    attribute: Attribute, layer: Layer, catalog: Catalog, language: str
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "title": attribute.title.in_language(language),
        "type": "string" if attribute.type == "date" else attribute.type,
    }
    if attribute.type == "date":
        result["format"] = "date"
    if attribute.unit:
        result["x-ogc-unit"] = attribute.unit
    if attribute.name == layer.id_attribute:
        result["x-ogc-role"] = "id"
    if attribute.codes:
        code_list = catalog.code_list(attribute.codes)
        result["oneOf"] = [
            {
                "const": int(code.code) if attribute.type == "integer" else code.code,
                "title": code.title.in_language(language),
            }
            for code in code_list.codes
        ]
    return result


ROUTES: Final = [
    Route("/ogc/collections", collections),
    Route("/ogc/collections/{layer}", collection),
    Route("/ogc/collections/{layer}/items", items),
    Route("/ogc/collections/{layer}/items/{feature:path}", item),
    Route("/ogc/collections/{layer}/queryables", queryables),
    Route("/ogc/collections/{layer}/schema", schema),
]
