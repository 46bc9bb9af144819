"""Tiles by XYZ in web mercator, vectors and pictures, and the TileJSON that leads to them."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.library import InForce, LayerInForce, Library
from gis_service.map_tiles import TileAsked
from gis_service.pictures import TIME_PARAMETERS, time_query
from gis_service.problems import language_of
from gis_service.routes.map_sheets import sheet_answer
from gis_service.routes.maps import layers_named, pictures_of
from gis_service.routes.requests import base_url, library_of, refuse_unknown
from gis_service.routes.tile_answers import (
    ASK_AGAIN,
    FOR_EVER,
    map_tiles_of,
    picture_of,
    tile_answer,
    tile_numbers,
)
from layers.catalog import Layer
from layers.errors import NotFound
from tiles.tianditu import PRODUCTS, Product
from tiles.tile_format import JPEG, MVT, format_named

HIGHEST_ZOOM: Final = 22
_GRID: Final = "WebMercatorQuad"


def tilejson(request: Request) -> Response:
    """TileJSON 3.0 of one layer, of several (``a,b``) or of a base map (``vec``, ``cva`` …)."""
    library = library_of(request)
    language = language_of(request)
    refuse_unknown(request, ("v", "tk", *TIME_PARAMETERS))
    if request.path_params["layers"] in PRODUCTS:
        return _tilejson_of_product(request, PRODUCTS[request.path_params["layers"]])
    named = layers_named(library, request.path_params["layers"])
    contents = _contents(_held(request, pictures_of(request).asked(request), named), named)
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


def _tilejson_of_product(request: Request, product: Product) -> Response:
    """TileJSON of a base map: pictures, everywhere."""
    library, language = library_of(request), language_of(request)
    suffix = "jpg" if product.form is JPEG else product.form.id
    document = {
        "tilejson": "3.0.0",
        "name": product.title.in_language(language),
        "attribution": library.config.notice.in_language(language),
        "scheme": "xyz",
        "tiles": [f"{base_url(request)}/tiles/{product.id}/{{z}}/{{x}}/{{y}}.{suffix}"],
        "minzoom": 0,
        "maxzoom": product.highest_level,
        "bounds": [-180, -85.0511, 180, 85.0511],
        "vector_layers": [],
    }
    headers = {"Cache-Control": "no-cache"}
    return Response(orjson.dumps(document), headers=headers, media_type="application/json")


def _joined_extent(library: Library, contents: Sequence[LayerInForce]) -> list[float]:
    extents = [content.extent for content in contents if content.extent is not None]
    if not extents:
        return list(library.config.region.bbox)
    west, south, east, north = zip(*extents, strict=True)
    return [min(west), min(south), max(east), max(north)]


async def tile(request: Request) -> Response:
    """A vector tile of one layer or of several (``a,b``); 204 when empty."""
    refuse_unknown(request, ("v", "tk", *TIME_PARAMETERS))
    path = request.path_params
    place = tile_numbers(path["z"], path["x"], path["y"])
    named = layers_named(library_of(request), path["layers"])
    picture = _held(request, await picture_of(request), named)
    asked = TileAsked(tuple(named), map_tiles_of(request).matrix_set(_GRID), place, MVT)
    contents = _contents(picture, named)
    # With the edition in the address the bytes never change; without, ask again.
    is_named = request.query_params.get("v") == _version(contents)
    is_draft = any(content.edition_state == "draft" for content in contents)
    return await tile_answer(
        request, asked, picture,
        cache_control=FOR_EVER if is_named and not is_draft else ASK_AGAIN,
    )  # fmt: skip


async def picture(request: Request) -> Response:
    """A map tile of a base map (``vec``, ``cva`` …) or of plan layers, as PNG, JPEG or WebP."""
    return await _picture(request, 1)


async def picture_twice(request: Request) -> Response:
    """The same with 512 pixels, for screens of double density."""
    return await _picture(request, 2)


async def _picture(request: Request, scale: Literal[1, 2]) -> Response:
    refuse_unknown(request, ("v", "tk", *TIME_PARAMETERS))
    path = request.path_params
    form = format_named(path["suffix"])
    place = tile_numbers(path["z"], path["x"], path["y"])
    return await sheet_answer(request, path["layers"], _GRID, place, form, scale)


def _held(request: Request, picture: InForce, named: Sequence[Layer]) -> InForce:
    """The picture, if a named edition holds all the layers: what it does not is not there."""
    missing = [layer.id for layer in named if layer.id not in picture.layers]
    if "edition" in request.query_params and missing:
        edition = request.query_params["edition"]
        raise NotFound(
            f"Edition {edition} holds nothing of {', '.join(missing)} that can be drawn.",
            f"版本 {edition} 没有可绘制的图层 {'、'.join(missing)}。",
            code="layer-not-in-edition",
        )
    return picture


def _version(contents: Sequence[LayerInForce]) -> str:
    return "-".join(str(content.content_id) for content in contents) or "0"


def _contents(picture: InForce, named: Sequence[Layer]) -> list[LayerInForce]:
    held: Mapping[str, LayerInForce] = picture.layers
    return [held[layer.id] for layer in named if layer.id in held]


ROUTES: Final = [
    Route("/tiles/{layers}.json", tilejson),
    Route("/tiles/{layers}/{z}/{x}/{y}.mvt", tile),
    Route("/tiles/{layers}/{z}/{x}/{y}@2x.{suffix}", picture_twice),
    Route("/tiles/{layers}/{z}/{x}/{y}.{suffix}", picture),
]
