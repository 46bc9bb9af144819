"""Attributes of a batch: types, code lists, required values, personal data in values.

A value that cannot be read is left out and noted with row, field and value. Personal numbers are
left out too, and their issue names the field, never the value.
"""

import datetime
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from layers.catalog import Attribute, AttributeType, Catalog, CodeList, Layer
from layers.field_map import FieldPlan
from layers.import_issues import IssueLog
from layers.text import Text

_CANDIDATE: Final = r"[0-9]{17}[0-9Xx]|1[3-9][0-9]{9}"
_IDENTITY: Final = re.compile(r"(?<![0-9])[1-9][0-9]{16}[0-9Xx](?![0-9])")
_MOBILE: Final = re.compile(r"(?<![0-9A-Za-z])1[3-9][0-9]{9}(?![0-9A-Za-z])")
_MOBILE_NUMBERS: Final = (13_000_000_000, 20_000_000_000)
_CHECK_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS: Final = "10X98765432"
_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "是", "真"})
_FALSE: Final = frozenset({"0", "false", "f", "no", "n", "否", "假"})
_DATE: Final = re.compile(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?(?:[T ].*)?")


class Unreadable(Exception):
    """A value that is not of its attribute's type."""


Values = dict[str, list[Any]]
"""The values of a batch, field by field."""


def readable_values(
    columns: Mapping[str, pa.Array], first_row: int, plan: FieldPlan, issues: IssueLog
) -> Values:
    """The mapped fields of a batch as Python values, without personal numbers.

    Everything that is stored or reported of a row comes from here.
    """
    return {field: _values(columns[field], field, first_row, issues) for field, _ in plan.pairs}


def check_attributes(
    values: Values,
    count: int,
    first_row: int,
    plan: FieldPlan,
    layer: Layer,
    catalog: Catalog,
    issues: IssueLog,
) -> tuple[list[dict[str, Any]], set[int]]:
    """The attributes of each row, and the indices of rows that lack a required one."""
    rows: list[dict[str, Any]] = [dict(plan.constants) for _ in range(count)]
    for field, attribute in plan.pairs:
        translation = plan.values.get(attribute.name, {})
        _fill(rows, values[field], field, attribute, translation, first_row, issues)
    _check_codes(rows, first_row, plan, layer, catalog, issues)
    return rows, _without_required(rows, first_row, plan, layer, issues)


def _values(column: pa.Array, field: str, first_row: int, issues: IssueLog) -> list[Any]:
    values: list[Any] = column.to_pylist()
    suspects = _suspects(column)
    if suspects is None or not pc.any(suspects).as_py():
        return values
    for index, suspect in enumerate(suspects.to_pylist()):
        if suspect and is_personal(to_string(values[index]) or ""):
            values[index] = None
            issues.add(
                "personal-value-dropped",
                "advisory",
                Text(
                    zh="字段值疑似身份证号或手机号，已删除。",
                    en="The value looks like an identity or mobile number and was dropped.",
                ),
                row=first_row + index,
                field=field,
            )
    return values


def _suspects(column: pa.Array) -> pa.Array | None:
    """Which values may be personal numbers at all; a coarse test over the whole column."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pc.match_substring_regex(column, _CANDIDATE)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        low, high = _MOBILE_NUMBERS
        return pc.and_(pc.greater_equal(column, low), pc.less(column, high))
    return None


def is_personal(text: str) -> bool:
    """Whether a text holds an identity number (with right date and check digit) or a mobile one.

    Object codes (BSM) have 18 digits too; a date and the check digit of GB 11643 tell them apart.
    """
    if _MOBILE.search(text):
        return True
    return any(_is_identity(found.group()) for found in _IDENTITY.finditer(text))


def _is_identity(number: str) -> bool:
    try:
        born = datetime.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(d) * w for d, w in zip(number[:17], _CHECK_WEIGHTS, strict=True))
    return 1900 <= born.year <= 2100 and _CHECK_DIGITS[total % 11] == number[17].upper()


def _fill(
    rows: list[dict[str, Any]],
    values: list[Any],
    field: str,
    attribute: Attribute,
    translation: Mapping[str, str],
    first_row: int,
    issues: IssueLog,
) -> None:
    convert, name = _CONVERTERS[attribute.type], attribute.name
    for index, raw in enumerate(values):
        if raw is None:
            continue
        try:
            value = convert(translation.get(str(raw), raw) if translation else raw)
        except Unreadable:
            issues.add(
                "bad-value",
                "advisory",
                Text(
                    zh=f"值无法读作{_TYPE_NAMES[attribute.type].zh}，已留空。",
                    en=f"The value is no {_TYPE_NAMES[attribute.type].en}; it was left out.",
                ),
                row=first_row + index,
                field=field,
                value=raw,
            )
            continue
        if value is not None:
            rows[index][name] = value


def _check_codes(
    rows: list[dict[str, Any]],
    first_row: int,
    plan: FieldPlan,
    layer: Layer,
    catalog: Catalog,
    issues: IssueLog,
) -> None:
    field_of = {attribute.name: field for field, attribute in plan.pairs}
    by_scheme = {code_list.scheme: code_list for code_list in catalog.code_lists}
    for attribute in layer.attributes:
        if attribute.codes is None:
            continue
        default = catalog.code_list(attribute.codes)
        for index, row in enumerate(rows):
            value = row.get(attribute.name)
            if value is None:
                continue
            code_list = _list_for(row, attribute, default, by_scheme)
            if code_list.find(str(value)) is None:
                issues.add(
                    "unknown-code",
                    "advisory",
                    Text(
                        zh=f"代码不在“{code_list.title.zh}”中。",
                        en=f"The code is not in '{code_list.title.en}'.",
                    ),
                    row=first_row + index,
                    field=field_of.get(attribute.name, attribute.name),
                    value=value,
                )


def _list_for(
    row: Mapping[str, Any],
    attribute: Attribute,
    default: CodeList,
    by_scheme: Mapping[str, CodeList],
) -> CodeList:
    """A row that names its scheme is held against that one; digits differ between schemes."""
    if attribute.name == "code_scheme":
        return default
    return by_scheme.get(str(row.get("code_scheme", "")), default)


def _without_required(
    rows: list[dict[str, Any]], first_row: int, plan: FieldPlan, layer: Layer, issues: IssueLog
) -> set[int]:
    field_of = {attribute.name: field for field, attribute in plan.pairs}
    refused: set[int] = set()
    for attribute in layer.attributes:
        if not attribute.required or attribute.name not in field_of:
            continue
        for index, row in enumerate(rows):
            if row.get(attribute.name) is None:
                refused.add(index)
                issues.add(
                    "required-value-missing",
                    "blocking",
                    Text(
                        zh=f"缺少必填属性“{attribute.title.zh}”，该行被拒绝。",
                        en=f"The required attribute '{attribute.title.en}' is missing; "
                        "the row was refused.",
                    ),
                    row=first_row + index,
                    field=field_of[attribute.name],
                )
    return refused


def to_string(raw: Any) -> str | None:
    """Text without outer blanks; whole numbers without a fraction; empty = None."""
    if isinstance(raw, str):
        return raw.replace("\x00", "").strip() or None
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


_CONVERTERS: Final[dict[AttributeType, Callable[[Any], Any]]] = {
    "string": to_string,
    "integer": to_integer,
    "number": to_number,
    "boolean": to_boolean,
    "date": to_date,
}
_TYPE_NAMES: Final[dict[AttributeType, Text]] = {
    "string": Text(zh="文本", en="text"),
    "integer": Text(zh="整数", en="whole number"),
    "number": Text(zh="数值", en="number"),
    "boolean": Text(zh="是/否", en="yes/no value"),
    "date": Text(zh="日期", en="date"),
}
