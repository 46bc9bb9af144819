"""Map tiles: the right place and colour, no seam, no cut label, no more than one may see."""

import io
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import pytest
import shapely
from PIL import Image

from layers.crs import parse_crs
from layers.errors import GaveUp, NotFound
from layers.sandbox import Sandbox
from tiles.map_frame import MapFrame
from tiles.matrix_set import Box, MatrixSet, Tile, load_matrix_sets, tile_bounds
from tiles.raster_tile import MEDIA_TYPES, MapPainter

CONFIG = Path(__file__).resolve().parents[2] / "config"
Pixels = npt.NDArray[np.uint8]

# An octagon of 30 km: over many ancestor tiles at every zoom.
LARGE = shapely.Point(110.2, 19.5).buffer(0.15, quad_segs=2)
SMALL = shapely.box(110.30, 19.70, 110.34, 19.73)
NAMES = ["海口", "三亚湾", "五指山热带雨林", "Wenchang satellite town", "儋州", "万宁东山岭"]


@pytest.fixture(scope="module")
def sets() -> dict[str, MatrixSet]:
    return load_matrix_sets(CONFIG)


@pytest.fixture(scope="module")
def library(drawn_on: Callable[[str], Any]) -> Any:
    made = drawn_on("tiles")
    made.put(
        "sea_use_zone",
        [(LARGE, {"zone_id": "1", "sea_use_code": "18"}), (SMALL, {"zone_id": "2",
         "sea_use_code": "21"})],
    )  # fmt: skip
    made.put("permanent_basic_farmland", [(LARGE, {"farmland_id": "1"})])
    places = []
    spots = itertools.product(np.arange(109.6, 110.8, 0.053), np.arange(19.0, 20.0, 0.047))
    for number, (lon, lat) in enumerate(spots):
        name = NAMES[number % len(NAMES)]
        places.append((shapely.Point(lon, lat), {"place_id": str(number), "kind": "town",
                       "name": f"{name}{number}", "name_en": f"Place {number}"}))  # fmt: skip
    made.put("town_place", places)
    return made


@pytest.fixture(scope="module")
def painter(library: Any) -> MapPainter:
    made: MapPainter = library.painter()
    return made


