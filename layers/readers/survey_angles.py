"""Coordinates as people write them into tables: decimal numbers, thousands commas, DMS strings."""

import math
import re
from typing import Any, Final

from layers.readers.survey_text import half_width

_DEGREES: Final = "°º˚⁰∘度d"
_MINUTES: Final = "′'’‘ʹ´`‵分m"
_SECONDS: Final = '″"”“ʺ〃秒s'
_TWICE: Final = re.compile(r"′′|''|’’|‘‘|ʹʹ|´´|``|‵‵")
_HEMISPHERE: Final = re.compile(r"^(东经|北纬|[eEnN])?(.*?)([eEnN])?$")
_DMS: Final = re.compile(
    rf"(\d{{1,3}}(?:\.\d+)?)[{_DEGREES}]"
    rf"(?:(\d{{1,2}}(?:\.\d+)?)[{_MINUTES}])?"
    rf"(?:(\d{{1,2}}(?:\.\d+)?)[{_SECONDS}]?)?"
)
_SPLIT: Final = re.compile(r"(\d{1,3})[:\- ](\d{1,2})[:\- ](\d{1,2}(?:\.\d+)?)")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")


def plane_number(cell: Any) -> float | None:
    """A number of metres, also ``2,214,000.00``; None for what is none."""
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return float(cell) if math.isfinite(cell) else None
    if not isinstance(cell, str):
        return None
    text = half_width(cell).strip()
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def degrees(cell: Any) -> float | None:
    """Decimal degrees or a DMS string in any usual form; None for what is neither.

    >>> degrees("109°30′36″")
    109.51
    >>> degrees("东经109度30分36.0秒")
    109.51
    >>> degrees("18:15:00 N")
    18.25
    """
    if not isinstance(cell, str):
        return plane_number(cell)
    # Half-width first: full-width quotes and digits; the degree sign is not touched by it.
    text = _TWICE.sub("″", half_width(cell).strip())
    found = _HEMISPHERE.fullmatch(text)
    body = (found.group(2) if found else text).strip()
    split = _SPLIT.fullmatch(body)
    if split is not None:
        return _sum_of(split.group(1), split.group(2), split.group(3))
    dms = _DMS.fullmatch(re.sub(r"\s+", "", body))
    return _sum_of(*dms.groups()) if dms is not None else plane_number(body)


def _sum_of(whole: str, minutes: str | None, seconds: str | None) -> float | None:
    """None where minutes or seconds reach 60, or stand behind a fraction of degrees."""
    parts = [float(part) if part else 0.0 for part in (whole, minutes, seconds)]
    broken = ("." in whole and (minutes or seconds)) or (minutes and "." in minutes and seconds)
    if broken or parts[1] >= 60 or parts[2] >= 60:
        return None
    # From the whole seconds on, so that 30'36" is .51 and not .51 less one bit.
    return (parts[0] * 3600 + parts[1] * 60 + parts[2]) / 3600
