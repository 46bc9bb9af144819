"""Why a whole file lies outside the region: swapped axes, a wrong zone, degrees for metres.

A guess is never acted upon; it goes into the error, so that the sender can mend the file or state
the CRS. Also here: the test whether a new content lies shifted against the one in force, which
betrays a datum error or GCJ-02 coordinates, both invisible in the numbers themselves.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from layers.crs import Box, Crs, GeometryArray, LocalPlane, parse_crs, to_storage, zone_code
from layers.crs_families import DatumFamily, ZoneWidth, neighbour_zone
from layers.errors import CrsRefused
from layers.text import Text

FloatArray = npt.NDArray[np.float64]

_FITS: Final = 0.8
_NOTHING: Final = 0.05
_LARGEST_DEG: Final = 360.0
_ZONE_FORMS: Final[tuple[tuple[ZoneWidth, bool], ...]] = ((3, True), (3, False), (6, True))
"""Zone width and prefix; a 6-degree zone without prefix has the numbers of a 3-degree one."""
_SMALLEST_SHIFT_M: Final = 20.0
_FEWEST_PAIRS: Final = 10
_FEWEST_ALIKE: Final = 3
"""So few features count only if all of them moved alike, by metres, and far."""
_FEW_SPREAD_M: Final = 5.0
_FEW_SHIFT_M: Final = 50.0
_OBFUSCATION_M: Final = (300.0, 700.0)
"""GCJ-02 moves Hainan by 432-510 m (computed); other provinces lie within this range."""


def outside_region(centres: FloatArray, crs: Crs, region: Box) -> CrsRefused:
    """The error for a file of which nothing lies in the region, with what would fit.

    ``centres`` are x, y of the features in the source's CRS.
    """
    guesses = likely_systems(centres, crs, region)
    x, y = np.median(centres, axis=0)
    hint_en = f" {'; or '.join(g.en for g in guesses)}." if guesses else (
        " Check the CRS and the order of the axes."
    )  # fmt: skip
    hint_zh = "；或".join(g.zh for g in guesses) + "。" if guesses else "请检查坐标系和坐标轴顺序。"
    return CrsRefused(
        f"Nothing in the file lies in the region (typical coordinate {x:.6g}, {y:.6g} read as "
        f"{crs.code}).{hint_en}",
        f"文件中没有任何图形位于行政区域范围内（典型坐标 {x:.6g}, {y:.6g}，按 {crs.code} 读取）。"
        f"{hint_zh}",
        code="crs-mismatch",
    )


def likely_systems(centres: FloatArray, crs: Crs, region: Box) -> list[Text]:
    """What would bring most points into the region: other axes, another CRS, or both.

    All readings that fit are named: numbers without a zone prefix can fit two zones.
    """
    swapped = centres[:, ::-1]
    if _fits(swapped, crs, region):
        return [
            Text(
                zh="交换坐标轴后落在区域内：X/Y（经纬度）顺序写反了",
                en="With its axes swapped it does: x and y (longitude and latitude) are exchanged",
            )
        ]
    others = list(_other_systems(centres, crs, region))
    found = [
        Text(
            zh=f"按 {other.code}（{name.zh}）读取则落在区域内，请确认坐标系或带号",
            en=f"Read as {other.code} ({name.en}) it does: state the right CRS or zone",
        )
        for name, other in others
        if _fits(centres, other, region)
    ]
    return found or [
        Text(
            zh=f"交换坐标轴并按 {other.code}（{name.zh}）读取则落在区域内",
            en=f"With its axes swapped and read as {other.code} ({name.en}) it does",
        )
        for name, other in others
        if _fits(swapped, other, region)
    ]


def _other_systems(centres: FloatArray, crs: Crs, region: Box) -> Iterator[tuple[Text, Crs]]:
    """The systems that departments use in the region, other than the one stated."""
    if float(np.abs(centres).max()) <= _LARGEST_DEG:
        if crs.kind == "projected":
            yield Text(zh="经纬度", en="longitude and latitude"), parse_crs("CGCS2000")
        return
    family: DatumFamily = "cgcs2000"
    stated = None
    if crs.datum == "xian80" or crs.datum == "beijing54":
        family, stated = crs.datum, crs.transformation
    for width, prefixed in _ZONE_FORMS:
        for zone in _zones_of(region, width):
            code = zone_code(family, width, zone, prefixed=prefixed)
            if code is not None and code != crs.code:
                yield (
                    _zone_name(width, zone, prefixed=prefixed),
                    parse_crs(code, stated),
                )


def _zones_of(region: Box, width: ZoneWidth) -> range:
    offset = 1.5 if width == 3 else 6.0
    return range(
        math.floor((region[0] + offset) / width), math.floor((region[2] + offset) / width) + 1
    )


def _zone_name(width: ZoneWidth, zone: int, *, prefixed: bool) -> Text:
    central = zone * 3 if width == 3 else zone * 6 - 3
    return Text(
        zh=f"{width} 度带第 {zone} 带，中央经线 {central}°，"
        + ("东坐标含带号" if prefixed else "东坐标不含带号"),
        en=f"{width}-degree zone {zone}, central meridian {central}E, "
        + ("zone prefix in the easting" if prefixed else "no zone prefix in the easting"),
    )


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
class OnLand:
    """Which share (0..1) of a content lies on the administrative divisions, and moved by a zone."""

    as_read: float
    by_steps: Mapping[int, float]
    """The same with all longitudes moved by a number of 3-degree zones."""

    def likely_steps(self) -> int | None:
        """The zones by which it was read wrongly: nothing on land now, nearly all of it then."""
        if self.as_read > _NOTHING or not self.by_steps:
            return None
        steps, share = max(self.by_steps.items(), key=lambda pair: pair[1])
        return steps if share >= _FITS else None


def wrong_zone(on_land: OnLand, code: str) -> Text | None:
    """What to say where a neighbouring zone would bring a content from the sea onto land.

    Numbers without a zone prefix fit any zone: read in the wrong one they lie 3 degrees off,
    which can still be inside the region's box.
    """
    steps = on_land.likely_steps()
    if steps is None:
        return None
    other = neighbour_zone(code, steps)
    share = on_land.by_steps[steps]
    degrees = 3 * steps
    return Text(
        zh=f"按 {code} 读取时图形几乎都不在行政区划范围内；中央经线相差 {degrees:+d}° 时 "
        f"{share:.0%} 在范围内，疑为带号（中央经线）错误"
        + (f"，可能应为 {other}。" if other else "。"),
        en=f"Read as {code} hardly anything lies on the administrative divisions; with a central "
        f"meridian {degrees:+d} degrees from it {share:.0%} would: a wrong zone is likely"
        + (f", perhaps {other}." if other else "."),
    )


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
    if len(before) < _FEWEST_ALIKE:
        return None
    plane = LocalPlane.at(*(float(v) for v in np.median(before, axis=0)))
    scale = np.array([plane.metres_per_deg_x, plane.metres_per_deg_y])
    moves = (after - before) * scale
    typical = np.median(moves, axis=0)
    length = float(np.hypot(*typical))
    if length < _SMALLEST_SHIFT_M:
        return None
    spread = np.hypot(*(moves - typical).T)
    if len(before) < _FEWEST_PAIRS:
        if length < _FEW_SHIFT_M or float(spread.max()) > _FEW_SPREAD_M:
            return None
    elif float((spread <= max(0.3 * length, 10.0)).mean()) < _FITS:
        return None
    return Shift(float(typical[0]), float(typical[1]), len(before))
