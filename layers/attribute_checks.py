"""Attributes of a batch: types, code lists, required values, personal data in values.

A value that cannot be read is left out and noted with row, field and value. Personal numbers are
left out too, and their issue names the field, never the value. Where an attribute has a code list,
rules select features by it: a value that is lost or not in the list would let a feature slip
through a check, so its issue is blocking, though the row is kept.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from layers.attribute_values import CONVERTERS, TYPE_NAMES, Unreadable, to_string
from layers.catalog import Attribute, Catalog, CodeList, Layer
from layers.field_map import FieldPlan
from layers.import_issues import IssueLog
from layers.personal_data import is_personal, is_personal_value, suspects
from layers.text import Text

_TEXTS: Final = frozenset({str, type(None)})
_NUMBERS: Final = frozenset({float, int, type(None)})
_KEPT_CODES_PER_FIELD: Final = 100
"""A file with codes of another scheme has an unknown one in every row; the count is whole."""


__all__ = ["Values", "check_attributes", "is_personal", "readable_values"]

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
) -> tuple[Values, set[int]]:
    """The attributes, column by column, and the indices of rows that lack a required one."""
    columns: Values = {name: [value] * count for name, value in plan.constants.items()}
    for field, attribute in plan.pairs:
        translation = plan.values.get(attribute.name, {})
        found = _converted(values[field], field, attribute, translation, first_row, issues)
        earlier = columns.get(attribute.name)
        if earlier is not None:
            found = [old if new is None else new for old, new in zip(earlier, found, strict=True)]
        columns[attribute.name] = found
    _check_codes(columns, first_row, plan, layer, catalog, issues)
    return columns, _without_required(columns, first_row, plan, layer, issues)


def _values(column: pa.Array, field: str, first_row: int, issues: IssueLog) -> list[Any]:
    values: list[Any] = column.to_pylist()
    suspected = suspects(column)
    if suspected is None or not pc.any(suspected).as_py():
        return values
    for index, suspect in enumerate(suspected.to_pylist()):
        if suspect and is_personal_value(values[index]):
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


def _converted(
    values: list[Any],
    field: str,
    attribute: Attribute,
    translation: Mapping[str, str],
    first_row: int,
    issues: IssueLog,
) -> list[Any]:
    plain = None if translation else _plain(values, attribute)
    if plain is not None:
        return plain
    return [
        None if raw is None else _one(raw, index, field, attribute, translation, first_row, issues)
        for index, raw in enumerate(values)
    ]


def _plain(values: list[Any], attribute: Attribute) -> list[Any] | None:
    """What ``CONVERTERS`` give for columns of texts or numbers that hold nothing odd; else None."""
    kinds = set(map(type, values))
    if attribute.type == "string" and kinds <= _TEXTS:
        if "\x00" in "".join(filter(None, values)):
            return [None if raw is None else to_string(raw) for raw in values]
        return [(raw.strip() or None) if raw else None for raw in values]
    if attribute.type == "number" and kinds <= _NUMBERS:
        numbers = [None if raw is None or raw != raw else float(raw) for raw in values]
        return None if math.inf in numbers or -math.inf in numbers else numbers
    return None


def _one(
    raw: Any,
    index: int,
    field: str,
    attribute: Attribute,
    translation: Mapping[str, str],
    first_row: int,
    issues: IssueLog,
) -> Any:
    try:
        return CONVERTERS[attribute.type](translation.get(str(raw), raw) if translation else raw)
    except Unreadable:
        issues.add(
            "bad-value",
            "advisory" if attribute.codes is None else "blocking",
            Text(
                zh=f"值无法读作{TYPE_NAMES[attribute.type].zh}，已留空。",
                en=f"The value is no {TYPE_NAMES[attribute.type].en}; it was left out.",
            ),
            row=first_row + index,
            field=field,
            value=raw,
        )
        return None


def _check_codes(
    columns: Values,
    first_row: int,
    plan: FieldPlan,
    layer: Layer,
    catalog: Catalog,
    issues: IssueLog,
) -> None:
    field_of = {attribute.name: field for field, attribute in plan.pairs}
    by_scheme = {code_list.scheme: code_list for code_list in catalog.code_lists}
    for attribute in layer.attributes:
        if attribute.codes is None or attribute.name not in columns:
            continue
        default = catalog.code_list(attribute.codes)
        values = columns[attribute.name]
        schemes = columns.get("code_scheme") or [None] * len(values)
        pairs = list(zip(values, schemes, strict=True))
        unknown = {
            pair: code_list
            for pair in set(pairs)
            if pair[0] is not None
            for code_list in (_list_for(pair[1], attribute, default, by_scheme),)
            if code_list.find(str(pair[0])) is None
        }
        if not unknown:
            continue
        for index, pair in enumerate(pairs):
            if pair in unknown:
                issues.add(
                    "unknown-code",
                    "blocking",
                    Text(
                        zh=f"代码不在“{unknown[pair].title.zh}”中；该行已保留，但规则无法按此归类。",
                        en=f"The code is not in '{unknown[pair].title.en}'; the row was kept, but "
                        "rules cannot classify it.",
                    ),
                    row=first_row + index,
                    field=field_of.get(attribute.name, attribute.name),
                    value=pair[0],
                    kept_per_field=_KEPT_CODES_PER_FIELD,
                )


def _list_for(
    scheme: Any,
    attribute: Attribute,
    default: CodeList,
    by_scheme: Mapping[str, CodeList],
) -> CodeList:
    """A row that names its scheme is held against that one; digits differ between schemes."""
    if attribute.name == "code_scheme":
        return default
    return by_scheme.get(str(scheme or ""), default)


def _without_required(
    columns: Values, first_row: int, plan: FieldPlan, layer: Layer, issues: IssueLog
) -> set[int]:
    field_of = {attribute.name: field for field, attribute in plan.pairs}
    refused: set[int] = set()
    for attribute in layer.attributes:
        if not attribute.required or attribute.name not in field_of:
            continue
        values = columns[attribute.name]
        if None not in values:
            continue
        for index, value in enumerate(values):
            if value is None:
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
