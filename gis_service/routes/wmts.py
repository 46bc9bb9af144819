"""WMTS 1.0.0 as OGC wrote it: one service of all layers and grids, by key and value and RESTful.

``/wmts`` and ``/wmts/1.0.0/…``. Errors are exception reports; by key and value with 400 for a tile
out of range (07-057r7, table 25), RESTful with 404, for there the address is what is wrong.
"""

from collections.abc import Mapping
from typing import Final, Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.library import InForce, Library
from gis_service.problems import language_of
from gis_service.routes.map_sheets import sheet_answer
from gis_service.routes.requests import base_url, library_of
from gis_service.routes.tianditu import XML, query_of, report, with_reports
from gis_service.routes.tile_answers import map_tiles_of, picture_of, tile_numbers
from gis_service.routes.wmts_feature_info import INFO_FORMATS, feature_info
from layers.catalog import Layer
from layers.errors import BadParameter, GisError, NotFound
from tiles.matrix_set import Box, Tile
from tiles.tianditu import PRODUCTS, Product, asks_for_anything, leading_integer
from tiles.tile_format import JPEG, MVT, PNG, WEBP, TileFormat, format_named
from tiles.wmts import WmtsLayer, WmtsService, capabilities

_WORLD: Final = Box(-180.0, -90.0, 180.0, 90.0)
_REQUESTS: Final = ("GetCapabilities", "GetTile", "GetFeatureInfo")
_SUFFIXES: Final[Mapping[TileFormat, str]] = {PNG: "png", JPEG: "jpg", WEBP: "webp", MVT: "mvt"}
_TILE: Final = "default/{TileMatrixSet}/{TileMatrix}/{TileRow}/{TileCol}"
_STYLES: Final = ("default", "")


async def by_key_and_value(request: Request) -> Response:
    """``/wmts?SERVICE=WMTS&REQUEST=GetTile&…``."""
    try:
        return await _answer(request)
    except NotFound as error:
        return report(request, error, 400)
    except GisError as error:
        return report(request, error)


async def _answer(request: Request) -> Response:
    pairs = query_of(request)
    if pairs.get("SERVICE", "WMTS").upper() != "WMTS":
        raise _wrong("SERVICE", "WMTS")
    asked = pairs.get("REQUEST")
    if asked is None:
        raise BadParameter(
            "REQUEST is missing.", "缺少参数 REQUEST。", code="MissingParameterValue"
        )
    word = next((one for one in _REQUESTS if one.lower() == asked.lower()), None)
    if word == "GetCapabilities":
        return await _capabilities(request)
    if word is None:
        raise BadParameter(
            f"REQUEST is one of {', '.join(_REQUESTS)}.",
            f"REQUEST 只能是 {'、'.join(_REQUESTS)}。",
            code="OperationNotSupported",
        )
    for name in ("LAYER", "TILEMATRIXSET"):
        if not pairs.get(name):
            raise BadParameter(
                f"{name} is missing.", f"缺少参数 {name}。", code="MissingParameterValue"
            )
    if pairs.get("STYLE", "default").lower() not in _STYLES:
        raise _wrong("STYLE", "default")
    tile = Tile(
        leading_integer(pairs, "TILEMATRIX"),
        leading_integer(pairs, "TILECOL"),
        leading_integer(pairs, "TILEROW"),
    )
    if word == "GetFeatureInfo":
        pixel = (leading_integer(pairs, "I"), leading_integer(pairs, "J"))
        form = pairs.get("INFOFORMAT", INFO_FORMATS[0]).lower()
        return await run_in_threadpool(
            feature_info, request, pairs["LAYER"], pairs["TILEMATRIXSET"], tile, pixel, form
        )
    form = pairs.get("FORMAT", "")
    return await sheet_answer(
        request, pairs["LAYER"], pairs["TILEMATRIXSET"], tile, _form(pairs["LAYER"], form)
    )


def _wrong(name: str, right: str) -> BadParameter:
    return BadParameter(
        f"{name} must be {right}.", f"{name} 应为 {right}。", code="InvalidParameterValue"
    )


def _form(name: str, asked: str) -> TileFormat:
    if asks_for_anything(asked):
        return PRODUCTS[name].form if name in PRODUCTS else PNG
    return format_named(asked)


@with_reports
async def resource(request: Request) -> Response:
    """``/wmts/1.0.0/{layer}/{style}/{set}/{level}/{row}/{column}.{suffix}``."""
    return await _resource(request, 1)


