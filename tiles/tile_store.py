"""The one door to tiles: finished bytes by what is drawn, grid, tile and form, made once.

The key holds the content numbers, and published contents never change, so nothing is ever
purged: a publish makes new keys and the old ones age out. Everyone who wants a tile that is being
made waits for that one making (a flight); a making that nobody waits for any more is stopped.
"""

import gzip
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from layers.database import Connection
from tiles.matrix_set import MatrixSet, Tile
from tiles.tile_format import TileFormat

_GZIP_LEVEL: Final = 6
_ENTRY_BYTES: Final = 500
"""What an entry costs besides its bytes; empty tiles are counted by it and go in their turn."""


class TileKey(NamedTuple):
    """What makes a tile's bytes."""

    contents: tuple[int, ...]
    """Content numbers in drawing order."""
    look: str
    """Digest of the style and its language; empty for vector tiles, which carry no look."""
    matrix_set: str
    tile: Tile
    form: str
    """``mvt``, ``png``, ``png@2x`` …"""


@dataclass(frozen=True, slots=True)
class StoredTile:
    """A tile as it is handed out: bytes (empty = nothing there) and their strong ETag."""

    body: bytes
    etag: str
    gzipped: bool = True

    def plain(self) -> bytes:
        """The tile uncompressed, for the rare client that takes no gzip."""
        return gzip.decompress(self.body) if self.gzipped and self.body else self.body


@dataclass(eq=False, slots=True)
class Flight:
    """The making of a tile, and those who wait for it."""

    key: TileKey
    done: Future[StoredTile] = field(default_factory=Future)
    kept: bool = True
    """False for contents that may still change (a draft's): made for those who wait, not stored."""
    waiting: int = 1
    _connection: Connection | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody waits any more."""
        return self.waiting < 1

    def works_on(self, connection: Connection | None) -> None:
        """Name the connection whose statement is to be stopped with the flight; None = no more."""
        with self._lock:
            self._connection = connection

    def stop(self) -> None:
        """Let the database drop the statement that runs for it."""
        # Under the lock the connection cannot go back to the pool and serve somebody else.
        with self._lock, suppress(Exception):
            if self._connection is not None:
                self._connection.cancel_safe(timeout=2.0)


class TileStore:
    """Finished tiles in memory, bounded by bytes; the least recently used go first."""

    def __init__(self, *, max_bytes: int = 256 * 1024 * 1024) -> None:
        """Make an empty store of at most ``max_bytes`` of tile bytes."""
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._tiles: OrderedDict[TileKey, StoredTile] = OrderedDict()
        self._flights: dict[TileKey, Flight] = {}
        self._lock = threading.Lock()

    def fetch(
        self,
        contents: tuple[int, ...],
        look: str,
        matrix_set: MatrixSet,
        tile: Tile,
        form: TileFormat,
        make: Callable[[], bytes],
    ) -> StoredTile:
        """The tile, from the store or made by ``make`` here and now; errors are not stored."""
        found = self.claim(TileKey(contents, look, matrix_set.id, tile, form.id))
        if isinstance(found, StoredTile):
            return found
        flight, is_mine = found
        if is_mine:
            self.run(flight, make, gzipped=form.gzipped)
        return flight.done.result()

    def held(self, key: TileKey) -> StoredTile | None:
        """The tile if it is there."""
        with self._lock:
            held = self._tiles.get(key)
            if held is not None:
                self._tiles.move_to_end(key)
            return held

    def keep(self, key: TileKey, tile: StoredTile) -> StoredTile:
        """Put in a tile that was made elsewhere; give it."""
        with self._lock:
            self._keep(key, tile)
        return tile

    def claim(self, key: TileKey) -> StoredTile | tuple[Flight, bool]:
        """The tile, or its making: True for the one caller that must ``run`` it."""
        with self._lock:
            held = self._tiles.get(key)
            if held is not None:
                self._tiles.move_to_end(key)
                return held
            flight = self._flights.get(key)
            if flight is not None:
                flight.waiting += 1
                return flight, False
            flight = self._flights[key] = Flight(key)
            return flight, True

    def run(self, flight: Flight, make: Callable[[], bytes], *, gzipped: bool) -> None:
        """Make the tile of a flight and hand it, or the error, to all who wait."""
        try:
            tile = finished(make(), gzipped=gzipped)
        except BaseException as error:
            self.fail(flight, error)
            return
        with self._lock:
            self._land(flight)
            if flight.kept:
                self._keep(flight.key, tile)
        flight.done.set_result(tile)

    def fail(self, flight: Flight, error: BaseException) -> None:
        """End a flight without a tile."""
        with self._lock:
            self._land(flight)
        flight.done.set_exception(error)

    def leave(self, flight: Flight) -> bool:
        """One of those who wait goes away; True for the last: who comes now makes it anew."""
        with self._lock:
            flight.waiting -= 1
            if flight.waiting < 1:
                self._land(flight)
            return flight.waiting < 1

    def _land(self, flight: Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def _keep(self, key: TileKey, tile: StoredTile) -> None:
        replaced = self._tiles.pop(key, None)
        if replaced is not None:
            self._held_bytes -= len(replaced.body) + _ENTRY_BYTES
        self._tiles[key] = tile
        self._held_bytes += len(tile.body) + _ENTRY_BYTES
        while self._held_bytes > self._max_bytes and len(self._tiles) > 1:
            _, dropped = self._tiles.popitem(last=False)
            self._held_bytes -= len(dropped.body) + _ENTRY_BYTES


def finished(raw: bytes, *, gzipped: bool) -> StoredTile:
    """A tile ready to be sent; as it is for contents that may still change (in no store)."""
    # mtime=0: the same tile has the same bytes, hence the same ETag, in every process.
    body = gzip.compress(raw, _GZIP_LEVEL, mtime=0) if raw and gzipped else raw
    return as_stored(body, gzipped=gzipped)


def as_stored(body: bytes, *, gzipped: bool = True) -> StoredTile:
    """Bytes as they are sent, with their ETag."""
    return StoredTile(body, '"' + hashlib.sha256(body).hexdigest()[:24] + '"', gzipped)
