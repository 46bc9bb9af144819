"""What a name at a door to map tiles stands for: a product of the base map, or plan layers."""

from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from gis_service.library import InForce, Library
from gis_service.map_tiles import TileAsked
from gis_service.routes.maps import layers_named
from gis_service.routes.requests import library_of
from gis_service.routes.tile_answers import ASK_AGAIN, map_tiles_of, picture_of, tile_answer
from tiles.matrix_set import MatrixSet, Tile
from tiles.tianditu import PRODUCTS
from tiles.tile_format import MVT, TileFormat

_ENGLISH: frozenset[str] = frozenset({"eva", "eia"})


def language_of_sheet(name: str) -> str:
    """The language that a sheet is drawn in, whatever the client's."""
    return "en" if name in _ENGLISH else "zh"


def sheet_asked(
    library: Library,
    name: str,
    matrix_set: MatrixSet,
    tile: Tile,
    form: TileFormat,
    scale: Literal[1, 2] = 1,
) -> TileAsked:
    """The tile of a product or of plan layers ``a,b``; ``NotFound`` for another name."""
    language = language_of_sheet(name)
    if name in PRODUCTS and form is not MVT:
        return TileAsked(
            library.visible_layers(), matrix_set, tile, form, scale, language, product=name
        )
    return TileAsked(tuple(layers_named(library, name)), matrix_set, tile, form, scale, language)


def cache_control(library: Library, name: str) -> str:
    """How long a tile may be held: the base map long, plan layers only while they are asked for."""
    if name not in PRODUCTS:
        return ASK_AGAIN
    who = "public" if library.settings.access == "public" else "private"
    return f"{who}, max-age={library.config.tianditu.max_age_s}"


async def sheet_answer(
    request: Request,
    name: str,
    set_id: str,
    tile: Tile,
    form: TileFormat,
    scale: Literal[1, 2] = 1,
    picture: InForce | None = None,
) -> Response:
    """The tile of a sheet as an answer."""
    library = library_of(request)
    asked = sheet_asked(library, name, map_tiles_of(request).matrix_set(set_id), tile, form, scale)
    shown = picture or await picture_of(request)
    return await tile_answer(request, asked, shown, cache_control=cache_control(library, name))
