"""CQL2 JSON (OGC 21-065r2, annex of schemas): the same tree from ``{"op", "args"}``."""

import math
from typing import Any, Final

from layers.cql2 import values
from layers.cql2.cql2_text import unknown_function
from layers.cql2.tree import (
    ARITHMETIC,
    COMPARISONS,
    SPATIAL,
    TEMPORAL,
    TEXT_FUNCTIONS,
    Budget,
    Expression,
    Literal,
    Operation,
    Property,
    fault,
)

_LOGIC: Final = frozenset({"and", "or", "not"})
_PREDICATES: Final = frozenset({"like", "between", "in", "isnull"})
_KNOWN: Final = (
    _LOGIC | _PREDICATES | COMPARISONS | ARITHMETIC | SPATIAL | TEMPORAL | TEXT_FUNCTIONS
)


def parse_json_filter(value: Any) -> Expression:
    """The tree of a filter that has been read as JSON."""
    return _node(value, Budget(), 0)


def _node(value: Any, budget: Budget, depth: int) -> Expression:
    budget.term(depth)
    if isinstance(value, bool | str):
        return Literal(value)
    if isinstance(value, int | float) and math.isfinite(value):
        return Literal(value)
    if not isinstance(value, dict):
        raise fault(f"not understood: {str(value)[:40]}.", f"无法识别：{str(value)[:40]}。")
    if "op" in value:
        return _operation(value, budget, depth)
    return _constant(value, budget)


def _operation(value: dict[str, Any], budget: Budget, depth: int) -> Expression:
    name, arguments = value["op"], value.get("args")
    if not isinstance(name, str) or name.lower() not in _KNOWN:
        raise unknown_function(str(name))
    if not isinstance(arguments, list) or not arguments:
        raise fault(f"'{name[:40]}' needs args.", f"“{name[:40]}”缺少 args。")
    name = name.lower()
    if name == "in" and len(arguments) == 2 and isinstance(arguments[1], list):
        arguments = [arguments[0], *arguments[1]]
    if name == "between" and len(arguments) == 2 and isinstance(arguments[1], list):
        arguments = [arguments[0], *arguments[1]]  # as older clients write it
    return Operation(name, tuple(_node(one, budget, depth + 1) for one in arguments))


def _constant(value: dict[str, Any], budget: Budget) -> Expression:
    match value:
        case {"property": str(name)}:
            return Property(name)
        case {"date": text}:
            return values.day(text)
        case {"timestamp": text}:
            return values.moment(text)
        case {"interval": [start, end]}:
            return values.interval(_end(start, budget), _end(end, budget))
        case {"bbox": list(numbers)} if all(_is_number(one) for one in numbers):
            return values.box(numbers, budget)
        case {"type": str()}:
            return values.geometry_of_json(value, budget)
        case {"function": dict(called)}:
            raise unknown_function(str(called.get("name")))
    raise fault(f"not understood: {str(value)[:40]}.", f"无法识别：{str(value)[:40]}。")


def _end(value: Any, budget: Budget) -> Any:
    """An end of an interval: its text, or the property that holds it."""
    if isinstance(value, dict):
        read = _constant(value, budget)
        return read if isinstance(read, Property) else getattr(read, "value", value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
