"""Values of attributes as files hold them, read by the type that the catalogue demands."""

import datetime
import math
import re
from collections.abc import Callable
from typing import Any, Final

from layers.catalog import AttributeType
from layers.text import Text

_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "是", "真"})
_FALSE: Final = frozenset({"0", "false", "f", "no", "n", "否", "假"})
_DATE: Final = re.compile(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?(?:[T ].*)?")


class Unreadable(Exception):
    """A value that is not of its attribute's type."""


def to_string(raw: Any) -> str | None:
    """Text without outer blanks; whole numbers without a fraction; empty = None."""
    if isinstance(raw, str):
        return (raw.replace("\x00", "") if "\x00" in raw else raw).strip() or None
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float):
        if not math.isfinite(raw):
            raise Unreadable
        return str(int(raw)) if raw.is_integer() and abs(raw) < 1e15 else repr(raw)
    if isinstance(raw, int):
        return str(raw)
    if isinstance(raw, datetime.date | datetime.time):
        return raw.isoformat()
    raise Unreadable


def to_number(raw: Any) -> float | None:
    """A finite number."""
    try:
        value = float(raw.strip() or "nan" if isinstance(raw, str) else raw)
    except (ValueError, TypeError) as error:
        raise Unreadable from error
    if isinstance(raw, str) and not raw.strip():
        return None
    if not math.isfinite(value):
        if isinstance(raw, float) and math.isnan(raw):
            return None
        raise Unreadable
    return value


def to_integer(raw: Any) -> int | None:
    """A whole number within 64 bits."""
    value = to_number(raw)
    if value is None:
        return None
    if not value.is_integer() or abs(value) >= 2**63:
        raise Unreadable
    return int(raw) if isinstance(raw, int) else int(value)


def to_boolean(raw: Any) -> bool | None:
    """True or false, also as 1/0, 是/否."""
    text = str(raw).strip().lower().removesuffix(".0")
    if not text:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise Unreadable


def to_date(raw: Any) -> str | None:
    """A day as ISO 8601; also 20210102, 2021/1/2, 2021年1月2日."""
    if isinstance(raw, datetime.datetime):
        return raw.date().isoformat()
    if isinstance(raw, datetime.date):
        return raw.isoformat()
    text = to_string(raw)
    if text is None:
        return None
    found = _DATE.fullmatch(text)
    if found is None:
        raise Unreadable
    try:
        return datetime.date(*(int(part) for part in found.groups())).isoformat()
    except ValueError as error:
        raise Unreadable from error


CONVERTERS: Final[dict[AttributeType, Callable[[Any], Any]]] = {
    "string": to_string,
    "integer": to_integer,
    "number": to_number,
    "boolean": to_boolean,
    "date": to_date,
}
TYPE_NAMES: Final[dict[AttributeType, Text]] = {
    "string": Text(zh="文本", en="text"),
    "integer": Text(zh="整数", en="whole number"),
    "number": Text(zh="数值", en="number"),
    "boolean": Text(zh="是/否", en="yes/no value"),
    "date": Text(zh="日期", en="date"),
}
