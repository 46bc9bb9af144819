"""From the tree of a filter to one SQLAlchemy condition on the rows of a layer.

Types are those of the catalogue: a comparison of different types is refused here with the reason,
so it never becomes an error of the database. Days are compared as ISO text, which orders them.
Spatial operators take the geometry column bare and the shape as one bound value in the storage
CRS, so the spatial index decides.
"""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from typing import Literal as OneOf

import geoalchemy2.functions as geo
import numpy as np
import shapely
from geoalchemy2 import WKBElement
from sqlalchemy import Boolean, Numeric, and_, cast, false, func, literal, not_, or_, true
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import Text as SqlText

from layers.bbox import lon_lat_boxes
from layers.catalog import Layer
from layers.cql2.tree import (
    ARITHMETIC,
    COMPARISONS,
    SPATIAL,
    TEMPORAL,
    BoxLiteral,
    Expression,
    Instant,
    Interval,
    Literal,
    Operation,
    Property,
    Shape,
    fault,
)
from layers.crs import STORAGE_SRID, Crs, swap_axes, to_storage

GEOMETRY_NAMES: Final = ("geometry", "geom")
Kind = OneOf["text", "number", "boolean", "day", "moment", "geometry"]
Column = ColumnElement[Any]
_EARLIEST: Final = "0"
_LATEST: Final = "~"
_KINDS: Final[Mapping[str, Kind]] = {
    "string": "text", "integer": "number", "number": "number", "boolean": "boolean", "date": "day",
}  # fmt: skip
_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": lambda a, b: a == b, "<>": lambda a, b: a != b, "<": lambda a, b: a < b,
    ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
}  # fmt: skip
_CALCULATE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
    "/": lambda a, b: a / func.nullif(b, 0),
    "%": lambda a, b: func.mod(a, func.nullif(b, 0)),
    "div": lambda a, b: func.div(a, func.nullif(b, 0)),
    # As floats: exact powers may have a hundred thousand digits.
    "^": lambda a, b: cast(
        func.power(cast(a, DOUBLE_PRECISION), cast(b, DOUBLE_PRECISION)), Numeric
    ),
}  # fmt: skip
_PREDICATES: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "s_intersects": geo.ST_Intersects, "s_equals": geo.ST_Equals, "s_disjoint": geo.ST_Disjoint,
    "s_touches": geo.ST_Touches, "s_within": geo.ST_Within, "s_overlaps": geo.ST_Overlaps,
    "s_crosses": geo.ST_Crosses, "s_contains": geo.ST_Contains,
}  # fmt: skip


_OF_COLLECTIONS: Final = ("s_intersects", "s_disjoint")
"""GEOS has no other relation of mixed collections."""
_COLLECTION_TYPE: Final = int(shapely.GeometryType.GEOMETRYCOLLECTION)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a condition is about."""

    geometry: Column
    attributes: Column


@dataclass(frozen=True, slots=True)
class _Typed:
    kind: Kind
    column: Column
    literal: str | None = None
    """The text of a literal: where a day is asked for, ``'2026-01-31'`` is one."""


def compile_filter(tree: Expression, layer: Layer, crs: Crs, columns: Columns) -> Column:
    """The condition; ``crs`` is that of the filter's geometries (``filter-crs``)."""
    return _Compiler(layer, crs, columns).truth(tree)


def attribute_column(attributes: Column, layer: Layer, name: str) -> tuple[Kind, Column]:
    """The value of an attribute as its type, to compare or to sort by; NULL where there is none."""
    attribute = next((one for one in layer.kept_attributes if one.name == name), None)
    if attribute is None:
        names = ", ".join(one.name for one in layer.kept_attributes)
        raise fault(
            f"layer {layer.id} has no property '{name[:60]}'. There are: geometry, {names}.",
            f"图层 {layer.id} 没有属性“{name[:60]}”。可用：geometry、{names}。",
            code="unknown-property",
        )
    kind = _KINDS[attribute.type]
    text: Column = attributes.op("->>", return_type=SqlText())(name)
    match kind:
        case "number":
            return kind, cast(text, Numeric)
        case "boolean":
            return kind, cast(text, Boolean)
    # Whatever the database's own rules: pages and filters order text in one way.
    return kind, text.collate("C")


