"""Pictures of rasters: imagery as it is, elevation as shaded relief.

A raster source is one or more GeoTIFFs with overviews (COGs), registered in
``config/rasters.yml``; where several cover a place, the first in order wins, and nodata lets the
next one through. rio-tiler reads them, at the resolution of the picture. Runs in a child process.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from layers.crs import WEB_MERCATOR_SRID, parse_crs
from layers.errors import BadConfiguration, CrsRefused, GaveUp
from tiles.map_frame import MapFrame

FloatArray = npt.NDArray[np.float32]
_SUN_AZIMUTH: Final = 315.0
_SUN_ALTITUDE: Final = 45.0
_EXAGGERATION: Final = 2.0
_STRETCH_PERCENT: Final = (2.0, 98.0)
_TINTS: Final = (
    # metres, colour: plains green, hills yellow to brown, peaks pale
    (0.0, (176, 208, 160)), (40.0, (196, 219, 168)), (150.0, (226, 226, 180)),
    (350.0, (228, 208, 160)), (700.0, (208, 176, 132)), (1200.0, (190, 158, 128)),
    (1900.0, (226, 218, 212)),
)  # fmt: skip


class RasterSource(BaseModel):
    """A registered raster; ``files`` are patterns in the configuration, and paths in ``found``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: Literal["imagery", "elevation"]
    files: tuple[str, ...] = Field(min_length=1)
    bands: tuple[int, ...] | None = None
    stretch: tuple[float, float] | None = None


class Rasters:
    """The registered rasters; files may come and go while the service runs."""

    def __init__(self, sources: Mapping[str, RasterSource], data_dir: Path) -> None:
        """Look for no file yet; patterns are below ``data_dir`` unless they are absolute."""
        self._sources = sources
        self._data_dir = data_dir

    def found(self, source_id: str) -> RasterSource | None:
        """A source with the paths of the files that are there now; None for an unknown one."""
        source = self._sources.get(source_id)
        if source is None:
            return None
        return source.model_copy(update={"files": _matching(source.files, self._data_dir)})

    def state(self, source_id: str) -> str:
        """What changes when the files do, for cache keys."""
        source = self.found(source_id)
        files = [Path(file) for file in source.files] if source else []
        marks = [(str(file), stat.st_size, stat.st_mtime_ns)
                 for file in files if (stat := file.stat())]  # fmt: skip
        return hashlib.sha256(repr(marks).encode()).hexdigest()[:16]


def load_rasters(config_dir: Path, data_dir: Path) -> Rasters:
    """Read ``rasters.yml``; none without the file. ``BadConfiguration`` names the fault."""
    path = config_dir / "rasters.yml"
    if not path.exists():
        return Rasters({}, data_dir)
    try:
        content: Any = yaml.safe_load(path.read_text("utf-8"))
        found = [RasterSource.model_validate(entry) for entry in content["rasters"]]
    except (yaml.YAMLError, ValidationError, LookupError, TypeError) as error:
        reason = "; ".join(str(error).splitlines()[:3])
        raise BadConfiguration(
            f"rasters.yml: {reason}", f"配置文件 rasters.yml 有误：{reason}"
        ) from error
    return Rasters({one.id: one for one in found}, data_dir)


def _matching(patterns: Sequence[str], data_dir: Path) -> tuple[str, ...]:
    files: list[str] = []
    for pattern in patterns:
        root, inside = (Path("/"), pattern[1:]) if pattern.startswith("/") else (data_dir, pattern)
        files += sorted(str(file) for file in root.glob(inside))
    return tuple(dict.fromkeys(files))


def draw_raster(source: RasterSource, frame: MapFrame) -> Image.Image:
    """The picture, RGBA; transparent where no file has data.

    A file that cannot be read is an error (``GaveUp``), never an empty picture.
    """
    if not source.files:
        return Image.new("RGBA", (frame.width_px, frame.height_px))
    if source.kind == "elevation":
        # Slopes at the edge need a neighbour: the same as in the next picture.
        values, there = _read(source, frame.grown(1), (1,))
        return Image.fromarray(_relief(values[0], there, _pixel_m(frame)))
    bands = source.bands or _bands_of(source.files[0])
    values, there = _read(source, frame, bands)
    if values.dtype != np.uint8:
        low, high = source.stretch or _stretch_of(source.files, bands)
        values = np.clip((values.astype(np.float32) - low) / max(high - low, 1e-9) * 255, 0, 255)
    colours = values.astype(np.uint8)
    if len(colours) == 1:
        colours = np.repeat(colours, 3, axis=0)
    alpha = np.where(there, 255, 0).astype(np.uint8)
    return Image.fromarray(np.dstack([*colours[:3], alpha]))


