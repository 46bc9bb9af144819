"""The tile store: made once, shared by all who wait, bounded, errors not kept."""

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from layers.errors import NotFound
from tiles.tile_store import TileStore, check_range


def test_two_hundred_callers_make_one_tile() -> None:
    store, made, gate = TileStore(), [], threading.Event()

    def make() -> bytes:
        made.append(1)
        gate.wait(5)
        return b"tile"

    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(store.fetch, [1], 14, 2, 3, make) for _ in range(50)]
        gate.set()
        tiles = {call.result() for call in calls}
    assert len(made) == 1
    (tile,) = tiles
    assert gzip.decompress(tile.gzipped) == b"tile" == tile.plain()


def test_same_bytes_same_etag_and_another_edition_another_key() -> None:
    first, second = TileStore(), TileStore()
    one = first.fetch([1], 1, 0, 0, lambda: b"a")
    assert second.fetch([9], 1, 0, 0, lambda: b"a").etag == one.etag
    assert first.fetch([2], 1, 0, 0, lambda: b"b").etag != one.etag


def test_errors_are_not_kept_and_reach_everyone_who_waits() -> None:
    store = TileStore()

    def fail() -> bytes:
        raise ValueError("no database")

    with pytest.raises(ValueError, match="no database"):
        store.fetch([1], 1, 0, 0, fail)
    assert store.fetch([1], 1, 0, 0, lambda: b"now").plain() == b"now"


def test_the_store_stays_in_its_bound() -> None:
    store = TileStore(max_bytes=20_000)
    payload = bytes(range(256)) * 4
    for number in range(200):
        store.fetch([number], 1, 0, 0, lambda: payload)
    again: list[int] = []
    store.fetch([199], 1, 0, 0, lambda: again.append(1) or payload)
    assert not again, "the newest is held"
    store.fetch([0], 1, 0, 0, lambda: again.append(1) or payload)
    assert again, "the oldest went"


def test_empty_tiles_go_in_their_turn() -> None:
    store, made = TileStore(max_bytes=50_000), []
    for number in range(1000):
        store.fetch([number], 1, 0, 0, lambda: b"")
    store.fetch([0], 1, 0, 0, lambda: made.append(1) or b"")
    assert made


@pytest.mark.parametrize(
    "tile", [(0, 1, 0), (5, 32, 0), (5, 0, 32), (23, 0, 0), (-1, 0, 0), (5, -1, 0), (5, 2**63, 0)]
)
def test_tiles_that_cannot_exist(tile: tuple[int, int, int]) -> None:
    with pytest.raises(NotFound):
        check_range(*tile, highest_zoom=22)
