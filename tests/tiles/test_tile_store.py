"""The tile store: made once, shared by all who wait, bounded, errors not kept."""

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tiles.matrix_set import Tile, load_matrix_sets
from tiles.tile_format import MVT, PNG
from tiles.tile_store import StoredTile, TileKey, TileStore

SETS = load_matrix_sets(Path(__file__).resolve().parents[2] / "config")
GRID = SETS["WebMercatorQuad"]
TILE = Tile(5, 1, 1)


def test_two_hundred_callers_make_one_tile() -> None:
    store, made, gate = TileStore(), [], threading.Event()

    def make() -> bytes:
        made.append(1)
        gate.wait(5)
        return b"tile"

    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(store.fetch, (1,), "", GRID, TILE, MVT, make) for _ in range(50)]
        gate.set()
        tiles = {call.result() for call in calls}
    assert len(made) == 1
    (tile,) = tiles
    assert gzip.decompress(tile.body) == b"tile" == tile.plain()


def test_same_bytes_same_etag_and_another_edition_another_key() -> None:
    first, second = TileStore(), TileStore()
    one = first.fetch((1,), "", GRID, TILE, MVT, lambda: b"a")
    assert second.fetch((9,), "", GRID, TILE, MVT, lambda: b"a").etag == one.etag
    assert first.fetch((2,), "", GRID, TILE, MVT, lambda: b"b").etag != one.etag


def test_errors_are_not_kept_and_reach_everyone_who_waits() -> None:
    store = TileStore()

    def fail() -> bytes:
        raise ValueError("no database")

    with pytest.raises(ValueError, match="no database"):
        store.fetch((1,), "", GRID, TILE, MVT, fail)
    assert store.fetch((1,), "", GRID, TILE, MVT, lambda: b"now").plain() == b"now"


def test_the_store_stays_in_its_bound() -> None:
    store = TileStore(max_bytes=20_000)
    payload = bytes(range(256)) * 4
    for number in range(200):
        store.fetch((number,), "", GRID, TILE, MVT, lambda: payload)
    again: list[int] = []
    store.fetch((199,), "", GRID, TILE, MVT, lambda: again.append(1) or payload)
    assert not again, "the newest is held"
    store.fetch((0,), "", GRID, TILE, MVT, lambda: again.append(1) or payload)
    assert again, "the oldest went"


def test_empty_tiles_go_in_their_turn() -> None:
    store, made = TileStore(max_bytes=50_000), []
    for number in range(1000):
        store.fetch((number,), "", GRID, TILE, MVT, lambda: b"")
    store.fetch((0,), "", GRID, TILE, MVT, lambda: made.append(1) or b"")
    assert made


def test_each_part_of_the_key_counts() -> None:
    """Another grid, level, form or look is another tile."""
    store = TileStore()
    first = store.fetch((1,), "", GRID, TILE, MVT, lambda: b"first")
    for contents, look, grid, tile, form in (
        ((1, 2), "", GRID, TILE, MVT),
        ((1,), "red", GRID, TILE, MVT),
        ((1,), "", SETS["c"], TILE, MVT),
        ((1,), "", GRID, Tile(6, 1, 1), MVT),
        ((1,), "", GRID, TILE, PNG),
    ):
        assert store.fetch(contents, look, grid, tile, form, lambda: b"other").plain() == b"other"
    assert store.fetch((1,), "", GRID, TILE, MVT, lambda: b"again") is first


def test_pictures_are_kept_as_they_are() -> None:
    picture = TileStore().fetch((1,), "", GRID, TILE, PNG, lambda: b"\x89PNG")
    assert (picture.body, picture.gzipped) == (b"\x89PNG", False)


def test_who_comes_after_all_have_left_makes_it_anew() -> None:
    store = TileStore()
    key = TileKey((1,), "", "WebMercatorQuad", TILE, "mvt")
    first = store.claim(key)
    assert isinstance(first, tuple)
    assert first[1]
    second = store.claim(key)
    assert isinstance(second, tuple)
    assert second == (first[0], False)
    assert not store.leave(first[0])
    assert store.leave(first[0]), "the last one who waits"
    assert first[0].is_abandoned
    third = store.claim(key)
    assert isinstance(third, tuple)
    assert third[0] is not first[0]
    assert third[1]
    store.run(third[0], lambda: b"tile", gzipped=True)
    assert isinstance(store.claim(key), StoredTile)
