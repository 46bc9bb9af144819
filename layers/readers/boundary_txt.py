"""Survey boundary TXT (勘测定界界址点坐标交换格式): the file of a land survey of parcels.

The header names datum, zone and unit in words; the points follow parcel by parcel, northing first.
Everything that can contradict itself (header zone and easting prefix, unit and magnitude, order of
the axes, number of points, declared area) is held against each other: what the numbers settle is
noted, what they do not is refused with its line. See ``boundary_header`` and ``boundary_parcels``
for the grammar, ``survey_crs``, ``survey_axes`` and ``survey_rings`` for what is inferred.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from layers.declared_area import DeclaredArea, read_declared
from layers.errors import UnreadableFile
from layers.readers.boundary_header import (
    PARCELS,
    BoundaryHeader,
    read_header,
    stated_unit,
    stated_zone,
)
from layers.readers.boundary_parcels import FIELDS, LAND_FIELDS, ParcelReader
from layers.readers.geopackage import choose_layer
from layers.readers.source import BATCH_ROWS, Batch, Note, Source
from layers.readers.survey_axes import SurveyCoordinates, order_axes, swap_note
from layers.readers.survey_crs import ZoneStatement, geographic_code, projected_code
from layers.readers.survey_rings import CLOSING_DEG, CLOSING_M, Parcel, SurveyPoints, build
from layers.readers.survey_text import LineFaults, half_width, line_place, lines_of, read_text
from layers.text import Text

_WHAT: Final = "TXT"
_COUNT, _AREA, _ID = FIELDS[0], FIELDS[1], FIELDS[2]
_AREA_UNIT: Final = "DKMJDW"
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class BoundaryFile:
    """A whole file, read and free of contradictions. ``crs_text`` None = the file does not say."""

    header: BoundaryHeader
    parcels: tuple[Parcel, ...]
    points: SurveyPoints
    crs_text: str | None
    encoding: str
    notes: tuple[Note, ...]


def open_boundary_txt(path: Path, job_dir: Path, layer: str | None) -> Source:
    """Read a boundary TXT; ``UnreadableFile`` and ``CrsRefused`` name the line.

    Fields are those of the parcel line (JZDS DKMJ DKBH DKMC JHLX TFH DKYT DLBM; DKMJ is the number
    as declared, DKMJDW the unit if a word says it) and ``section.key`` of the header. One row a
    parcel, x = easting or longitude, y = northing or latitude.
    """
    choose_layer(_WHAT, [path.stem], layer or path.stem)
    found = read_boundary(path)
    columns = _columns(found)
    return Source(
        format="Boundary TXT",
        driver="boundary-txt",
        path=path,
        layer=path.stem,
        crs_text=found.crs_text,
        fields=tuple(columns),
        feature_count=len(found.parcels),
        encoding=found.encoding,
        notes=found.notes,
        batches=lambda: _batches(found, columns),
    )


def read_boundary(path: Path) -> BoundaryFile:
    """Read and check a whole file."""
    text, encoding = read_text(path, _WHAT)
    lines = lines_of(text)
    header, faults = BoundaryHeader(), LineFaults(_WHAT)
    reader = ParcelReader(faults)
    index = read_header(lines, 0, header, faults)
    while index < len(lines):
        index = reader.read(lines, index)
        index = read_header(lines, index, header, faults)
    faults.refuse()
    _refuse_empty(header, reader, len(lines))
    _refuse_cut(reader.parcels, reader, lines)
    stated, unit = stated_zone(header), stated_unit(header)
    coordinates = order_axes(
        np.frombuffer(reader.north), np.frombuffer(reader.east),
        np.frombuffer(reader.lines, dtype=np.int64), unit, _WHAT,
    )  # fmt: skip
    points = SurveyPoints(
        coordinates.xy,
        np.array(reader.lines, dtype=np.int64),
        CLOSING_DEG if coordinates.geographic else CLOSING_M,
    )
    return BoundaryFile(
        header=header,
        parcels=tuple(reader.parcels),
        points=points,
        crs_text=_crs_text(header, stated, coordinates),
        encoding=encoding,
        notes=tuple(_notes(header, reader, stated, coordinates)),
    )


def _refuse_empty(header: BoundaryHeader, reader: ParcelReader, lines: int) -> None:
    if PARCELS not in header.sections:
        raise _cut_short(lines, "没有[地块坐标]部分", "there is no section [地块坐标]")
    if not reader.parcels:
        raise UnreadableFile(
            "The boundary TXT holds no parcel; there is nothing to import.",
            "TXT 中没有任何地块，无可导入内容。",
            code="no-rows",
        )
    if not reader.north:
        raise _cut_short(lines, "没有任何界址点", "there is no boundary point")


def _refuse_cut(parcels: Sequence[Parcel], reader: ParcelReader, lines: list[str]) -> None:
    """The last parcel has fewer points than its line says: the file breaks off in it.

    Elsewhere a count that differs is noted only; the closing point may be counted or not. Without
    a line end after it the last number may be cut as well: a ring that should be closed tells.
    """
    ends_open = bool(lines[-1].strip())
    last = parcels[-1]
    stated, found = last.values[0].strip(), last.count
    missing = (int(stated) if stated.isdigit() else 0) - found
    closing = sum(not _is_closed(reader, *ring) for ring in last.rings()) if last.starts else 0
    if ends_open and last.starts and _should_close(parcels, reader, lines):
        raise _cut_short(
            len(lines),
            "最后一行没有换行符，最后一个圈没有闭合",
            "the last line has no end and the last ring is not closed",
        )
    if missing > closing or not last.starts:
        raise _cut_short(
            len(lines),
            f"最后一个地块（第{last.line}行）应有 {stated or '若干'} 个界址点，实有 {found} 个",
            f"the last parcel (line {last.line}) says {stated or 'some'} points and has {found}",
        )


def _is_closed(reader: ParcelReader, start: int, stop: int) -> bool:
    return (
        stop - start > 1
        and reader.north[start] == reader.north[stop - 1]
        and reader.east[start] == reader.east[stop - 1]
    )


def _should_close(parcels: Sequence[Parcel], reader: ParcelReader, lines: list[str]) -> bool:
    """Whether the last ring is open where the file's first is closed, or by its last label."""
    first, last = parcels[0], parcels[-1]
    start, stop = last.rings()[-1]
    if last.kind != "polygon" or _is_closed(reader, start, stop):
        return False
    labels = [lines[reader.lines[at] - 1].split(",")[0].strip() for at in (start, stop - 1)]
    others = first.kind == "polygon" and bool(first.starts) and first.starts[0] != start
    return (stop - start > 1 and labels[0] == labels[1]) or (
        others and _is_closed(reader, *first.rings()[0])
    )


