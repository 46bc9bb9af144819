"""Why a whole file lies outside the region: swapped axes, a wrong zone, degrees for metres.

A guess is never acted upon; it goes into the error, so that the sender can mend the file or state
the CRS. Also here: the test whether a new content lies shifted against the one in force, which
betrays a datum error or GCJ-02 coordinates, both invisible in the numbers themselves.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from layers.crs import Box, Crs, GeometryArray, LocalPlane, gauss_kruger_code, parse_crs, to_storage
from layers.errors import CrsRefused
from layers.text import Text

FloatArray = npt.NDArray[np.float64]

_FITS: Final = 0.8
_ZONE_WIDTH_DEG: Final = 3
_PREFIX_M: Final = 1_000_000
_SMALLEST_SHIFT_M: Final = 20.0
_FEWEST_PAIRS: Final = 10
_OBFUSCATION_M: Final = (300.0, 700.0)
"""GCJ-02 moves Hainan by 432-510 m (computed); other provinces lie within this range."""


def outside_region(centres: FloatArray, crs: Crs, region: Box) -> CrsRefused:
    """The error for a file of which nothing lies in the region, with what would fit.

    ``centres`` are x, y of the features in the source's CRS.
    """
    guess = next(_explanations(centres, crs, region), None)
    x, y = np.median(centres, axis=0)
    hint_en = f" {guess.en}" if guess else " Check the CRS and the order of the axes."
    hint_zh = guess.zh if guess else "请检查坐标系和坐标轴顺序。"
    return CrsRefused(
        f"Nothing in the file lies in the region (typical coordinate {x:.6g}, {y:.6g} read as "
        f"{crs.code}).{hint_en}",
        f"文件中没有任何图形位于行政区域范围内（典型坐标 {x:.6g}, {y:.6g}，按 {crs.code} 读取）。"
        f"{hint_zh}",
        code="crs-mismatch",
    )


def _explanations(centres: FloatArray, crs: Crs, region: Box) -> Iterator[Text]:
    swapped = centres[:, ::-1]
    if _fits(swapped, crs, region):
        yield Text(
            zh="交换坐标轴后落在区域内：X/Y（经纬度）顺序写反了。",
            en="With its axes swapped it does: x and y (longitude and latitude) are exchanged.",
        )
    for name, code, points in _other_systems(centres, crs, region):
        other = parse_crs(code)
        if _fits(points, other, region):
            yield Text(
                zh=f"按 {other.code}（{name.zh}）读取则落在区域内，请确认坐标系或带号。",
                en=f"Read as {other.code} ({name.en}) it does: state the right CRS or zone.",
            )
        elif _fits(points[:, ::-1], other, region):
            yield Text(
                zh=f"交换坐标轴并按 {other.code}（{name.zh}）读取则落在区域内。",
                en=f"With its axes swapped and read as {other.code} ({name.en}) it does.",
            )


def _other_systems(
    centres: FloatArray, crs: Crs, region: Box
) -> Iterator[tuple[Text, str, FloatArray]]:
    if float(np.abs(centres).max()) <= 360.0:
        if crs.kind == "projected":
            yield Text(zh="经纬度", en="longitude and latitude"), "CGCS2000", centres
        return
    first = math.floor((region[0] + 1.5) / _ZONE_WIDTH_DEG)
    last = math.floor((region[2] + 1.5) / _ZONE_WIDTH_DEG)
    for zone in range(first, last + 1):
        code = gauss_kruger_code(float(zone * _ZONE_WIDTH_DEG))
        name = Text(zh=f"3 度带第 {zone} 带", en=f"3-degree zone {zone}")
        yield name, code, centres
        for column in (0, 1):
            prefixed = centres.copy()
            # The same numbers with the zone's prefix in the easting: the file left it out.
            prefixed[:, column] = prefixed[:, column] % _PREFIX_M + zone * _PREFIX_M
            yield name, code, prefixed


def _fits(points: FloatArray, crs: Crs, region: Box) -> bool:
    return share_inside(points, crs, region) >= _FITS


def share_inside(points: FloatArray, crs: Crs, region: Box) -> float:
    """Which share (0..1) of points, x and y in a CRS, lies in the region's lon/lat box."""
    geometries: GeometryArray = np.array(shapely.points(points), dtype=object)
    moved = shapely.get_coordinates(to_storage(geometries, crs))
    west, south, east, north = region
    inside = (
        (moved[:, 0] >= west)
        & (moved[:, 0] <= east)
        & (moved[:, 1] >= south)
        & (moved[:, 1] <= north)
    )
    return float(inside.mean())


@dataclass(frozen=True, slots=True)
class Shift:
    """A consistent displacement of a new content against the one in force, in metres."""

    east_m: float
    north_m: float
    pairs: int

    @property
    def length_m(self) -> float:
        """Its length."""
        return math.hypot(self.east_m, self.north_m)

    @property
    def reason(self) -> Text:
        """What it may mean, in words."""
        vector_zh = f"东 {self.east_m:.0f} 米、北 {self.north_m:.0f} 米"
        vector_en = f"{self.east_m:.0f} m east, {self.north_m:.0f} m north"
        if _OBFUSCATION_M[0] <= self.length_m <= _OBFUSCATION_M[1]:
            return Text(
                zh=f"与现行版本相比，{self.pairs} 个同号图形整体偏移（{vector_zh}），"
                "疑为 GCJ-02 加偏坐标，请核实坐标系。",
                en=f"{self.pairs} features lie shifted against the edition in force "
                f"({vector_en}), as GCJ-02 coordinates do. Check the coordinate system.",
            )
        return Text(
            zh=f"与现行版本相比，{self.pairs} 个同号图形整体偏移（{vector_zh}），"
            "疑为基准（坐标系）错误，请核实。",
            en=f"{self.pairs} features lie shifted against the edition in force ({vector_en}): "
            "a datum error is likely. Check the coordinate system.",
        )


def find_shift(before: FloatArray, after: FloatArray) -> Shift | None:
    """The displacement that most features share, if there is one of more than 20 m.

    ``before`` and ``after`` hold lon, lat of centroids of the same features. Corrected boundaries
    move single features in many directions; a datum error moves all of them alike.
    """
    if len(before) < _FEWEST_PAIRS:
        return None
    plane = LocalPlane.at(*(float(v) for v in np.median(before, axis=0)))
    scale = np.array([plane.metres_per_deg_x, plane.metres_per_deg_y])
    moves = (after - before) * scale
    typical = np.median(moves, axis=0)
    length = float(np.hypot(*typical))
    if length < _SMALLEST_SHIFT_M:
        return None
    spread = np.hypot(*(moves - typical).T)
    if float((spread <= max(0.3 * length, 10.0)).mean()) < _FITS:
        return None
    return Shift(float(typical[0]), float(typical[1]), len(before))
