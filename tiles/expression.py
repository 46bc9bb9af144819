"""Expressions of map styles: what they give for a feature, at a zoom, and as SQL.

The subset of MapLibre's expressions that every renderer of this project understands. A value that
is not an expression stands for itself. ``folded`` takes the zoom out; what is left depends on the
feature's properties alone and is computed here (``evaluate``) or by the database (``sql_of``),
with the same result.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from psycopg import sql

from layers.errors import BadConfiguration

OPERATORS: Final = frozenset(
    {"get", "has", "match", "step", "interpolate", "linear", "zoom", "concat", "coalesce",
     "to-string", "to-number", "literal", "case", "all", "any", "!", "==", "!=", "<", "<=", ">",
     ">="}
)  # fmt: skip
_COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}|rgba\((\d+), ?(\d+), ?(\d+), ?([0-9.]+)\)")
_COMPARISONS: Final = ("<", "<=", ">", ">=")


def is_expression(value: Any) -> bool:
    """Whether a value has to be evaluated."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], str)


def reads_feature(value: Any) -> bool:
    """Whether the value differs from feature to feature."""
    if not is_expression(value) or value[0] == "literal":
        return False
    return value[0] in ("get", "has") or any(reads_feature(part) for part in value[1:])


def evaluate(value: Any, properties: Mapping[str, Any], zoom: float) -> Any:
    """The value for one feature at a zoom; a property that is not there is None."""
    if not is_expression(value):
        return value
    operator, *parts = value
    form = _EVALUATED.get(operator)
    if form is None:
        raise _refused(f"operator {operator} cannot stand here")
    return form(parts, lambda part: evaluate(part, properties, zoom), properties, zoom)


Part = Callable[[Any], Any]


def _all_of(parts: Sequence[Any], of: Part, *_: Any) -> bool:
    return all(of(part) is True for part in parts)


def _any_of(parts: Sequence[Any], of: Part, *_: Any) -> bool:
    return any(of(part) is True for part in parts)


def _match(parts: Sequence[Any], of: Part, *_: Any) -> Any:
    subject = of(parts[0])
    for labels, result in zip(parts[1:-1:2], parts[2:-1:2], strict=True):
        if any(_same(subject, one) for one in (labels if isinstance(labels, list) else [labels])):
            return of(result)
    return of(parts[-1])


def _same(one: Any, other: Any) -> bool:
    # True == 1 in Python, and no label of a match is meant so.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _case(parts: Sequence[Any], of: Part, *_: Any) -> Any:
    for condition, result in zip(parts[:-1:2], parts[1:-1:2], strict=True):
        if of(condition) is True:
            return of(result)
    return of(parts[-1])


def _coalesce(parts: Sequence[Any], of: Part, *_: Any) -> Any:
    return next((found for part in parts if (found := of(part)) is not None), None)


def _step(parts: Sequence[Any], of: Part, *_: Any) -> Any:
    at = of(parts[0])
    chosen = parts[1]
    for start, result in zip(parts[2::2], parts[3::2], strict=True):
        if at is not None and at >= start:
            chosen = result
    return of(chosen)


def _interpolated(parts: Sequence[Any], of: Part, *_: Any) -> Any:
    at = float(of(parts[1]))
    stops = [(stop, of(result)) for stop, result in zip(parts[2::2], parts[3::2], strict=True)]
    if at <= stops[0][0]:
        return stops[0][1]
    for (low, first), (high, second) in pairwise(stops):
        if at <= high:
            return _between(first, second, (at - low) / (high - low))
    return stops[-1][1]


def _between(first: Any, second: Any, share: float) -> Any:
    if isinstance(first, str):
        mixed = [a + (b - a) * share for a, b in zip(rgba(first), rgba(second), strict=True)]
        return f"rgba({mixed[0]:.0f}, {mixed[1]:.0f}, {mixed[2]:.0f}, {mixed[3]:.4g})"
    return first + (second - first) * share


