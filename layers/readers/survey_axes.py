"""Which column of survey coordinates is northing and which is easting.

The survey convention is northing first (测绘 X = north), but programs exist that write the easting
first. The numbers decide: a northing in China has 6 or 7 digits, an easting with its zone prefix
8, one without it 6. An exchange that all points show is undone and noted; an exchange in a few
lines, or numbers that fit both ways (Nansha without a prefix), are refused.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from layers.errors import CrsRefused
from layers.readers.source import Note
from layers.readers.survey_text import line_place
from layers.text import Text

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Unit = Literal["metre", "degree"]

_NORTHINGS_M: Final = (3.3e5, 6.0e6)
"""Of China, latitude 3 to 54 degrees; Zengmu Ansha (曾母暗沙) lies at 4.4e5."""
_EASTINGS_M: Final = (2.0e4, 9.8e5)
"""Without the zone prefix, central meridian at 500 000, up to 4.5 degrees from it."""
_PREFIX_M: Final = 1_000_000
_PREFIXES: Final = (13, 45)
_LATITUDES_DEG: Final = (3.0, 54.0)
_LONGITUDES_DEG: Final = (73.0, 136.0)
_GLOBE_DEG: Final = 180.0
_SHOWN_PLACES: Final = 20


@dataclass(frozen=True, slots=True)
class SurveyCoordinates:
    """``xy`` is easting, northing (or longitude, latitude), whatever the file's order.

    ``prefix`` is the zone that the eastings carry, first seen in ``prefix_line``.
    """

    xy: FloatArray
    geographic: bool
    swapped: bool
    prefix: int | None
    prefix_line: int


def order_axes(
    north: FloatArray, east: FloatArray, lines: IntArray, unit: Unit | None, what: str
) -> SurveyCoordinates:
    """Bring what a file has as northing and easting into x, y; ``lines`` are for the errors."""
    geographic = _is_geographic(north, east, unit, what)
    fit = _fits_degrees if geographic else _fits_metres
    as_said, exchanged = fit(north, east), fit(east, north)
    if as_said.all() and exchanged.all():
        raise CrsRefused(
            f"In the {what} both columns fit as northing and as easting (no zone prefix, latitude "
            "below 9 degrees); write the zone prefix into the eastings.",
            f"{what} 的两列坐标均可能是纵坐标或横坐标（无带号前缀且纬度低于 9 度），无法判断；"
            "请在横坐标前加带号。",
            code="axes-ambiguous",
        )
    swapped = bool(exchanged.sum() > as_said.sum())
    good, other = (exchanged, as_said) if swapped else (as_said, exchanged)
    if not good.all():
        raise _implausible(north, east, lines, np.flatnonzero(~good), other, what)
    x, y = (north, east) if swapped else (east, north)
    prefix, line = (None, 0) if geographic else _prefix_of(x, lines, what)
    return SurveyCoordinates(np.column_stack((x, y)), geographic, swapped, prefix, line)


def swap_note(what: str) -> Note:
    """The note for exchanged columns."""
    return Note(
        "axes-swapped",
        Text(
            zh=f"{what} 中纵坐标（X）与横坐标（Y）两列写反，已按数值交换，请核实。",
            en=f"In the {what} northing and easting stand in each other's column; they were "
            "exchanged by their magnitude. Check it.",
        ),
    )


def _is_geographic(north: FloatArray, east: FloatArray, unit: Unit | None, what: str) -> bool:
    largest = max(float(np.abs(north).max()), float(np.abs(east).max()))
    found: Unit = "degree" if largest <= _GLOBE_DEG else "metre"
    if unit is not None and found != unit:
        names = {"degree": ("degrees", "度"), "metre": ("metres", "米")}
        raise CrsRefused(
            f"The {what} says its unit is {names[unit][0]}, but its largest coordinate is "
            f"{largest:.6g}, as in {names[found][0]}. Correct the file.",
            f"{what} 声明计量单位为{names[unit][1]}，但坐标最大值为 {largest:.6g}，"
            f"像是以{names[found][1]}为单位；请更正文件。",
            code="unit-contradiction",
        )
    return found == "degree"


def _between(values: FloatArray, bounds: tuple[float, float]) -> BoolArray:
    result: BoolArray = (values >= bounds[0]) & (values <= bounds[1])
    return result


def _fits_degrees(north: FloatArray, east: FloatArray) -> BoolArray:
    return _between(north, _LATITUDES_DEG) & _between(east, _LONGITUDES_DEG)


def _fits_metres(north: FloatArray, east: FloatArray) -> BoolArray:
    zone, rest = np.divmod(east, _PREFIX_M)
    prefixed = _between(zone, _PREFIXES) & _between(rest, _EASTINGS_M)
    return _between(north, _NORTHINGS_M) & (prefixed | _between(east, _EASTINGS_M))


def _prefix_of(eastings: FloatArray, lines: IntArray, what: str) -> tuple[int | None, int]:
    zones = np.floor(eastings / _PREFIX_M).astype(np.int64)
    first = int(zones[0])
    others = np.flatnonzero(zones != first)
    if len(others):
        at, line = int(zones[others[0]]), int(lines[others[0]])
        text = Text(
            zh=f"横坐标带号前缀为 {at or '无'}，而第{lines[0]}行为 {first or '无'}",
            en=f"the easting's zone prefix is {at or 'missing'}, in line {lines[0]} it is "
            f"{first or 'missing'}",
        )
        raise CrsRefused(
            f"Line {line} of the {what}: {text.en}; one file holds one zone. Split it.",
            f"{what} 第{line}行：{text.zh}；一个文件只能使用一个带，请拆分文件。",
            code="zones-mixed",
            places=(line_place(line, text),),
        )
    return (first or None), int(lines[0])


def _implausible(
    north: FloatArray,
    east: FloatArray,
    lines: IntArray,
    wrong: npt.NDArray[np.intp],
    other: BoolArray,
    what: str,
) -> CrsRefused:
    places = []
    for index in wrong[:_SHOWN_PLACES]:
        numbers = f"{north[index]:.10g}, {east[index]:.10g}"
        if other[index]:
            reason = Text(
                zh=f"坐标 {numbers} 的纵横坐标与其他行相反",
                en=f"northing and easting {numbers} stand the other way round than elsewhere",
            )
        else:
            reason = Text(
                zh=f"坐标 {numbers} 不在中国范围内", en=f"the coordinates {numbers} lie in no part"
                " of China",
            )  # fmt: skip
        places.append(line_place(int(lines[index]), reason))
    count_en = f" ({len(wrong)} such lines)" if len(wrong) > 1 else ""
    count_zh = f"（共 {len(wrong)} 行）" if len(wrong) > 1 else ""
    return CrsRefused(
        f"In {places[0].at} of the {what} {places[0].reason.en}{count_en}. Correct the file.",
        f"{what} {places[0].reason.zh}{count_zh}；请更正文件。",
        code="coordinates-implausible",
        places=tuple(places),
    )