def _cut_short(line: int, zh: str, en: str) -> UnreadableFile:
    return UnreadableFile(
        f"The boundary TXT ends too early (line {line}): {en}. Send it again.",
        f"TXT 文件不完整（止于第{line}行）：{zh}；请重新提供。",
        code="damaged-file",
        places=(line_place(line, Text(zh=zh, en=en)),),
    )


def _crs_text(
    header: BoundaryHeader, stated: ZoneStatement, coordinates: SurveyCoordinates
) -> str | None:
    """A code; the header's own word where it names an unknown system; None where it is silent."""
    if coordinates.geographic:
        code = geographic_code(stated.datum)
    else:
        code = projected_code(stated, coordinates.prefix, coordinates.prefix_line)
    return code or (header.attribute("坐标系") if stated.datum is None else None) or None


def _notes(
    header: BoundaryHeader,
    reader: ParcelReader,
    stated: ZoneStatement,
    coordinates: SurveyCoordinates,
) -> Iterator[Note]:
    line = min(filter(None, (header.full_width_line, reader.full_width_line)), default=0)
    if line:
        yield Note(
            "full-width-punctuation",
            Text(
                zh=f"文件含全角标点（首见于第{line}行），已按半角读取。",
                en=f"Full-width punctuation (first in line {line}) was read as ASCII.",
            ),
        )
    if coordinates.swapped:
        yield swap_note(_WHAT)
    if stated.datum == "wgs84" and not coordinates.geographic:
        yield Note(
            "wgs84-as-cgcs2000",
            Text(
                zh="文件声明 WGS84 高斯投影坐标，按与之等同的 CGCS2000 读取。",
                en="The file states Gauss-Krueger coordinates on WGS 84; read as CGCS2000, which "
                "is held for equal.",
            ),
        )
    yield from _count_notes(reader)
    yield from _repeated_ids(reader.parcels)


