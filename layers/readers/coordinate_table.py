"""Coordinate tables (界址点成果表) in XLSX and CSV: one row a boundary point, header words decide.

Columns: 点号|序号, X坐标|纵坐标 (north) and Y坐标|横坐标 (east), or 经度 and 纬度 (decimal or DMS),
and where there are several: 圈号, 地块号|地块名称. Parcel and ring stand once above their points in
many tables (merged cells): an empty cell repeats the one above. Other columns become attributes
where they have one value in each parcel.

A table names no CRS. Eastings with a zone prefix give the zone, words above the header the datum;
without a prefix the caller has to state the CRS.
"""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from layers.attribute_values import Unreadable, to_string
from layers.declared_area import DeclaredArea, read_declared
from layers.errors import CrsRefused, UnreadableFile
from layers.readers.boundary_parcels import KINDS
from layers.readers.source import BATCH_ROWS, Batch, Note, Source
from layers.readers.survey_angles import degrees, plane_number
from layers.readers.survey_axes import SurveyCoordinates, order_axes, swap_note
from layers.readers.survey_crs import ZoneStatement, datums_of, geographic_code, projected_code
from layers.readers.survey_rings import CLOSING_DEG, CLOSING_M, Parcel, SurveyPoints, build
from layers.readers.survey_text import LineFaults, half_width
from layers.readers.table_cells import Cells, Row, read_cells
from layers.readers.table_header import Role, TableHeader, role_of
from layers.text import Text

_LABEL: Final = re.compile(r"-?[A-Za-z]{0,3}-?\d{1,9}")
_PARCEL_FIELDS: Final[dict[Role, str]] = {"parcel": "DKBH", "name": "DKMC", "area": "DKMJ"}


@dataclass(slots=True)
class _Points:
    """What is collected row by row."""

    faults: LineFaults
    north: "array[float]" = field(default_factory=lambda: array("d"))
    east: "array[float]" = field(default_factory=lambda: array("d"))
    lines: "array[int]" = field(default_factory=lambda: array("q"))
    parcels: list[Parcel] = field(default_factory=list)
    rows: list[list[Row]] = field(default_factory=list)
    """The rows of each parcel, for its attributes."""
    names: dict[str, int] = field(default_factory=dict)
    rings: dict[str, int] = field(default_factory=dict)
    parcel: str | None = None
    ring: str | None = None
    gap: int = 0
    skipped: list[int] = field(default_factory=list)
    """Lines below the header that are no points: repeated headers, sums, names of makers."""


def open_coordinate_table(path: Path, job_dir: Path, layer: str | None) -> Source:
    """Read a table; ``layer`` names the sheet of a workbook. Errors name the row.

    Fields: DKBH, DKMC, DKMJ where the table has them, and its further columns by their own names.
    """
    cells = read_cells(path, layer)
    points = _collect(cells)
    coordinates = order_axes(
        np.array(points.north), np.array(points.east),
        np.array(points.lines, dtype=np.int64),
        "degree" if cells.header.geographic else "metre", cells.what,
    )  # fmt: skip
    crs_text, notes = _crs_of(cells, coordinates)
    columns, dropped = _columns(cells.header, points)
    if dropped:
        notes.append(_dropped_note(dropped))
    if points.skipped:
        notes.append(_skipped_note(points.skipped))
    survey = SurveyPoints(
        coordinates.xy,
        np.array(points.lines, dtype=np.int64),
        CLOSING_DEG if coordinates.geographic else CLOSING_M,
    )
    return Source(
        format=f"Coordinate table ({cells.what})",
        driver="coordinate-table",
        path=path,
        layer=cells.name,
        crs_text=crs_text,
        fields=tuple(columns),
        feature_count=len(points.parcels),
        encoding=cells.encoding,
        notes=tuple(notes),
        batches=lambda: _batches(points.parcels, survey, columns, _declared(cells.header, columns)),
    )


