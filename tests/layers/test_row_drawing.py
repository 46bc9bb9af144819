"""Pieces drawn while a file is read: those that are drawn of the stored rows, and all or none."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import shapely

from layers import editions, plan_import
from layers.catalog import Catalog
from layers.contents import create_content, finish_content, load_arrays
from layers.database import Connection, connect
from layers.errors import GaveUp
from layers.mosaic import Mosaic
from layers.pieces import build_pieces, load_tile_pieces
from layers.plan_import import ImportReport, import_file
from layers.sandbox import Sandbox

REGION = (107.9, 17.6, 111.9, 20.7)
DAY = datetime.date(2026, 1, 1)
SIDE = 40


@pytest.fixture
def own(database: str) -> Iterator[Connection]:
    with connect(database) as opened:
        yield opened


def parcels() -> list[shapely.Geometry]:
    """A lattice of small ones, some large ones, one with 300 corners and one of two parts."""
    xs, ys = np.linspace(110.0, 110.3, SIDE + 1), np.linspace(19.0, 19.3, SIDE + 1)
    small = [shapely.box(xs[i], ys[j], xs[i + 1], ys[j + 1])
             for i in range(SIDE) for j in range(SIDE)]  # fmt: skip
    large = [shapely.box(109.0 + n / 10, 18.5, 109.1 + n / 10, 18.9) for n in range(3)]
    round_one = shapely.Point(110.6, 19.5).buffer(0.02, quad_segs=75)
    two = shapely.MultiPolygon(
        [shapely.box(111, 19, 111.01, 19.01), shapely.box(111.1, 19, 111.2, 19.1)]
    )
    return [*small, *large, round_one, two]


def write(path: Path, shapes: list[shapely.Geometry], **columns: list[str | None]) -> Path:
    encoded = np.array([shape.wkb for shape in shapes], dtype=object)
    values = [np.array(column, dtype=object) for column in columns.values()]
    pyogrio.raw.write(path, encoded, values, list(columns), geometry_type="Unknown",
                      crs="EPSG:4490")  # fmt: skip
    return path


def imported(
    own: Connection, sandbox: Sandbox, catalog: Catalog, path: Path, plan: str, layer: str
) -> ImportReport:
    return import_file(
        own, sandbox, catalog, path, plan_id=plan, layer_id=layer, valid_from=DAY,
        region_bbox=REGION,
    )  # fmt: skip


def drawn(own: Connection, content_id: int, zooms: tuple[int, ...]) -> list[tuple[object, ...]]:
    return own.execute(
        "SELECT base_zoom, x, y, fid, by_feature, properties::text, ST_AsBinary(geom)"
        " FROM library.tile_piece WHERE content_id = %s AND base_zoom = ANY(%s)"
        " ORDER BY 1, 2, 3, 4, 6, 7",
        (content_id, list(zooms)),
    ).fetchall()


def overlay(own: Connection, content_id: int) -> list[tuple[object, ...]]:
    return own.execute(
        "SELECT fid, piece, ST_AsBinary(geom) FROM library.overlay_piece WHERE content_id = %s"
        " ORDER BY 1, 2",
        (content_id,),
    ).fetchall()


def copied(own: Connection, content_id: int, layer: str) -> int:
    """The same rows as another content, drawn from what is stored."""
    found = own.execute(
        "SELECT attributes, ST_AsBinary(geom), feature_id FROM library.feature"
        " WHERE content_id = %s ORDER BY fid",
        (content_id,),
    ).fetchall()
    names = sorted({name for attributes, *_ in found for name in attributes})
    columns = {name: [attributes.get(name) for attributes, *_ in found] for name in names}
    other = create_content(own, layer)
    load_arrays(own, other, [shapely.from_wkb(wkb) for _, wkb, _ in found], columns, 1,
                feature_ids=[name for *_, name in found])  # fmt: skip
    finish_content(own, other)
    build_pieces(own, other)
    return other


def test_parcels_are_drawn_as_from_the_library(
    own: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    shapes = parcels()
    codes = [("0101", "0301", "07")[n // 7 % 3] for n in range(len(shapes))]
    schemes = ["survey-2020" if n % 11 == 0 else None for n in range(len(shapes))]
    path = write(tmp_path / "a.gpkg", shapes, BSM=[f"图斑\t{n}" for n in range(len(shapes))],
                 YDYHFLDM=codes, code_scheme=schemes)  # fmt: skip
    report = imported(own, sandbox, catalog, path, "overall-plan", "planned_landuse")
    assert report.accepted == len(shapes)
    before = drawn(own, report.content or 0, (10, 13))
    editions.publish(own, "overall-plan", accept_blocking="a test")

    other = copied(own, report.content or 0, "planned_landuse")

    assert drawn(own, report.content or 0, (10, 13)) == before != []
    assert before == drawn(own, other, (10, 13))
    assert overlay(own, report.content or 0) == overlay(own, other)
    assert len(overlay(own, other)) > len(shapes)  # the round one and the two parts are cut
    for zoom, pixel_m in ((7, 153), (4, 1223)):
        shown = [classes(own, content, zoom) for content in (report.content or 0, other)]
        assert shown[0].keys() == shown[1].keys()
        # The frames of the two grids differ by parts of a cell.
        for look in shown[0]:
            one, two = shown[0][look], shown[1][look]
            assert one.difference(two.buffer(2 * pixel_m)).area == 0
            assert two.difference(one.buffer(2 * pixel_m)).area == 0
    looks = [grid_looks(own, content) for content in (report.content or 0, other)]
    assert looks[0] == looks[1]
    assert len(looks[0]) > 3


def classes(own: Connection, content_id: int, zoom: int) -> dict[str, shapely.Geometry]:
    found = own.execute(
        "SELECT properties::text, ST_AsBinary(ST_Union(geom)) FROM library.tile_piece"
        " WHERE content_id = %s AND base_zoom = %s AND NOT by_feature GROUP BY 1",
        (content_id, zoom),
    ).fetchall()
    return {look: shapely.from_wkb(wkb) for look, wkb in found}


def grid_looks(own: Connection, content_id: int) -> set[tuple[str, int]]:
    """How a delta finds them again: the text that PostgreSQL writes of the attributes."""
    found = own.execute(
        "SELECT g.classes FROM library.mosaic_grid AS g WHERE g.content_id = %s", (content_id,)
    ).fetchall()
    return {(text, fid) for (looks,) in found for text, fid in looks}


@pytest.mark.parametrize("layer", ["coastline", "town_place"])
def test_lines_and_points_are_drawn_as_from_the_library(
    own: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path, layer: str
) -> None:
    shapes: dict[str, list[shapely.Geometry]] = {
        "coastline": [shapely.LineString([(109.0, 18.5), (109.5, 18.2), (110.4, 18.9)])],
        "town_place": [shapely.Point(110.2, 19.5), shapely.Point(110.20001, 19.5)],
    }
    plan, one = next(found for found in catalog.layers() if found[1].id == layer)
    columns: dict[str, list[str | None]] = {
        attribute.name: [
            next(iter(catalog.code_list(attribute.codes).codes)).code
            if attribute.codes else f"{n}"
            for n in range(len(shapes[layer]))
        ]
        for attribute in one.attributes
        if attribute.required
    }  # fmt: skip
    path = write(tmp_path / "a.gpkg", shapes[layer], **columns)
    report = imported(own, sandbox, catalog, path, plan.id, layer)

    other = copied(own, report.content or 0, layer)

    everywhere = (4, 7, 10, 13)
    assert drawn(own, report.content or 0, everywhere) == drawn(own, other, everywhere) != []


def test_nothing_is_left_of_pieces_whose_import_failed(
    own: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The tables of pieces come before the rows are a part of the library, and go with them."""
    path = write(tmp_path / "a.gpkg", parcels()[:50], BSM=[f"{n}" for n in range(50)],
                 YDYHFLDM=["0101"] * 50)  # fmt: skip

    def fail(*_: object, **__: object) -> None:
        raise GaveUp("no", "不")

    monkeypatch.setattr(plan_import.contents, "finish_content", fail)
    with pytest.raises(GaveUp):
        imported(own, sandbox, catalog, path, "overall-plan", "planned_landuse")

    left = own.execute(
        "SELECT relname FROM pg_class WHERE relname ~ '_c[0-9]+$' AND relkind = 'r'"
    ).fetchall()
    assert left == []


