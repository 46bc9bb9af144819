"""DXF: drawings in text form, looked through before GDAL reads them.

A drawing has no CRS; the caller states it. Closed polylines and hatches become polygons, blocks
are put in place, arcs become segments of 4 degrees. Drawings that a drawing refers to (xrefs) are
not opened by GDAL; how many there were is said. ``layer`` picks one layer of the drawing.
"""

import codecs
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyogrio
import shapely

from layers.errors import UnreadableFile
from layers.readers.geopackage import choose_layer
from layers.readers.source import Batch, Note, Source, damaged, describe, stream
from layers.text import Text

_LONGEST_LINE: Final = 1 << 20
_UNICODE_FROM: Final = b"AC1021"
"""R2007: from here on text is UTF-8, before it is in $DWGCODEPAGE."""
_CURVED: Final = frozenset({b"ARC", b"CIRCLE", b"ELLIPSE", b"SPLINE", b"HELIX"})
_BULGED: Final = frozenset({b"LWPOLYLINE", b"VERTEX"})
_NO_ENTITY: Final = frozenset({b"SECTION", b"ENDSEC", b"SEQEND", b"VERTEX", b"ATTRIB"})
_XREF_FLAGS: Final = 4 | 8
_CODE_PAGES: Final = {b"ANSI_936": "GB18030", b"GB2312": "GB18030", b"DOS936": "GB18030"}
_ESCAPE: Final = re.compile(r"\\[Uu]\+(?!D[89A-F])([0-9A-Fa-f]{4})")
_FEWEST_RING_POINTS: Final = 4
_GDAL_OPTIONS: Final = {
    "DXF_CLOSED_LINE_AS_POLYGON": "TRUE",
    "DXF_INLINE_BLOCKS": "TRUE",
    # Each part of a block is a feature of its own; together they would be a mixed collection.
    "DXF_MERGE_BLOCK_GEOMETRIES": "FALSE",
    "OGR_ARC_STEPSIZE": "4",
}


@dataclass(slots=True)
class _Drawing:
    """What the walk through the file found."""

    version: bytes = b""
    code_page: bytes = b""
    entities: int = 0
    curves: int = 0
    xrefs: int = 0
    ended: bool = False
    layers: dict[bytes, None] = field(default_factory=dict)
    is_utf8: bool = True
    is_ascii: bool = True


def open_dxf(path: Path, job_dir: Path, layer: str | None) -> Source:
    """All entities of the drawing, or those of one of its layers; ``job_dir`` is not needed."""
    drawing = _look_through(path)
    if drawing.entities == 0:
        raise UnreadableFile(
            "The drawing has no entities; there is nothing to import.",
            "DXF 图纸中没有任何实体，无可导入内容。",
            code="no-rows",
        )
    notes: list[Note] = []
    encoding = _encoding(drawing, notes)
    if layer is not None:
        names = [_unescaped(name.decode(encoding, "replace")) for name in drawing.layers]
        choose_layer("DXF", names, layer)
    _note_content(drawing, notes)
    pyogrio.set_gdal_config_options({**_GDAL_OPTIONS, "DXF_ENCODING": encoding})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = describe("DXF", "DXF", path, None, crs_text="", notes=tuple(notes))
    return replace(found, encoding=encoding, batches=partial(_batches, found, layer))


def _look_through(path: Path) -> _Drawing:
    drawing = _Drawing()
    utf8 = codecs.getincrementaldecoder("utf-8")()
    section = kind = variable = b""
    with path.open("rb") as file:
        for code, value in _pairs(file):
            if not value.isascii():
                drawing.is_ascii = False
                drawing.is_utf8 = drawing.is_utf8 and _decodes(utf8, value)
            if code == 0:
                kind = value
                if kind == b"EOF":
                    drawing.ended = True
                    break
                if section == b"ENTITIES" and kind not in _NO_ENTITY:
                    drawing.entities += 1
                drawing.curves += kind in _CURVED
            elif code == 2 and kind == b"SECTION":
                section = value
            elif section == b"HEADER":
                variable = _header(drawing, variable, code, value)
            else:
                _entity(drawing, section, kind, code, value)
    if not drawing.ended:
        raise damaged("DXF", "EOF")
    return drawing


def _header(drawing: _Drawing, variable: bytes, code: int, value: bytes) -> bytes:
    if code == 9:
        return value
    if variable == b"$ACADVER" and code == 1:
        drawing.version = value
    elif variable == b"$DWGCODEPAGE" and code == 3:
        drawing.code_page = value.upper()
    return variable


