"""Vector tiles, decoded by another library and compared with the features."""

import json
import math
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import numpy as np
import pyproj
import pytest
import shapely
from shapely.geometry import shape

from layers.database import Connection, statements
from tiles.matrix_set import Tile, load_matrix_sets, tile_bounds
from tiles.matrix_set import tile_of as tile_at
from tiles.vector_tile import layer_tile

LAYER = "planned_landuse"
SETS = load_matrix_sets(Path(__file__).resolve().parents[2] / "config")
QUAD = SETS["WebMercatorQuad"]
WORLD_M = 2 * 20037508.342789244


def mercator(lon: float, lat: float) -> tuple[float, float]:
    """Oracle: the spherical mercator formulas."""
    x = lon / 360 * WORLD_M
    y = math.log(math.tan(math.pi / 4 + math.radians(lat) / 2)) / (2 * math.pi) * WORLD_M
    return x, y


def tile_of(lon: float, lat: float, z: int) -> tuple[int, int]:
    x, y = mercator(lon, lat)
    return int((x / WORLD_M + 0.5) * 2**z), int((0.5 - y / WORLD_M) * 2**z)


def to_mercator(tile: tuple[int, int, int], units: np.ndarray) -> np.ndarray:
    z, x, y = tile
    side = WORLD_M / 2**z
    west, north = x * side - WORLD_M / 2, WORLD_M / 2 - y * side
    return np.column_stack((west + units[:, 0] * side / 4096, north - units[:, 1] * side / 4096))


@pytest.fixture
def content_id(connection: Connection, publish_layer: Any) -> int:
    squares = [
        shapely.box(110 + i * 0.01, 19 + j * 0.01, 110.01 + i * 0.01, 19.01 + j * 0.01)
        for i in range(12)
        for j in range(12)
    ]
    publish_layer(
        LAYER,
        squares,
        {
            "parcel_id": [f"P{i}" for i in range(144)],
            "landuse_code": ["0101" if i % 2 else "0301" for i in range(144)],
            "code_scheme": ["landuse-2023"] * 144,
            "name": ["耕地"] * 144,
        },
    )
    (found,) = connection.execute("SELECT max(id) FROM library.layer_content").fetchone()  # type: ignore[misc]
    return int(found)


