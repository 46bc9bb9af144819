"""Rasters: against GDAL's own warp, 16 bit, nodata, several files, and files that are no good."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT

from layers.crs import parse_crs
from layers.errors import BadConfiguration, GaveUp
from tiles.imagery import Rasters, RasterSource, draw_raster, load_rasters
from tiles.map_frame import MapFrame
from tiles.matrix_set import Box


def source(*files: Path, kind: Any = "imagery", **more: Any) -> RasterSource:
    return RasterSource(id="test", kind=kind, files=tuple(map(str, files)), **more)


def frame(crs: str, box: tuple[float, float, float, float], size: int = 256) -> MapFrame:
    return MapFrame(parse_crs(crs), Box(*box), size, size)


def made(path: Path, bands: Any, west: float, north: float, step: float, **more: Any) -> Path:
    values = np.asarray(bands)
    with rasterio.open(
        path, "w", driver="GTiff", width=values.shape[2], height=values.shape[1],
        count=values.shape[0], dtype=values.dtype, transform=from_origin(west, north, step, step),
        **{"crs": "EPSG:4490", **more},
    ) as opened:  # fmt: skip
        opened.write(values)
    return path


def pixels(image: Image.Image) -> Any:
    return np.asarray(image)


def test_a_picture_is_that_of_gdal(shared_data: Path) -> None:
    """The same box of the same file through GDAL's warper alone."""
    path = shared_data / "raster" / "cogeo.tif"
    with rasterio.open(path) as opened, WarpedVRT(opened, crs="EPSG:3857") as warped:
        west, south, east, north = warped.bounds
        middle = ((west + east) / 2, (south + north) / 2)
        half = (east - west) / 6
        box = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
        window = warped.window(*box)
        expected = warped.read(
            (1, 2, 3), window=window, out_shape=(3, 256, 256),
            resampling=rasterio.enums.Resampling.bilinear,
        )  # fmt: skip
    seen = pixels(draw_raster(source(path), frame("EPSG:3857", box)))
    assert np.abs(seen[..., :3].astype(int) - np.moveaxis(expected, 0, -1)).mean() < 6
    assert (seen[..., 3] == 255).all()


@pytest.mark.parametrize("crs", ["EPSG:4490", "EPSG:3857", "EPSG:4547"])
def test_it_lies_where_it_is_in_every_crs(tmp_path: Path, crs: str) -> None:
    values = np.zeros((3, 100, 100), np.uint8)
    values[0, :50], values[1, 50:], values[2, :, 50:] = 200, 200, 90  # quarters of a square
    path = made(tmp_path / "quarters.tif", values, 110.0, 20.0, 0.01)
    import pyproj

    to_crs = pyproj.Transformer.from_crs(4490, crs, always_xy=True)
    x, y = to_crs.transform(110.5, 19.5)
    half = 0.2 if crs == "EPSG:4490" else 20_000
    seen = pixels(draw_raster(source(path), frame(crs, (x - half, y - half, x + half, y + half))))
    assert seen[40, 40].tolist() == [200, 0, 0, 255]
    assert seen[40, 215].tolist() == [200, 0, 90, 255]
    assert seen[215, 40].tolist() == [0, 200, 0, 255]
    assert seen[215, 215].tolist() == [0, 200, 90, 255]


def test_sixteen_bits_are_stretched_alike_in_every_picture(shared_data: Path) -> None:
    path = shared_data / "raster" / "cog_nodata.tif"
    with rasterio.open(path) as opened, WarpedVRT(opened, crs="EPSG:3857") as warped:
        west, south, east, _ = warped.bounds
        assert opened.dtypes[0] == "uint16"
    third = (east - west) / 3
    middle = (west + third, south + third, west + 2 * third, south + 2 * third)
    whole = pixels(draw_raster(source(path), frame("EPSG:3857", middle, 256)))
    assert whole[..., :3].std() > 20, "there is contrast"
    half = third / 2
    quarter = (middle[0], middle[3] - half, middle[0] + half, middle[3])
    part = pixels(draw_raster(source(path), frame("EPSG:3857", quarter, 128)))
    assert np.abs(part.astype(int) - whole[:128, :128]).mean() < 12
    stated = pixels(draw_raster(source(path, stretch=(0, 65535)), frame("EPSG:3857", middle)))
    assert stated[..., :3].mean() < whole[..., :3].mean()


def test_nodata_lets_the_next_file_through(tmp_path: Path) -> None:
    first = np.full((3, 50, 50), 250, np.uint8)
    first[:, :, 25:] = 0
    made(tmp_path / "a.tif", first, 110.0, 20.0, 0.01, nodata=0)
    made(tmp_path / "b.tif", np.full((3, 50, 80), 90, np.uint8), 110.0, 20.0, 0.01, nodata=0)
    rasters = Rasters({"test": RasterSource(id="test", kind="imagery", files=("*.tif",))}, tmp_path)
    found = rasters.found("test")
    assert found is not None
    seen = pixels(draw_raster(found, frame("EPSG:4490", (110.0, 19.5, 111.0, 20.5), 100)))
    assert seen[75, 10].tolist() == [250, 250, 250, 255]
    assert seen[75, 40].tolist() == [90, 90, 90, 255]
    assert seen[75, 95, 3] == 0  # beyond both
    assert seen[25, 10, 3] == 0


