"""The map: catalogue for clients, style, sprites and legends."""

from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.library import InForce, LayerInForce, Library
from gis_service.pictures import Pictures, time_query
from gis_service.problems import language_of
from gis_service.routes.requests import base_url, library_of, refuse_unknown
from layers.catalog import Layer, Plan
from layers.errors import BadParameter, NotFound
from tiles.legend import legend, legend_png
from tiles.map_style import map_style, style_digest
from tiles.sprite import sprite

_MOST_LAYERS: Final = 32
_SHARED_FOR_A_DAY: Final = "public, max-age=86400"


def catalog(request: Request) -> Response:
    """Plans, layers and legends that the public may see, with what is in force on the day."""
    refuse_unknown(request, ("as_of",))
    library = library_of(request)
    picture = pictures_of(request).asked(request)
    config = library.config
    body = {
        "service": {
            "title": config.title.model_dump(),
            "subtitle": config.subtitle.model_dump(),
            "notice": config.notice.model_dump(),
            "as_of": picture.as_of.isoformat(),
            "synthetic": any(content.synthetic for content in picture.layers.values()),
            "region": {
                "bbox": config.region.bbox,
                "center": config.region.center,
                "zoom": config.region.zoom,
            },
            "credits": {
                "zh": "；".join(credit.zh for credit in config.credits),
                "en": "; ".join(credit.en for credit in config.credits),
            },
        },
        "plans": [_plan_entry(library, plan, picture) for plan in library.catalog.plans],
    }
    return Response(
        orjson.dumps(body), media_type="application/json", headers={"Cache-Control": "no-cache"}
    )


def _plan_entry(library: Library, plan: Plan, picture: InForce) -> dict[str, Any]:
    contents = [picture.layers[layer.id] for layer in plan.layers if layer.id in picture.layers]
    return {
        "id": plan.id,
        "kind": plan.kind,
        "title": plan.title.model_dump(),
        "authority": plan.authority.model_dump(),
        "edition": _edition_entry(contents[0]) if contents else None,
        "layers": [
            _layer_entry(library, layer, picture.layers.get(layer.id)) for layer in plan.layers
        ],
    }


def _edition_entry(content: LayerInForce) -> dict[str, Any]:
    return {
        "id": content.edition_id,
        "state": content.edition_state,
        "title": content.edition_title.model_dump(),
        "valid_from": content.valid_from.isoformat(),
        "synthetic": content.synthetic,
    }


def _layer_entry(library: Library, layer: Layer, content: LayerInForce | None) -> dict[str, Any]:
    return {
        "id": layer.id,
        "title": layer.title.model_dump(),
        "description": layer.description.model_dump() if layer.description else None,
        "geometry": layer.geometry,
        "accuracy_m": layer.accuracy_m,
        "visible": layer.visible,
        "draw_order": layer.draw_order,
        "min_zoom": layer.min_zoom,
        "feature_count": content.feature_count if content else None,
        "extent": content.extent if content else None,
        "legend": legend(library.catalog, layer),
    }


def codes(request: Request) -> Response:
    """A code list with its titles and colours."""
    library = library_of(request)
    list_id = request.path_params["list"]
    if all(code_list.id != list_id for code_list in library.catalog.code_lists):
        raise NotFound(f"There is no code list '{list_id}'.", f"没有代码表“{list_id}”。")
    body = orjson.dumps(library.catalog.code_list(list_id).model_dump())
    return Response(
        body, media_type="application/json", headers={"Cache-Control": _SHARED_FOR_A_DAY}
    )


def style(request: Request) -> Response:
    """The MapLibre style of the whole map (``map``) or of one or more layers (``a,b``)."""
    library = library_of(request)
    style_id = request.path_params["style"]
    chosen = (
        [layer.id for layer in library.visible_layers()]
        if style_id == "map"
        else [layer.id for layer in layers_named(library, style_id)]
    )
    language = language_of(request)
    document = map_style(
        library.catalog, base_url(request), chosen, language, all_visible=style_id != "map"
    )
    of_another_time = _at_that_time(request, document)
    digest = style_digest(library.catalog, chosen, language)[:24]
    return Response(
        orjson.dumps(document),
        media_type="application/json",
        headers={"Cache-Control": "no-cache", "ETag": f'"{digest}{of_another_time}"'},
    )


def _at_that_time(request: Request, document: dict[str, Any]) -> str:
    """Let the style's sources show another day, or one edition among what holds today."""
    query = time_query(request)
    if not query:
        return ""
    picture = pictures_of(request).asked(request)
    for layer_id, source in document["sources"].items():
        if "as_of" in request.query_params or layer_id in picture.layers:
            source["url"] += f"?{query}"
    return f"-{query.replace('=', '-')}"


def pictures_of(request: Request) -> Pictures:
    """The pictures of the application that got the request."""
    pictures: Pictures = request.app.state.pictures
    return pictures


def sprite_index(request: Request) -> Response:
    """Where each hatch stands in the sprite sheet."""
    index, _ = sprite(library_of(request).catalog, _ratio(request))
    return Response(
        orjson.dumps(index),
        media_type="application/json",
        headers={"Cache-Control": _SHARED_FOR_A_DAY},
    )


def sprite_sheet(request: Request) -> Response:
    """The hatches as one PNG."""
    _, sheet = sprite(library_of(request).catalog, _ratio(request))
    return Response(sheet, media_type="image/png", headers={"Cache-Control": _SHARED_FOR_A_DAY})


def _ratio(request: Request) -> int:
    return 2 if request.path_params.get("ratio") == "@2x" else 1


def legend_image(request: Request) -> Response:
    """The legend of a layer as PNG."""
    library = library_of(request)
    layer = library.visible_layer(request.path_params["layer"])
    image = legend_png(library.catalog, layer, language_of(request))
    return Response(image, media_type="image/png", headers={"Cache-Control": _SHARED_FOR_A_DAY})


def legend_list(request: Request) -> Response:
    """The legend of a layer as JSON."""
    library = library_of(request)
    layer = library.visible_layer(request.path_params["layer"])
    return Response(orjson.dumps(legend(library.catalog, layer)), media_type="application/json")


def layers_named(library: Library, names: str) -> list[Layer]:
    """The layers of ``a,b`` in one order, whatever the order of asking; ``NotFound``."""
    ids = sorted(set(names.split(",")))
    if len(ids) > _MOST_LAYERS:
        raise BadParameter(
            f"At most {_MOST_LAYERS} layers in one request.",
            f"一次请求最多 {_MOST_LAYERS} 个图层。",
        )
    return [library.visible_layer(layer_id) for layer_id in ids]


def limits(request: Request) -> Response:
    """The published limits."""
    refuse_unknown(request, ())
    return Response(
        orjson.dumps(library_of(request).config.limits.model_dump()),
        media_type="application/json",
    )


ROUTES: Final = [
    Route("/catalog", catalog),
    Route("/limits", limits),
    Route("/codes/{list}.json", codes),
    Route("/styles/{style}.json", style),
    Route("/sprites/map.json", sprite_index),
    Route("/sprites/map.png", sprite_sheet),
    Route("/sprites/map{ratio}.json", sprite_index),
    Route("/sprites/map{ratio}.png", sprite_sheet),
    Route("/legends/{layer}.png", legend_image),
    Route("/legends/{layer}.json", legend_list),
]
