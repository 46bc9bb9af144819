"""The OpenAPI 3.0 document: every route of ``/ogc`` with its parameters, in one file.

Nothing in it points to another host: validators and clients behind a firewall follow every
``$ref``. What a route does is said by its own docstring, so that the two do not drift apart; items
of each collection stand in it one by one, because their parameters are their attributes.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from starlette.routing import Route

from gis_service.crs_offered import CRS84, OFFERED_CRS
from gis_service.library import Library
from layers.catalog import Attribute, Layer

_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_JSON: Final = {"application/json": {"schema": {"type": "object"}}}
_PROBLEM: Final = {
    "description": "A problem (RFC 9457): what is wrong and what to do",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}}},
}
_UNDOCUMENTED: Final = frozenset({"HEAD", "OPTIONS"})
_ITEMS: Final = "/ogc/collections/{layer}/items"
_ITEM: Final = "/ogc/collections/{layer}/items/{feature}"


def api_definition(
    library: Library,
    shown: Iterable[Layer],
    routes: Iterable[Route],
    address: str,
    parameters: Mapping[str, Any],
    forms: Mapping[str, str],
) -> dict[str, Any]:
    """The document for the layers that are shown, at a public address.

    ``parameters`` are those of ``/items``, ``forms`` the forms that it is offered in.
    """
    config = library.config
    paths: dict[str, Any] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        if path.startswith("/ogc") and path not in (_ITEMS, "/ogc/"):
            _add(paths, path.removeprefix("/ogc") or "/", route)
    for layer in shown:
        paths[f"/collections/{layer.id}/items"] = {"get": _items(layer, forms)}
    return {
        "openapi": "3.0.3",
        "info": {
            "title": f"{config.title.zh} / {config.title.en}",
            "description": f"{config.notice.zh}\n\n{config.notice.en}",
            "version": "1.0.0",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "servers": [{"url": f"{address}/ogc"}],
        "tags": [{"name": name} for name in sorted({_tag(path) for path in paths})],
        "paths": dict(sorted(paths.items())),
        "components": {
            "parameters": dict(parameters),
            "schemas": _SCHEMAS,
            "responses": {"problem": _PROBLEM},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key"}
            },
        },
    }


def _tag(path: str) -> str:
    parts = path.strip("/").split("/")
    return "items" if "items" in parts else parts[0] or "service"


def _add(paths: dict[str, Any], path: str, route: Route) -> None:
    names = list(_PARAMETER.findall(path))
    summary = (route.endpoint.__doc__ or path).strip().splitlines()[0]
    for method in sorted((route.methods or {"GET"}) - _UNDOCUMENTED):
        operation: dict[str, Any] = {
            "summary": summary,
            "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_") or "landing",
            "tags": [_tag(path)],
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in names
            ],
            "responses": _responses(method),
        }
        if method == "GET":
            operation["parameters"] += [
                {"$ref": "#/components/parameters/f"}, {"$ref": "#/components/parameters/lang"},
                *(_query(name, schema, name) for name, schema in _LISTS.get(path, {}).items()),
            ]  # fmt: skip
        elif method != "DELETE":
            operation["requestBody"] = {"required": True, "content": _JSON}
        if path.startswith(("/collections",)) and method != "GET":
            operation["security"] = [{"key": []}]
        paths.setdefault(path, {})[method.lower()] = operation


_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
_LISTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "/processes": {"limit": _LIMIT},
    "/jobs": {
        "limit": _LIMIT,
        "offset": {"type": "integer", "minimum": 0},
        "before": {"type": "integer", "minimum": 0},
        "type": {"type": "array", "items": {"type": "string", "enum": ["process"]}},
        "processID": {"type": "array", "items": {"type": "string"}},
        "status": {
            "type": "array",
            "items": {
                "type": "string",
                "enum": ["accepted", "running", "successful", "failed", "dismissed"],
            },
        },
        "datetime": {"type": "string"},
        "minDuration": {"type": "number", "minimum": 0},
        "maxDuration": {"type": "number", "minimum": 0},
    },
}
"""Parameters of lists that hold no features."""


def _responses(method: str) -> dict[str, Any]:
    done = {"description": "Done", "content": _JSON}
    refused = {"default": {"$ref": "#/components/responses/problem"}}
    match method:
        case "POST":
            return {"200": done, "201": {**done, "description": "Created"}, **refused}
        case "PUT" | "PATCH" | "DELETE":
            return {"204": {"description": "Done"}, **refused}
    return {"200": done, **refused}


def _items(layer: Layer, forms: Mapping[str, str]) -> dict[str, Any]:
    return {
        "summary": f"{layer.title.zh} / {layer.title.en}",
        "operationId": f"items_{layer.id}",
        "tags": ["items"],
        "parameters": [
            *({"$ref": f"#/components/parameters/{name}"} for name in ITEMS_PARAMETERS),
            *(_attribute(one) for one in layer.kept_attributes),
        ],
        "responses": {
            "200": {
                "description": "A page of features",
                "headers": {
                    "Content-Crs": {"schema": {"type": "string"}},
                    "Link": {"schema": {"type": "string"}},
                },
                "content": {
                    media_type.split(";")[0]: {"schema": _FORM_SCHEMAS.get(name, {})}
                    for name, media_type in forms.items()
                },
            },
            "default": {"$ref": "#/components/responses/problem"},
        },
    }


_FORM_SCHEMAS: Final[Mapping[str, Any]] = {
    "json": {"$ref": "#/components/schemas/features"},
    "geojson": {"$ref": "#/components/schemas/features"},
    "html": {"type": "string"},
    "csv": {"type": "string"},
}


def _attribute(attribute: Attribute) -> dict[str, Any]:
    kind = "string" if attribute.type == "date" else attribute.type
    schema = {"type": kind} | ({"format": "date"} if attribute.type == "date" else {})
    return _query(attribute.name, schema, f"{attribute.title.zh} / {attribute.title.en}")


def _query(name: str, schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {
        "name": name, "in": "query", "required": False, "description": description,
        "schema": dict(schema), "style": "form", "explode": False,
    }  # fmt: skip


def items_parameters(default_limit: int, most: int, forms: Iterable[str]) -> dict[str, Any]:
    """The parameters of ``/items``; QGIS reads its page size from ``limit`` here alone."""
    crs = {"type": "string", "format": "uri", "enum": list(OFFERED_CRS), "default": CRS84}
    text = {"type": "string"}
    described: dict[str, tuple[Mapping[str, Any], str]] = {
        "f": ({"type": "string", "enum": list(forms)}, "Form of the answer"),
        "lang": ({"type": "string", "enum": ["zh", "en"]}, "Language of texts"),
        "limit": (
            {"type": "integer", "minimum": 1, "maximum": most, "default": default_limit},
            "Most features of a page",
        ),
        "offset": ({"type": "integer", "minimum": 0, "default": 0}, "Features to leave out"),
        "after": (text, "Where the page begins; from a 'next' link"),
        "bbox": (
            {
                "type": "array",
                "oneOf": [{"minItems": 4, "maxItems": 4}, {"minItems": 6, "maxItems": 6}],
                "items": {"type": "number"},
            },
            "Box that features meet, in bbox-crs and its axis order",
        ),
        "bbox-crs": (crs, "CRS of bbox"),
        "crs": (crs, "CRS of the answer"),
        "datetime": (text, "Day of the edition: an instant or an interval"),
        "properties": (
            {"type": "array", "items": {"type": "string"}}, "Properties of the answer",
        ),
        "skipGeometry": ({"type": "boolean", "default": False}, "Leave the geometry out"),
        "filter": (text, "CQL2; see queryables"),
        "filter-lang": (
            {"type": "string", "enum": ["cql2-text", "cql2-json"], "default": "cql2-text"},
            "Form of filter",
        ),
        "filter-crs": (crs, "CRS of the filter's geometries"),
        "sortby": (
            {"type": "array", "items": {"type": "string"}}, "+name or -name; see sortables",
        ),
    }  # fmt: skip
    return {name: _query(name, schema, text) for name, (schema, text) in described.items()}


ITEMS_PARAMETERS: Final = (
    "f", "lang", "limit", "offset", "after", "bbox", "bbox-crs", "crs", "datetime", "properties",
    "skipGeometry", "filter", "filter-lang", "filter-crs", "sortby",
)  # fmt: skip

_SCHEMAS: Final[Mapping[str, Any]] = {
    "problem": {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "errors": {"type": "array", "items": {"type": "object"}},
        },
    },
    "link": {
        "type": "object",
        "required": ["href", "rel"],
        "properties": {name: {"type": "string"} for name in ("href", "rel", "type", "title")},
    },
    "feature": {
        "type": "object",
        "required": ["type", "geometry", "properties"],
        "properties": {
            "type": {"type": "string", "enum": ["Feature"]},
            "id": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            "geometry": {"type": "object", "nullable": True},
            "properties": {"type": "object", "nullable": True},
            "links": {"type": "array", "items": {"$ref": "#/components/schemas/link"}},
        },
    },
    "features": {
        "type": "object",
        "required": ["type", "features"],
        "properties": {
            "type": {"type": "string", "enum": ["FeatureCollection"]},
            "features": {"type": "array", "items": {"$ref": "#/components/schemas/feature"}},
            "links": {"type": "array", "items": {"$ref": "#/components/schemas/link"}},
            "timeStamp": {"type": "string", "format": "date-time"},
            "numberMatched": {"type": "integer", "minimum": 0},
            "numberReturned": {"type": "integer", "minimum": 0},
        },
    },
}
