"""Vector tiles (MVT 2.1) of layer contents in any matrix set, one SQL statement a layer.

Pieces are kept in web mercator, cut to ancestor tiles of that grid. Its own tiles are drawn from
one ancestor. A tile of another grid lies over one or more of them: pieces are cut back to their
ancestors, joined by feature and projected, so that no cut shows there either.
"""

from typing import Any, Final

from layers.crs import STORAGE_SRID
from layers.database import Connection, statements
from layers.features import Parts, content_parts
from tiles.matrix_set import MatrixSet, Tile, mercator_bounds, tile_bounds

_SQL: Final = statements("tiles", "vector_tile.sql")

BASE_ZOOMS: Final = (13, 10, 7, 4)
"""Zooms whose tiles the pieces are cut to; a tile is drawn from the deepest that is not deeper
than itself. ``layers.contents`` makes the pieces for these."""

LOWEST_ZOOM: Final = BASE_ZOOMS[-1]
_WORLD_M: Final = 2 * 20_037_508.342789244
_BUFFER: Final = 1 / 64
"""What a tile shows beyond its edge, as a share of its side; pieces reach twice as far."""
_TOUCH: Final = 1e-6
"""Tiles of degrees end where columns of web mercator do; touching the next one is no need of it."""


def layer_tile(
    connection: Connection,
    layer_id: str,
    content_id: int,
    matrix_set: MatrixSet,
    tile: Tile,
    *,
    parts: Parts | None = None,
) -> bytes:
    """One layer's part of a tile, uncompressed; empty when nothing is there.

    Feature ids are the features' ``fid``; properties are the catalogue's ``in_tiles``
    attributes. Parts of several layers may be joined byte to byte (protocol buffers add up).
    ``parts`` are ``layers.features.content_parts``, asked for if not given.
    """
    zoom = matrix_set.zoom_like(tile.z)
    if zoom < LOWEST_ZOOM:
        return b""
    base_zoom = next(base for base in BASE_ZOOMS if base <= zoom)
    name, place = (
        ("layer_tile", _ancestor(tile, base_zoom))
        if matrix_set.is_mercator_quad
        else _of_other_grid(matrix_set, tile, base_zoom)
    )
    stored_in = parts if parts is not None else content_parts(connection, [content_id])
    values = {"layer_id": layer_id, "content_id": content_id, "parts": stored_in.parts}
    with connection.cursor(binary=True) as cursor:
        found = cursor.execute(
            stored_in.on(_SQL[name]), {**values, "base_zoom": base_zoom, **place}, prepare=True
        ).fetchone()
    return bytes(found[0]) if found and found[0] else b""


def _ancestor(tile: Tile, base_zoom: int) -> dict[str, Any]:
    up = tile.z - base_zoom
    return {
        "z": tile.z, "x": tile.x, "y": tile.y,
        "ancestor_x": tile.x >> up, "ancestor_y": tile.y >> up,
    }  # fmt: skip


def _of_other_grid(matrix_set: MatrixSet, tile: Tile, base_zoom: int) -> tuple[str, dict[str, Any]]:
    """The statement for a tile that is none of web mercator's, and its values.

    Where one ancestor holds the tile, its pieces reach over the tile's buffer, too: their margin is
    1/32 of a side that is at least about as wide as the tile's.
    """
    box = tile_bounds(matrix_set, *tile)
    west, south, east, north = mercator_bounds(matrix_set, tile, _BUFFER)
    values = {
        # CRS84 has no number of its own; on a datum declared equivalent its degrees are ours.
        "srid": STORAGE_SRID if matrix_set.crs.is_storage else matrix_set.crs.srid,
        "tile_west": box.west, "tile_south": box.south,
        "tile_east": box.east, "tile_north": box.north,
        "west": west, "south": south, "east": east, "north": north,
    }  # fmt: skip
    first_x, last_x, first_y, last_y = _ancestors(matrix_set, tile, base_zoom, -_TOUCH)
    if (first_x, first_y) == (last_x, last_y):
        values |= {"ancestor_x": first_x, "ancestor_y": first_y}
        return "layer_tile_of_one_ancestor", values
    first_x, last_x, first_y, last_y = _ancestors(matrix_set, tile, base_zoom, _BUFFER)
    values |= {"first_x": first_x, "last_x": last_x, "first_y": first_y, "last_y": last_y}
    return "layer_tile_of_other_grid", values


def _ancestors(
    matrix_set: MatrixSet, tile: Tile, base_zoom: int, margin: float
) -> tuple[int, int, int, int]:
    """Columns (first, last) and rows of the base zoom under a tile and a margin around it."""
    west, south, east, north = mercator_bounds(matrix_set, tile, margin)
    side, last = _WORLD_M / 2**base_zoom, 2**base_zoom - 1
    numbers = (
        (west + _WORLD_M / 2) // side, (east + _WORLD_M / 2) // side,
        (_WORLD_M / 2 - north) // side, (_WORLD_M / 2 - south) // side,
    )  # fmt: skip
    first_x, last_x, first_y, last_y = (max(0, min(last, int(number))) for number in numbers)
    return first_x, last_x, first_y, last_y
