import json
import math
from pathlib import Path

import pytest

from layers.errors import BadConfiguration, NotFound
from tiles.matrix_set import (
    MatrixSet,
    Tile,
    load_matrix_sets,
    matrix_set_named,
    tile_bounds,
    tile_of,
)

CONFIG = Path(__file__).resolve().parents[2] / "config"
PLACES = [(110.33, 20.02), (109.5, 18.25), (108.6, 19.1), (0.1, 0.1), (-73.9, 40.7), (179.9, -60.0)]


@pytest.fixture(scope="module")
def sets() -> dict[str, MatrixSet]:
    return load_matrix_sets(CONFIG)


def slippy_tile(lon: float, lat: float, z: int) -> tuple[int, int]:
    """The well-known formula of web-mercator tile numbers."""
    n = 2**z
    sine = math.sin(math.radians(lat))
    y = 0.5 - 0.25 * math.log((1 + sine) / (1 - sine)) / math.pi
    return math.floor((lon + 180) / 360 * n), math.floor(y * n)


def slippy_north(y: int, z: int) -> float:
    """Latitude of the upper edge of a web-mercator tile row."""
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y / 2**z))))


def test_the_sets_and_their_levels(sets: dict[str, MatrixSet]) -> None:
    levels = {name: (one.zooms.start, one.zooms.stop - 1) for name, one in sets.items()}
    assert levels == {
        "c": (1, 20), "w": (1, 20), "CGCS2000Quad": (0, 20), "WorldCRS84Quad": (0, 20),
        "WebMercatorQuad": (0, 22),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "z", "denominator", "cell"),
    [
        ("c", 1, 279541132.0143589, 0.703125),
        ("c", 12, 136494.69336638617, 0.00034332275390625),
        ("c", 20, 533.182395962446, 1.341104507446289e-06),
        ("w", 1, 279541132.0143589, 78271.51696402048),
        ("w", 18, 2132.729583849784, 0.5971642834779395),
        ("WebMercatorQuad", 0, 559082264.0287178, 156543.03392804097),
    ],
)
def test_scales_are_the_published_ogc_ones(
    sets: dict[str, MatrixSet], name: str, z: int, denominator: float, cell: float
) -> None:
    matrix = sets[name].matrix(z)
    assert matrix.scale_denominator == pytest.approx(denominator, rel=1e-13)
    assert matrix.cell_size == pytest.approx(cell, rel=1e-13)


@pytest.mark.parametrize("name", ["c", "w", "CGCS2000Quad", "WorldCRS84Quad", "WebMercatorQuad"])
def test_every_level_covers_the_same_world(sets: dict[str, MatrixSet], name: str) -> None:
    one = sets[name]
    world = (-180.0, -90.0, 180.0, 90.0)
    if one.crs.kind == "projected":
        half = math.pi * 6378137
        world = (-half, -half, half, half)
    for z in one.zooms:
        matrix = one.matrix(z)
        first = tile_bounds(one, z, 0, 0)
        last = tile_bounds(one, z, matrix.columns - 1, matrix.rows - 1)
        assert (first.west, last.south, last.east, first.north) == pytest.approx(world, rel=1e-12)


def test_known_tiles_of_haikou(sets: dict[str, MatrixSet]) -> None:
    place = (110.33, 20.02)
    assert tile_of(sets["c"], *place, 10) == Tile(10, 825, 199)
    assert tile_of(sets["w"], *place, 10) == Tile(10, 825, 453)
    assert tile_of(sets["CGCS2000Quad"], *place, 10) == Tile(10, 1651, 398)
    assert tile_bounds(sets["c"], 10, 825, 199) == (110.0390625, 19.6875, 110.390625, 20.0390625)


def test_tianditu_counts_one_level_later_than_the_world_grid(sets: dict[str, MatrixSet]) -> None:
    for z in (1, 7, 18):
        for lon, lat in PLACES:
            tile = tile_of(sets["c"], lon, lat, z)
            assert tile_of(sets["WorldCRS84Quad"], lon, lat, z - 1)[1:] == tile[1:]
            assert (
                tile_of(sets["w"], lon, lat, z)[1:]
                == tile_of(sets["WebMercatorQuad"], lon, lat, z)[1:]
            )


