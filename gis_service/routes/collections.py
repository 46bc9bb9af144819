"""Collections of the OGC API: what there is, and queryables, sortables and schemas of each."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.ogc import add_catalogue, call, change_json, mend_collection, mend_collections
from gis_service.problems import language_of
from gis_service.routes import items
from gis_service.routes.requests import base_url, library_of, refuse_unknown
from gis_service.shown import draft_document, open_drafts, shown_collection
from layers.catalog import Attribute, Catalog, Layer

_SCHEMA: Final = "application/schema+json"


def collections(request: Request) -> Response:
    """The list of collections; for editors with the open drafts."""
    refuse_unknown(request, ())
    frame = request.app.state.ogc
    address, language = base_url(request), language_of(request)
    answer = call(frame, "describe_collections", request, address)
    drafts = open_drafts(request)

    def change(document: dict[str, Any]) -> None:
        mend_collections(document)
        by_layer = {one["id"]: one for one in document["collections"]}
        document["collections"] += [
            draft_document(by_layer[one.layer.id], one)
            for one in drafts
            if one.layer.id in by_layer
        ]
        region = library_of(request).config.region.bbox
        add_catalogue(document, address, language, region)

    return change_json(answer, change)


def collection(request: Request) -> Response:
    """One collection, in force or the open draft of it."""
    refuse_unknown(request, ())
    shown = shown_collection(request, request.path_params["layer"])
    frame = request.app.state.ogc
    answer = call(frame, "describe_collections", request, base_url(request), shown.layer.id)

    def change(document: dict[str, Any]) -> None:
        mend_collection(document)
        if shown.is_draft:
            document.update(draft_document(document, shown))

    return change_json(answer, change)


def queryables(request: Request) -> Response:
    """What items can be filtered by, as JSON Schema."""
    return _schema_answer(request, "queryables")


def sortables(request: Request) -> Response:
    """What items can be sorted by, as JSON Schema."""
    return _schema_answer(request, "sortables")


def schema(request: Request) -> Response:
    """What a feature is made of, as JSON Schema (OGC API Features Part 5)."""
    return _schema_answer(request, "schema")


def _schema_answer(request: Request, kind: str) -> Response:
    refuse_unknown(request, ())
    shown = shown_collection(request, request.path_params["layer"])
    layer, language = shown.layer, language_of(request)
    catalog = library_of(request).catalog
    properties = {
        attribute.name: _property(attribute, layer, catalog, language)
        for attribute in layer.kept_attributes
    }
    document: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{shown.address(request)}/{kind}",
        "type": "object",
        "title": layer.title.in_language(language),
        "properties": properties if kind == "sortables" else {**_place(layer), **properties},
        "additionalProperties": False,
    }
    if kind == "schema":
        document["required"] = [a.name for a in layer.kept_attributes if a.required]
    return Response(orjson.dumps(document), media_type=_SCHEMA)


def _place(layer: Layer) -> dict[str, Any]:
    return {
        "geometry": {
            "format": f"geometry-{_GEOMETRY_FORMATS[layer.geometry]}",
            "x-ogc-role": "primary-geometry",
        }
    }


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
    *items.ROUTES,
    Route("/ogc/collections/{layer}/queryables", queryables),
    Route("/ogc/collections/{layer}/sortables", sortables),
    Route("/ogc/collections/{layer}/schema", schema),
]
