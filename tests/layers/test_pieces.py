"""Pieces for overlay and drawing: nothing is lost, nothing shows a cut."""

import numpy as np
import numpy.typing as npt
import pytest
import shapely

from layers.catalog import Catalog
from layers.contents import build_pieces, create_content, finish_content, load_arrays
from layers.database import Connection
from layers.mosaic import Mosaic
from layers.pieces import OVERLAY_VERTICES

WORLD_M = 2 * 20_037_508.342789244


def star_shape(points: int) -> shapely.Polygon:
    """A valid polygon of many vertices, 40 km wide, around 110.5 E 19.5 N."""
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radius = 0.18 + 0.03 * np.sin(17 * turn)
    return shapely.Polygon(
        np.column_stack((110.5 + radius * np.cos(turn), 19.5 + radius * np.sin(turn))).round(8)
    )


def build(
    connection: Connection,
    layer_id: str,
    geometries: list[shapely.Geometry],
    columns: dict[str, list[object]] | None = None,
) -> int:
    content_id = create_content(connection, layer_id)
    load_arrays(connection, content_id, geometries, columns or {}, 1)
    finish_content(connection, content_id)
    build_pieces(connection, content_id)
    return content_id


def pieces(connection: Connection, table: str, content_id: int, where: str = "true") -> list[tuple]:  # type: ignore[type-arg]
    columns = "fid, ST_AsBinary(geom)"
    if table == "tile_piece":
        columns = "fid, ST_AsBinary(geom), x, y, properties"
    statement = f"SELECT {columns} FROM library.{table} WHERE content_id = %s AND {where}"  # noqa: S608
    found = connection.execute(statement.encode(), (content_id,)).fetchall()
    return [(row[0], shapely.from_wkb(row[1]), *row[2:]) for row in found]


def tile_box(zoom: int, x: int, y: int, margin: float = 0.0) -> shapely.Polygon:
    width = WORLD_M / 2**zoom
    west, north = x * width - WORLD_M / 2, WORLD_M / 2 - y * width
    reach = margin * width
    return shapely.box(west - reach, north - width - reach, west + width + reach, north + reach)