class _Compiler:
    """One filter; the names and types come from one layer."""

    def __init__(self, layer: Layer, crs: Crs, columns: Columns) -> None:
        self._layer, self._crs, self._columns = layer, crs, columns

    def truth(self, node: Expression) -> Column:
        """A node that is true or false."""
        match node:
            case Literal(bool(value)):
                return true() if value else false()
            case Operation("and" | "or" as name, parts):
                joined = and_ if name == "and" else or_
                return joined(*(self.truth(part) for part in parts))
            case Operation("not", (part,)):
                return not_(self.truth(part))
            case Operation(name, arguments):
                return self._predicate(name, arguments)
            case Property(name):
                typed = self._value(node)
                if typed.kind == "boolean":
                    return typed.column
        raise fault("a condition is needed where a value stands.", "此处需要条件而不是值。")

    def _predicate(self, name: str, arguments: tuple[Expression, ...]) -> Column:
        if name in COMPARISONS:
            left, right = self._pair(name, arguments)
            return self._compared(name, left, right)
        if name in SPATIAL:
            return self._spatial(name, arguments)
        if name in TEMPORAL:
            return self._temporal(name, arguments)
        match name, len(arguments):
            case "isnull", 1:
                return self._is_null(arguments[0])
            case "like", 2:
                return self._like(*arguments)
            case "between", 3:
                one, low, high = (self._value(argument) for argument in arguments)
                return and_(self._compared(">=", one, low), self._compared("<=", one, high))
            case "in", count if count > 1:
                one = self._value(arguments[0])
                options = [self._compared("=", one, self._value(a)) for a in arguments[1:]]
                return or_(*options)
        raise fault(
            f"'{name}' is no condition with {len(arguments)} arguments.",
            f"“{name}”不能作为带 {len(arguments)} 个参数的条件。",
        )

    def _pair(self, name: str, arguments: tuple[Expression, ...]) -> tuple[_Typed, _Typed]:
        if len(arguments) != 2:
            raise fault(f"'{name}' needs two arguments.", f"“{name}”需要两个参数。")
        return self._value(arguments[0]), self._value(arguments[1])

    def _is_null(self, argument: Expression) -> Column:
        if isinstance(argument, Property) and argument.name in GEOMETRY_NAMES:
            return self._columns.geometry.is_(None)
        return self._value(argument).column.is_(None)

    def _like(self, operand: Expression, pattern: Expression) -> Column:
        one, wanted = self._value(operand), self._value(pattern)
        if one.kind != "text" or wanted.kind != "text" or isinstance(pattern, Property):
            raise fault("LIKE compares text with a pattern.", "LIKE 只用于文本与模式的比较。")
        return one.column.like(wanted.column)

    def _compared(self, sign: str, left: _Typed, right: _Typed) -> Column:
        left, right = _alike(left, right)
        if left.kind == "geometry" or (left.kind == "boolean" and sign not in ("=", "<>")):
            raise fault(
                f"'{sign}' does not compare {left.kind} values.", f"“{sign}”不能比较 {left.kind}。"
            )
        found: Column = _COMPARE[sign](left.column, right.column)
        return found

    def _value(self, node: Expression) -> _Typed:
        """A node that has a value."""
        match node:
            case Literal(value):
                return _literal(value)
            case Instant(value):
                return _instant(value)
            case Property(name):
                return _Typed(*attribute_column(self._columns.attributes, self._layer, name))
            case Operation("casei", (one,)):
                typed = self._value(one)
                if typed.kind == "text":
                    # By the database's own rules: "C" folds the letters of ASCII only.
                    return _Typed("text", func.lower(typed.column.collate("default")))
                raise fault("CASEI takes text.", "CASEI 的参数应为文本。")
            case Operation(name, arguments) if name in ARITHMETIC:
                left, right = self._pair(name, arguments)
                if left.kind == right.kind == "number":
                    return _Typed("number", _CALCULATE[name](left.column, right.column))
                raise fault(f"'{name}' takes numbers.", f"“{name}”的两侧应为数字。")
        raise fault("a value is needed where a condition stands.", "此处需要值而不是条件。")

    def _spatial(self, name: str, arguments: tuple[Expression, ...]) -> Column:
        if len(arguments) != 2:
            raise fault(f"'{name}' needs two arguments.", f"“{name}”需要两个参数。")
        if name not in _OF_COLLECTIONS and any(map(_is_collection, arguments)):
            raise fault(
                f"{name.upper()} takes no GEOMETRYCOLLECTION.",
                f"{name.upper()} 不接受 GEOMETRYCOLLECTION。",
            )
        columns = [self._place(argument) for argument in arguments]
        if all(column is not self._columns.geometry for column in columns):
            raise fault(
                f"one side of {name.upper()} is the property geometry.",
                f"{name.upper()} 的一侧应为属性 geometry。",
            )
        found: Column = _PREDICATES[name](*columns)
        return found

    def _place(self, node: Expression) -> Any:
        match node:
            case Property(name) if name in GEOMETRY_NAMES:
                return self._columns.geometry
            case Property(name):
                raise fault(f"'{name[:60]}' is no geometry.", f"“{name[:60]}”不是几何属性。")
            case Shape(geometry):
                return _bound(self._stored(geometry))
            case BoxLiteral(numbers):
                boxes = [shapely.box(*one) for one in lon_lat_boxes(numbers, self._crs, "BBOX")]
                return _bound(boxes[0] if len(boxes) == 1 else shapely.MultiPolygon(boxes))
        raise fault("a geometry is needed.", "此处需要几何图形。")

    def _stored(self, geometry: shapely.Geometry) -> shapely.Geometry:
        shapes = np.array([geometry], dtype=object)
        if self._crs.swapped:
            shapes = swap_axes(shapes)
        if self._crs.kind == "geographic":
            _refuse_far(shapes[0])
        moved: shapely.Geometry = to_storage(shapes, self._crs)[0]
        _refuse_far(moved)
        return moved

    def _temporal(self, name: str, arguments: tuple[Expression, ...]) -> Column:
        if len(arguments) != 2:
            raise fault(f"'{name}' needs two arguments.", f"“{name}”需要两个参数。")
        first, second = (self._span(argument) for argument in arguments)
        return _ALLEN[name](*first, *second)

    def _span(self, node: Expression) -> tuple[Column, Column]:
        """Begin and end as text that orders in time."""
        if isinstance(node, Interval):
            return self._end(node.start, _EARLIEST), self._end(node.end, _LATEST)
        moment = self._end(node, _EARLIEST)
        return moment, moment

    def _end(self, node: Expression | None, open_end: str) -> Column:
        if node is None:
            return literal(open_end).collate("C")
        typed = self._value(node)
        if typed.kind not in ("day", "moment"):
            raise fault("a time is needed.", "此处需要时间。")
        return _as_moment(typed).column