def test_a_growing_mosaic_holds_what_a_laid_out_one_holds() -> None:
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 900, (200, 2))
    shapes = shapely.box(corners[:, 0], corners[:, 1], corners[:, 0] + 30, corners[:, 1] + 30)
    laid = Mosaic((0, 0, 1000, 1000), 1.0)
    grown = Mosaic(shapely.bounds(shapes[0]).tolist(), 1.0)
    for number, shape in enumerate(shapes, start=1):
        laid.add(np.array([shape]), np.array([number]))
        grown.make_room(tuple(shapely.bounds(shape).tolist()))
        grown.add(np.array([shape]), np.array([number]))

    lines, columns = np.nonzero(laid.cells)
    x, y = laid.centres(lines, columns)
    column = ((x - grown.west) / grown.cell_m).astype(int)
    line = ((grown.north - y) / grown.cell_m).astype(int)

    # Frames differ by parts of a cell: only cells at the edges may differ.
    assert np.mean(grown.cells[line, column] == laid.cells[lines, columns]) > 0.95
    assert grown.cells.size < 4 * laid.cells.size


def test_a_mosaic_of_the_whole_earth_takes_wider_cells() -> None:
    mosaic = Mosaic((0, 0, 1000, 1000), 150.0)
    mosaic.cells[:] = 7
    mosaic.make_room((-2e7, -2e7, 2e7, 2e7))

    assert mosaic.cells.size < 160_000_000
    assert mosaic.west <= -2e7
    assert mosaic.north >= 2e7
    height, width = mosaic.cells.shape
    assert mosaic.west + width * mosaic.cell_m >= 2e7
    assert mosaic.north - height * mosaic.cell_m <= -2e7
    assert (mosaic.cells == 7).any()


def test_a_load_of_pieces_locks_nobody_out(own: Connection, database: str) -> None:
    """Whoever drops a content meanwhile needs the parent for himself, and readers wait for him."""
    content = create_content(own, "planned_landuse")
    load_arrays(own, content, parcels(), {}, 1)
    locked = []

    def blocks() -> Iterator[bytes]:
        yield b"PGCOPY\n\xff\r\n\x00" + bytes(8)
        with connect(database) as other, other.transaction():
            other.execute("LOCK TABLE library.tile_piece IN ACCESS EXCLUSIVE MODE NOWAIT")
            locked.append(True)
        yield b"\xff\xff"

    for _ in range(2):  # also after a stream that broke off and came again
        assert load_tile_pieces(own, content, blocks()) == 0
    assert locked == [True, True]