def _text(value: Any) -> str:
    """As MapLibre's ``to-string``: null is empty, whole numbers have no decimals."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _compared(operator: str, one: Any, other: Any) -> bool:
    if one is None or other is None or isinstance(one, str) != isinstance(other, str):
        return False
    order = {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}
    return bool(order[operator])


def _comparison(operator: str) -> Callable[..., bool]:
    return lambda parts, of, *_: _compared(operator, of(parts[0]), of(parts[1]))


_EVALUATED: Final[dict[str, Callable[..., Any]]] = {
    "get": lambda parts, of, properties, zoom: properties.get(parts[0]),
    "has": lambda parts, of, properties, zoom: properties.get(parts[0]) is not None,
    "zoom": lambda parts, of, properties, zoom: zoom,
    "literal": lambda parts, *_: parts[0],
    "match": _match,
    "case": _case,
    "coalesce": _coalesce,
    "step": _step,
    "interpolate": _interpolated,
    "all": _all_of,
    "any": _any_of,
    "!": lambda parts, of, *_: of(parts[0]) is not True,
    "==": lambda parts, of, *_: _same(of(parts[0]), of(parts[1])),
    "!=": lambda parts, of, *_: not _same(of(parts[0]), of(parts[1])),
    "concat": lambda parts, of, *_: "".join(_text(of(part)) for part in parts),
    "to-string": lambda parts, of, *_: _text(of(parts[0])),
    "to-number": lambda parts, of, *_: _number(of(parts[0])),
    **{operator: _comparison(operator) for operator in _COMPARISONS},
}


def folded(value: Any, zoom: float) -> Any:
    """The value with the zoom taken out; a literal where no property is read."""
    if not is_expression(value) or value[0] == "literal":
        return value
    if not reads_feature(value):
        return evaluate(value, {}, zoom)
    operator, *parts = value
    if operator == "step" and parts[0] == ["zoom"]:
        chosen = [
            parts[1],
            *(r for s, r in zip(parts[2::2], parts[3::2], strict=True) if zoom >= s),
        ]
        return folded(chosen[-1], zoom)
    if operator == "interpolate":
        raise _refused("interpolate goes over the zoom, between constants")
    labels = range(2, len(value) - 1, 2) if operator == "match" else ()
    rest = [
        part if place in labels else folded(part, zoom)
        for place, part in enumerate(value[1:], start=1)
    ]
    return [operator, *rest]


def with_results(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same choice (match, case, step) between other constants: each is given to ``change``."""
    if not is_expression(value):
        return change(value)
    operator, *parts = value
    if operator == "literal":
        return change(parts[0])
    last = len(parts) - 1
    places = {
        "match": {*range(2, last, 2), last},
        "case": {*range(1, last, 2), last},
        "step": {1, *range(3, last + 1, 2)},
    }.get(operator)
    if places is None:
        raise _refused(f"operator {operator} gives no known values")
    return [operator, *(
        with_results(part, change) if place in places else part for place, part in enumerate(parts)
    )]  # fmt: skip


# --- The same in the database ---------------------------------------------------------------


def sql_of(value: Any, properties: sql.Composable) -> sql.Composable:
    """A folded value as an SQL expression of type jsonb over a feature's properties (jsonb)."""
    if not is_expression(value):
        return sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(value, ensure_ascii=False)))
    operator, *parts = value
    form = _IN_SQL.get(operator)
    if form is None:
        raise _refused(f"operator {operator} cannot be computed by the database")
    return form(parts, properties)


def sql_condition(value: Any, properties: sql.Composable) -> sql.Composable:
    """A folded condition as an SQL boolean that is never NULL."""
    operator, *parts = value if is_expression(value) else ("literal", value)
    if operator in ("all", "any"):
        word = " AND " if operator == "all" else " OR "
        inner = sql.SQL(word).join(sql_condition(part, properties) for part in parts)
        return sql.SQL("({})").format(inner)
    if operator == "!":
        return sql.SQL("(NOT {})").format(sql_condition(parts[0], properties))
    if operator in ("==", "!="):
        word = "IS NOT DISTINCT FROM" if operator == "==" else "IS DISTINCT FROM"
        return sql.SQL("(nullif({}, 'null'::jsonb) {} nullif({}, 'null'::jsonb))").format(
            sql_of(parts[0], properties), sql.SQL(word), sql_of(parts[1], properties)
        )
    if operator in _COMPARISONS:
        one, other = (sql_of(part, properties) for part in parts)
        return sql.SQL(
            "(jsonb_typeof({0}) IS NOT DISTINCT FROM jsonb_typeof({1})"
            " AND coalesce({0} {2} {1}, false))"
        ).format(one, other, sql.SQL(operator))
    return sql.SQL("({} IS NOT DISTINCT FROM 'true'::jsonb)").format(sql_of(value, properties))


def _sql_get(parts: Sequence[Any], properties: sql.Composable) -> sql.Composable:
    return sql.SQL("({} -> {})").format(properties, sql.Literal(parts[0]))


