"""Expressions of map styles: what they give for a feature, at a zoom, and as SQL.

The subset of MapLibre's expressions that every renderer of this project understands. A value that
is not an expression stands for itself. ``folded`` takes the zoom out; what is left depends on the
feature's properties alone and is computed here (``evaluate``) or by the database
(``tiles.expression_sql``), with the same result.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from layers.errors import BadConfiguration

OPERATORS: Final = frozenset(
    {"get", "has", "match", "step", "interpolate", "linear", "zoom", "concat", "coalesce",
     "to-string", "to-number", "literal", "case", "all", "any", "!", "==", "!=", "<", "<=", ">",
     ">="}
)  # fmt: skip
_COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}|rgba\((\d+), ?(\d+), ?(\d+), ?([0-9.]+)\)")
COMPARISONS: Final = ("<", "<=", ">", ">=")


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
        raise refused(f"operator {operator} cannot stand here")
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
    **{operator: _comparison(operator) for operator in COMPARISONS},
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
        raise refused("interpolate goes over the zoom, between constants")
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
        raise refused(f"operator {operator} gives no known values")
    return [operator, *(
        with_results(part, change) if place in places else part for place, part in enumerate(parts)
    )]  # fmt: skip


# --- Colours --------------------------------------------------------------------------------


def rgba(colour: str) -> tuple[float, float, float, float]:
    """Red, green, blue (0..255) and opacity (0..1) of ``#RRGGBB`` or ``rgba(r, g, b, a)``."""
    found = _COLOUR.fullmatch(colour)
    if found is None:
        raise refused(f"colour {colour!r} is neither #RRGGBB nor rgba(r, g, b, a)")
    if colour.startswith("#"):
        red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
        return red, green, blue, 1.0
    red, green, blue = (int(part) for part in found.groups()[:3])
    return red, green, blue, float(found.group(4))


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255."""
    red, green, blue, _ = rgba(colour)
    return round(red), round(green), round(blue)


def refused(fault: str) -> BadConfiguration:
    """What is wrong with an expression."""
    return BadConfiguration(f"Map style: {fault}.", f"地图样式有误：{fault}。")