def pixels(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def lonlat_of_pixel(matrix_set: MatrixSet, tile: Tile, x: float, y: float) -> tuple[float, float]:
    """Where a pixel is, by pyproj: the oracle of place."""
    box = tile_bounds(matrix_set, *tile)
    easting = box.west + (box.east - box.west) * x / 256
    northing = box.north - (box.north - box.south) * y / 256
    if matrix_set.crs.kind == "geographic":
        return easting, northing
    back = pyproj.Transformer.from_crs(3857, 4326, always_xy=True)
    lon, lat = back.transform(easting, northing)
    return float(lon), float(lat)


def tile_at(matrix_set: MatrixSet, z: int, lon: float, lat: float) -> Tile:
    matrix = matrix_set.matrix(z)
    x, y = lon, lat
    if matrix_set.crs.srid == 3857:
        x, y = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(lon, lat)
    return Tile(z, int((x - matrix.west) // matrix.span), int((matrix.north - y) // matrix.span))


@pytest.mark.parametrize("set_id", ["w", "c", "WebMercatorQuad", "WorldCRS84Quad"])
@pytest.mark.parametrize("z", [9, 11, 12, 14])
def test_a_polygon_is_where_it_is(
    library: Any, painter: MapPainter, sets: dict[str, MatrixSet], set_id: str, z: int
) -> None:
    matrix_set = sets[set_id]
    shape = LARGE if z < 13 else SMALL
    _, south, east, north = shape.bounds
    tile = tile_at(matrix_set, z, east, (south + north) / 2)  # over its eastern edge
    seen = pixels(painter.draw_tile("sea_use_zone", library.contents, matrix_set, tile))
    grid = [(x, y) for x in range(2, 256, 11) for y in range(2, 256, 11)]
    hits = 0
    for x, y in grid:
        place = shapely.Point(lonlat_of_pixel(matrix_set, tile, x + 0.5, y + 0.5))
        width = 360 / 2**z / 256
        both = shapely.union_all([LARGE, SMALL])
        if both.boundary.distance(place) < 3 * width:
            continue  # the outline
        assert (seen[y, x, 3] > 0) == both.contains(place), (x, y)
        hits += both.contains(place)
    assert 0 < hits < len(grid), "the tile shows both inside and outside"


def test_the_colour_is_the_styles(
    library: Any, painter: MapPainter, sets: dict[str, MatrixSet]
) -> None:
    tile = tile_at(sets["w"], 14, 110.2, 19.5)
    seen = pixels(painter.draw_tile("sea_use_zone", library.contents, sets["w"], tile))
    # 渔业用海 of the guide, #94D5EB, at half opacity; palettes may be a shade off.
    assert abs(seen[20, 20].astype(int) - [0x94, 0xD5, 0xEB, 128]).max() <= 3


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4490", "EPSG:4326", "EPSG:4547", "EPSG:4525"])
@pytest.mark.parametrize("pixel_m", [600, 90, 17])
def test_no_cut_and_no_overlap_shows(
    library: Any, painter: MapPainter, crs: str, pixel_m: float
) -> None:
    """Pieces are cut to ancestor tiles with a margin; half a colour twice would be another."""
    frame = framed(crs, 110.2, 19.5, pixel_m, 700)
    seen = pixels(painter.draw_picture("sea_use_zone", library.contents, frame, format="webp"))
    inside = inner_pixels(frame, LARGE, 4)
    assert inside.sum() > 200
    alphas, counts = np.unique(seen[..., 3][inside], return_counts=True)
    assert alphas.max() - alphas.min() <= 2, dict(zip(alphas, counts, strict=True))


def framed(crs: str, lon: float, lat: float, pixel_m: float, size: int) -> MapFrame:
    x, y = pyproj.Transformer.from_crs(4490, crs, always_xy=True).transform(lon, lat)
    unit = pixel_m / 111_320 if crs in ("EPSG:4490", "EPSG:4326") else pixel_m
    half = size / 2 * unit
    return MapFrame(parse_crs(crs), Box(x - half, y - half, x + half, y + half), size, size)


def inner_pixels(frame: MapFrame, shape: Any, margin_px: float) -> npt.NDArray[np.bool_]:
    to_crs = pyproj.Transformer.from_crs(4490, frame.crs.code, always_xy=True)
    moved = shapely.transform(
        shapely.segmentize(shape, 0.002), lambda p: np.column_stack(to_crs.transform(*p.T))
    )
    inner = moved.buffer(-margin_px * frame.pixel[0])
    shapely.prepare(inner)
    width, height = frame.pixel
    x = frame.box.west + (np.arange(frame.width_px) + 0.5) * width
    y = frame.box.north - (np.arange(frame.height_px) + 0.5) * height
    grid_x, grid_y = np.meshgrid(x, y)
    found: npt.NDArray[np.bool_] = shapely.contains_xy(inner, grid_x, grid_y)
    return found


def stitched(
    painter: MapPainter, contents: Any, matrix_set: MatrixSet, product: str, z: int, first: Tile,
    count: int, scale: Any = 1,
) -> Pixels:  # fmt: skip
    rows = [
        np.hstack([
            pixels(painter.draw_tile(product, contents, matrix_set,
                                     Tile(z, first.x + column, first.y + row), format="webp",
                                     scale=scale))
            for column in range(count)
        ])
        for row in range(count)
    ]  # fmt: skip
    return np.vstack(rows)


@pytest.mark.parametrize(("set_id", "z"), [("w", 10), ("w", 12), ("c", 10)])
def test_labels_run_on_from_tile_to_tile(
    library: Any, painter: MapPainter, sets: dict[str, MatrixSet], set_id: str, z: int
) -> None:
    """Nine tiles of several metatiles side by side are the picture that is drawn at once."""
    matrix_set = sets[set_id]
    middle = tile_at(matrix_set, z, 110.2, 19.5)
    side = 6
    # From the middle of one metatile over the edge of the next, both ways.
    first = Tile(z, middle.x - middle.x % 4 - 3, middle.y - middle.y % 4 - 3)
    seen = stitched(painter, library.contents, matrix_set, "town_place", z, first, side)
    north_west = tile_bounds(matrix_set, *first)
    south_east = tile_bounds(matrix_set, z, first.x + side - 1, first.y + side - 1)
    box = Box(north_west.west, south_east.south, south_east.east, north_west.north)
    frame = MapFrame(matrix_set.crs, box, side * 256, side * 256)
    whole = pixels(painter.draw_picture("town_place", library.contents, frame, format="webp"))
    assert (whole[..., 3] > 200).sum() > 3000, "there are labels"
    across = whole[:, 255:257, 3].min(axis=1) > 100
    differs = np.abs(seen[..., 3].astype(int) - whole[..., 3]) > 64
    assert differs.sum() == 0, f"{differs.sum()} pixels, at {np.argwhere(differs)[:3].tolist()}"
    edges = range(256, side * 256, 256)
    crossing = sum(
        int(((whole[:, x - 1, 3] > 100) & (whole[:, x, 3] > 100)).sum()
            + ((whole[x - 1, :, 3] > 100) & (whole[x, :, 3] > 100)).sum())
        for x in edges
    )  # fmt: skip
    assert crossing > 0 or across.any(), "a label lies over an edge, or the test says nothing"


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("set_id", ["w", "c"])
def test_hatches_run_on_from_tile_to_tile(
    library: Any, painter: MapPainter, sets: dict[str, MatrixSet], set_id: str, scale: int
) -> None:
    matrix_set = sets[set_id]
    middle = tile_at(matrix_set, 15, 110.2, 19.5)
    first = Tile(15, middle.x - middle.x % 4 - 1, middle.y - middle.y % 4 - 1)
    seen = stitched(
        painter, library.contents, matrix_set, "permanent_basic_farmland", 15, first, 2, scale
    )
    # Lines at 45 degrees, ten pixels apart: along the diagonal nothing changes.
    inner = seen[6:-6, 6:-6, 3].astype(int)
    assert inner.std() > 20, "there is a hatch"
    broken = np.argwhere(np.abs(inner[1:, :-1] - inner[:-1, 1:]) > 24)
    assert not len(broken), f"lines break at {broken[[0, len(broken) // 2, -1]].tolist()}"


def test_forms_and_sizes(library: Any, painter: MapPainter, sets: dict[str, MatrixSet]) -> None:
    tile = tile_at(sets["w"], 11, 110.2, 19.5)
    form: Any
    scale: Any
    for form, scale in itertools.product(MEDIA_TYPES, (1, 2)):
        data = painter.draw_tile(
            "sea_use_zone", library.contents, sets["w"], tile, format=form, scale=scale
        )
        image = Image.open(io.BytesIO(data))
        assert image.format == form.upper()
        assert image.size == (256 * scale, 256 * scale)


def test_twice_the_pixels_show_the_same(
    library: Any, painter: MapPainter, sets: dict[str, MatrixSet]
) -> None:
    tile = tile_at(sets["w"], 11, 110.32, 19.5)
    small, large = (
        pixels(painter.draw_tile("sea_use_zone", library.contents, sets["w"], tile, scale=scale))
        for scale in (1, 2)
    )
    shrunk = np.asarray(Image.fromarray(large).resize((256, 256), Image.Resampling.BOX))
    assert np.abs(shrunk.astype(int) - small)[..., 3].mean() < 4


def test_nothing_there_is_transparent_and_small(
    library: Any, painter: MapPainter, sets: dict[str, MatrixSet]
) -> None:
    tile = tile_at(sets["w"], 12, 111.5, 17.9)
    data = painter.draw_tile("sea_use_zone", library.contents, sets["w"], tile)
    assert pixels(data)[..., 3].max() == 0
    assert len(data) < 400
    assert pixels(painter.draw_tile("sea_use_zone", {}, sets["w"], tile))[..., 3].max() == 0


def test_the_base_map_is_opaque_and_its_labels_are_not(
    library: Any, painter: MapPainter, sets: dict[str, MatrixSet]
) -> None:
    tile = tile_at(sets["w"], 10, 110.2, 19.5)
    ground = pixels(painter.draw_tile("vec", library.contents, sets["w"], tile))
    labels = pixels(painter.draw_tile("cva", library.contents, sets["w"], tile))
    assert ground[..., 3].min() == 255
    assert 0 < (labels[..., 3] > 0).mean() < 0.5


def test_labels_speak_the_language_asked_for(
    library: Any, painter: MapPainter, sets: dict[str, MatrixSet]
) -> None:
    tile = tile_at(sets["w"], 11, 110.2, 19.5)
    zh, en = (
        painter.draw_tile("cva", library.contents, sets["w"], tile, language=language)
        for language in ("zh", "en")
    )
    assert zh != en
    assert painter.digest("cva", "zh") != painter.digest("cva", "en")


def test_what_does_not_exist_is_not_found(painter: MapPainter, sets: dict[str, MatrixSet]) -> None:
    with pytest.raises(NotFound):
        painter.draw_tile("no_such_layer", {}, sets["w"], Tile(10, 825, 453))
    with pytest.raises(NotFound):
        painter.draw_tile("vec", {}, sets["c"], Tile(1, 2, 0))


def test_a_drawing_that_takes_too_long_is_stopped(library: Any) -> None:
    with Sandbox(workers=1, keeps_network=True) as own:
        slow = MapPainter(library.painter().products, library.painter()._address, own,
                          library.painter()._rasters, deadline_s=0.02)  # fmt: skip
        frame = framed("EPSG:3857", 110.2, 19.5, 90, 3000)
        with pytest.raises(GaveUp) as caught:
            slow.draw_picture("town_place,sea_use_zone", library.contents, frame)
    assert caught.value.code == "deadline-exceeded"


def test_a_child_that_crashes_is_an_error_of_one_tile(
    library: Any, sets: dict[str, MatrixSet]
) -> None:
    import os

    with Sandbox(workers=1, keeps_network=True) as own:
        with pytest.raises(GaveUp):
            own.run(os._exit, 3, deadline_s=20)
        painter = MapPainter(library.painter().products, library.painter()._address, own,
                             library.painter()._rasters)  # fmt: skip
        tile = tile_at(sets["w"], 14, 110.2, 19.5)
        data = painter.draw_tile("sea_use_zone", library.contents, sets["w"], tile)
    assert pixels(data)[..., 3].max() > 0


def test_a_process_draws_what_its_class_may_read(
    drawn_on: Callable[[str], Any], catalog: Any, sets: dict[str, MatrixSet]
) -> None:
    """The views of a class hold its rows only: a content number alone opens nothing."""
    hidden = drawn_on("classes")
    layer = catalog.layer("sea_use_zone").model_copy(update={"access": "internal"})
    plans = tuple(
        plan.model_copy(update={"layers": tuple(
            layer if one.id == layer.id else one for one in plan.layers
        )})
        for plan in catalog.plans
    )  # fmt: skip
    hidden.catalog = catalog.model_copy(update={"plans": plans})
    from layers.catalog_sync import sync_catalog
    from layers.database import connect

    with connect(hidden.dsn) as connection:
        sync_catalog(connection, hidden.catalog)
    hidden.put("sea_use_zone", [(LARGE, {"zone_id": "1", "sea_use_code": "18"})])
    tile = tile_at(sets["w"], 14, 110.2, 19.5)
    for access, seen in (("open", 0), ("internal", 128), ("restricted", 128)):
        data = hidden.painter(access=access).draw_tile(
            "sea_use_zone", hidden.contents, sets["w"], tile
        )
        assert abs(int(pixels(data)[20, 20, 3]) - seen) <= 2, access


def test_the_zoom_is_that_of_the_web_map() -> None:
    """A 256 pixel tile of level z looks like MapLibre's zoom z - 1, in both tianditu grids."""
    for set_id in ("w", "c"):
        matrix_set = load_matrix_sets(CONFIG)[set_id]
        tile = tile_at(matrix_set, 12, 110.2, 19.5)
        frame = MapFrame(matrix_set.crs, tile_bounds(matrix_set, *tile), 256, 256)
        assert math.isclose(frame.zoom, 11, abs_tol=1e-4)
        dense = MapFrame(matrix_set.crs, tile_bounds(matrix_set, *tile), 512, 512, 2.0)
        assert math.isclose(dense.zoom, 11, abs_tol=1e-4)