def test_new_files_are_seen_and_change_the_key(tmp_path: Path) -> None:
    rasters = Rasters({"i": RasterSource(id="i", kind="imagery", files=("x/*.tif",))}, tmp_path)
    before = rasters.state("i")
    (tmp_path / "x").mkdir()
    made(tmp_path / "x" / "a.tif", np.full((1, 9, 9), 7, np.uint8), 110.0, 20.0, 0.1)
    assert rasters.state("i") != before
    found = rasters.found("i")
    assert found is not None
    assert len(found.files) == 1
    assert rasters.found("other") is None


def test_relief_is_lit_from_the_north_west(tmp_path: Path) -> None:
    y, x = np.mgrid[0:200, 0:200]
    cone = np.clip(800 - 10 * np.hypot(x - 100, y - 100), 10, None).astype(np.int16)
    path = made(tmp_path / "cone.tif", cone[None], 110.0, 20.0, 0.001, nodata=-32768)
    box = (110.0, 19.8, 110.2, 20.0)
    seen = pixels(draw_raster(source(path, kind="elevation"), frame("EPSG:4490", box, 200)))
    light = seen[..., :3].astype(int).sum(axis=2)
    assert light[75, 75] > 1.3 * light[125, 125], "north-west slope against south-east slope"
    assert seen[5, 5, 3] == 255


def test_relief_meets_at_the_edges_of_tiles(tmp_path: Path) -> None:
    y, x = np.mgrid[0:300, 0:300]
    waves = (300 + 200 * np.sin(x / 9) * np.cos(y / 7)).astype(np.float32)
    path = made(tmp_path / "waves.tif", waves[None], 110.0, 20.0, 0.001)
    elevation = source(path, kind="elevation")
    whole = pixels(draw_raster(elevation, frame("EPSG:4490", (110.05, 19.75, 110.25, 19.95), 200)))
    left = pixels(
        draw_raster(elevation, MapFrame(parse_crs("EPSG:4490"),
                                        Box(110.05, 19.75, 110.15, 19.95), 100, 200))
    )  # fmt: skip
    assert np.abs(left.astype(int) - whole[:, :100]).max() <= 3


def test_the_sea_and_what_is_unknown_are_transparent(tmp_path: Path) -> None:
    values = np.full((1, 40, 40), 50, np.int16)
    values[0, :, :10], values[0, :, 10:20] = -32768, -5
    path = made(tmp_path / "sea.tif", values, 110.0, 20.0, 0.01, nodata=-32768)
    seen = pixels(draw_raster(source(path, kind="elevation"),
                              frame("EPSG:4490", (110.0, 19.6, 110.4, 20.0), 40)))  # fmt: skip
    assert seen[20, [4, 14, 30], 3].tolist() == [0, 0, 255]


def test_a_damaged_file_is_an_error_and_no_empty_picture(shared_data: Path) -> None:
    path = shared_data / "raster" / "corrupt.tif"
    with rasterio.open(path) as opened:
        west, south, east, north = opened.bounds
    with pytest.raises(GaveUp) as caught:
        draw_raster(source(path), frame("EPSG:3857", (west, south, east, north), 1024))
    assert caught.value.code == "raster-unreadable"


def test_a_file_on_another_datum_is_refused(shared_data: Path) -> None:
    """GDAL would draw NAD27 some hundred metres off without a word."""
    path = shared_data / "raster" / "sfdem.tif"
    with pytest.raises(BadConfiguration, match=r"sfdem\.tif"):
        draw_raster(source(path, kind="elevation"), frame("EPSG:4490", (-104, 44, -103, 45)))


def test_a_picture_beside_all_files_is_empty(tmp_path: Path) -> None:
    path = made(tmp_path / "a.tif", np.full((1, 9, 9), 7, np.uint8), 110.0, 20.0, 0.1)
    seen = pixels(draw_raster(source(path), frame("EPSG:4490", (90, 10, 91, 11))))
    assert seen[..., 3].max() == 0
    nothing = source(path).model_copy(update={"files": ()})
    assert pixels(draw_raster(nothing, frame("EPSG:4490", (90, 10, 91, 11))))[..., 3].max() == 0


def test_a_wrong_registration_names_the_fault(tmp_path: Path) -> None:
    (tmp_path / "rasters.yml").write_text("rasters: [{id: x, kind: photo, files: [a]}]", "utf-8")
    with pytest.raises(BadConfiguration, match=r"rasters\.yml"):
        load_rasters(tmp_path, tmp_path)
