"""Vector tiles (MVT 2.1, web mercator) of layer contents, one SQL statement a layer."""

from typing import Final

from layers.database import Connection, statements
from layers.features import Parts, content_parts

_SQL: Final = statements("tiles", "vector_tile.sql")

BASE_ZOOMS: Final = (13, 10, 7, 4)
"""Zooms whose tiles the pieces are cut to; a tile is drawn from the deepest that is not deeper
than itself. ``layers.contents`` makes the pieces for these."""

LOWEST_ZOOM: Final = BASE_ZOOMS[-1]
HIGHEST_ZOOM: Final = 22


def layer_tile(
    connection: Connection,
    layer_id: str,
    content_id: int,
    z: int,
    x: int,
    y: int,
    *,
    parts: Parts | None = None,
) -> bytes:
    """One layer's part of tile z/x/y, uncompressed; empty when nothing is there.

    Feature ids are the features' ``fid``; properties are the catalogue's ``in_tiles``
    attributes. Parts of several layers may be joined byte to byte (protocol buffers add up).
    ``parts`` are ``layers.features.content_parts``, asked for if not given.
    """
    if z < LOWEST_ZOOM:
        return b""
    base_zoom = next(base for base in BASE_ZOOMS if base <= z)
    up = z - base_zoom
    stored_in = parts if parts is not None else content_parts(connection, [content_id])
    with connection.cursor(binary=True) as cursor:
        found = cursor.execute(
            stored_in.on(_SQL["layer_tile"]),
            {
                "layer_id": layer_id, "content_id": content_id, "z": z, "x": x, "y": y,
                "parts": stored_in.parts, "base_zoom": base_zoom,
                "ancestor_x": x >> up, "ancestor_y": y >> up,
            },
            prepare=True,
        ).fetchone()  # fmt: skip
    return bytes(found[0]) if found and found[0] else b""