def _collect(cells: Cells) -> _Points:
    points = _Points(LineFaults(cells.what))
    for line, row in cells.rows:
        if all(cell is None or (isinstance(cell, str) and not cell.strip()) for cell in row):
            points.gap = points.gap or line
        else:
            _take(row, line, cells.header, points)
            points.gap = 0
    points.faults.refuse()
    if not points.parcels:
        raise UnreadableFile(
            f"The {cells.what} has a header and no points below it; there is nothing to import.",
            f"{cells.what} 表头下没有任何界址点，无可导入内容。",
            code="no-rows",
        )
    for parcel, after in zip(points.parcels, points.parcels[1:], strict=False):
        parcel.stop = after.starts[0]
    points.parcels[-1].stop = len(points.north)
    return points


def _take(row: Row, line: int, header: TableHeader, points: _Points) -> None:
    read = degrees if header.geographic else plane_number
    first, second = ("lat", "lon") if header.geographic else ("north", "east")
    cells = {role: _cell(row, column) for role, column in header.columns.items()}
    north, east = read(cells[first]), read(cells[second])  # type: ignore[index]
    if _is_no_point(cells, first, second):  # type: ignore[arg-type]
        points.skipped.append(line)
        return
    if north is None or east is None:
        points.faults.add(line, *_why(cells[first], cells[second]))  # type: ignore[index]
        return
    if not _take_place(cells, line, header, points):
        return
    points.north.append(north)
    points.east.append(east)
    points.lines.append(line)
    points.rows[-1].append(row)


def _take_place(cells: dict[Role, Any], line: int, header: TableHeader, points: _Points) -> bool:
    """Begin a new parcel or ring where the row says so; False where it contradicts itself."""
    role: Role = "parcel" if "parcel" in header.columns else "name"
    name = _word(cells.get(role)) or points.parcel
    has_names = "parcel" in header.columns or "name" in header.columns
    if points.gap and points.parcels and not has_names and "ring" not in header.columns:
        points.faults.add(
            points.gap,
            "点表中间有空行，无法判断其后是否为另一地块；请增加“地块号”列",
            "an empty line divides the points; add a column 地块号 to say which parcel they are of",
        )
        return False
    if not points.parcels or (name != points.parcel and has_names):
        return _begin_parcel(name, cells, line, points)
    ring = _ring(cells) or points.ring
    if ring != points.ring:
        parcel = points.parcels[-1]
        if ring in points.rings:
            parcel.fault = parcel.fault or ("ring-number-repeated", line)
        parcel.starts.append(len(points.north))
        points.ring, points.rings[ring or ""] = ring, line
    return True


def _begin_parcel(name: str | None, cells: dict[Role, Any], line: int, points: _Points) -> bool:
    if name is not None and name in points.names:
        points.faults.add(
            line,
            f"地块“{name[:20]}”的界址点不连续（前一处自第{points.names[name]}行起）",
            f"the points of parcel '{name[:20]}' do not stand together (they begin in line "
            f"{points.names[name]})",
        )
        return False
    kind_text = _word(cells.get("kind")) or "面"
    kind = KINDS.get(kind_text)
    if kind is None:
        points.faults.add(
            line,
            f"图形类型应为面、线或点，实际为“{kind_text[:10]}”",
            f"the kind of geometry has to be 面, 线 or 点, it is '{kind_text[:10]}'",
        )
        return False
    points.parcels.append(Parcel(line, kind, starts=[len(points.north)]))
    points.rows.append([])
    points.parcel, points.ring = name, _ring(cells)
    points.names[name or ""] = line
    points.rings = {points.ring or "": line}
    return True


def _is_no_point(cells: dict[Role, Any], first: Role, second: Role) -> bool:
    """A header repeated on the next page, or a line without coordinates whose label is none."""
    texts = [_word(cells[role]) for role in (first, second)]
    if [role_of(text or "") for text in texts] == [first, second]:
        return True
    label = _word(cells.get("label"))
    return (
        not any(texts) and "label" in cells and not (label and _LABEL.fullmatch(half_width(label)))
    )


def _ring(cells: dict[Role, Any]) -> str | None:
    return _word(cells.get("ring"))


def _cell(row: Row, column: int) -> Any:
    return row[column] if column < len(row) else None


def _word(cell: Any) -> str | None:
    """The text of a cell; whole numbers without a fraction."""
    try:
        return None if cell is None else to_string(cell)
    except Unreadable:
        return str(cell)