@with_reports
async def resource_twice(request: Request) -> Response:
    """The same with ``@2x`` before the suffix: 512 pixels for screens of double density."""
    return await _resource(request, 2)


async def _resource(request: Request, scale: Literal[1, 2]) -> Response:
    path = request.path_params
    if path["style"] != "default":
        raise NotFound("There is one style, 'default'.", "只有一种样式“default”。")
    tile = tile_numbers(path["z"], path["col"], path["row"])
    return await sheet_answer(
        request, path["layer"], path["set"], tile, format_named(path["suffix"]), scale
    )


@with_reports
async def info_resource(request: Request) -> Response:
    """``/wmts/1.0.0/{layer}/{style}/{set}/{level}/{row}/{column}/{j}/{i}.json``."""
    path = request.path_params
    tile = tile_numbers(path["z"], path["col"], path["row"])
    pixel = tile_numbers("0", path["i"], path["j"])
    return await run_in_threadpool(
        feature_info, request, path["layer"], path["set"], tile, (pixel.x, pixel.y),
        INFO_FORMATS[0],
    )  # fmt: skip


@with_reports
async def capabilities_file(request: Request) -> Response:
    """``/wmts/1.0.0/WMTSCapabilities.xml``."""
    return await _capabilities(request)


async def _capabilities(request: Request) -> Response:
    picture = await picture_of(request)
    text = await run_in_threadpool(_document, request, picture)
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"}
    return Response(text, headers=headers, media_type=XML)


def _document(request: Request, picture: InForce) -> str:
    library, language = library_of(request), language_of(request)
    sets = map_tiles_of(request).matrix_sets
    address = f"{base_url(request)}/wmts"
    ids = tuple(sets)
    layers = [_product_layer(one, address, ids, language) for one in PRODUCTS.values()]
    layers += [
        _plan_layer(library, layer, picture, address, ids, language)
        for layer in library.visible_layers()
        if layer.id in picture.layers
    ]
    service = WmtsService(
        title=library.config.title.in_language(language),
        abstract=library.config.notice.in_language(language),
        keywords=("WMTS", "规划", "CGCS2000"),
        address=address,
        layers=tuple(layers),
        matrix_sets=tuple(sets.values()),
        restful=f"{address}/1.0.0/WMTSCapabilities.xml",
        has_feature_info=True,
    )
    return capabilities(service, "ogc")


def _product_layer(
    product: Product, address: str, sets: tuple[str, ...], language: str
) -> WmtsLayer:
    forms = (product.form, *(one for one in (PNG, JPEG, WEBP) if one is not product.form))
    title = product.title.in_language(language)
    return WmtsLayer(
        product.id, title, title, _WORLD, tuple(one.media_type for one in forms), sets,
        _templates(address, product.id, forms),
    )  # fmt: skip


def _plan_layer(
    library: Library, layer: Layer, picture: InForce, address: str, sets: tuple[str, ...],
    language: str,
) -> WmtsLayer:  # fmt: skip
    forms = (PNG, JPEG, WEBP, MVT)
    title = layer.title.in_language(language)
    return WmtsLayer(
        layer.id,
        title,
        (layer.description or layer.title).in_language(language),
        Box(*(picture.layers[layer.id].extent or library.config.region.bbox)),
        tuple(one.media_type for one in forms),
        sets,
        _templates(address, layer.id, forms),
        info_formats=INFO_FORMATS,
        info_template=f"{address}/1.0.0/{layer.id}/{_TILE}/{{J}}/{{I}}.json",
        legend=f"{address.removesuffix('/wmts')}/legends/{layer.id}.png",
    )


def _templates(
    address: str, name: str, forms: tuple[TileFormat, ...]
) -> tuple[tuple[str, str], ...]:
    path = (
        f"{address}/1.0.0/{name}/default/{{TileMatrixSet}}/{{TileMatrix}}/{{TileRow}}/{{TileCol}}"
    )
    return tuple((one.media_type, f"{path}.{_SUFFIXES[one]}") for one in forms)


ROUTES: Final = [
    Route("/wmts", by_key_and_value),
    Route("/wmts/1.0.0/WMTSCapabilities.xml", capabilities_file),
    Route("/wmts/1.0.0/{layer}/{style}/{set}/{z}/{row}/{col}@2x.{suffix}", resource_twice),
    Route("/wmts/1.0.0/{layer}/{style}/{set}/{z}/{row}/{col}.{suffix}", resource),
    Route("/wmts/1.0.0/{layer}/{style}/{set}/{z}/{row}/{col}/{j}/{i}.json", info_resource),
]