@pytest.mark.parametrize("z", [1, 5, 12, 20])
def test_web_mercator_tiles_agree_with_the_formula(sets: dict[str, MatrixSet], z: int) -> None:
    radius = 6378137.0
    for lon, lat in PLACES:
        tile = tile_of(sets["w"], lon, lat, z)
        assert tile[1:] == slippy_tile(lon, lat, z)
        box = tile_bounds(sets["w"], *tile)
        assert math.degrees(box.west / radius) == pytest.approx(tile.x / 2**z * 360 - 180)
        north = math.degrees(math.atan(math.sinh(box.north / radius)))
        assert north == pytest.approx(slippy_north(tile.y, z), abs=1e-9)


def test_the_box_of_the_tile_of_a_place_holds_the_place(sets: dict[str, MatrixSet]) -> None:
    for name in ("c", "CGCS2000Quad", "WorldCRS84Quad"):
        for z in (1, 9, 20):
            for lon, lat in PLACES:
                box = tile_bounds(sets[name], *tile_of(sets[name], lon, lat, z))
                assert box.west <= lon < box.east
                assert box.south < lat <= box.north


def test_edges_of_the_world_belong_to_the_last_tile(sets: dict[str, MatrixSet]) -> None:
    assert tile_of(sets["c"], 180.0, -90.0, 1) == Tile(1, 1, 0)
    assert tile_of(sets["w"], 180.0, -90.0, 3) == Tile(3, 7, 7)
    assert tile_of(sets["w"], -180.0, 90.0, 3) == Tile(3, 0, 0)


@pytest.mark.parametrize(
    ("name", "z", "x", "y"),
    [
        ("c", 0, 0, 0),
        ("c", 21, 0, 0),
        ("c", 1, 2, 0),
        ("c", 1, 0, 1),
        ("c", 10, -1, 199),
        ("w", 10, 825, 1024),
        ("w", -1, 0, 0),
        ("WebMercatorQuad", 10**9, 0, 0),
    ],
)
def test_tiles_outside_the_set_do_not_exist(
    sets: dict[str, MatrixSet], name: str, z: int, x: int, y: int
) -> None:
    with pytest.raises(NotFound, match=name):
        tile_bounds(sets[name], z, x, y)


def test_an_unknown_level_or_set_is_not_made_up(sets: dict[str, MatrixSet]) -> None:
    with pytest.raises(NotFound, match="levels 1 to 20"):
        tile_of(sets["c"], 110.0, 20.0, 0)
    with pytest.raises(NotFound, match="WebMercatorQuad"):
        matrix_set_named(sets, "EPSG:3857")
    assert matrix_set_named(sets, "c").document["orderedAxes"] == ["Lat", "Lon"]


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("id", "other", "file name"),
        ("crs", "EPSG:4214", "datum"),
        ("tileMatrices", [], "IndexError"),
        ("tileMatrices", None, "tileMatrices: Input should be a valid list"),
    ],
)
def test_a_wrong_document_is_refused_with_its_file(
    tmp_path: Path, key: str, value: object, word: str
) -> None:
    document = json.loads((CONFIG / "matrix_sets/c.json").read_text("utf-8")) | {key: value}
    (tmp_path / "matrix_sets").mkdir()
    (tmp_path / "matrix_sets/c.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(BadConfiguration) as caught:
        load_matrix_sets(tmp_path)
    assert "c.json" in caught.value.text.en
    assert word in caught.value.text.en


def test_a_gap_between_levels_is_refused(tmp_path: Path) -> None:
    document = json.loads((CONFIG / "matrix_sets/c.json").read_text("utf-8"))
    del document["tileMatrices"][5]
    (tmp_path / "matrix_sets").mkdir()
    (tmp_path / "matrix_sets/c.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(BadConfiguration, match="without a gap"):
        load_matrix_sets(tmp_path)
