"""Strict reading of GeoJSON geometry: every fault has a JSON pointer, nothing is mended.

Coordinates are x, y (east, north; longitude, latitude) in the source CRS. A third value is
dropped and reported; rings must be closed and have at least four positions; numbers must be
numbers and finite.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt
import shapely
from shapely import (
    LinearRing,
    LineString,
    MultiLineString,
    MultiPoint,
    MultiPolygon,
    Point,
    Polygon,
)
from shapely.geometry.base import BaseGeometry

from layers.errors import BadInput, InvalidGeometry, LimitExceeded, Place
from layers.text import Text

MOST_VERTICES: Final = 100_000
MOST_PARTS: Final = 1_000

_DIMENSION: Final = {
    "Polygon": 2, "MultiPolygon": 2, "LineString": 1, "MultiLineString": 1,
    "Point": 0, "MultiPoint": 0,
}  # fmt: skip
_REASONS_ZH: Final = {
    "Self-intersection": "边界自相交",
    "Ring Self-intersection": "环自接触或自相交",
    "Hole lies outside shell": "内环（洞）位于外环之外",
    "Holes are nested": "内环（洞）相互嵌套",
    "Interior is disconnected": "内部被分隔为不连通的部分",
    "Nested shells": "外环相互嵌套",
    "Duplicate Rings": "存在重复的环",
    "Too few points in geometry component": "节点过少",
    "Invalid Coordinate": "坐标值无效",
    "Ring not closed": "环未闭合",
}

_FARTHEST: Final = 1e9
"""No coordinate in degrees or metres is larger; NaN and infinity are not smaller either."""

_NOT_FINITE: Final = Text(en="not a finite number", zh="不是有限数值")
_NO_POSITION: Final = Text(
    en="a position is a list of two numbers [x, y]", zh="点位应为两个数值的列表 [x, y]"
)


@dataclass(slots=True)
class GeometryReader:
    """Reads geometries of one submission and counts what they hold."""

    vertices: int = 0
    parts: int = 0
    has_z: bool = False
    dimensions: set[int] = field(default_factory=set)

    def read(self, value: Any, at: str) -> BaseGeometry:
        """One GeoJSON geometry object; ``at`` is the JSON pointer of the object."""
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "GeometryCollection":
            return self._collection(value, at)
        if not isinstance(kind, str) or kind not in _DIMENSION:
            _refuse(
                at + "/type",
                Text(
                    en=f"unknown geometry type '{kind!s:.40}'", zh=f"未知的几何类型“{kind!s:.40}”"
                ),
            )
        self.dimensions.add(_DIMENSION[kind])
        coordinates, at = value.get("coordinates"), at + "/coordinates"
        single = kind.removeprefix("Multi")
        if kind == single:
            return self._part(single, coordinates, at)
        members = _list(coordinates, at)
        parts = [self._part(single, part, f"{at}/{i}") for i, part in enumerate(members)]
        return _gather(parts, at)

    def _collection(self, value: dict[str, Any], at: str) -> BaseGeometry:
        members = _list(value.get("geometries"), at + "/geometries")
        for i, member in enumerate(members):
            if isinstance(member, dict) and member.get("type") == "GeometryCollection":
                _refuse(
                    f"{at}/geometries/{i}",
                    Text(en="collections must not be nested", zh="几何集合不得嵌套"),
                )
        parts = [self.read(member, f"{at}/geometries/{i}") for i, member in enumerate(members)]
        return _gather(parts, at)

    def _part(self, kind: str, value: Any, at: str) -> BaseGeometry:
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise LimitExceeded(
                f"The submission has more than {MOST_PARTS:,} parts.",
                f"地块超过 {MOST_PARTS:,} 个部分。",
            )
        if kind == "Point":
            return Point(self._positions([value], at, of_point=True)[0])
        if kind == "LineString":
            line = self._positions(value, at)
            if len(np.unique(line, axis=0)) < 2:
                _refuse(
                    at, Text(en="a line needs two different positions", zh="线至少需两个不同点")
                )
            return LineString(line)
        rings = [self._ring(r, f"{at}/{i}") for i, r in enumerate(_list(value, at))]
        return Polygon(rings[0], holes=rings[1:])

    def _ring(self, value: Any, at: str) -> LinearRing:
        positions = self._positions(value, at)
        last = f"{at}/{len(positions) - 1}"
        if len(positions) < 4:
            reason = Text(
                en=f"a ring needs four positions, this one has {len(positions)}",
                zh=f"环至少需要 4 个点，此环只有 {len(positions)} 个",
            )
            _refuse(last, reason)
        if (positions[0] != positions[-1]).any():
            reason = Text(
                en="the ring is not closed: its last position must repeat the first",
                zh="环未闭合：末点必须与首点相同",
            )
            _refuse(last, reason)
        return LinearRing(positions)

    def _positions(self, value: Any, at: str, *, of_point: bool = False) -> npt.NDArray[np.float64]:
        members = _list(value, at)
        self.vertices += len(members)
        if self.vertices > MOST_VERTICES:
            raise LimitExceeded(
                f"The submission has more than {MOST_VERTICES:,} vertices.",
                f"地块超过 {MOST_VERTICES:,} 个节点。",
            )
        for i, position in enumerate(members):
            if not _is_position(position):
                _refuse(at if of_point else f"{at}/{i}", _why_not(position))
            self.has_z = self.has_z or len(position) > 2
        return np.array([position[:2] for position in members], dtype=np.float64)


def _is_position(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and 2 <= len(value) <= 4
        and all(type(n) in (int, float) and abs(n) < _FARTHEST for n in value[:2])
    )


def _why_not(value: Any) -> Text:
    numbers = isinstance(value, list | tuple) and len(value) >= 2
    if numbers and all(type(n) in (int, float) for n in value[:2]):
        return _NOT_FINITE
    return _NO_POSITION


def _list(value: Any, at: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        _refuse(at, Text(en="a list is expected here", zh="此处应为列表"))
    if not value:
        _refuse(at, Text(en="the geometry is empty", zh="几何为空"), code="empty-geometry")
    return value


def _gather(parts: list[BaseGeometry], at: str) -> BaseGeometry:
    """One multi geometry of parts that all have the same dimension."""
    flat = shapely.get_parts(np.array(parts, dtype=object))
    found = set(shapely.get_dimensions(flat).tolist())
    if len(found) > 1:
        reason = Text(
            en="areas, lines and points must not be mixed in one submission",
            zh="同一项目不得混用面、线、点",
        )
        _refuse(at, reason, code="mixed-dimensions")
    makers: dict[int, Any] = {2: MultiPolygon, 1: MultiLineString, 0: MultiPoint}
    result: BaseGeometry = makers[found.pop()](list(flat)) if len(flat) > 1 else flat[0]
    return result


def _refuse(at: str, reason: Text, *, code: str = "invalid-geometry") -> NoReturn:
    raise InvalidGeometry(
        f"The geometry cannot be read at {at}: {reason.en}.",
        f"几何在 {at} 处无法读取：{reason.zh}。",
        code=code,
        places=(Place(at, reason),),
    )


def require_valid(geometry: BaseGeometry, at: str) -> None:
    """Refuse an invalid geometry with GEOS's reason and position; never mend it.

    Mending guesses what the applicant meant, and on hostile input it runs for minutes; the
    test alone is cheap (19 ms on a star with a million crossings).
    """
    if shapely.is_valid(geometry):
        return
    explained = shapely.is_valid_reason(geometry)
    match = re.match(r"^(.*?)\[(\S+) (\S+).*\]$", explained)
    reason = match.group(1) if match else explained
    place = f"[{match.group(2)}, {match.group(3)}]" if match else ""
    text = Text(
        en=f"{reason} at {place}" if place else reason,
        zh=f"{_REASONS_ZH.get(reason, reason)}，位置 {place}" if place else reason,
    )
    raise InvalidGeometry(
        f"The geometry is invalid: {text.en}. Correct it and submit again; it is not mended "
        "silently.",
        f"几何无效：{text.zh}。请修正后重新提交；系统不会擅自修补。",
        places=(Place(at, text),),
    )


def json_fault(value: Any, at: str = "", depth: int = 0) -> BadInput | None:
    """The first value that cannot stand in canonical JSON (RFC 8785), as an error."""
    if depth > 32:
        return _no_json(at, "nested more than 32 deep", "嵌套超过 32 层")
    if isinstance(value, dict):
        for key, inner in value.items():
            if fault := json_fault(key, f"{at}/{key!s:.40}", depth + 1):
                return fault
            if fault := json_fault(inner, f"{at}/{key!s:.40}", depth + 1):
                return fault
        return None
    if isinstance(value, list | tuple):
        faults = (json_fault(inner, f"{at}/{i}", depth + 1) for i, inner in enumerate(value))
        return next((fault for fault in faults if fault), None)
    return _scalar_fault(value, at)


def _scalar_fault(value: Any, at: str) -> BadInput | None:
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            return _no_json(at, "text is not valid Unicode", "文本不是有效的 Unicode")
        return None
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        large = abs(value) > 2**53 - 1
        return _no_json(at, "integer beyond 2^53", "整数超过 2^53") if large else None
    if isinstance(value, float):
        return None if math.isfinite(value) else _no_json(at, "not a finite number", "不是有限数值")
    return _no_json(at, f"unexpected {type(value).__name__}", "不支持的数据类型")


def _no_json(at: str, en: str, zh: str) -> BadInput:
    at = at.encode("utf-8", "replace").decode()
    place = Place(at, Text(en=en, zh=zh))
    return BadInput(f"Attribute {at}: {en}.", f"属性 {at}：{zh}。", places=(place,))
