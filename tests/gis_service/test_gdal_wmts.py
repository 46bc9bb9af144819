"""GDAL's WMTS driver reads the capabilities and draws the right place, on both axes.

Two GDALs: that of rasterio's wheel, and the programs of the machine, which are years older.
"""

import subprocess
from pathlib import Path

import httpx2
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.enums import Resampling
from rasterio.windows import from_bounds

pytestmark = pytest.mark.slow

SEA = np.array([203, 221, 233])
LIKE_SEA = 32
"""Palettes are off by a shade; the nearest colours on land, rivers and woods, by 40 and 54."""
HALF_WORLD_M = 20037508.342789244
CORNER = (110.2, 19.2, 111.2, 20.2)
"""The north-east of the island: its coast runs along both axes."""
ADDRESSES = {
    "c": "/vec_c/esri/wmts?SERVICE=WMTS&REQUEST=GetCapabilities",
    "w": "/vec_w/esri/wmts?SERVICE=WMTS&REQUEST=GetCapabilities",
    "native c": "/wmts/1.0.0/WMTSCapabilities.xml,layer=vec,tilematrixset=c",
    "native w": "/wmts?SERVICE=WMTS&REQUEST=GetCapabilities,layer=vec,tilematrixset=w",
    "CGCS2000Quad": "/wmts/1.0.0/WMTSCapabilities.xml,layer=vec,tilematrixset=CGCS2000Quad",
}


@pytest.fixture(scope="module")
def land(live_service: str) -> shapely.Geometry:
    page = httpx2.get(
        f"{live_service}/ogc/collections/county/items?limit=1000&f=json", timeout=120
    ).json()
    return shapely.union_all([shapely.geometry.shape(one["geometry"]) for one in page["features"]])


def mercator(points: np.ndarray) -> np.ndarray:
    """Oracle: the spherical formulas."""
    lat = np.radians(points[:, 1])
    northing = np.log(np.tan(np.pi / 4 + lat / 2)) / np.pi * HALF_WORLD_M
    return np.column_stack((points[:, 0] / 180 * HALF_WORLD_M, northing))


def judged(picture: np.ndarray, box: tuple[float, ...], land: shapely.Geometry) -> None:
    """Near the coast land is land and sea is sea, and a shift of some pixels is worse."""
    height, width = picture.shape[1:]
    columns, rows = np.meshgrid(np.arange(8, width - 8, 2), np.arange(8, height - 8, 2))
    x, y = columns.ravel(), rows.ravel()
    spots = shapely.points(
        box[0] + (x + 0.5) * (box[2] - box[0]) / width,
        box[3] - (y + 0.5) * (box[3] - box[1]) / height,
    )
    pixel = (box[2] - box[0]) / width
    distance = shapely.distance(spots, land.boundary) / pixel
    near = (distance > 2) & (distance < 8)
    x, y, is_land = x[near], y[near], shapely.contains(land, spots[near])
    assert min(is_land.sum(), (~is_land).sum()) > 100

    def agreement(right: int, down: int) -> float:
        colours = picture[:3, y + down, x + right].astype(int).T
        looks_sea = np.abs(colours - SEA).sum(axis=1) < LIKE_SEA
        return float((looks_sea != is_land).mean())

    true = agreement(0, 0)
    assert true > 0.97
    for shift in ((6, 0), (-6, 0), (0, 6), (0, -6)):
        assert agreement(*shift) < true - 0.05


@pytest.mark.parametrize("name", ADDRESSES)
def test_gdal_of_the_wheel_draws_the_right_place(
    live_service: str, land: shapely.Geometry, name: str, tmp_path: Path
) -> None:
    # Its cache stands in the current folder otherwise, and would answer for another service.
    with (
        rasterio.Env(GDAL_DEFAULT_WMS_CACHE_PATH=str(tmp_path)),
        rasterio.open(f"WMTS:{live_service}{ADDRESSES[name]}") as opened,
    ):
        box: tuple[float, ...] = CORNER
        place = land
        assert opened.crs.to_epsg() == (3857 if name.endswith("w") else 4490)
        if name.endswith("w"):
            box = tuple(mercator(np.array(CORNER).reshape(2, 2)).ravel())
            place = shapely.transform(land, mercator)
        picture = opened.read(
            window=from_bounds(*box, opened.transform), out_shape=(opened.count, 512, 512),
            resampling=Resampling.nearest,
        )  # fmt: skip
    judged(picture, box, place)


def test_older_gdal_draws_the_right_place(
    live_service: str, land: shapely.Geometry, tmp_path: Path
) -> None:
    west, south, east, north = CORNER
    target = tmp_path / "corner.tif"
    source = f"WMTS:{live_service}{ADDRESSES['c']}"
    window = ["-projwin", *map(str, (west, north, east, south)), "-outsize", "512", "512"]
    done = subprocess.run(
        ["gdal_translate", "-q", *window, source, str(target)],
        capture_output=True,
        text=True,
        timeout=250,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with rasterio.open(target) as opened:
        assert opened.bounds == pytest.approx(CORNER, abs=1e-5)
        judged(opened.read(), CORNER, land)
