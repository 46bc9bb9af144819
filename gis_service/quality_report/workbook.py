"""The report as a workbook: a summary and the findings, one row each."""

import io
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from gis_service.quality_report.document import Document
from gis_service.quality_report.words import words_in

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_HEAD: Final = PatternFill("solid", fgColor="E8EDF1")
_FILLS: Final = {
    "blocking": PatternFill("solid", fgColor="F9D9D9"),
    "advisory": PatternFill("solid", fgColor="FFF3CF"),
}
_LONGEST_CELL: Final = 32_000
_WIDTHS: Final = (8, 11, 26, 11, 24, 26, 24, 8, 16, 18, 14, 7, 11, 14, 14, 60)


def safe(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    text = "".join(c for c in value if c in "\t\n\r" or ord(c) >= 32)[:_LONGEST_CELL]
    return f"'{text}" if text.startswith(_FORMULA) else text


def render_xlsx(document: Document, language: str) -> bytes:
    """The workbook in Chinese (``zh``) or English."""
    word, key = words_in(language), "zh" if language == "zh" else "en"
    book = Workbook(write_only=True)
    _summary(book, document, word, key)
    _findings(book, document, word, key)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _summary(book: Workbook, document: Document, word: dict[str, str], key: str) -> None:
    sheet = book.create_sheet(word["summary"])
    for letter, width in zip("ABCDEF", (28, 40, 12, 12, 12, 14), strict=True):
        sheet.column_dimensions[letter].width = width
    plan = f"{document['plan_title'][key]} ({document['plan']})"
    facts = [
        (word["plan"], plan),
        (word["edition"], f"{document['edition']} · {document['edition_title'][key]}"),
        (word["state"], word[document["state"]]),
        (word["valid_from"], document["valid_from"]),
        (word["outcome"], word[document["outcome"]]),
        (word["blocking"], document["blocking"]),
        (word["advisory"], document["advisory"]),
        (word["finished"], document["finished"]),
        (word["run"], document["run"]),
    ]
    for name, value in facts:
        sheet.append([_bold(sheet, name), safe(value)])
    sheet.append([])
    heads = ("kind", "layer", "severity", "origin", "count")
    sheet.append([_bold(sheet, word[head]) for head in heads])
    for one in document["counts"]:
        sheet.append(
            [
                safe(one["title"][key]), safe(one["layer"]), word[one["severity"]],
                word[f"origin_{one['origin']}"], one["count"],
            ]
        )  # fmt: skip


def _findings(book: Workbook, document: Document, word: dict[str, str], key: str) -> None:
    sheet = book.create_sheet(word["findings"])
    sheet.freeze_panes = "A2"
    for number, width in enumerate(_WIDTHS, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    heads = (
        "number", "severity", "kind", "origin", "layer", "features", "other_layer", "row", "field",
        "value", "measured", "unit", "width", "longitude", "latitude", "reason",
    )  # fmt: skip
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(heads))}{len(document['findings']) + 1}"
    sheet.append([_bold(sheet, word[head]) for head in heads])
    for one in document["findings"]:
        measured = one["measured"] or {"value": None, "unit": None}
        place = one["place"] or (None, None)
        severity = WriteOnlyCell(sheet, word[one["severity"]])
        severity.fill = _FILLS[one["severity"]]
        reason = WriteOnlyCell(sheet, safe(one["reason"][key]))
        reason.alignment = Alignment(wrap_text=True, vertical="top")
        sheet.append(
            [
                one["number"], severity, safe(one["title"][key]), word[f"origin_{one['origin']}"],
                safe(one["layer"]), safe(", ".join(one["feature_ids"])), safe(one["other_layer"]),
                one["row"], safe(one["field"]), safe(one["value"]), measured["value"],
                word.get(f"unit_{measured['unit']}", ""), one["width_m"], *place, reason,
            ]
        )  # fmt: skip


def _bold(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet, text)
    cell.font, cell.fill = Font(bold=True), _HEAD
    return cell