def _count_notes(reader: ParcelReader) -> Iterator[Note]:
    wrong = []
    for parcel in reader.parcels:
        stated = parcel.values[0].strip()
        off = int(stated) - parcel.count if stated.isdigit() else 0
        closed = sum(_is_closed(reader, *ring) for ring in parcel.rings()) if parcel.starts else 0
        # Closing points that are there may be left uncounted; those that are not may be counted.
        if not -closed <= off <= len(parcel.starts) - closed:
            wrong.append(f"{parcel.line} ({stated}/{parcel.count})")
    if wrong:
        shown = ", ".join(wrong[:_SHOWN])
        yield Note(
            "point-count-differs",
            Text(
                zh=f"{len(wrong)} 个地块的界址点数与实际点数不符（行号（声明/实际）：{shown}）。",
                en=f"{len(wrong)} parcels state another number of points than they have (line "
                f"(stated/found): {shown}).",
            ),
        )


def _repeated_ids(parcels: Sequence[Parcel]) -> Iterator[Note]:
    counts = Counter(parcel.values[2] for parcel in parcels if parcel.values[2])
    repeated = {name for name, count in counts.items() if count > 1}
    if repeated:
        lines = [str(parcel.line) for parcel in parcels if parcel.values[2] in repeated]
        shown = ", ".join(lines[:_SHOWN])
        yield Note(
            "parcel-ids-repeated",
            Text(
                zh=f"{len(repeated)} 个地块编号重复出现（第 {shown} 行）。",
                en=f"{len(repeated)} parcel ids stand more than once (lines {shown}).",
            ),
        )


Columns = dict[str, list[str | None]]


def _columns(found: BoundaryFile) -> Columns:
    """Field names and values; header values stand once and are repeated batch by batch."""
    columns: Columns = {}
    longest = max(len(parcel.values) for parcel in found.parcels)
    for position, name in enumerate(_names(longest)):
        columns[name] = [
            (parcel.values[position] or None) if position < len(parcel.values) else None
            for parcel in found.parcels
        ]
    areas = [half_width(value or "") for value in columns[_AREA]]
    declared = [read_declared(area, _AREA) for area in areas]
    columns[_AREA] = [
        f"{read.value:.{read.decimals}f}" if read else area or None
        for read, area in zip(declared, areas, strict=True)
    ]
    columns[_AREA_UNIT] = [read.unit if read else None for read in declared]
    for key, value in found.header.values.items():
        columns.setdefault(key, [value or None])
    return columns


def _names(count: int) -> list[str]:
    extra = count - len(FIELDS)
    if extra == len(LAND_FIELDS):
        return [*FIELDS, *LAND_FIELDS]
    return [*FIELDS, *(f"FJ{number}" for number in range(1, extra + 1))]


def _batches(found: BoundaryFile, columns: Columns) -> Iterator[Batch]:
    for start in range(0, len(found.parcels), BATCH_ROWS):
        parcels = found.parcels[start : start + BATCH_ROWS]
        geometries, faults, lines = build(parcels, found.points)
        yield Batch(
            first_row=start + 1,
            geometries=geometries,
            columns={
                name: pa.array(
                    values * len(parcels)
                    if name in found.header.values
                    else values[start : start + len(parcels)],
                    pa.string(),
                )
                for name, values in columns.items()
            },
            faults=faults,
            fault_lines=lines,
            declared_areas=_declared(columns, start, len(parcels)),
        )


def _declared(columns: Columns, start: int, count: int) -> dict[int, DeclaredArea]:
    declared = {}
    for index in range(count):
        text, unit = columns[_AREA][start + index], columns[_AREA_UNIT][start + index]
        read = read_declared(f"{text or ''}{unit or ''}", _AREA)
        if read is not None:
            declared[index] = read
    return declared