def _is_collection(node: Expression) -> bool:
    return isinstance(node, Shape) and shapely.get_type_id(node.geometry) == _COLLECTION_TYPE


def _refuse_far(geometry: shapely.Geometry) -> None:
    west, south, east, north = shapely.bounds(geometry)
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise fault(
            "a geometry lies outside the world; mind the axis order of filter-crs (CRS84: "
            "longitude, latitude).",
            "几何图形超出经纬度范围；请注意 filter-crs 的坐标轴顺序（CRS84 为经度、纬度）。",
        )


def _bound(geometry: shapely.Geometry) -> Any:
    return WKBElement(shapely.to_wkb(geometry), srid=STORAGE_SRID)


def _literal(value: str | int | float | bool) -> _Typed:
    if isinstance(value, bool):
        return _Typed("boolean", literal(value, Boolean()))
    if isinstance(value, str):
        return _Typed("text", literal(value, SqlText()), value)
    return _Typed("number", literal(Decimal(str(value)), Numeric()))


def _instant(value: datetime.date) -> _Typed:
    if isinstance(value, datetime.datetime):
        text = value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return _Typed("moment", literal(text.rjust(27, "0"), SqlText()).collate("C"))
    return _Typed("day", literal(value.isoformat(), SqlText()).collate("C"))


def _as_moment(typed: _Typed) -> _Typed:
    if typed.kind == "moment":
        return typed
    return _Typed("moment", (typed.column + "T00:00:00.000000Z").collate("C"))


def _alike(left: _Typed, right: _Typed) -> tuple[_Typed, _Typed]:
    """Two values of one kind, or a refusal."""
    for one, other in ((left, right), (right, left)):
        if one.kind == "day" and other.kind == "text" and other.literal is not None:
            from layers.cql2.values import day

            read = _instant(day(other.literal).value)
            return (one, read) if one is left else (read, one)
    if {left.kind, right.kind} == {"day", "moment"}:
        return _as_moment(left), _as_moment(right)
    if left.kind != right.kind:
        raise fault(
            f"a {left.kind} is compared with a {right.kind}.",
            f"比较的两侧类型不同：{left.kind} 与 {right.kind}。",
            code="filter-types-differ",
        )
    return left, right


_ALLEN: Final[Mapping[str, Callable[[Any, Any, Any, Any], Column]]] = {
    "t_after": lambda a, b, c, d: a > d,
    "t_before": lambda a, b, c, d: b < c,
    "t_contains": lambda a, b, c, d: and_(a < c, b > d),
    "t_disjoint": lambda a, b, c, d: or_(b < c, a > d),
    "t_during": lambda a, b, c, d: and_(a > c, b < d),
    "t_equals": lambda a, b, c, d: and_(a == c, b == d),
    "t_finishedby": lambda a, b, c, d: and_(a < c, b == d),
    "t_finishes": lambda a, b, c, d: and_(a > c, b == d),
    "t_intersects": lambda a, b, c, d: and_(a <= d, b >= c),
    "t_meets": lambda a, b, c, d: b == c,
    "t_metby": lambda a, b, c, d: a == d,
    "t_overlappedby": lambda a, b, c, d: and_(a > c, a < d, b > d),
    "t_overlaps": lambda a, b, c, d: and_(a < c, b > c, b < d),
    "t_startedby": lambda a, b, c, d: and_(a == c, b > d),
    "t_starts": lambda a, b, c, d: and_(a == c, b < d),
}
"""First interval from a to b, second from c to d (relations of Allen, as CQL2 lists them)."""
