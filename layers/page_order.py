"""The order of a page's features, and the place in it where the next page begins.

Every order ends with the fid, so it is one: pages neither repeat nor lose a feature. A page begins
behind the keys of the last feature before (keyset paging), whatever the number of the page.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sqlalchemy import ColumnElement, Numeric, and_, asc, cast, desc, false, literal, or_, true
from sqlalchemy.types import Text as SqlText

from layers.catalog import Layer
from layers.cql2.condition import attribute_column
from layers.errors import BadParameter

MOST_KEYS: Final = 5
_FIELD: Final = re.compile(r"([+\- ]?)([^\W\d]\w*)")
Key = str | None
Column = ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class SortKey:
    """An attribute to sort by; features without it come last either way."""

    name: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class After:
    """The last feature of the page before: its fid and the texts of its sort keys."""

    fid: int
    keys: tuple[Key, ...] = ()


START: Final = After(0)
"""Before the first feature."""


def parse_sort(text: str, layer: Layer) -> tuple[SortKey, ...]:
    """``name``, ``+name`` or ``-name`` behind commas; a plus that came as a space is one."""
    found = []
    for part in text.split(","):
        match = _FIELD.fullmatch(part)
        if match is None or not any(a.name == match[2] for a in layer.kept_attributes):
            names = ", ".join(a.name for a in layer.kept_attributes)
            raise BadParameter(
                f"sortby: '{part[:60]}' is no sortable property. There are: {names}.",
                f"sortby：“{part[:60]}”不是可排序属性。可用：{names}。",
                code="unknown-property",
            )
        found.append(SortKey(match[2], match[1] == "-"))
    if len(found) > MOST_KEYS or len({key.name for key in found}) < len(found):
        raise BadParameter(
            f"sortby: at most {MOST_KEYS} different properties.",
            f"sortby：最多 {MOST_KEYS} 个不同属性。",
        )
    return tuple(found)


def key_columns(layer: Layer, attributes: Column, keys: Sequence[SortKey]) -> list[Column]:
    """The columns to order by, as typed values."""
    return [attribute_column(attributes, layer, key.name)[1] for key in keys]


def as_text(column: Column) -> Column:
    """A key as the text that a page's place is kept in."""
    return cast(column, SqlText)


def ordering(columns: Sequence[Column], keys: Sequence[SortKey], fid: Column) -> list[Any]:
    """What stands behind ORDER BY."""
    found: list[Any] = [
        (desc(column) if key.descending else asc(column)).nulls_last()
        for column, key in zip(columns, keys, strict=True)
    ]
    return [*found, asc(fid)]


def behind(columns: Sequence[Column], keys: Sequence[SortKey], fid: Column, after: After) -> Column:
    """The condition of standing behind a feature in that order."""
    if after == START:
        return true()
    if len(after.keys) != len(keys):
        raise bad_place()
    condition: Column = fid > after.fid
    for column, key, value in reversed(list(zip(columns, keys, after.keys, strict=True))):
        if value is None:
            condition = and_(column.is_(None), condition)
            continue
        there = _typed(column, value)
        further = column < there if key.descending else column > there
        condition = or_(further, column.is_(None), and_(column == there, condition))
    return condition


def _typed(column: Column, value: str) -> Column:
    if isinstance(column.type, Numeric):
        try:
            return literal(Decimal(value), Numeric())
        except InvalidOperation as error:
            raise bad_place() from error
    if value in ("true", "false") and not isinstance(column.type, SqlText):
        return literal(value == "true")
    return literal(value, SqlText()) if isinstance(column.type, SqlText) else false()


def bad_place() -> BadParameter:
    """The error for a place that no answer of ours gave."""
    return BadParameter(
        "after: take it from the 'next' link of an answer, as it is.",
        "after：请原样使用应答中 next 链接里的值。",
        code="bad-page-token",
    )
