"""What a sender should know of attributes that no rule can use: they count as unknown.

An attribute of a wrong type or unit never decides anything in the sender's favour. Without a word
he would only see "undetermined" where a rule happens to read it, and nothing where none does.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from layers.text import Text
from planning_rules.limits import read_figure
from planning_rules.remark import Remark
from planning_rules.rule_set import AttributeField

_FIGURE_UNITS: Final = frozenset({"1", "m", "%"})
_ELSEWHERE: Final = frozenset({"accuracy_m", "line_width_m"})
"""Attributes whose reading says itself what was wrong."""
_LONGEST_SHOWN: Final = 40
_TYPES: Final[Mapping[str, Text]] = {
    "string": Text(zh="文本", en="a text"),
    "number": Text(zh="数值", en="a number"),
    "integer": Text(zh="整数", en="a whole number"),
    "boolean": Text(zh="true 或 false", en="true or false"),
    "date": Text(zh="日期（2026-01-31）", en="a date (2026-01-31)"),
    "documents": Text(
        zh="文件列表 [{authority, document, number, date}]",
        en="a list [{authority, document, number, date}]",
    ),
}


def attribute_remarks(
    attributes: Mapping[str, Any], fields: Mapping[str, AttributeField]
) -> tuple[Remark, ...]:
    """One remark for each attribute that cannot be used as it stands, in the order of names."""
    remarks: list[Remark] = []
    for name in sorted(attributes.keys() & fields.keys() - _ELSEWHERE):
        value, field = attributes[name], fields[name]
        if value is None:
            continue
        if not _fits(value, field):
            remarks.append(_of_wrong_type(value, field))
        elif field.type == "documents":
            remarks += _of_documents(value)
        elif field.options and value not in [option.value for option in field.options]:
            remarks.append(_of_unknown_option(value, field))
    return tuple(remarks)


def _fits(value: Any, field: AttributeField) -> bool:
    kind = field.type
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "documents":
        return isinstance(value, list)
    if kind == "date":
        return isinstance(value, str) and _is_date(value)
    if kind == "string":
        return isinstance(value, str)
    if isinstance(value, str):  # "24 m" where a figure with its unit is read
        return (
            field.unit in _FIGURE_UNITS and read_figure(value, field.unit or "").value is not None
        )
    return _is_number(value, whole=kind == "integer")


def _is_number(value: Any, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return not whole or float(value).is_integer()


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _of_wrong_type(value: Any, field: AttributeField) -> Remark:
    wanted, unit = _TYPES[field.type], field.unit
    zh, en = (f"，单位 {unit}", f" in {unit}") if unit and unit != "1" else ("", "")
    text = Text(
        zh=f"“{field.name}”的值“{_shown(value)}”无法采用（按未知处理）：应为{wanted.zh}{zh}。",
        en=f"'{field.name}' is '{_shown(value)}', which cannot be used (it is taken as unknown): "
        f"{wanted.en}{en} is expected.",
    )
    return Remark("attribute-unusable", text)


def _of_unknown_option(value: Any, field: AttributeField) -> Remark:
    names = ", ".join(str(option.value) for option in field.options)
    text = Text(
        zh=f"“{field.name}”的值“{_shown(value)}”不在可选值中：{names}。",
        en=f"'{field.name}' is '{_shown(value)}', which is none of {names}.",
    )
    return Remark("attribute-unknown-value", text)


def _of_documents(documents: list[Any]) -> Iterator[Remark]:
    for number, document in enumerate(documents, start=1):
        reason = _document_fault(document)
        if reason is not None:
            text = Text(
                zh=f"documents 第 {number} 项不予采用：{reason.zh}。",
                en=f"Number {number} of documents does not count: {reason.en}.",
            )
            yield Remark("document-unusable", text)


def _document_fault(document: Any) -> Text | None:
    """Why ``planning_rules.consent`` cannot use a document, whatever the day of the check."""
    if not isinstance(document, Mapping):
        return Text(zh="应为对象", en="an object is expected")
    title = document.get("document")
    if not isinstance(title, str) or not title.strip():
        return Text(zh="缺少文件名称（document）", en="its title (document) is missing")
    authority = document.get("authority")
    if authority is not None and not isinstance(authority, str):
        return Text(zh="机关（authority）应为文本", en="the authority must be a text")
    day, number = document.get("date"), document.get("number")
    if day is not None and not _is_date(str(day)):
        return Text(zh=f"日期“{_shown(day)}”无效", en=f"'{_shown(day)}' is no date")
    numbered = (isinstance(number, str) and number.strip()) or type(number) is int
    if day is None and not numbered:
        return Text(zh="文号与日期均缺失", en="it has neither a number nor a date")
    return None


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
