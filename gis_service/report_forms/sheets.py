"""Sheets of a workbook: heads, rows, and cells that hold values, never formulas."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_LONGEST: Final = 32_000
"""A cell of a workbook holds 32,767 characters."""


def add_sheet(
    book: Workbook, title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Add a sheet; text cells wrap, and a text that begins with ``=`` stays a text."""
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2" if heads else None
    for index in range(max(len(heads), 2)):
        sheet.column_dimensions[chr(ord("A") + index)].width = 24
    if heads:
        sheet.append([_head(sheet, head) for head in heads])
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])


def _head(sheet: Any, text: str) -> Any:
    cell = _cell(sheet, text)
    cell.font = Font(bold=True)
    cell.fill = PatternFill("solid", fgColor="E8EDF2")
    return cell


def _cell(sheet: Any, value: Any) -> Any:
    if not isinstance(value, str):
        return WriteOnlyCell(sheet, value)
    cell = WriteOnlyCell(sheet, _CONTROL.sub("", value)[:_LONGEST])
    cell.data_type = "s"  # never a formula
    cell.alignment = Alignment(wrap_text=True, vertical="top")
    return cell
