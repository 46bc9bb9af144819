"""The frame of a picture: a box of a CRS on a grid of pixels, and where web mercator lies under it.

Styles speak of MapLibre's zooms, which count tiles of 512 pixels: a 256 pixel tile of level z looks
like zoom z - 1. In other grids the zoom is that of the web-mercator map as wide at the centre.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from layers.crs import WEB_MERCATOR_SRID, Crs, GeometryArray, from_storage, to_storage
from layers.tile_cutting import WORLD_M, to_mercator
from tiles.matrix_set import Box

FloatArray = npt.NDArray[np.float64]
_KNOT_PX: Final = 16
"""Between knots the projection is taken as straight; the error is far below a pixel."""
_ZOOM_PX: Final = 512


@dataclass(frozen=True, slots=True)
class MapFrame:
    """A picture's place: ``box`` in ``crs``, x east and y north; ``scale`` 2 for dense displays."""

    crs: Crs
    box: Box
    width_px: int
    height_px: int
    scale: float = 1.0

    @property
    def pixel(self) -> tuple[float, float]:
        """Width and height of a device pixel in units of the CRS."""
        west, south, east, north = self.box
        return (east - west) / self.width_px, (north - south) / self.height_px

    @property
    def zoom(self) -> float:
        """MapLibre's zoom of the same scale, at the centre of the picture."""
        west, south, east, north = self.box
        x, y = (west + east) / 2, (south + north) / 2
        width = self.pixel[0]
        points = self.mercator(np.array([[x - width / 2, y], [x + width / 2, y]]))
        pixel_m = float(np.hypot(*(points[1] - points[0]))) * self.scale
        return round(math.log2(WORLD_M / _ZOOM_PX / pixel_m), 6)

    def mercator(self, points: FloatArray) -> FloatArray:
        """Places in the frame's CRS (x, y) as metres of EPSG:3857; NaN beyond its edges."""
        if self.crs.srid == WEB_MERCATOR_SRID:
            return points
        stored = to_storage(_points(points), self.crs)
        moved = to_mercator(stored)
        x: FloatArray = np.column_stack((shapely.get_x(moved), shapely.get_y(moved)))
        return x

    def from_mercator(self, points: FloatArray) -> FloatArray:
        """Metres of EPSG:3857 as places in the frame's CRS (x, y)."""
        if self.crs.srid == WEB_MERCATOR_SRID:
            return points
        radius = WORLD_M / 2 / math.pi
        lon = np.degrees(points[:, 0] / radius)
        lat = np.degrees(np.arctan(np.sinh(points[:, 1] / radius)))
        moved = from_storage(_points(np.column_stack((lon, lat))), self.crs)
        x: FloatArray = np.column_stack((shapely.get_x(moved), shapely.get_y(moved)))
        return x

    def to_pixels(self, points: FloatArray) -> FloatArray:
        """Places in the CRS as device pixels from the upper left corner."""
        width, height = self.pixel
        return np.column_stack(
            ((points[:, 0] - self.box.west) / width, (self.box.north - points[:, 1]) / height)
        )

    def grown(self, pixels: int) -> "MapFrame":
        """The frame with more pixels on each side."""
        width, height = self.pixel
        west, south, east, north = self.box
        box = Box(west - pixels * width, south - pixels * height, east + pixels * width,
                  north + pixels * height)  # fmt: skip
        return MapFrame(self.crs, box, self.width_px + 2 * pixels, self.height_px + 2 * pixels,
                        self.scale)  # fmt: skip

    def part(self, left: int, top: int, right: int, bottom: int) -> "MapFrame":
        """Some of its pixels, as a frame of its own."""
        width, height = self.pixel
        west, north = self.box.west + left * width, self.box.north - top * height
        box = Box(west, north - (bottom - top) * height, west + (right - left) * width, north)
        return MapFrame(self.crs, box, right - left, bottom - top, self.scale)

    def tile_range(self, zoom: int) -> tuple[range, range]:
        """Columns and rows of web-mercator tiles that hold the picture."""
        height, width = min(65, self.height_px + 1), min(65, self.width_px + 1)
        x = np.linspace(self.box.west, self.box.east, width)
        y = np.linspace(self.box.south, self.box.north, height)
        metres = self.mercator(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
        metres = metres[np.isfinite(metres).all(1)]
        if not len(metres):
            return range(0), range(0)
        side, half, last = WORLD_M / 2**zoom, WORLD_M / 2, 2**zoom - 1
        columns = np.clip(np.floor((metres[:, 0] + half) / side), 0, last).astype(int)
        rows = np.clip(np.floor((half - metres[:, 1]) / side), 0, last).astype(int)
        return (
            range(int(columns.min()), int(columns.max()) + 1),
            range(int(rows.min()), int(rows.max()) + 1),
        )

    def shares(self, zoom: int) -> Iterator["Share"]:
        """The picture divided among the web-mercator tiles under the centres of its pixels.

        Each pixel belongs to one tile, so that neighbours meet without a seam. What lies beyond
        the world belongs to none.
        """
        if self.crs.kind == "geographic" or self.crs.srid == WEB_MERCATOR_SRID:
            yield from self._shares_along_axes(zoom)
            return
        columns, rows = self.tile_range(zoom)
        places = self._tile_places(zoom, np.arange(self.width_px), np.arange(self.height_px))
        inside = np.isfinite(places).all(-1)
        numbers = np.floor(np.nan_to_num(places, nan=-1.0)).astype(np.int32)
        for y in rows:
            for x in columns:
                mask = (numbers[..., 0] == x) & (numbers[..., 1] == y) & inside
                lines, across = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                if len(lines):
                    box = (int(across[0]), int(lines[0]), int(across[-1]) + 1, int(lines[-1]) + 1)
                    yield Share(x, y, *box, mask[box[1] : box[3], box[0] : box[2]])

    def _shares_along_axes(self, zoom: int) -> Iterator["Share"]:
        """Where meridians and parallels are straight, shares are boxes of pixels."""
        middle_x, middle_y = np.array([self.width_px // 2]), np.array([self.height_px // 2])
        across = self._tile_places(zoom, np.arange(self.width_px), middle_y)[0, :, 0]
        down = self._tile_places(zoom, middle_x, np.arange(self.height_px))[:, 0, 1]
        for y, top, bottom in _runs(down, 2**zoom):
            for x, left, right in _runs(across, 2**zoom):
                yield Share(x, y, left, top, right, bottom, None)

    def _tile_places(
        self, zoom: int, columns: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
    ) -> FloatArray:
        """Where the centres of pixels are, in tiles of a zoom from the world's upper left corner.

        Computed at knots, and taken as straight between them.
        """
        knots_x, knots_y = _knots(columns), _knots(rows)
        width, height = self.pixel
        x = self.box.west + (knots_x + 0.5) * width
        y = self.box.north - (knots_y + 0.5) * height
        grid = np.stack(np.meshgrid(x, y), axis=-1)
        metres = self.mercator(grid.reshape(-1, 2)).reshape(grid.shape)
        side, half = WORLD_M / 2**zoom, WORLD_M / 2
        tiles = np.stack(((metres[..., 0] + half) / side, (half - metres[..., 1]) / side), axis=-1)
        return _between_knots(tiles, knots_x, knots_y, columns, rows)


@dataclass(frozen=True, slots=True)
class Share:
    """The pixels of a picture that lie over one tile; ``mask`` None = all of the box."""

    x: int
    y: int
    left: int
    top: int
    right: int
    bottom: int
    mask: npt.NDArray[np.bool_] | None


def _points(places: FloatArray) -> GeometryArray:
    made: Any = shapely.points(places)
    found: GeometryArray = made
    return found


def _runs(places: FloatArray, count: int) -> Iterator[tuple[int, int, int]]:
    """Tile, first pixel and the one after the last, of neighbours in one tile of the world."""
    numbers = np.floor(np.nan_to_num(places, nan=-1.0)).astype(np.int64)
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    for start, end in pairwise(edges):
        if 0 <= numbers[start] < count:
            yield int(numbers[start]), start, end


def _knots(pixels: npt.NDArray[np.int64]) -> FloatArray:
    count = max(2, math.ceil(len(pixels) / _KNOT_PX) + 1)
    first, last = float(pixels[0]), float(pixels[-1])
    return np.linspace(first, max(first + 1, last), count)


def _between_knots(
    values: FloatArray,
    knots_x: FloatArray,
    knots_y: FloatArray,
    columns: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> FloatArray:
    """Bilinear values at each pixel from those at the knots."""
    left, share_x = _in_knots(columns, knots_x)
    above, share_y = _in_knots(rows, knots_y)
    down = share_y[:, None, None]
    lines = values[above] * (1 - down) + values[above + 1] * down
    across = share_x[None, :, None]
    found: FloatArray = lines[:, left] * (1 - across) + lines[:, left + 1] * across
    return found


def _in_knots(
    pixels: npt.NDArray[np.int64], knots: FloatArray
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    place = (pixels - knots[0]) / (knots[1] - knots[0])
    before = np.minimum(place.astype(np.int64), len(knots) - 2)
    return before, place - before