def _sql_match(parts: Sequence[Any], properties: sql.Composable) -> sql.Composable:
    """A look-up in one jsonb object where all results are constants: 200 codes cost what one does.

    Keys are texts with a mark of their type, so that 1 and "1" stay two labels.
    """
    subject = sql_of(parts[0], properties)
    fallback = sql_of(parts[-1], properties)
    table: dict[str, Any] = {}
    branches: list[sql.Composable] = []
    for labels, result in zip(parts[1:-1:2], parts[2:-1:2], strict=True):
        keys = [json.dumps(one, ensure_ascii=False)
                for one in (labels if isinstance(labels, list) else [labels])]  # fmt: skip
        if is_expression(result):
            then = sql_of(result, properties)
            branches += [sql.SQL("WHEN {} THEN {}").format(sql.Literal(key), then) for key in keys]
        else:
            for key in keys:
                table.setdefault(key, result)
    otherwise = fallback
    if table:
        otherwise = sql.SQL("coalesce({}::jsonb -> ({})::text, {})").format(
            sql.Literal(json.dumps(table, ensure_ascii=False)), subject, fallback
        )
    if not branches:
        return otherwise
    # The subject is taken out of the properties once, not once a branch.
    return sql.SQL("(CASE ({})::text {} ELSE {} END)").format(
        subject, sql.SQL(" ").join(branches), otherwise
    )


def _sql_case(parts: Sequence[Any], properties: sql.Composable) -> sql.Composable:
    branches = [
        sql.SQL("WHEN {} THEN {}").format(
            sql_condition(condition, properties), sql_of(result, properties)
        )
        for condition, result in zip(parts[:-1:2], parts[1:-1:2], strict=True)
    ]
    return sql.SQL("(CASE {} ELSE {} END)").format(
        sql.SQL(" ").join(branches), sql_of(parts[-1], properties)
    )


def _sql_step(parts: Sequence[Any], properties: sql.Composable) -> sql.Composable:
    at = sql_of(parts[0], properties)
    chosen = sql_of(parts[1], properties)
    branches = [
        sql.SQL("WHEN jsonb_typeof({0}) = 'number' AND {0} >= {1} THEN {2}").format(
            at, sql_of(start, properties), sql_of(result, properties)
        )
        for start, result in reversed(list(zip(parts[2::2], parts[3::2], strict=True)))
    ]
    return sql.SQL("(CASE {} ELSE {} END)").format(sql.SQL(" ").join(branches), chosen)


def _sql_boolean(operator: str) -> Callable[..., sql.Composable]:
    return lambda parts, properties: sql.SQL("to_jsonb({})").format(
        sql_condition([operator, *parts], properties)
    )


_IN_SQL: Final[dict[str, Callable[..., sql.Composable]]] = {
    "get": _sql_get,
    "match": _sql_match,
    "case": _sql_case,
    "step": _sql_step,
    "literal": lambda parts, _: sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(parts[0]))),
    "has": lambda parts, properties: sql.SQL("to_jsonb(({} ->> {}) IS NOT NULL)").format(
        properties, sql.Literal(parts[0])
    ),
    "coalesce": lambda parts, properties: sql.SQL("coalesce({})").format(
        sql.SQL(", ").join(
            sql.SQL("nullif({}, 'null'::jsonb)").format(sql_of(part, properties)) for part in parts
        )
    ),
    **{
        operator: _sql_boolean(operator)
        for operator in ("all", "any", "!", "==", "!=", *_COMPARISONS)
    },
}


# --- Colours --------------------------------------------------------------------------------


def rgba(colour: str) -> tuple[float, float, float, float]:
    """Red, green, blue (0..255) and opacity (0..1) of ``#RRGGBB`` or ``rgba(r, g, b, a)``."""
    found = _COLOUR.fullmatch(colour)
    if found is None:
        raise _refused(f"colour {colour!r} is neither #RRGGBB nor rgba(r, g, b, a)")
    if colour.startswith("#"):
        red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
        return red, green, blue, 1.0
    red, green, blue = (int(part) for part in found.groups()[:3])
    return red, green, blue, float(found.group(4))


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255."""
    red, green, blue, _ = rgba(colour)
    return round(red), round(green), round(blue)


def _refused(fault: str) -> BadConfiguration:
    return BadConfiguration(f"Map style: {fault}.", f"地图样式有误：{fault}。")
