"""Rows of cells out of XLSX and CSV; nothing is evaluated, nothing is unpacked without a limit.

Of a formula only the value that the sender's program stored is read. An XLSX is a ZIP of XML: its
members are unpacked once for counting before openpyxl sees them, and a document type (the way to
entities that grow without end) is refused.
"""

import csv
import re
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import openpyxl

from layers.errors import GisError, LimitExceeded, UnreadableFile
from layers.readers.geopackage import choose_layer
from layers.readers.source import damaged
from layers.readers.survey_text import lines_of, read_text
from layers.readers.table_header import TableHeader, find_header, separator_of

_MOST_ROWS: Final = 1_048_576
_MOST_COLUMNS: Final = 200
_MOST_BYTES: Final = 512 << 20
_MOST_MEMBERS: Final = 2_000
_BLOCK_BYTES: Final = 1 << 20
_DOCTYPE: Final = re.compile(
    rb"<\x00?!\x00?(?:D\x00?O\x00?C\x00?T\x00?Y|E\x00?N\x00?T\x00?I)", re.I
)
_OVERLAP: Final = 16

Row = tuple[Any, ...]
NumberedRow = tuple[int, Row]


@dataclass(frozen=True, slots=True)
class Cells:
    """A table: its header and the rows below it, with the row or line number of each."""

    name: str
    what: str
    encoding: str | None
    header: TableHeader
    rows: list[NumberedRow]


def read_cells(path: Path, sheet: str | None) -> Cells:
    """The table of a file; ``sheet`` names one where several sheets of a workbook hold one."""
    with path.open("rb") as file:
        is_workbook = file.read(2) == b"PK"
    return _read_workbook(path, sheet) if is_workbook else _read_csv(path, sheet)


def _read_csv(path: Path, sheet: str | None) -> Cells:
    choose_layer("CSV", [path.stem], sheet or path.stem)
    text, encoding = read_text(path, "CSV")
    lines = lines_of(text)
    separator = separator_of(lines, "CSV")
    if separator is None:
        raise _no_header("CSV")
    rows: list[NumberedRow] = []
    reader = csv.reader((line + "\n" for line in lines), delimiter=separator)
    try:
        for row in reader:
            if len(rows) >= _MOST_ROWS * 8:
                raise _too_long("CSV")
            rows.append((reader.line_num, tuple(row[:_MOST_COLUMNS])))
    except csv.Error as error:
        raise damaged("CSV", f"line {reader.line_num}") from error
    header = find_header((row for _, row in rows), "CSV")
    if header is None:
        raise _no_header("CSV")
    return Cells(path.stem, "CSV", encoding, header, rows[header.row + 1 :])


def _read_workbook(path: Path, sheet: str | None) -> Cells:
    """What openpyxl cannot read is a damaged file, whatever it raises.

    It is fed with foreign bytes and raises what comes along (KeyError, AttributeError, ...).
    """
    check_workbook(path)
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")
            found = _tables(file, sheet)
    except (GisError, MemoryError):
        raise
    except Exception as error:
        raise damaged("XLSX") from error
    if not found:
        raise _no_header("XLSX")
    name = choose_layer("XLSX", list(found), sheet)
    header, rows = found[name]
    return Cells(name, "XLSX", None, header, rows)


def _tables(file: BinaryIO, wanted: str | None) -> dict[str, tuple[TableHeader, list[NumberedRow]]]:
    """The visible sheets that hold a coordinate table, or the wanted one."""
    found: dict[str, tuple[TableHeader, list[NumberedRow]]] = {}
    book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    if wanted is not None:
        choose_layer("XLSX", [sheet.title for sheet in book.worksheets], wanted)
    for sheet in book.worksheets:
        if wanted in (None, sheet.title) and sheet.sheet_state == "visible":
            sheet.reset_dimensions()
            rows = _rows(sheet)
            header = find_header((row for _, row in rows), "XLSX")
            if header is not None:
                found[sheet.title] = (header, rows[header.row + 1 :])
    return found


def _rows(sheet: Any) -> list[NumberedRow]:
    rows: list[NumberedRow] = []
    for number, row in enumerate(sheet.iter_rows(max_col=_MOST_COLUMNS, values_only=True), 1):
        if number > _MOST_ROWS:
            raise _too_long("XLSX")
        rows.append((number, row))
    return rows


def check_workbook(path: Path) -> None:
    """Unpack every member once, counting; ``LimitExceeded`` for a bomb, whatever its sizes say."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS:
                raise _bomb()
            total = 0
            for member in members:
                total = _count(archive, member, total)
    except (
        zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
        OSError,
    ) as error:  # fmt: skip
        raise damaged("XLSX") from error


def _count(archive: zipfile.ZipFile, member: zipfile.ZipInfo, total: int) -> int:
    """The bytes unpacked so far with this member; a document type in XML is refused."""
    is_xml = member.filename.lower().endswith((".xml", ".rels"))
    tail = b""
    with archive.open(member) as packed:
        while block := packed.read(_BLOCK_BYTES):
            total += len(block)
            if total > _MOST_BYTES:
                raise _bomb()
            if is_xml and _DOCTYPE.search(tail + block):
                raise UnreadableFile(
                    "The XLSX holds a document type or entities, which no office program writes; "
                    "it is refused.",
                    "XLSX 中含有文档类型或实体声明（正常办公软件不会写入），已拒绝。",
                    code="hostile-file",
                )
            tail = block[-_OVERLAP:]
    return total


def _bomb() -> LimitExceeded:
    return LimitExceeded(
        f"The XLSX unpacks to more than {_MOST_BYTES >> 20} MB or {_MOST_MEMBERS} members.",
        f"XLSX 解压后超过 {_MOST_BYTES >> 20} MB 或 {_MOST_MEMBERS} 个成员。",
        code="archive-bomb",
    )


def _too_long(what: str) -> LimitExceeded:
    return LimitExceeded(
        f"The {what} has more rows than are read; split it.",
        f"{what} 行数超出上限；请拆分后提交。",
    )


def _no_header(what: str) -> UnreadableFile:
    return UnreadableFile(
        f"The {what} has no header row that names both coordinates (X坐标 and Y坐标, 纵坐标 and "
        "横坐标, or 经度 and 纬度) among its first rows.",
        f"{what} 的前几行中没有坐标表头（X坐标与Y坐标、纵坐标与横坐标，或经度与纬度）。",
        code="no-table-header",
    )
