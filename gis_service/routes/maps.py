"""The map: catalogue for clients, style, sprites, legends, TileJSON and vector tiles."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.library import InForce, LayerInForce, Library
from gis_service.pictures import TIME_PARAMETERS, Pictures, time_query
from gis_service.problems import language_of
from gis_service.routes.requests import base_url, library_of, refuse_unknown
from layers.catalog import Layer, Plan
from layers.errors import BadParameter, NotFound
from tiles.legend import legend, legend_png
from tiles.map_style import map_style, style_digest
from tiles.sprite import sprite
from tiles.tile_store import check_range, unkept_tile
from tiles.vector_tile import HIGHEST_ZOOM, layer_tile

_MVT: Final = "application/vnd.mapbox-vector-tile"
_MOST_LAYERS: Final = 32
_SHARED_FOR_A_DAY: Final = "public, max-age=86400"
_FOR_EVER: Final = "public, max-age=31536000, immutable"


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
        else [layer.id for layer in _layers_named(library, style_id)]
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


def tilejson(request: Request) -> Response:
    """TileJSON 3.0 of one layer or of several (``a,b``)."""
    library = library_of(request)
    language = language_of(request)
    refuse_unknown(request, ("v", "tk", *TIME_PARAMETERS))
    named = _layers_named(library, request.path_params["layers"])
    contents = _contents(_picture_of(request, named), named)
    name = ",".join(layer.id for layer in named)
    # The edition stands in the address, so what is held under it never changes.
    query = "&".join(filter(None, (f"v={_version(contents)}", time_query(request))))
    document = {
        "tilejson": "3.0.0",
        "name": "、".join(layer.title.in_language(language) for layer in named),
        "attribution": library.config.notice.in_language(language),
        "scheme": "xyz",
        "tiles": [f"{base_url(request)}/tiles/{name}/{{z}}/{{x}}/{{y}}.mvt?{query}"],
        "minzoom": min(layer.min_zoom for layer in named),
        "maxzoom": HIGHEST_ZOOM,
        "bounds": _joined_extent(library, contents),
        "vector_layers": [
            {
                "id": layer.id,
                "description": layer.title.in_language(language),
                "minzoom": layer.min_zoom,
                "maxzoom": HIGHEST_ZOOM,
                "fields": {
                    attribute.name: attribute.title.in_language(language)
                    for attribute in layer.kept_attributes
                    if attribute.in_tiles
                },
            }
            for layer in named
        ],
    }
    return Response(
        orjson.dumps(document),
        media_type="application/json",
        headers={"Cache-Control": "no-cache"},
    )


def _joined_extent(library: Library, contents: Sequence[LayerInForce]) -> list[float]:
    extents = [content.extent for content in contents if content.extent is not None]
    if not extents:
        return list(library.config.region.bbox)
    west, south, east, north = zip(*extents, strict=True)
    return [min(west), min(south), max(east), max(north)]


def tile(request: Request) -> Response:
    """A web-mercator vector tile of one layer or of several (``a,b``); 204 when empty."""
    refuse_unknown(request, ("v", "tk", *TIME_PARAMETERS))
    library = library_of(request)
    path = request.path_params
    z, x, y = (_tile_number(path[name], name) for name in ("z", "x", "y"))
    check_range(z, x, y, HIGHEST_ZOOM)
    named = _layers_named(library, path["layers"])
    picture = _picture_of(request, named)
    shown = [content for layer, content in _pairs(picture, named) if z >= layer.min_zoom]
    # Nothing is asked of the database, and nothing stored, where no layer reaches.
    contents = [content for content in shown if _reaches(content, z, x, y)]

    def make() -> bytes:
        with library.pool.connection() as connection:
            return b"".join(
                layer_tile(connection, content.layer_id, content.content_id, z, x, y)
                for content in contents
            )

    if not contents:
        return Response(status_code=204, headers={"Cache-Control": "no-cache"})
    is_draft = any(content.edition_state == "draft" for content in contents)
    numbers = [content.content_id for content in contents]
    stored = unkept_tile(make()) if is_draft else library.tiles.fetch(numbers, z, x, y, make)
    # With the edition in the address the bytes never change; without, ask again.
    is_named = request.query_params.get("v") == _version(_contents(picture, named))
    headers = {
        "ETag": stored.etag,
        "Vary": "Accept-Encoding",
        "Cache-Control": _FOR_EVER if is_named and not is_draft else "no-cache",
    }
    if request.headers.get("if-none-match") == stored.etag:
        return Response(status_code=304, headers=headers)
    if not stored.gzipped:
        return Response(status_code=204, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(stored.gzipped, media_type=_MVT, headers=headers)
    return Response(stored.plain(), media_type=_MVT, headers=headers)


def _picture_of(request: Request, named: Sequence[Layer]) -> InForce:
    """The picture asked for; layers that a named edition does not hold are not there."""
    picture = pictures_of(request).asked(request)
    missing = [layer.id for layer in named if layer.id not in picture.layers]
    if "edition" in request.query_params and missing:
        edition = request.query_params["edition"]
        raise NotFound(
            f"Edition {edition} holds nothing of {', '.join(missing)} that can be drawn.",
            f"版本 {edition} 没有可绘制的图层 {'、'.join(missing)}。",
            code="layer-not-in-edition",
        )
    return picture


def _reaches(content: LayerInForce, z: int, x: int, y: int) -> bool:
    """Whether the layer's extent meets the tile or its buffer of 1/64."""
    if content.extent is None:
        return False
    side = 360 / 2**z
    west, east = x * side - 180 - side / 32, (x + 1) * side - 180 + side / 32
    north, south = (_latitude(row, z) for row in (y - 1 / 32, y + 1 + 1 / 32))
    left, bottom, right, top = content.extent
    return left <= east and right >= west and bottom <= north and top >= south


def _latitude(row: float, z: int) -> float:
    """Latitude of a tile row's northern edge in the web-mercator grid."""
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * row / 2**z))))


def _version(contents: Sequence[LayerInForce]) -> str:
    return "-".join(str(content.content_id) for content in contents) or "0"


def _tile_number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise NotFound(
            f"Tile {name} must be a whole number, not '{text[:20]}'.",
            f"瓦片的 {name} 必须是整数，而不是“{text[:20]}”。",
        )
    return int(text)


def _layers_named(library: Library, names: str) -> list[Layer]:
    # In one order, whatever the order of asking: the same layers are the same tile.
    ids = sorted(set(names.split(",")))
    if len(ids) > _MOST_LAYERS:
        raise BadParameter(
            f"At most {_MOST_LAYERS} layers in one request.",
            f"一次请求最多 {_MOST_LAYERS} 个图层。",
        )
    return [library.visible_layer(layer_id) for layer_id in ids]


def _pairs(picture: InForce, named: Sequence[Layer]) -> list[tuple[Layer, LayerInForce]]:
    held: Mapping[str, LayerInForce] = picture.layers
    return [(layer, held[layer.id]) for layer in named if layer.id in held]


def _contents(picture: InForce, named: Sequence[Layer]) -> list[LayerInForce]:
    return [content for _, content in _pairs(picture, named)]


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
    Route("/tiles/{layers}.json", tilejson),
    Route("/tiles/{layers}/{z}/{x}/{y}.mvt", tile),
]