def _entity(drawing: _Drawing, section: bytes, kind: bytes, code: int, value: bytes) -> None:
    if section not in (b"ENTITIES", b"BLOCKS"):
        return
    if code == 8 and len(drawing.layers) < 10_000:
        drawing.layers[value] = None
    elif code == 42 and kind in _BULGED:
        drawing.curves += value.strip(b"-+0.") != b""
    elif code == 70 and kind == b"BLOCK" and value.isdigit():
        drawing.xrefs += bool(int(value[:6]) & _XREF_FLAGS)


def _pairs(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Group codes with their values."""
    while True:
        code, value = file.readline(_LONGEST_LINE), file.readline(_LONGEST_LINE)
        if not code.strip() and not value:
            return
        try:
            number = int(code)
        except ValueError as error:
            raise damaged("DXF", "group code") from error
        if len(code) >= _LONGEST_LINE or len(value) >= _LONGEST_LINE:
            raise damaged("DXF", "line too long")
        yield number, value.strip()


def _decodes(decoder: Any, value: bytes) -> bool:
    try:
        decoder.decode(value, final=True)
    except UnicodeDecodeError:
        decoder.reset()
        return False
    return True


def _encoding(drawing: _Drawing, notes: list[Note]) -> str:
    """R2007 and later are UTF-8; before that the code page says it, GB18030 where none does."""
    if drawing.is_ascii:
        return "UTF-8"
    if drawing.version >= _UNICODE_FROM and drawing.is_utf8:
        return "UTF-8"
    if drawing.version < _UNICODE_FROM:
        stated = _CODE_PAGES.get(drawing.code_page)
        if stated is None and drawing.code_page.startswith(b"ANSI_"):
            stated = "CP" + drawing.code_page.removeprefix(b"ANSI_").decode("ascii", "replace")
        if stated is not None and _is_known(stated):
            return stated
        if drawing.is_utf8:
            return "UTF-8"
    notes.append(
        Note(
            "encoding-assumed",
            Text(
                zh="图纸未（正确）声明代码页，文字按 GB18030 读取。",
                en="The drawing states no (or a wrong) code page; its text was read as GB18030.",
            ),
        )
    )
    return "GB18030"


def _is_known(encoding: str) -> bool:
    try:
        codecs.lookup(encoding)
    except (LookupError, ValueError):  # the latter for a NUL in the name
        return False
    return True


def _note_content(drawing: _Drawing, notes: list[Note]) -> None:
    if drawing.curves:
        notes.append(
            Note(
                "arcs-linearised",
                Text(
                    zh="图纸中的圆弧、样条或凸度已折线化（每 4 度一段）。",
                    en="Arcs, splines or bulges of the drawing were turned into segments "
                    "(4 degrees a step).",
                ),
            )
        )
    if drawing.xrefs:
        notes.append(
            Note(
                "dxf-xrefs-not-followed",
                Text(
                    zh=f"图纸引用了 {drawing.xrefs} 个外部图纸，未读取；请绑定后重新提供。",
                    en=f"The drawing refers to {drawing.xrefs} other drawings, which were not "
                    "read; bind them and send it again.",
                ),
            )
        )


def _batches(found: Source, layer: str | None) -> Iterator[Batch]:
    first_row = 1
    rows = stream(found)
    while (batch := _next_quietly(rows)) is not None:
        kept = _of_layer(batch, layer)
        if len(kept):
            yield _part(batch, kept, first_row)
            first_row += len(kept)


def _next_quietly(rows: Iterator[Batch]) -> Batch | None:
    """GDAL warns of every block that is not there; the xrefs have been counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return next(rows, None)


def _of_layer(batch: Batch, layer: str | None) -> list[int]:
    if layer is None:
        return list(range(len(batch)))
    names = batch.columns["Layer"].to_pylist()
    return [i for i, name in enumerate(names) if name is not None and _unescaped(name) == layer]


def _part(batch: Batch, kept: list[int], first_row: int) -> Batch:
    places = {old: new for new, old in enumerate(kept)}
    return Batch(
        first_row=first_row,
        geometries=np.array([_closed(batch.geometries[i]) for i in kept], dtype=object),
        columns={name: _whole_text(column.take(kept)) for name, column in batch.columns.items()},
        faults={places[i]: code for i, code in batch.faults.items() if i in places},
    )


def _whole_text(column: pa.Array) -> pa.Array:
    r"""What the code page lacks stands as \U+4DAE in drawings before R2007."""
    if not pa.types.is_string(column.type):
        return column
    values = column.to_pylist()
    return pa.array([None if v is None else _unescaped(v) for v in values], pa.string())


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "\\" in text else text


def _closed(geometry: Any) -> Any:
    """A line that ends where it began is an outline; many drawings do not set the flag."""
    if isinstance(geometry, shapely.LineString):
        points = shapely.get_coordinates(geometry)
        closed = len(points) >= _FEWEST_RING_POINTS and (points[0] == points[-1]).all()
        if closed:
            return shapely.Polygon(geometry)
    return geometry
