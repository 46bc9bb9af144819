"""Tile archives: read by the reference reader and GDAL, equal to the tile store byte by byte."""

import datetime
import fcntl
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pmtiles.reader import MmapSource, Reader, all_tiles
from pmtiles.tile import tileid_to_zxy, zxy_to_tileid

from layers.catalog import Catalog
from layers.contents import create_content, finish_content, load_arrays
from layers.database import Connection, connect
from layers.deltas import create_delta, put_feature, remove_feature
from layers.editions import open_draft, publish, put_layer
from layers.errors import Conflict
from tiles.archive_file import ArchiveFile, copy_tiles, held_tiles
from tiles.archive_shelf import ArchiveShelf
from tiles.matrix_set import Tile, load_matrix_sets
from tiles.pmtiles import About, Archive, tile_id, tile_of_id
from tiles.tile_archive import (
    EMPTY_TILE,
    ArchivedContent,
    Sweep,
    remove_unwanted,
    wanted_contents,
    write_archive,
    zooms_of,
)
from tiles.tile_store import finished
from tiles.vector_tile import layer_tile

QUAD = load_matrix_sets(Path(__file__).resolve().parents[2] / "config")["WebMercatorQuad"]
LAYER = "planned_landuse"
TODAY = datetime.date(2024, 6, 1)
REGION = shapely.box(107.9, 17.6, 111.9, 20.7)
ABOUT = About(0, 14, (108.0, 18.0, 111.0, 20.0), {"vector_layers": [{"id": "a"}]})


@given(st.integers(0, 20).flatmap(
    lambda z: st.tuples(st.just(z), st.integers(0, 2**z - 1), st.integers(0, 2**z - 1))
))  # fmt: skip
def test_numbers_of_tiles_are_those_of_the_reference(place: tuple[int, int, int]) -> None:
    number = tile_id(Tile(*place))
    assert number == zxy_to_tileid(*place)
    assert tile_of_id(number) == place == tuple(tileid_to_zxy(number))


@pytest.mark.parametrize("count", [0, 1, 60_000])
def test_the_reference_reader_finds_every_tile(tmp_path: Path, count: int) -> None:
    draws = np.random.default_rng(7)
    numbers = np.unique(draws.integers(0, 4**10, count)).tolist()
    # Neighbours of equal bytes, repeats far away, and many of their own.
    tiles = {n: gzip.compress(b"same" if n % 3 else str(n).encode(), mtime=0) for n in numbers}
    copy_tiles(tmp_path / "a.pmtiles", tiles, ABOUT)
    with (tmp_path / "a.pmtiles").open("rb") as file:
        read = {zxy_to_tileid(*zxy): body for zxy, body in all_tiles(MmapSource(file))}
        header = Reader(MmapSource(file)).header()
    assert read == tiles
    assert header["addressed_tiles_count"] == len(tiles)
    assert header["clustered"] or len(tiles) > 1
    own = Archive(tmp_path / "a.pmtiles")
    assert held_tiles((own,)) == tiles
    assert all(own.tile(tile_of_id(n)) == tiles[n] for n in numbers[::97])
    missing = set(range(2000)) - set(numbers)
    assert not [n for n in missing if own.tile(tile_of_id(n)) is not None]


