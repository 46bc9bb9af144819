"""The threads that make tiles: bounded, stopped when nobody waits, deaf to nobody's deadline."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from gis_service.tile_makers import TileMakers, TooBusy
from layers.database import connect, open_pool
from tiles.matrix_set import Tile
from tiles.tile_store import Flight, StoredTile, TileKey, TileStore


def key(number: int) -> TileKey:
    return TileKey((1,), "", "WebMercatorQuad", Tile(20, number, 1), "mvt")


def makers(*, threads: int = 1, longest_queue: int = 4, deadline_s: float = 20) -> TileMakers:
    return TileMakers(
        TileStore(), threads=threads, longest_queue=longest_queue, deadline_s=deadline_s
    )


def waiting_for(gate: threading.Event, made: list[int], number: int) -> Callable[[Flight], bytes]:
    def make(_: Flight) -> bytes:
        gate.wait(20)
        made.append(number)
        return b"tile"

    return make


def fetch(
    some: TileMakers, gate: threading.Event, made: list[int], number: int
) -> "asyncio.Task[StoredTile]":
    return asyncio.ensure_future(
        some.fetch(key(number), waiting_for(gate, made, number), gzipped=True)
    )


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0.01)


def test_who_finds_the_queue_full_is_told_to_come_back() -> None:
    gate, made = threading.Event(), []  # type: ignore[var-annotated]

    async def walk() -> None:
        some = makers()
        tasks = []
        for number in range(7):
            tasks.append(fetch(some, gate, made, number))
            await settled()
        # One is being made, four wait, two have no room: at once, not after the others.
        refused = [task for task in tasks if task.done()]
        assert len(refused) == 2
        for task in refused:
            with pytest.raises(TooBusy):
                task.result()
        # Who wants a tile that is being made needs no room of his own.
        twin = fetch(some, gate, made, 0)
        gate.set()
        tiles = await asyncio.gather(*tasks[:5], twin)
        assert {tile.plain() for tile in tiles} == {b"tile"}
        assert sorted(made) == [0, 1, 2, 3, 4]
        some.close()

    asyncio.run(walk())


def test_tiles_that_nobody_waits_for_are_not_made() -> None:
    gate, made = threading.Event(), []  # type: ignore[var-annotated]

    async def walk() -> None:
        some = makers(longest_queue=10)
        tasks = [fetch(some, gate, made, number) for number in range(6)]
        twin = fetch(some, gate, made, 3)
        await settled()
        for task in tasks[1:]:
            task.cancel()
        await settled()
        gate.set()
        await twin
        await tasks[0]
        await settled()
        # The first was under way, the fourth still has somebody who waits.
        assert sorted(made) == [0, 3]
        some.close()

    asyncio.run(walk())


def test_nobody_waits_longer_than_the_deadline() -> None:
    gate = threading.Event()

    async def walk() -> None:
        some = makers(deadline_s=0.3)
        with pytest.raises(TooBusy, match=r"0\.3 s"):
            await fetch(some, gate, [], 1)
        gate.set()
        some.close()

    began = time.monotonic()
    asyncio.run(walk())
    assert time.monotonic() - began < 5


def test_an_error_reaches_all_and_is_not_kept() -> None:
    async def walk() -> None:
        some = makers()

        def fail(_: Flight) -> bytes:
            raise ValueError("no database")

        with pytest.raises(ValueError, match="no database"):
            await some.fetch(key(1), fail, gzipped=True)
        again = await some.fetch(key(1), lambda _: b"now", gzipped=True)
        assert again.plain() == b"now"
        some.close()

    asyncio.run(walk())


def test_the_statement_of_a_tile_that_nobody_waits_for_is_stopped(shared_database: str) -> None:
    def sleeping() -> int:
        with connect(shared_database) as other:
            (count,) = other.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT 7, pg_sleep%%'"
                " AND state = 'active'"
            ).fetchone()  # type: ignore[misc]
        return int(count)

    async def until(count: int) -> None:
        end = time.monotonic() + 10
        while sleeping() != count:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)

    async def walk() -> None:
        some = makers()
        with open_pool(shared_database, size=2, statement_timeout_ms=60_000) as pool:

            def make(flight: Flight) -> bytes:
                with pool.connection() as connection:
                    flight.works_on(connection)
                    try:
                        connection.execute("SELECT 7, pg_sleep(30)")
                    finally:
                        flight.works_on(None)
                return b"late"

            task = asyncio.ensure_future(some.fetch(key(1), make, gzipped=True))
            await until(1)
            task.cancel()
            await until(0)
            # The connection is whole, and serves the next one.
            with pool.connection() as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        some.close()

    asyncio.run(walk())