def _why(north: Any, east: Any) -> tuple[str, str]:
    """Which coordinate cannot be read."""
    shown = ", ".join("" if cell is None else str(cell)[:30] for cell in (north, east))
    if north in (None, "") or east in (None, ""):
        return (
            f"坐标为空（{shown}）；公式须先由制表软件计算并保存结果",
            f"a coordinate is empty ({shown}); of a formula only a stored result is read",
        )
    return f"坐标无法识别（{shown}）", f"a coordinate cannot be read ({shown})"


def _crs_of(cells: Cells, coordinates: SurveyCoordinates) -> tuple[str | None, list[Note]]:
    """The code and what had to be assumed for it; None where the table does not say enough."""
    notes = [swap_note(cells.what)] if coordinates.swapped else []
    above = half_width(cells.header.above)
    datums = datums_of(above)
    if len(datums) > 1:
        raise CrsRefused(
            "The text above the table names several datums; leave the right one.",
            "表头上方文字列出了多个坐标系；请只保留实际采用的一个。",
            code="unknown-crs",
        )
    datum = next(iter(datums), None)
    if coordinates.geographic:
        return geographic_code(datum), notes
    if coordinates.prefix is None:
        return None, notes
    if datum is None:
        notes.append(
            Note(
                "datum-assumed",
                Text(
                    zh=f"表中未说明坐标系，按带号 {coordinates.prefix} 以 CGCS2000 读取；"
                    "如为其他坐标系，请指定（--source-crs）。",
                    en=f"The table names no datum; with zone {coordinates.prefix} it was read as "
                    "CGCS2000. State another one with --source-crs.",
                ),
            )
        )
    stated = ZoneStatement(datum or "cgcs2000")
    return projected_code(stated, coordinates.prefix, coordinates.prefix_line), notes


Columns = dict[str, list[str | None]]


def _columns(header: TableHeader, points: _Points) -> tuple[Columns, list[str]]:
    """Values by parcel, and the names of columns that differ from point to point."""
    columns: Columns = {}
    dropped: list[str] = []
    wanted = {header.columns[role]: name for role, name in _PARCEL_FIELDS.items()
              if role in header.columns}  # fmt: skip
    for column, name in {**wanted, **header.others}.items():
        values: list[str | None] = []
        for rows in points.rows:
            found = {word for row in rows if (word := _word(_cell(row, column))) is not None}
            values.append(next(iter(found), None))
            if len(found) > 1:
                dropped.append(name)
                break
        else:
            columns.setdefault(name, values)
    return columns, dropped


def _dropped_note(names: list[str]) -> Note:
    shown = ", ".join(name[:20] for name in names[:10])
    return Note(
        "point-columns-dropped",
        Text(
            zh=f"以下列逐点取值不同，不属于地块，未读取：{shown}。",
            en=f"These columns differ from point to point and are none of a parcel: {shown}.",
        ),
    )


def _skipped_note(lines: list[int]) -> Note:
    shown = ", ".join(str(line) for line in lines[:10])
    return Note(
        "lines-skipped",
        Text(
            zh=f"{len(lines)} 行不是界址点（重复表头、合计、制表信息等），已跳过：第 {shown} 行。",
            en=f"{len(lines)} lines are no points (repeated headers, sums, remarks) and were "
            f"skipped: {shown}.",
        ),
    )


def _declared(header: TableHeader, columns: Columns) -> list[DeclaredArea | None]:
    """Declared areas with the unit that the header of their column names."""
    words = {"ha": "公顷", "m2": "平方米", "mu": "亩", None: ""}
    return [
        read_declared(f"{value or ''}{words[header.area_unit]}", "DKMJ")
        for value in columns.get("DKMJ", [])
    ]


def _batches(
    parcels: list[Parcel],
    survey: SurveyPoints,
    columns: Columns,
    declared: list[DeclaredArea | None],
) -> Iterator[Batch]:
    for start in range(0, len(parcels), BATCH_ROWS):
        stop = start + BATCH_ROWS
        geometries, faults, lines = build(parcels[start:stop], survey)
        yield Batch(
            first_row=start + 1,
            geometries=geometries,
            columns={name: pa.array(v[start:stop], pa.string()) for name, v in columns.items()},
            faults=faults,
            fault_lines=lines,
            declared_areas={
                index: area for index, area in enumerate(declared[start:stop]) if area is not None
            },
        )
