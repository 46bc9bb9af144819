"""Looks of layers for other programs: SLD and QML, and the lists of OGC API Styles that lead there.

Each layer has one style, named like it; each comes as a MapLibre style, as SLD 1.1 and as QML.
"""

import hashlib
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gis_service.problems import language_of
from gis_service.routes.requests import base_url, library_of, refuse_unknown
from layers.catalog import Layer
from layers.errors import BadParameter, NotFound
from tiles import qml, sld

_FORMS: Final = {
    "mbs": ("application/vnd.mapbox.style+json", "json"),
    "sld": (sld.MEDIA_TYPE, "sld"),
    "qml": (qml.MEDIA_TYPE, "qml"),
}


def sld_document(request: Request) -> Response:
    """The look of a layer as SLD 1.1."""
    layer = _layer(request)
    body = sld.sld(library_of(request).catalog, layer, language_of(request))
    return _document(request, body, sld.MEDIA_TYPE, f"{layer.id}.sld")


def qml_document(request: Request) -> Response:
    """The look of a layer as QML, for QGIS."""
    layer = _layer(request)
    body = qml.qml(library_of(request).catalog, layer, language_of(request))
    return _document(request, body, qml.MEDIA_TYPE, f"{layer.id}.qml")


def _layer(request: Request) -> Layer:
    refuse_unknown(request, ("tk",))
    return library_of(request).visible_layer(request.path_params["style"])


def _document(request: Request, body: bytes, media_type: str, name: str) -> Response:
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "no-cache",
        "Content-Disposition": f'inline; filename="{name}"',
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


def styles(request: Request) -> Response:
    """The styles of the library, or of one collection (OGC API Styles)."""
    refuse_unknown(request, ("tk",))
    library = library_of(request)
    named = request.path_params.get("layer")
    shown = library.visible_layers() if named is None else (library.visible_layer(named),)
    body: dict[str, Any] = {"styles": [_entry(request, layer) for layer in shown]}
    if named is not None:
        body["default"] = named
    return _json(body)


def style_metadata(request: Request) -> Response:
    """What a style is and in which forms it comes (OGC API Styles)."""
    refuse_unknown(request, ("tk",))
    return _json(_entry(request, library_of(request).visible_layer(request.path_params["style"])))


def style(request: Request) -> Response:
    """A style in the form that ``f`` or Accept asks for (OGC API Styles)."""
    refuse_unknown(request, ("tk",))
    layer = library_of(request).visible_layer(request.path_params["style"])
    if request.path_params.get("layer", layer.id) != layer.id:
        raise NotFound(
            f"The collection has no style '{layer.id}'.", f"该图层没有样式“{layer.id}”。"
        )
    asked = request.query_params.get("f")
    if asked is not None and asked not in _FORMS:
        raise BadParameter(
            f"f: a style comes as {', '.join(_FORMS)}.", f"f：样式的格式为 {'、'.join(_FORMS)}。"
        )
    accepted = request.headers.get("accept", "")
    by_accept = next((name for name, (media_type, _) in _FORMS.items() if media_type in accepted),
                     "mbs")  # fmt: skip
    suffix = _FORMS[asked or by_accept][1]
    return RedirectResponse(f"{base_url(request)}/styles/{layer.id}.{suffix}", status_code=303)


def _entry(request: Request, layer: Layer) -> dict[str, Any]:
    address = f"{base_url(request)}/styles/{layer.id}"
    return {
        "id": layer.id,
        "title": layer.title.in_language(language_of(request)),
        "links": [
            *(
                {"rel": "stylesheet", "type": media_type, "href": f"{address}.{suffix}"}
                for media_type, suffix in _FORMS.values()
            ),
            {
                "rel": "http://www.opengis.net/def/rel/ogc/1.0/legend",
                "type": "image/png",
                "href": f"{base_url(request)}/legends/{layer.id}.png",
            },
            {
                "rel": "describedby",
                "type": "application/json",
                "href": f"{base_url(request)}/ogc/styles/{layer.id}/metadata",
            },
        ],
    }


def _json(document: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps(document), headers={"Cache-Control": "no-cache"}, media_type="application/json"
    )


ROUTES: Final = [
    Route("/styles/{style}.sld", sld_document),
    Route("/styles/{style}.qml", qml_document),
    Route("/ogc/styles", styles),
    Route("/ogc/styles/{style}", style),
    Route("/ogc/styles/{style}/metadata", style_metadata),
    Route("/ogc/collections/{layer}/styles", styles),
    Route("/ogc/collections/{layer}/styles/{style}", style),
]
