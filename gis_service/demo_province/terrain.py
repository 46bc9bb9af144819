"""The lie of the land: distance from the sea, height above it, moisture; all invented.

High ground stands in the middle and south, plains along the coasts, wetter towards the north-east:
like Hainan, from noise and a few named hills, not from any elevation model.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.drawing_plane import FloatArray, to_plane
from gis_service.demo_province.noise import fractal_noise, value_noise

_STEP_M: Final = 1_000.0
_MARGIN_M: Final = 25_000.0

_HILLS: Final = (
    # lon, lat, height above the plain in metres, radius in metres
    (109.68, 18.90, 900.0, 17_000.0),
    (109.50, 19.02, 820.0, 16_000.0),
    (109.20, 19.10, 760.0, 15_000.0),
    (108.98, 18.72, 620.0, 12_000.0),
    (109.30, 18.80, 560.0, 14_000.0),
    (109.88, 18.70, 700.0, 14_000.0),
    (109.95, 18.95, 520.0, 15_000.0),
    (110.15, 18.88, 420.0, 11_000.0),
    (109.75, 19.12, 430.0, 15_000.0),
    (109.55, 18.50, 380.0, 12_000.0),
    (109.20, 18.52, 300.0, 9_000.0),
    (110.05, 19.20, 260.0, 12_000.0),
)


@dataclass(frozen=True, slots=True)
class Terrain:
    """Fields over the drawing plane; every method takes and gives arrays of the same length."""

    seed: int
    west: float
    south: float
    inland: FloatArray
    """Distance to the coast on a raster of one kilometre, negative at sea; row 0 is south."""
    height: FloatArray
    """Height above the sea on the same raster."""

    @classmethod
    def of(cls, land: BaseGeometry, seed: int) -> Self:
        """Measure the distance to the coast of this land once, and raise hills on it."""
        west, south, east, north = land.bounds
        west, south = west - _MARGIN_M, south - _MARGIN_M
        columns = np.arange(west, east + _MARGIN_M, _STEP_M)
        rows = np.arange(south, north + _MARGIN_M, _STEP_M)
        x, y = np.meshgrid(columns, rows)
        # A coast to 200 m is enough for a raster of 1 km, and five times quicker.
        plain = shapely.simplify(land, 200.0)
        shore = shapely.boundary(plain)
        shapely.prepare(shore)
        shapely.prepare(plain)
        points = shapely.points(x, y)
        distance = shapely.distance(shore, points)
        inland = np.where(shapely.contains(plain, points), distance, -distance)
        height = _heights(x.ravel(), y.ravel(), inland.ravel(), seed).reshape(x.shape)
        return cls(seed, float(west), float(south), inland, height)

    def inland_m(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Distance to the coast, metres, negative at sea; good to a few hundred metres."""
        return self._read(self.inland, x, y)

    def height_m(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Height above the sea in metres."""
        return self._read(self.height, x, y)

    def _read(self, raster: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
        rows, columns = raster.shape
        u = np.clip((x - self.west) / _STEP_M, 0, columns - 1.001)
        v = np.clip((y - self.south) / _STEP_M, 0, rows - 1.001)
        column, row = u.astype(np.int64), v.astype(np.int64)
        s, t = u - column, v - row
        low = raster[row, column] * (1 - s) + raster[row, column + 1] * s
        high = raster[row + 1, column] * (1 - s) + raster[row + 1, column + 1] * s
        mixed: FloatArray = low * (1 - t) + high * t
        return mixed

    def inland_direction(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Unit vectors away from the nearest coast, shape (n, 2)."""
        reach = 1_500.0
        east = self.inland_m(x + reach, y) - self.inland_m(x - reach, y)
        north = self.inland_m(x, y + reach) - self.inland_m(x, y - reach)
        length = np.maximum(np.hypot(east, north), 1e-9)
        return np.stack([east / length, north / length], axis=1)

    def moisture(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """About -1 (dry west) to 1 (wet east), with local valleys."""
        local = fractal_noise(x, y, 7_000, self.seed + 15, 4)
        return np.clip(x / 260_000, -0.4, 0.4) + 0.8 * local

    def patches(self, x: FloatArray, y: FloatArray, size_m: float, key: int) -> FloatArray:
        """A further independent field in about -1 to 1, for classes and for mistakes."""
        return fractal_noise(x, y, size_m, self.seed + 1_000 + 17 * key, 3)

    def drift(self, x: FloatArray, y: FloatArray, size_m: float, key: int) -> FloatArray:
        """Smooth vectors of length up to about 1, shape (n, 2): how a digitiser went astray."""
        key_seed = self.seed + 5_000 + 31 * key
        east = value_noise(x, y, size_m, key_seed) * 2 - 1
        north = value_noise(x, y, size_m, key_seed + 7) * 2 - 1
        return np.stack([east, north], axis=1)


def _heights(x: FloatArray, y: FloatArray, inland: FloatArray, seed: int) -> FloatArray:
    warp_x = 6_000 * fractal_noise(x, y, 30_000, seed + 11, 3)
    warp_y = 6_000 * fractal_noise(x, y, 30_000, seed + 12, 3)
    hills = np.zeros_like(x)
    for lon, lat, height, radius in _HILLS:
        middle = to_plane(np.array([[lon, lat]]))[0]
        squared = (x + warp_x - middle[0]) ** 2 + (y + warp_y - middle[1]) ** 2
        hills += height * np.exp(-squared / (2 * radius**2))
    ridges = 1 - np.abs(fractal_noise(x, y, 14_000, seed + 13, 4))
    rough = fractal_noise(x, y, 9_000, seed + 14, 4)
    rise = np.clip(inland / 16_000, 0, 1)
    plain = 45 * np.clip(inland / 30_000, 0, 1) + 22 * np.clip(rough + 0.3, 0, None) * rise
    total = plain + hills * rise * (0.45 + 0.55 * ridges)
    # Rounded: the exponential may differ in its last digit from machine to machine.
    return np.round(np.where(inland < 0, inland / 100, np.maximum(total, 1.0)), 3)