def _read(
    source: RasterSource, frame: MapFrame, bands: tuple[int, ...]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Bands x rows x columns, and where there are data."""
    from rasterio._err import CPLE_BaseError
    from rasterio.crs import CRS
    from rasterio.errors import RasterioError
    from rio_tiler.errors import EmptyMosaicError, RioTilerError, TileOutsideBounds
    from rio_tiler.io import Reader
    from rio_tiler.mosaic import mosaic_reader

    crs = CRS.from_epsg(4326 if frame.crs.is_storage else _srid(frame))
    smooth: Any = "nearest" if _has_colours(source.files[0]) else "bilinear"

    def read(file: str, *_: Any, **__: Any) -> Any:
        _check_datum(file)
        with Reader(file) as reader:
            part = reader.part(
                tuple(frame.box), dst_crs=crs, bounds_crs=crs, indexes=bands,
                width=frame.width_px, height=frame.height_px,
                resampling_method=smooth, reproject_method=smooth,
            )  # fmt: skip
            return part.apply_colormap(reader.colormap) if reader.colormap else part

    try:
        image, _ = mosaic_reader(
            source.files, read, threads=0, allowed_exceptions=(TileOutsideBounds,)
        )
    except EmptyMosaicError:
        shape = (len(bands), frame.height_px, frame.width_px)
        return np.zeros(shape, np.uint8), np.zeros(shape[1:], np.bool_)
    except (RasterioError, RioTilerError, CPLE_BaseError) as error:
        raise GaveUp(
            f"A file of the raster {source.id} cannot be read: {str(error)[:160]}",
            f"栅格 {source.id} 的文件无法读取：{str(error)[:160]}",
            code="raster-unreadable",
        ) from error
    return np.asarray(image.array.data), ~np.ma.getmaskarray(image.array).all(axis=0)


def _srid(frame: MapFrame) -> int:
    if frame.crs.srid is None:
        raise CrsRefused(
            "Rasters are drawn in CRSs of the register only.", "栅格只能以已登记的坐标系绘制。",
            code="crs-not-offered",
        )  # fmt: skip
    return frame.crs.srid


@lru_cache(maxsize=256)
def _check_datum(file: str) -> None:
    """Refuse a file on another datum: GDAL would draw it some hundred metres off, in silence."""
    import rasterio

    with rasterio.open(file) as opened:
        name = Path(file).name
        if opened.crs is None:
            raise _refused(name, "it has no CRS", "没有坐标系")
        try:
            parse_crs(opened.crs.to_wkt())
        except CrsRefused as error:
            raise _refused(name, error.text.en.rstrip("."), error.text.zh.rstrip("。")) from error


def _refused(name: str, en: str, zh: str) -> BadConfiguration:
    return BadConfiguration(
        f"Raster {name}: {en}; bring it to CGCS2000 first.",
        f"栅格 {name}：{zh}；请先转换到 CGCS2000。",
    )


@lru_cache(maxsize=256)
def _bands_of(file: str) -> tuple[int, ...]:
    import rasterio

    with rasterio.open(file) as opened:
        return (1, 2, 3) if opened.count >= 3 else (1,)


@lru_cache(maxsize=256)
def _has_colours(file: str) -> bool:
    """Whether the values are numbers of classes, between which there is nothing."""
    import rasterio
    from rasterio.enums import ColorInterp

    with rasterio.open(file) as opened:
        return bool(opened.colorinterp[0] == ColorInterp.palette)


@lru_cache(maxsize=64)
def _stretch_of(files: tuple[str, ...], bands: tuple[int, ...]) -> tuple[float, float]:
    """Black and white of imagery that is not 8 bit: the same for every picture of a source."""
    import rasterio

    seen = []
    for file in files:
        with rasterio.open(file) as opened:
            size = (len(bands), min(256, opened.height), min(256, opened.width))
            values = opened.read(list(bands), out_shape=size, masked=True).compressed()
            seen.append(values[np.isfinite(values)])
    together = np.concatenate(seen)
    if not len(together):
        return 0.0, 1.0
    low, high = np.percentile(together, _STRETCH_PERCENT)
    return float(low), float(high)


def _pixel_m(frame: MapFrame) -> tuple[float, float]:
    """Width and height of a pixel on the ground, at the middle of the picture."""
    width, height = frame.pixel
    west, south, east, north = frame.box
    middle = np.array([[(west + east) / 2, (south + north) / 2]])
    latitude = np.arctan(np.sinh(frame.mercator(middle)[0, 1] / 6378137.0))
    if frame.crs.is_storage:
        degree = np.pi / 180 * 6378137.0
        return float(width * degree * np.cos(latitude)), float(height * degree)
    factor = float(np.cos(latitude)) if frame.crs.srid == WEB_MERCATOR_SRID else 1.0
    return width * factor, height * factor


def _relief(
    heights: npt.NDArray[Any], there: npt.NDArray[np.bool_], pixel_m: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """Tints of height, shaded by a sun in the north-west; one pixel less on each side."""
    height = np.where(there, heights, 0).astype(np.float64)
    east = (height[1:-1, 2:] - height[1:-1, :-2]) / (2 * pixel_m[0]) * _EXAGGERATION
    north = (height[:-2, 1:-1] - height[2:, 1:-1]) / (2 * pixel_m[1]) * _EXAGGERATION
    azimuth, altitude = np.radians(_SUN_AZIMUTH), np.radians(_SUN_ALTITUDE)
    light = (
        np.sin(altitude) - np.cos(altitude) * (east * np.sin(azimuth) + north * np.cos(azimuth))
    ) / np.sqrt(1 + east**2 + north**2)
    # A plain keeps its tint; slopes go from half of it to somewhat above.
    shade = np.clip(light / np.sin(altitude), 0.45, 1.2)
    inner = height[1:-1, 1:-1]
    stops = [stop for stop, _ in _TINTS]
    colours = [
        np.clip(np.interp(inner, stops, [tint[band] for _, tint in _TINTS]) * shade, 0, 255)
        for band in range(3)
    ]
    land = there[1:-1, 1:-1] & (inner > 0)
    return np.dstack([*colours, np.where(land, 255, 0)]).astype(np.uint8)
