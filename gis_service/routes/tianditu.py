"""Drop-in doors for clients of tianditu (天地图): they change the host and nothing else.

``/{layer}_{c|w}/wmts``, the same with ``/esri``, ``/DataServer``; also behind ``/t0`` to ``/t7``,
where its clients spread their requests over host names. The path says what is asked; what a query
says against it is noted in the log.
"""

import io
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from gis_service import auth
from gis_service.library import Library
from gis_service.problems import headers_of, language_of, status_of
from gis_service.routes.map_sheets import sheet_answer
from gis_service.routes.requests import base_url, library_of
from gis_service.routes.tile_answers import map_tiles_of
from layers.errors import BadParameter, GisError, NotFound
from tiles.matrix_set import Box, Tile
from tiles.tianditu import (
    DEFAULT_FORMAT,
    PRODUCTS,
    Service,
    asks_for_anything,
    key_value_pairs,
    leading_integer,
    service_named,
)
from tiles.tile_format import MVT, PNG, TileFormat, format_named
from tiles.wmts import Flavour, WmtsLayer, WmtsService, capabilities, exception_report

_log = logging.getLogger(__name__)

_WORLD: Final = Box(-180.0, -90.0, 180.0, 90.0)
XML: Final = "text/xml;charset=UTF-8"
_ILLEGAL_KEY: Final = {"msg": "非法Key", "resolve": "请到API控制台重新申请Key", "code": 1}
_OTHER_PAGE: Final = {
    "msg": "域名不匹配", "resolve": "请到API控制台查看域名配置并修改", "code": 7,
}  # fmt: skip

Pairs = dict[str, str]
Handler = Callable[[Request], Awaitable[Response]]


def query_of(request: Request) -> Pairs:
    """The parameters as such clients write them."""
    return key_value_pairs(request.scope["query_string"].decode("latin-1"))


def refused_key(request: Request) -> Response | None:
    """The answer for a key that is missing or wrong where one is needed, in tianditu's shape."""
    who = auth.caller(request)
    if who.key is not None or not library_of(request).config.tianditu.key_required:
        return None
    body = _OTHER_PAGE if who.tk == "other-page" else _ILLEGAL_KEY
    return tianditu_json(body, 403)


def tianditu_json(body: Any, status: int = 200) -> Response:
    """JSON as the REST services of tianditu answer it."""
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    return Response(
        orjson.dumps(body), status, headers, media_type="application/json;charset=UTF-8"
    )


def with_reports(handler: Handler) -> Handler:
    """Let a door answer errors as OWS exception reports, with the status of the error."""

    async def answer(request: Request) -> Response:
        try:
            return refused_key(request) or await handler(request)
        except GisError as error:
            return report(request, error)

    return answer


def report(request: Request, error: GisError, status: int | None = None) -> Response:
    """An error as an exception report, with its own status or another."""
    code = error.code if error.code[:1].isupper() else "InvalidParameterValue"
    if error.code == "tile-outside":
        code = "TileOutOfRange"
    elif not isinstance(error, BadParameter | NotFound):
        code = "NoApplicableCode"
    language = language_of(request)
    text = exception_report(code, error.text.in_language(language), language)
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    return Response(
        text, status or int(status_of(error)), {**headers, **headers_of(error)}, media_type=XML
    )


@with_reports
async def wmts(request: Request) -> Response:
    """GetTile, or the capabilities with denominators for 96 dpi."""
    return await _wmts(request, "96dpi")


@with_reports
async def esri_wmts(request: Request) -> Response:
    """The same with the capabilities that ArcGIS, QGIS and GDAL compute with."""
    return await _wmts(request, "ogc")


async def _wmts(request: Request, flavour: Flavour) -> Response:
    service, pairs = service_named(request.path_params["service"]), query_of(request)
    asked = pairs.get("REQUEST", "GetTile" if "TILEMATRIX" in pairs else "GetCapabilities").lower()
    if asked == "getcapabilities":
        return _capabilities(request, service, _flavour(pairs, flavour))
    if asked != "gettile":
        raise BadParameter(
            f"REQUEST is GetCapabilities or GetTile, not '{asked[:40]}'.",
            f"REQUEST 只能是 GetCapabilities 或 GetTile，而不是“{asked[:40]}”。",
            code="OperationNotSupported",
        )
    _note_contradictions(service, pairs)
    tile = Tile(
        leading_integer(pairs, "TILEMATRIX"),
        leading_integer(pairs, "TILECOL"),
        leading_integer(pairs, "TILEROW"),
    )
    return await _tile(request, service, tile, pairs.get("FORMAT", DEFAULT_FORMAT))


