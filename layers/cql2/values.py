"""Literals of filters: instants, boxes and geometries, read strictly."""

import datetime
import math
import re
from collections.abc import Sequence
from typing import Any, Final

import shapely
from shapely.errors import GEOSException

from layers.cql2.tree import BoxLiteral, Budget, Instant, Interval, Property, Shape, fault

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?:Z|[+-]\d{2}:\d{2})"
)
GEOMETRY_TYPES: Final = frozenset(
    [
        "POINT",
        "LINESTRING",
        "POLYGON",
        "MULTIPOINT",
        "MULTILINESTRING",
        "MULTIPOLYGON",
        "GEOMETRYCOLLECTION",
    ]
)


def day(text: Any) -> Instant:
    """``2026-01-31``."""
    if isinstance(text, str) and _DAY.fullmatch(text):
        try:
            return Instant(datetime.date.fromisoformat(text))
        except ValueError:
            pass
    raise fault(f"'{text!s:.40}' is no day; write 2026-01-31.", f"“{text!s:.40}”不是日期。")


def moment(text: Any) -> Instant:
    """``2026-01-31T08:00:00Z`` or with an offset; kept in UTC."""
    if isinstance(text, str) and _MOMENT.fullmatch(text):
        try:
            read = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
            return Instant(read.astimezone(datetime.UTC))
        except (ValueError, OverflowError):
            pass
    raise fault(
        f"'{text!s:.40}' is no timestamp; write 2026-01-31T08:00:00Z.",
        f"“{text!s:.40}”不是时间戳；请写成 2026-01-31T08:00:00Z。",
    )


def instant(text: Any) -> Instant:
    """A day or a moment, as it is written."""
    return day(text) if isinstance(text, str) and _DAY.fullmatch(text) else moment(text)


def interval(start: Any, end: Any) -> Interval:
    """Two instants or properties; ``..`` is an open end."""
    ends = [
        one if isinstance(one, Property) else None if one == ".." else instant(one)
        for one in (start, end)
    ]
    first, last = ends
    if isinstance(first, Instant) and isinstance(last, Instant) and _order(first) > _order(last):
        raise fault("the interval ends before it begins.", "时间区间的终点早于起点。")
    return Interval(first, last)


def _order(one: Instant) -> str:
    return one.value.isoformat()


def box(numbers: Sequence[float], budget: Budget) -> BoxLiteral:
    """A box; what its numbers mean is known with the filter's CRS (``layers.bbox``)."""
    budget.vertices(5)
    found = tuple(float(one) for one in numbers)
    if len(found) not in (4, 6) or not all(math.isfinite(one) for one in found):
        raise fault("BBOX needs 4 or 6 numbers.", "BBOX 需要 4 或 6 个数字。")
    return BoxLiteral(found)


def geometry_of_wkt(text: str, budget: Budget) -> Shape:
    """A geometry of WKT; its vertices are counted before it is read."""
    budget.vertices(text.count(",") + 1)
    try:
        return _shape(shapely.from_wkt(text))
    except (GEOSException, ValueError) as error:
        raise fault(f"no WKT: '{text[:40]}'.", f"不是合法的 WKT：“{text[:40]}”。") from error


def geometry_of_json(value: dict[str, Any], budget: Budget) -> Shape:
    """A GeoJSON geometry; its vertices are counted before it is read."""
    budget.vertices(_count_positions(value, 0))
    try:
        return _shape(_geometry(value))
    except (GEOSException, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise fault("no GeoJSON geometry.", "不是合法的 GeoJSON 几何。") from error


def _geometry(value: dict[str, Any]) -> shapely.Geometry:
    from shapely.geometry import shape

    return shape(value)


def _count_positions(value: Any, depth: int) -> int:
    if depth > 8:
        raise fault("no GeoJSON geometry.", "不是合法的 GeoJSON 几何。")
    if isinstance(value, dict):
        held = [value.get("coordinates"), *(value.get("geometries") or ())]
        return sum(_count_positions(one, depth + 1) for one in held if one is not None)
    if not isinstance(value, list):
        return 0
    if value and not isinstance(value[0], list | dict):
        return 1
    return sum(_count_positions(one, depth + 1) for one in value)


def _shape(geometry: shapely.Geometry) -> Shape:
    flat = shapely.force_2d(geometry)
    if shapely.is_empty(flat) or not shapely.is_valid(flat):
        reason = "empty" if shapely.is_empty(flat) else shapely.is_valid_reason(flat)
        raise fault(f"invalid geometry: {reason}.", f"几何图形无效：{reason}。")
    for coordinate in shapely.get_coordinates(flat).ravel():
        if not math.isfinite(coordinate):
            raise fault("a coordinate is no number.", "坐标不是数字。")
    return Shape(flat)