def _decode(tile: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = mapbox_vector_tile.decode(
        tile, default_options={"y_coord_down": True}
    )
    return decoded


@pytest.mark.parametrize("z", [10, 11, 12, 13, 14, 15, 17])
def test_a_tile_shows_the_features_where_they_are(
    connection: Connection, content_id: int, z: int
) -> None:
    x, y = tile_of(110.055, 19.055, z)
    decoded = _decode(layer_tile(connection, LAYER, content_id, QUAD, Tile(z, x, y)))
    features = decoded[LAYER]["features"]
    ids = [feature["id"] for feature in features]
    assert len(ids) == len(set(ids)), "a feature comes at most once in a tile"
    # The parcel of the place: column 5, row 5 of the 12 x 12 squares, fid 66.
    (parcel,) = [feature for feature in features if feature["id"] == 66]
    assert parcel["properties"] == {"landuse_code": "0101", "code_scheme": "landuse-2023"}
    drawn = shapely.transform(
        shape(parcel["geometry"]), lambda units: to_mercator((z, x, y), units)
    )
    expected = shapely.Polygon(
        [
            mercator(lon, lat)
            for lon, lat in shapely.box(110.05, 19.05, 110.06, 19.06).exterior.coords
        ]
    )
    side = WORLD_M / 2**z
    window = shapely.box(*to_mercator((z, x, y), np.array([[-64, 4160], [4160, -64]])).ravel())
    unit = side / 4096
    assert (
        drawn.symmetric_difference(expected.intersection(window)).area < expected.length * unit * 2
    )


def test_neighbours_share_their_edges_in_tiles(connection: Connection, content_id: int) -> None:
    x, y = tile_of(110.055, 19.055, 12)
    features = _decode(layer_tile(connection, LAYER, content_id, QUAD, Tile(12, x, y)))[LAYER][
        "features"
    ]
    shapes = [shape(feature["geometry"]) for feature in features]
    together = shapely.union_all(shapes)
    assert math.isclose(sum(one.area for one in shapes), together.area, rel_tol=1e-9)
    assert all(len(part.interiors) == 0 for part in shapely.get_parts(together))


@pytest.mark.parametrize("z", [5, 6, 7, 8, 9])
def test_low_zooms_keep_the_mosaic_without_holes(
    connection: Connection, content_id: int, z: int
) -> None:
    x, y = tile_of(110.055, 19.055, z)
    features = _decode(layer_tile(connection, LAYER, content_id, QUAD, Tile(z, x, y)))[LAYER][
        "features"
    ]
    codes = {feature["properties"]["landuse_code"] for feature in features}
    assert codes <= {"0101", "0301"}
    together = shapely.union_all([shape(feature["geometry"]).buffer(0) for feature in features])
    drawn = shapely.transform(together, lambda units: to_mercator((z, x, y), units))
    whole = shapely.Polygon(
        [mercator(lon, lat) for lon, lat in shapely.box(110, 19, 110.12, 19.12).exterior.coords]
    )
    pixel = WORLD_M / 2**z / 512
    assert whole.difference(drawn.buffer(2 * pixel)).area == pytest.approx(0, abs=1)


def test_nothing_there_is_no_bytes(connection: Connection, content_id: int) -> None:
    assert layer_tile(connection, LAYER, content_id, QUAD, Tile(14, 0, 0)) == b""
    assert layer_tile(connection, LAYER, content_id, QUAD, Tile(3, 6, 3)) == b""


GRIDS = [
    ("c", 15),
    ("c", 14),
    ("c", 13),
    ("c", 12),
    ("c", 10),
    ("WorldCRS84Quad", 13),
    ("CGCS2000Quad", 9),
]


def lonlat_of(grid: str, tile: Tile, units: np.ndarray) -> np.ndarray:
    box = tile_bounds(SETS[grid], *tile)
    return np.column_stack((
        box.west + units[:, 0] * (box.east - box.west) / 4096,
        box.north - units[:, 1] * (box.north - box.south) / 4096,
    ))  # fmt: skip


@pytest.mark.parametrize(("grid", "z"), GRIDS)
def test_tiles_of_degrees_show_every_parcel_whole_where_it_is(
    connection: Connection, content_id: int, grid: str, z: int
) -> None:
    """Each parcel once, within a unit of its own corners, over all ancestors it is cut by."""
    first, last = (tile_at(SETS[grid], *place, z) for place in ((110.0, 19.12), (110.12, 19.0)))
    seen: dict[int, float] = {}
    for x in range(first.x, last.x + 1):
        for y in range(first.y, last.y + 1):
            tile = Tile(z, x, y)
            box = tile_bounds(SETS[grid], *tile)
            unit = (box.east - box.west) / 4096
            decoded = _decode(layer_tile(connection, LAYER, content_id, SETS[grid], tile))
            features = decoded.get(LAYER, {"features": []})["features"]
            ids = [feature["id"] for feature in features]
            assert len(ids) == len(set(ids))
            window = shapely.box(*box).buffer(64 * unit, join_style="mitre")
            for feature in features:
                i, j = divmod(feature["id"] - 1, 12)
                parcel = shapely.box(
                    110 + i * 0.01, 19 + j * 0.01, 110.01 + i * 0.01, 19.01 + j * 0.01
                )
                drawn = shapely.transform(
                    shape(feature["geometry"]), lambda units, t=tile: lonlat_of(grid, t, units)
                )
                wanted = parcel.intersection(window)
                assert drawn.geom_type == "Polygon"
                assert len(drawn.interiors) == 0
                assert drawn.hausdorff_distance(wanted) < 1.5 * unit
                seen[feature["id"]] = (
                    seen.get(feature["id"], 0) + drawn.intersection(shapely.box(*box)).area
                )
    assert set(seen) == set(range(1, 145))
    assert sum(seen.values()) == pytest.approx(0.12**2, rel=2e-2)


@pytest.mark.parametrize("z", [5, 7, 9])
def test_low_levels_in_degrees_have_no_holes(
    connection: Connection, content_id: int, z: int
) -> None:
    tile = tile_at(SETS["c"], 110.055, 19.055, z)
    decoded = _decode(layer_tile(connection, LAYER, content_id, SETS["c"], tile))
    together = shapely.union_all(
        [shape(feature["geometry"]).buffer(0) for feature in decoded[LAYER]["features"]]
    )
    drawn = shapely.transform(together, lambda units: lonlat_of("c", tile, units))
    pixel = 360 / 2**z / 512
    window = shapely.box(*tile_bounds(SETS["c"], *tile))
    whole = shapely.box(110, 19, 110.12, 19.12).intersection(window)
    assert whole.difference(drawn.buffer(2 * pixel)).area == pytest.approx(0, abs=1e-9)


def test_the_tianditu_grids_are_the_worlds_own_tiles(
    connection: Connection, content_id: int
) -> None:
    """c level n = WorldCRS84Quad n - 1, w level n = WebMercatorQuad n, to the byte."""
    for grid, twin, less in (("c", "WorldCRS84Quad", 1), ("w", "WebMercatorQuad", 0)):
        tile = tile_at(SETS[grid], 110.055, 19.055, 13)
        body = layer_tile(connection, LAYER, content_id, SETS[grid], tile)
        assert body
        assert body == layer_tile(
            connection, LAYER, content_id, SETS[twin], tile._replace(z=13 - less)
        )


def test_any_grid_in_config_will_do(
    connection: Connection, content_id: int, tmp_path: Path
) -> None:
    """Gauss-Krueger zone 37 (EPSG:4525, northing first), tiles of 512 px, against PROJ."""
    origin, cell = (4_000_000.0, 37_000_000.0), 4.0
    matrices = [
        {
            "id": str(z), "scaleDenominator": cell * 2**-z / 0.00028, "cellSize": cell * 2**-z,
            "cornerOfOrigin": "topLeft", "pointOfOrigin": origin, "tileWidth": 512,
            "tileHeight": 512, "matrixWidth": 1000 * 2**z, "matrixHeight": 2000 * 2**z,
        }
        for z in range(3)
    ]  # fmt: skip
    document = {
        "id": "Zone37", "crs": "http://www.opengis.net/def/crs/EPSG/0/4525",
        "orderedAxes": ["X", "Y"], "tileMatrices": matrices,
    }  # fmt: skip
    (tmp_path / "matrix_sets").mkdir()
    (tmp_path / "matrix_sets" / "Zone37.json").write_text(json.dumps(document))
    grid = load_matrix_sets(tmp_path)["Zone37"]
    tile = tile_at(grid, 110.055, 19.055, 1)
    box = tile_bounds(grid, *tile)
    decoded = _decode(layer_tile(connection, LAYER, content_id, grid, tile))
    unit = (box.east - box.west) / 4096
    to_plane = pyproj.Transformer.from_crs("EPSG:4490", "EPSG:4525", always_xy=True)
    (parcel,) = [one for one in decoded[LAYER]["features"] if one["id"] == 66]
    drawn = shapely.transform(
        shape(parcel["geometry"]),
        lambda units: np.column_stack(
            (box.west + units[:, 0] * unit, box.north - units[:, 1] * unit)
        ),
    )
    corners = shapely.box(110.05, 19.05, 110.06, 19.06).exterior.coords
    wanted = shapely.Polygon([to_plane.transform(*corner) for corner in corners])
    window = shapely.box(*box).buffer(64 * unit, join_style="mitre")
    assert drawn.hausdorff_distance(wanted.intersection(window)) < 2 * unit


def test_tiles_of_other_grids_come_by_the_index(connection: Connection, content_id: int) -> None:
    values = {
        "layer_id": "a", "content_id": content_id, "parts": [content_id], "base_zoom": 13,
        "srid": 4490, "tile_west": 110.0, "tile_south": 19.0, "tile_east": 110.02,
        "tile_north": 19.02, "west": 12245143.0, "south": 2154935.0, "east": 12247369.0,
        "north": 2157290.0, "first_x": 6599, "last_x": 6599, "first_y": 3654, "last_y": 3655,
    }  # fmt: skip
    values |= {"ancestor_x": 6599, "ancestor_y": 3654}
    for name in ("layer_tile_of_other_grid", "layer_tile_of_one_ancestor"):
        statement = statements("tiles", "vector_tile.sql")[name]
        plan = connection.execute("EXPLAIN " + statement, values).fetchall()
        assert "base_zoom_x_y_idx" in str(plan)
