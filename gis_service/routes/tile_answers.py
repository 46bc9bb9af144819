"""How a tile goes out, whichever door was used: headers, 304, and nobody waiting behind it."""

import asyncio
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gis_service.library import InForce
from gis_service.map_tiles import MapTiles, TileAsked
from gis_service.pictures import Pictures
from layers.errors import NotFound
from tiles.matrix_set import Tile
from tiles.tile_format import TileFormat
from tiles.tile_store import StoredTile

FOR_EVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
_GONE: Final = 499
"""No client is there to see it; the metrics count it apart."""


def map_tiles_of(request: Request) -> MapTiles:
    """The pipeline of the application that got the request."""
    found: MapTiles = request.app.state.map_tiles
    return found


async def picture_of(request: Request) -> InForce:
    """What the request's day or edition shows; the database is asked beside the event loop."""
    pictures: Pictures = request.app.state.pictures
    held = pictures.held(request)
    return held if held is not None else await run_in_threadpool(pictures.asked, request)


async def tile_answer(
    request: Request, asked: TileAsked, picture: InForce, *, cache_control: str
) -> Response:
    """The tile as an answer: 200, 304, or 204 where nothing is."""
    stored = await _unless_gone(request, asked, picture)
    if stored is None:
        return Response(status_code=_GONE)
    return stored_answer(request, stored, asked.form, cache_control)


async def _unless_gone(request: Request, asked: TileAsked, picture: InForce) -> StoredTile | None:
    """The tile, or None as soon as the client is gone: then nothing is made for it any longer."""
    making = asyncio.ensure_future(map_tiles_of(request).fetch(asked, picture))
    await asyncio.sleep(0)  # what is stored, or empty, or refused, needs no watch
    if making.done():
        return making.result()
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((making, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not making.done():
            making.cancel()
    return making.result() if making.done() else None


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def stored_answer(
    request: Request, stored: StoredTile, form: TileFormat, cache_control: str
) -> Response:
    """A finished tile as an answer, compressed for those who take it."""
    # Also without an Origin: a cache keeps the answer for pages of other hosts.
    headers = {
        "Cache-Control": cache_control,
        "ETag": stored.etag,
        "Access-Control-Allow-Origin": "*",
    }
    if form.gzipped:
        headers["Vary"] = "Accept-Encoding"
    if _is_known(request.headers.get("if-none-match"), stored.etag):
        return Response(status_code=304, headers=headers)
    if not stored.body:
        return Response(status_code=204, headers=headers)
    if not stored.gzipped:
        return Response(stored.body, media_type=form.media_type, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(stored.body, media_type=form.media_type, headers=headers)
    return Response(stored.plain(), media_type=form.media_type, headers=headers)


def _is_known(asked: str | None, etag: str) -> bool:
    """Whether the client has these bytes (RFC 9110: compared weakly, for a proxy may unpack)."""
    if not asked:
        return False
    names = [name.strip().removeprefix("W/") for name in asked.split(",")]
    return etag in names or names == ["*"]


def tile_numbers(z: str, x: str, y: str) -> Tile:
    """A tile from three words of an address; ``NotFound`` for what is no whole number."""
    return Tile(_number(z, "z"), _number(x, "x"), _number(y, "y"))


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise NotFound(
            f"Tile {name} must be a whole number, not '{text[:20]}'.",
            f"瓦片的 {name} 必须是整数，而不是“{text[:20]}”。",
        )
    return int(text)
