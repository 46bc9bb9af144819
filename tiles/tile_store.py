"""The one door to tiles: finished, compressed bytes by content and tile, made once.

The key holds the content numbers, and published contents never change, so nothing is ever
purged: a publish makes new keys and the old ones age out. Every caller of a tile that is being
made waits for that one making (single flight).
"""

import gzip
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from layers.errors import NotFound

TileKey = tuple[tuple[int, ...], int, int, int]
"""Content numbers in order, z, x, y."""

_GZIP_LEVEL: Final = 6
_ENTRY_BYTES: Final = 500
"""What an entry costs besides its bytes; empty tiles are counted by it and go in their turn."""


@dataclass(frozen=True, slots=True)
class StoredTile:
    """A tile as it is handed out: gzip bytes (empty = nothing there) and its strong ETag."""

    gzipped: bytes
    etag: str

    def plain(self) -> bytes:
        """The tile uncompressed, for the rare client that takes no gzip."""
        return gzip.decompress(self.gzipped)


class TileStore:
    """Finished tiles in memory, bounded by bytes; the least recently used go first."""

    def __init__(self, *, max_bytes: int = 256 * 1024 * 1024) -> None:
        """Make an empty store of at most ``max_bytes`` of tile bytes."""
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._tiles: OrderedDict[TileKey, StoredTile] = OrderedDict()
        self._making: dict[TileKey, Future[StoredTile]] = {}
        self._lock = threading.Lock()

    def fetch(
        self, contents: Sequence[int], z: int, x: int, y: int, make: Callable[[], bytes]
    ) -> StoredTile:
        """The tile, from the store or made by ``make`` (raw MVT bytes); errors are not stored."""
        key = (tuple(contents), z, x, y)
        with self._lock:
            held = self._tiles.get(key)
            if held is not None:
                self._tiles.move_to_end(key)
                return held
            flight = self._making.get(key)
            if flight is None:
                mine: Future[StoredTile] = Future()
                self._making[key] = mine
        if flight is not None:
            return flight.result()
        try:
            tile = _finish(make())
        except BaseException as error:
            with self._lock:
                del self._making[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._keep(key, tile)
        mine.set_result(tile)
        return tile

    def _keep(self, key: TileKey, tile: StoredTile) -> None:
        self._tiles[key] = tile
        self._held_bytes += len(tile.gzipped) + _ENTRY_BYTES
        while self._held_bytes > self._max_bytes and len(self._tiles) > 1:
            _, dropped = self._tiles.popitem(last=False)
            self._held_bytes -= len(dropped.gzipped) + _ENTRY_BYTES


def unkept_tile(raw: bytes) -> StoredTile:
    """A tile of contents that may still change (a draft's): finished, and in no store."""
    return _finish(raw)


def _finish(raw: bytes) -> StoredTile:
    # mtime=0: the same tile has the same bytes, hence the same ETag, in every process.
    gzipped = gzip.compress(raw, _GZIP_LEVEL, mtime=0) if raw else b""
    return StoredTile(gzipped, '"' + hashlib.sha256(gzipped).hexdigest()[:24] + '"')


def check_range(z: int, x: int, y: int, highest_zoom: int) -> None:
    """Refuse a tile that cannot exist, before any statement runs (``NotFound``)."""
    if not (0 <= z <= highest_zoom and 0 <= x < 1 << z and 0 <= y < 1 << z):
        raise NotFound(
            f"There is no tile {z}/{x}/{y}: zoom is 0..{highest_zoom}, x and y are 0..2^zoom-1.",
            f"没有瓦片 {z}/{x}/{y}：级别为 0..{highest_zoom}，行列号为 0..2^级别-1。",
        )