def mercator(geometry: shapely.Geometry) -> shapely.Geometry:
    def project(lonlat: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x = np.radians(lonlat[:, 0]) * 6378137
        y = np.log(np.tan(np.pi / 4 + np.radians(lonlat[:, 1]) / 2)) * 6378137
        return np.column_stack((x, y))

    return shapely.transform(geometry, project)


def test_overlay_pieces_are_small_and_make_up_the_whole(connection: Connection) -> None:
    large = star_shape(5000)
    small = shapely.box(110, 19, 110.01, 19.01)
    parts = shapely.MultiPolygon([shapely.box(n, 18, n + 0.1, 18.1) for n in (109, 110, 111)])
    content_id = build(connection, "forest_land", [large, small, parts])

    found = pieces(connection, "overlay_piece", content_id)

    assert max(shapely.get_num_coordinates(piece) for _, piece in found) <= OVERLAY_VERTICES + 1
    for fid, whole in enumerate((large, small, parts), start=1):
        mine = [piece for number, piece in found if number == fid]
        assert sum(piece.area for piece in mine) == pytest.approx(whole.area, rel=1e-9)
        assert shapely.union_all(mine).symmetric_difference(whole).area < 1e-9 * whole.area
    assert sum(1 for fid, _ in found if fid == 3) == 3


@pytest.mark.parametrize("zoom", [10, 13])
def test_tile_pieces_fill_their_tiles_and_reach_beyond_the_buffer(
    connection: Connection, zoom: int
) -> None:
    whole = star_shape(3000)
    content_id = build(connection, "forest_land", [whole])
    drawn = mercator(whole)

    found = pieces(connection, "tile_piece", content_id, f"base_zoom = {zoom}")

    assert len(found) == len({(x, y) for _, _, x, y, _ in found})
    for _, piece, x, y, _ in found:
        expected = drawn.intersection(tile_box(zoom, x, y, 1 / 64))
        # A tile clips at 1/64; there and inside nothing may be missing, cuts lie further out.
        assert expected.difference(piece.buffer(0.001)).area < 1.0
        assert tile_box(zoom, x, y, 1 / 32).buffer(1).contains(piece)
    covered = shapely.union_all([tile_box(zoom, x, y) for _, _, x, y, _ in found])
    assert drawn.difference(covered).area == pytest.approx(0, abs=1)


def test_properties_are_those_for_tiles_only(connection: Connection) -> None:
    content_id = build(
        connection, "planned_landuse", [shapely.box(110, 19, 110.01, 19.01)],
        {"parcel_id": ["P1"], "landuse_code": ["0101"], "name": ["a"]},
    )  # fmt: skip

    found = pieces(connection, "tile_piece", content_id)

    assert {tuple(sorted(row[4].items())) for row in found} == {(("landuse_code", "0101"),)}


def test_a_mosaic_of_small_parcels_leaves_no_gaps_at_low_zooms(connection: Connection) -> None:
    side = 60
    xs = np.linspace(110.0, 110.2, side + 1)
    ys = np.linspace(19.0, 19.2, side + 1)
    parcels = [
        shapely.box(xs[i], ys[j], xs[i + 1], ys[j + 1]) for i in range(side) for j in range(side)
    ]
    codes: list[object] = ["0101" if (n // 7) % 2 else "0301" for n in range(len(parcels))]
    content_id = build(connection, "planned_landuse", list(parcels), {"landuse_code": codes})
    ground = mercator(shapely.box(110.0, 19.0, 110.2, 19.2))

    for zoom, pixel_m in ((7, WORLD_M / 2**9 / 512), (4, WORLD_M / 2**6 / 512)):
        found = pieces(connection, "tile_piece", content_id, f"base_zoom = {zoom}")
        union = shapely.union_all([piece for _, piece, *_ in found])
        assert ground.buffer(-1.5 * pixel_m).difference(union).area == pytest.approx(0, abs=1)
        assert union.difference(ground.buffer(1.5 * pixel_m)).area == pytest.approx(0, abs=1)
        assert len(found) < len(parcels) / 10
        assert {row[4]["landuse_code"] for row in found} <= {"0101", "0301"}


def test_the_mosaic_gives_a_cell_the_class_under_its_centre() -> None:
    """Compared cell by cell with a point-in-polygon test of another kind."""
    rng = np.random.default_rng(7)
    centres = rng.uniform(0, 100, (60, 2))
    cells = shapely.get_parts(
        shapely.voronoi_polygons(
            shapely.multipoints(centres), extend_to=shapely.box(0, 0, 100, 100)
        )
    )
    polygons = shapely.intersection(cells, shapely.box(0, 0, 100, 100))
    hole = shapely.Point(50, 50).buffer(9)
    polygons = shapely.difference(polygons, hole)
    mosaic = Mosaic((0, 0, 100, 100), 1.0)

    mosaic.add(polygons, np.arange(1, len(polygons) + 1))

    for row in range(100):
        for column in range(100):
            centre = shapely.Point(column + 0.5, 99.5 - row)
            under = np.flatnonzero(shapely.contains(polygons, centre))
            expected = under[0] + 1 if len(under) else 0
            touched = shapely.distance(polygons, centre).min() == 0 and not len(under)
            assert touched or mosaic.cells[row, column] == expected


def test_min_zoom_saves_pieces_that_nobody_draws(connection: Connection, catalog: Catalog) -> None:
    layer = next(layer for _, layer in catalog.layers() if layer.min_zoom >= 10)
    shape = shapely.box(110, 19, 110.01, 19.01)
    geometry = {"polygon": shape, "line": shape.exterior, "point": shape.centroid}[layer.geometry]
    content_id = build(connection, layer.id, [geometry])

    zooms = connection.execute(
        "SELECT DISTINCT base_zoom FROM library.tile_piece WHERE content_id = %s ORDER BY 1",
        (content_id,),
    ).fetchall()

    assert [zoom for (zoom,) in zooms] == [10, 13]


@pytest.mark.parametrize("layer_id", ["coastline", "town_place"])
def test_lines_and_points_have_pieces_at_every_zoom(connection: Connection, layer_id: str) -> None:
    geometries: dict[str, list[shapely.Geometry]] = {
        "coastline": [shapely.LineString([(109.0, 18.5), (109.5, 18.2), (110.4, 18.9)])],
        "town_place": [shapely.Point(110.2, 19.5), shapely.Point(110.20001, 19.5)],
    }
    content_id = build(connection, layer_id, geometries[layer_id])

    zooms = connection.execute(
        "SELECT base_zoom, count(DISTINCT fid) FROM library.tile_piece WHERE content_id = %s"
        " GROUP BY 1 ORDER BY 1",
        (content_id,),
    ).fetchall()

    assert [zoom for zoom, _ in zooms] == [4, 7, 10, 13]
    assert zooms[0][1] == 1  # two towns on one spot of the screen are one