def parcels(count: int) -> list[shapely.Geometry]:
    """A strip of squares of a hundredth of a degree, some touching, over several z10 tiles."""
    corners = [(109.5 + 0.01 * (n % 40), 19.2 + 0.01 * (n // 40)) for n in range(count)]
    return [shapely.box(x, y, x + 0.01, y + 0.01) for x, y in corners]


def published(connection: Connection, catalog: Catalog, content_id: int, day: int) -> None:
    plan, _ = catalog.layer_with_plan(LAYER)
    edition = open_draft(connection, plan.id, valid_from=datetime.date(2021, 1, day))
    put_layer(connection, edition, LAYER, content_id)
    publish(connection, plan.id, edition)


def whole(connection: Connection, catalog: Catalog) -> int:
    content_id = create_content(connection, LAYER)
    shapes = parcels(400)
    load_arrays(connection, content_id, shapes, {"landuse_code": ["0101"] * len(shapes)}, 1)
    finish_content(connection, content_id, coverage=REGION)
    published(connection, catalog, content_id, 1)
    return content_id


def wanted(connection: Connection, content_id: int) -> ArchivedContent:
    return next(c for c in wanted_contents(connection, TODAY) if c.content_id == content_id)


def sweep(catalog: Catalog, content: ArchivedContent, told: Any = lambda _: None) -> Sweep:
    layer = catalog.layer(LAYER)
    return Sweep(content, layer, zooms_of(layer), told)


def around(zoom: int) -> list[Tile]:
    """All tiles of a zoom around the parcels."""
    from tiles.matrix_set import tile_of

    west, south = tile_of(QUAD, 109.45, 19.15, zoom)[1:]
    east, north = tile_of(QUAD, 109.95, 19.35, zoom)[1:]
    return [Tile(zoom, x, y) for x in range(west, east + 1) for y in range(north, south + 1)]


def compare(connection: Connection, shelf: ArchiveShelf, content: ArchivedContent) -> int:
    """Hold every tile against what the tile store makes; give how many are not empty."""
    held = shelf.of_content(content.content_id, content.sha256)
    assert held is not None
    found = 0
    for zoom in range(5, 15):
        for tile in around(zoom):
            raw = layer_tile(connection, LAYER, content.content_id, QUAD, tile)
            assert held.tile(tile) == finished(raw, gzipped=True).body, tile
            found += bool(raw)
    return found


def test_an_archive_holds_what_the_store_would_make(
    database: str, catalog: Catalog, tmp_path: Path
) -> None:
    with connect(database) as connection:
        content = wanted(connection, whole(connection, catalog))
        shares: list[float] = []
        path = write_archive(connection, tmp_path, sweep(catalog, content, shares.append))
        assert compare(connection, ArchiveShelf(tmp_path), content) > 100
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    # GDAL draws the squares where they are.
    meta, _, shapes, columns = pyogrio.raw.read(path, layer=LAYER, ZOOM_LEVEL="14")
    bounds = shapely.total_bounds(shapely.from_wkb(shapes))
    to_degrees = pyproj.Transformer.from_crs(meta["crs"], "EPSG:4326", always_xy=True)
    drawn = to_degrees.transform_bounds(*bounds)
    assert drawn == pytest.approx((109.5, 19.2, 109.9, 19.3), abs=2e-5)
    codes = columns[meta["fields"].tolist().index("landuse_code")]
    assert set(codes) == {"0101"}


def test_a_delta_keeps_only_what_differs_and_says_what_became_empty(
    database: str, catalog: Catalog, tmp_path: Path
) -> None:
    with connect(database) as connection:
        base_id = whole(connection, catalog)
        delta_id = create_delta(connection, base_id)
        for number in (1, 2, 41, 42):  # the north-western squares of the south edge
            remove_feature(connection, delta_id, str(number))
        added = shapely.box(109.7, 19.31, 109.71, 19.32)
        put_feature(connection, delta_id, "new", {"landuse_code": "0201"}, added)
        finish_content(connection, delta_id)
        published(connection, catalog, delta_id, 2)
        for content in wanted_contents(connection, TODAY):
            write_archive(connection, tmp_path, sweep(catalog, content))
        shelf = ArchiveShelf(tmp_path)
        content = wanted(connection, delta_id)
        assert content.base_id == base_id
        compare(connection, shelf, content)
        held = shelf.of_content(delta_id, content.sha256)
    assert held is not None
    assert held.base is not None
    own = held_tiles((held.own,))
    assert EMPTY_TILE in own.values()
    assert len(own) < held.base.tile_count / 2
    high = [n for n in own if tile_of_id(n).z == 14]
    assert 0 < len(high) <= 60, "only tiles that the changed squares touch"


class Stop(Exception):
    """Ends a writing in its midst."""


def test_a_stopped_writing_goes_on_where_it_ended(
    database: str, catalog: Catalog, tmp_path: Path
) -> None:
    with connect(database) as connection:
        content = wanted(connection, whole(connection, catalog))
        reference = write_archive(connection, tmp_path / "at-once", sweep(catalog, content))
        steps: list[float] = []

        def stop(share: float) -> None:
            steps.append(share)
            if share >= 0.4:
                raise Stop

        folder = tmp_path / "stopped"
        with pytest.raises(Stop):
            write_archive(connection, folder, sweep(catalog, content, stop))
        assert not list(folder.glob("*.pmtiles"))
        # As a kill leaves it: bytes of an unfinished step, and half a record.
        with next(folder.glob("*.part")).open("ab") as part:
            part.write(b"rubbish")
        with next(folder.glob("*.journal")).open("ab") as journal:
            journal.write(b"half")
        later: list[float] = []
        path = write_archive(connection, folder, sweep(catalog, content, later.append))
    assert later[0] > steps[-1] >= 0.4, "steps that are done are not made again"
    assert path.read_bytes() == reference.read_bytes()
    assert [one.name for one in folder.iterdir()] == [path.name]


def test_there_is_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "1-a.pmtiles"
    with ArchiveFile(path, b"plan") as file:
        file.add(Tile(5, 1, 1), b"tile")
        file.end_step()
        with pytest.raises(Conflict, match="another process"):
            ArchiveFile(path, b"plan")
    with path.with_suffix(".journal").open("rb") as free:
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_another_plan_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "1-a.pmtiles"
    with ArchiveFile(path, b"zooms 5-14") as file:
        file.add(Tile(5, 1, 1), b"tile")
        file.end_step()
    with ArchiveFile(path, b"zooms 5-12") as file:
        assert file.steps_done == 0
        file.publish(ABOUT)
    assert held_tiles((Archive(path),)) == {}


def test_damaged_and_foreign_files_are_left_to_the_database(tmp_path: Path) -> None:
    name = "1-" + "a" * 16 + ".pmtiles"
    copy_tiles(tmp_path / name, {5: b"x" * 1000}, ABOUT)
    assert ArchiveShelf(tmp_path).of_content(1, "a" * 64) is not None
    assert ArchiveShelf(tmp_path).of_content(1, "b" * 64) is None, "another library's content 1"
    whole_file = (tmp_path / name).read_bytes()
    for damaged in (whole_file[:40], whole_file[:17_000], b"SQLite" + whole_file[6:], b""):
        (tmp_path / name).write_bytes(damaged)
        assert ArchiveShelf(tmp_path).of_content(1, "a" * 64) is None


def test_a_file_that_is_replaced_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiles.archive_shelf._LOOK_EVERY_S", 0.0)
    path, shelf = tmp_path / ("1-" + "a" * 16 + ".pmtiles"), ArchiveShelf(tmp_path)
    assert shelf.of_content(1, "a" * 64) is None
    copy_tiles(path, {5: b"x"}, About(5, 12, ABOUT.bounds, {}))
    first = shelf.of_content(1, "a" * 64)
    copy_tiles(path, {5: b"x", 6: b"y"}, About(5, 14, ABOUT.bounds, {}))
    second = shelf.of_content(1, "a" * 64)
    assert first is not None
    assert second is not None
    assert (first.covers(14), second.covers(14)) == (False, True)
    assert first.tile(tile_of_id(5)) == b"x", "who holds the old one reads on"


def test_upkeep_removes_what_is_in_force_no_more(tmp_path: Path) -> None:
    kept = ArchivedContent(1, LAYER, "a" * 64, None, None, (0, 0, 1, 1))
    for name in (kept.file_name, "2-bbbbbbbbbbbbbbbb.pmtiles"):
        copy_tiles(tmp_path / name, {1: b"x"}, ABOUT)
    (tmp_path / "3-cccccccccccccccc.part").write_bytes(b"in the making")
    assert remove_unwanted(tmp_path, [kept]) == ["2-bbbbbbbbbbbbbbbb.pmtiles"]
    assert len(list(tmp_path.iterdir())) == 2