@with_reports
async def capabilities_file(request: Request) -> Response:
    """``/{service}/wmts/1.0.0/WMTSCapabilities.xml``, which ArcMap and QGIS look for."""
    return _capabilities(request, service_named(request.path_params["service"]), "ogc")


@with_reports
async def data_server(request: Request) -> Response:
    """``/DataServer?T=vec_w&X=…&Y=…&L=…``."""
    pairs = query_of(request)
    tile = Tile(
        leading_integer(pairs, "L", "Z"), leading_integer(pairs, "X"), leading_integer(pairs, "Y")
    )
    return await _tile(request, service_named(pairs.get("T", "")), tile, DEFAULT_FORMAT)


def _flavour(pairs: Pairs, default: Flavour) -> Flavour:
    """``dpi=96`` and ``dpi=ogc`` choose one whatever the address."""
    asked = pairs.get("DPI", "").lower()
    return "96dpi" if asked == "96" else "ogc" if asked == "ogc" else default


async def _tile(request: Request, service: Service, tile: Tile, form: str) -> Response:
    grid = service.grid
    if grid == "w" and tile.z == 0:
        grid = "WebMercatorQuad"  # key checkers ask for the world in one tile
    try:
        return await sheet_answer(
            request, _known(library_of(request), service), grid, tile, _form(service, form)
        )
    except NotFound as error:
        is_outside = error.code == "tile-outside"
        if is_outside and library_of(request).config.tianditu.outside == "transparent":
            return _transparent()
        raise


def _known(library: Library, service: Service) -> str:
    if service.layer not in PRODUCTS:
        library.visible_layer(service.layer)
    return service.layer


def _form(service: Service, asked: str) -> TileFormat:
    """A product has one form; a plan layer is a PNG unless something else is asked for."""
    if service.layer in PRODUCTS:
        return PRODUCTS[service.layer].form
    return PNG if asks_for_anything(asked) else format_named(asked)


def _transparent() -> Response:
    buffer = io.BytesIO()
    Image.new("LA", (256, 256)).save(buffer, "PNG")
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    return Response(buffer.getvalue(), headers=headers, media_type=PNG.media_type)


def _note_contradictions(service: Service, pairs: Pairs) -> None:
    said = (pairs.get("LAYER", service.layer), pairs.get("TILEMATRIXSET", service.grid))
    if said != (service.layer, service.grid):
        _log.info("the path %s wins over LAYER %.40s, TILEMATRIXSET %.40s", service.name, *said)


def _capabilities(request: Request, service: Service, flavour: Flavour) -> Response:
    library = library_of(request)
    name = _known(library, service)
    matrix_set = map_tiles_of(request).matrix_set(service.grid)
    forms = [DEFAULT_FORMAT]
    if flavour == "ogc":
        forms.insert(0, _form(service, DEFAULT_FORMAT).media_type)
        forms += [] if name in PRODUCTS else [MVT.media_type]
    path = request.url.path.split("/wmts", 1)[0] + "/wmts"
    tk = query_of(request).get("TK")
    document = WmtsService(
        title="在线地图服务",
        abstract="基于OGC标准的地图服务",
        keywords=("OGC",),
        address=f"{base_url(request)}{path}" + (f"?tk={tk}" if tk and tk.isalnum() else ""),
        layers=(WmtsLayer(name, name, name, _WORLD, tuple(forms), (service.grid,)),),
        matrix_sets=(matrix_set,),
    )
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"}
    return Response(capabilities(document, flavour), headers=headers, media_type=XML)


DOORS: Final[list[BaseRoute]] = [
    Route("/{service}/wmts", wmts),
    Route("/{service}/wmts/1.0.0/WMTSCapabilities.xml", capabilities_file),
    Route("/{service}/esri/wmts", esri_wmts),
    Route("/{service}/esri/wmts/1.0.0/WMTSCapabilities.xml", capabilities_file),
    Route("/DataServer", data_server),
]
ROUTES: Final[list[BaseRoute]] = [
    *DOORS,
    *(Mount(f"/t{number}", routes=DOORS) for number in range(8)),
]
