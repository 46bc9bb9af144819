"""OGC API Tiles: matrix sets, tilesets and tiles, of a collection and of the whole library.

Addresses name level, row, column (y before x), as the standard has it. ``/tiles`` are vector
tiles, ``/map/tiles`` pictures.
"""

from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.library import InForce, today
from gis_service.map_tiles import TileAsked
from gis_service.pictures import TIME_PARAMETERS
from gis_service.problems import language_of
from gis_service.routes.map_sheets import sheet_answer
from gis_service.routes.maps import layers_named, pictures_of
from gis_service.routes.requests import base_url, day_asked, library_of, refuse_unknown
from gis_service.routes.tile_answers import (
    ASK_AGAIN,
    map_tiles_of,
    picture_of,
    tile_answer,
    tile_numbers,
)
from gis_service.tilesets import (
    FORMS,
    DataType,
    Tiled,
    matrix_sets_document,
    tileset_document,
    tilesets_document,
)
from layers.catalog import Layer
from layers.errors import BadParameter
from tiles.tile_format import MVT, TileFormat, format_named

_PARAMETERS: Final = ("tk", "datetime", *TIME_PARAMETERS)
_JSON: Final = "application/json"


def _sets_address(request: Request) -> str:
    return f"{base_url(request)}/ogc/tileMatrixSets"


def _json(document: dict[str, Any]) -> Response:
    headers = {"Cache-Control": "no-cache"}
    return Response(orjson.dumps(document), headers=headers, media_type=_JSON)


def matrix_sets(request: Request) -> Response:
    """The tile matrix sets that tiles are served in."""
    refuse_unknown(request, ("tk",))
    sets = list(map_tiles_of(request).matrix_sets.values())
    return _json(matrix_sets_document(sets, _sets_address(request)))


def matrix_set(request: Request) -> Response:
    """One tile matrix set (TMS 2.0)."""
    refuse_unknown(request, ("tk",))
    return _json(map_tiles_of(request).matrix_set(request.path_params["set"]).document)


def tilesets(request: Request) -> Response:
    """The tilesets of a collection or of all, one for each matrix set."""
    sets = list(map_tiles_of(request).matrix_sets.values())
    return _json(tilesets_document(_tiled(request), sets, _sets_address(request)))


def tileset(request: Request) -> Response:
    """One tileset: its levels, limits, layers and the template of its tiles."""
    asked = map_tiles_of(request).matrix_set(request.path_params["set"])
    return _json(tileset_document(_tiled(request), asked, _sets_address(request)))


def _tiled(request: Request) -> Tiled:
    refuse_unknown(request, ("collections", *_PARAMETERS))
    library = library_of(request)
    picture = _picture_on(request) or pictures_of(request).asked(request)
    chosen = _layers(request, picture)
    extents = [content.extent for layer in chosen
               if (content := picture.layers.get(layer.id)) and content.extent]  # fmt: skip
    sides = list(zip(*extents, strict=True)) if extents else []
    box = library.config.region.bbox
    if sides:
        box = (min(sides[0]), min(sides[1]), max(sides[2]), max(sides[3]))
    language = language_of(request)
    collection = request.path_params.get("layer")
    title = chosen[0].title if collection else library.config.title
    address = f"{base_url(request)}/ogc"
    if collection:
        address += f"/collections/{collection}"
    kind = _data_type(request)
    return Tiled(
        title.in_language(language), address + ("/tiles" if kind == "vector" else "/map/tiles"),
        kind, tuple(chosen), box,
    )  # fmt: skip


def _data_type(request: Request) -> DataType:
    return "map" if "/map/tiles" in request.url.path else "vector"


def _layers(request: Request, picture: InForce) -> list[Layer]:
    """The collection of the path, those that ``collections`` names, or all that are in force."""
    library = library_of(request)
    if "layer" in request.path_params:
        return [library.visible_layer(request.path_params["layer"])]
    named = request.query_params.get("collections")
    if named is not None:
        return layers_named(library, named)
    return [layer for layer in library.visible_layers() if layer.id in picture.layers]


def _picture_on(request: Request) -> InForce | None:
    day = day_asked(request, today())
    return None if day is None else pictures_of(request).get(day)


async def tile(request: Request) -> Response:
    """A tile by level, row and column; 204 where nothing is."""
    refuse_unknown(request, ("collections", *_PARAMETERS))
    path = request.path_params
    place = tile_numbers(path["z"], path["col"], path["row"])
    picture = (
        await run_in_threadpool(_picture_on, request) if "datetime" in request.query_params
        else None
    ) or await picture_of(request)  # fmt: skip
    layers, form = tuple(_layers(request, picture)), _form(request)
    if form is MVT:
        grid = map_tiles_of(request).matrix_set(path["set"])
        asked = TileAsked(layers, grid, place, form)
        return await tile_answer(request, asked, picture, cache_control=ASK_AGAIN)
    name = ",".join(layer.id for layer in layers)
    return await sheet_answer(request, name, path["set"], place, form, picture=picture)


def _form(request: Request) -> TileFormat:
    """What ``f`` asks for, else the first form that Accept names, else the first there is."""
    kind = _data_type(request)
    offered = FORMS[kind]
    asked = request.query_params.get("f")
    if asked is not None:
        form = format_named(asked)
        if form not in offered:
            raise BadParameter(
                f"f: tiles of this kind come as {', '.join(one.id for one in offered)}.",
                f"f：此类瓦片的格式为 {'、'.join(one.id for one in offered)}。",
                code="unknown-tile-format",
            )
        return form
    accept = request.headers.get("accept", "")
    wanted = [one.split(";", 1)[0].strip() for one in accept.split(",")]
    by_type = {one.media_type: one for one in offered}
    return next((by_type[one] for one in wanted if one in by_type), offered[0])


def _of(path: str) -> list[Route]:
    """The three addresses of what is tiled at a path."""
    return [
        Route(path, tilesets),
        Route(f"{path}/{{set}}", tileset),
        Route(f"{path}/{{set}}/{{z}}/{{row}}/{{col}}", tile),
    ]


ROUTES: Final = [
    Route("/ogc/tileMatrixSets", matrix_sets),
    Route("/ogc/tileMatrixSets/{set}", matrix_set),
    *_of("/ogc/tiles"),
    *_of("/ogc/map/tiles"),
    *_of("/ogc/collections/{layer}/tiles"),
    *_of("/ogc/collections/{layer}/map/tiles"),
]
