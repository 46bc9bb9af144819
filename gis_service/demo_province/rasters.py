"""Rasters of the demo province: its elevation and a picture of it from above, both invented.

Two cloud-optimised GeoTIFFs (EPSG:4490) for the products ``ter`` and ``img``. They follow the same
terrain as the parcels; what grows where is made from height, moisture and noise.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from gis_service.demo_province.coast import land as draw_land
from gis_service.demo_province.drawing_plane import FloatArray, to_plane
from gis_service.demo_province.noise import fractal_noise
from gis_service.demo_province.terrain import Terrain
from layers.crs import STORAGE_SRID

_BOX: Final = (108.4, 18.0, 111.2, 20.3)
_STEP_DEG: Final = 0.003
_NODATA_M: Final = -32768
_MARK: Final = "synthetic demo data, no real terrain"
FILES: Final = ("elevation-demo.tif", "imagery-demo.tif")

_SLOPE_LIGHT: Final = 0.9
_PALETTE: Final = {
    "forest": (38, 70, 38), "scrub": (86, 108, 62), "field": (140, 146, 92),
    "paddy": (108, 132, 84), "sand": (206, 196, 166),
}  # fmt: skip


def write_rasters(
    folder: Path, seed: int, coast: Path | None, progress: Callable[[str, float], None]
) -> None:
    """Write both files into a folder; what is there already stays."""
    if all((folder / name).exists() for name in FILES):
        return
    progress("terrain", 0.0)
    terrain = Terrain.of(draw_land(seed, coast), seed)
    west, south, east, north = _BOX
    lon = np.arange(west + _STEP_DEG / 2, east, _STEP_DEG)
    lat = np.arange(north - _STEP_DEG / 2, south, -_STEP_DEG)
    grid_lon, grid_lat = np.meshgrid(lon, lat)
    plane = to_plane(np.column_stack((grid_lon.ravel(), grid_lat.ravel())))
    x, y = plane[:, 0], plane[:, 1]
    shape = grid_lon.shape
    inland = terrain.inland_m(x, y).reshape(shape)
    rough = fractal_noise(x, y, 3_000, seed + 21, 3).reshape(shape)
    height = terrain.height_m(x, y).reshape(shape)
    # The terrain is drawn on one kilometre; valleys between are made here.
    height = np.maximum(height + rough * np.clip(height, 0, 500) * 0.35, 1.0)
    is_land = inland > 0
    folder.mkdir(parents=True, exist_ok=True)
    elevation = np.where(is_land, np.round(height), _NODATA_M).astype(np.int16)
    _write(folder / FILES[0], elevation[None], nodata=_NODATA_M)
    progress("imagery", 0.5)
    moisture = terrain.moisture(x, y).reshape(shape)
    patches = fractal_noise(x, y, 900, seed + 22, 2).reshape(shape)
    colours = _picture(height, moisture, patches, inland)
    _write(folder / FILES[1], np.where(is_land, np.maximum(colours, 1), 0), nodata=0)
    progress("rasters", 1.0)


def _picture(
    height: FloatArray, moisture: FloatArray, patches: FloatArray, inland: FloatArray
) -> Any:
    """Red, green, blue: forest in the hills, fields in the plains, sand along the sea."""
    share_forest = np.clip((height - 60) / 160 + 0.4 * moisture + 0.5 * patches, 0, 1)
    share_paddy = np.clip(0.5 + moisture + patches, 0, 1)
    share_sand = np.clip(1 - inland / 350, 0, 1)
    slope_y, slope_x = np.gradient(height, _STEP_DEG * 110_650)
    light = np.clip(1 + _SLOPE_LIGHT * (slope_x - slope_y), 0.55, 1.35)
    bands = []
    for band in range(3):
        plain = _PALETTE["paddy"][band] * share_paddy + _PALETTE["field"][band] * (1 - share_paddy)
        wood = np.where(patches > 0.1, _PALETTE["scrub"][band], _PALETTE["forest"][band])
        mixed = plain * (1 - share_forest) + wood * share_forest
        mixed = mixed * (1 - share_sand) + _PALETTE["sand"][band] * share_sand
        bands.append(np.clip(mixed * light + 10 * patches, 1, 255))
    return np.stack(bands).astype(np.uint8)


def _write(path: Path, bands: Any, nodata: int) -> None:
    """As a COG, by way of a name of its own: a reader never sees half a file."""
    import rasterio
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy
    from rasterio.transform import from_origin

    west, _, _, north = _BOX
    profile = {
        "driver": "GTiff", "dtype": bands.dtype, "count": len(bands), "nodata": nodata,
        "height": bands.shape[1], "width": bands.shape[2], "crs": f"EPSG:{STORAGE_SRID}",
        "transform": from_origin(west, north, _STEP_DEG, _STEP_DEG),
    }  # fmt: skip
    half = path.with_suffix(".part")
    with MemoryFile() as memory:
        with memory.open(**profile) as made:
            made.write(bands)
            made.update_tags(TIFFTAG_IMAGEDESCRIPTION=_MARK)
        with memory.open() as made, rasterio.Env():
            copy(made, half, driver="COG", compress="DEFLATE", predictor="YES", blocksize=256)
    half.replace(path)
