"""Tiles in the making: a few threads of their own, a bounded queue, nobody waits for ever.

A flood of tiles takes these threads and the connections they use and no others: checks keep theirs.
Who finds the queue full is told to come back; a tile that nobody waits for any more (the map was
panned on) is dropped from the queue, or its statement is stopped in the database.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from layers.errors import Unavailable
from tiles.tile_store import Flight, StoredTile, TileKey, TileStore

Make = Callable[[Flight], bytes]
"""Makes a tile's raw bytes; names its connection to the flight while a statement runs on it."""


class TooBusy(Unavailable):
    """More tiles are asked for than can be made; or one took too long."""

    code = "tiles-busy"


class TileMakers:
    """The threads that make tiles, and the queue before them."""

    def __init__(
        self, store: TileStore, *, threads: int, longest_queue: int, deadline_s: float
    ) -> None:
        """Start no thread yet; ``deadline_s`` is how long somebody waits at most."""
        self.store = store
        self._longest_queue = longest_queue
        self._deadline_s = deadline_s
        self._queued = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(threads, "tile")
        self._stoppers = ThreadPoolExecutor(1, "tile-stop")

    @property
    def queued(self) -> int:
        """How many tiles wait for a thread."""
        return self._queued

    async def fetch(
        self, key: TileKey, make: Make, *, gzipped: bool, kept: bool = True
    ) -> StoredTile:
        """The tile, from the store or made; ``TooBusy`` when there is no room or no time.

        Cancelling this call is how a client that went away is told: the last one who waits for
        a tile stops its making.
        """
        found = self.store.claim(key) if kept else (Flight(key, kept=False), True)
        if isinstance(found, StoredTile):
            return found
        flight, is_mine = found
        if is_mine:
            self._start(flight, make, gzipped=gzipped)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.shield(asyncio.wrap_future(flight.done))
        except TimeoutError as error:
            raise TooBusy(
                f"The tile was not ready after {self._deadline_s:g} s; try again in some seconds.",
                f"瓦片在 {self._deadline_s:g} 秒内未能生成，请稍后重试。",
                code="tile-too-slow",
            ) from error
        finally:
            if self.store.leave(flight) and not flight.done.done():
                self._stoppers.submit(flight.stop)

    def _start(self, flight: Flight, make: Make, *, gzipped: bool) -> None:
        with self._lock:
            is_full = self._queued >= self._longest_queue
            if not is_full:
                self._queued += 1
        if is_full:
            self.store.fail(flight, _busy())
            return
        self._threads.submit(self._work, flight, make, gzipped)

    def _work(self, flight: Flight, make: Make, gzipped: bool) -> None:
        with self._lock:
            self._queued -= 1
        if flight.is_abandoned:
            self.store.fail(flight, _busy())
            return
        self.store.run(flight, lambda: make(flight), gzipped=gzipped)

    def close(self) -> None:
        """Let the threads end; what waits in the queue is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._stoppers.shutdown(wait=False, cancel_futures=True)


def _busy() -> TooBusy:
    return TooBusy(
        "More tiles are asked for than can be made; try again in some seconds.",
        "瓦片请求过多，请稍后重试。",
    )
