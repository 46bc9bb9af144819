"""DXF in the form of R12, which every CAD program reads: closed polylines and labels.

A drawing has no place for a CRS and little for attributes: coordinates are easting, northing in
metres (a projected CRS is demanded), the label is a text in each feature. Holes are closed
polylines on a drawing layer of their own, for R12 knows no areas.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt
import shapely

from layers.crs import Crs, from_storage
from layers.errors import CrsRefused
from layers.text import Text
from layers.writers.table import FeatureTable, TableHead, Written

_NAME_LENGTH: Final = 24
"""R12 admits 31 characters in names of layers; a suffix has to find room."""
_TEXT_HEIGHT_M: Final = 5.0
_CODE_PAGE: Final = "gbk"
_HOLES: Final = "_HOLE"
_LABELS: Final = "_LABEL"


def write_dxf(table: FeatureTable, path: Path, crs: Crs) -> Written:
    """Outlines and labels of the features; the code page is 936 (GBK)."""
    if crs.kind != "projected":
        raise CrsRefused(
            "A drawing needs metres: state a projected CRS, for example EPSG:4525.",
            "DXF 图纸须为平面坐标；请指定投影坐标系，例如 EPSG:4525。",
            code="projected-crs-needed",
        )
    name = table.head.name.upper()[:_NAME_LENGTH]
    count = 0
    with path.open("wb") as out:
        _write_head(out, name)
        for batch in table.batches:
            rows = zip(
                batch.feature_ids, batch.attributes, from_storage(batch.geometries, crs),
                strict=True,
            )  # fmt: skip
            for feature_id, attributes, geometry in rows:
                label = attributes.get(table.head.label) if table.head.label else None
                _write_feature(out, name, str(label or feature_id), geometry)
                count += 1
        _put(out, (0, "ENDSEC"), (0, "EOF"))
    return Written(path, count, (_note(table.head, name, crs),))


def _note(head: TableHead, name: str, crs: Crs) -> Text:
    return Text(
        zh=f"DXF 只含轮廓与标注（{head.label or '要素编号'}），其他属性不在其中；内环在图层 "
        f"{name}{_HOLES}；坐标系为 {crs.code}，图纸本身不记录。",
        en=f"DXF holds outlines and a label ({head.label or 'feature id'}) and no other "
        f"attributes; holes are on layer {name}{_HOLES}; the CRS is {crs.code}, which the "
        "drawing itself does not say.",
    )


def _write_head(out: BinaryIO, name: str) -> None:
    _put(out, (0, "SECTION"), (2, "HEADER"), (9, "$ACADVER"), (1, "AC1009"))
    _put(out, (9, "$DWGCODEPAGE"), (3, "ANSI_936"), (0, "ENDSEC"))
    _put(out, (0, "SECTION"), (2, "TABLES"))
    _put(out, (0, "TABLE"), (2, "LTYPE"), (70, "1"), (0, "LTYPE"), (2, "CONTINUOUS"), (70, "64"))
    _put(out, (3, "Solid line"), (72, "65"), (73, "0"), (40, "0.0"), (0, "ENDTAB"))
    _put(out, (0, "TABLE"), (2, "LAYER"), (70, "3"))
    for suffix, colour in (("", "7"), (_HOLES, "1"), (_LABELS, "3")):
        _put(out, (0, "LAYER"), (2, name + suffix), (70, "0"), (62, colour), (6, "CONTINUOUS"))
    _put(out, (0, "ENDTAB"), (0, "ENDSEC"), (0, "SECTION"), (2, "ENTITIES"))


def _write_feature(out: BinaryIO, name: str, label: str, geometry: shapely.Geometry) -> None:
    for part in shapely.get_parts(geometry):
        if isinstance(part, shapely.Polygon):
            _write_line(out, name, shapely.get_coordinates(part.exterior)[:-1], closed=True)
            for ring in part.interiors:
                _write_line(out, name + _HOLES, shapely.get_coordinates(ring)[:-1], closed=True)
        elif isinstance(part, shapely.Point):
            _put(out, (0, "POINT"), (8, name), *_place(part.x, part.y))
        else:
            _write_line(out, name, shapely.get_coordinates(part), closed=False)
    inside = shapely.point_on_surface(geometry)
    _put(out, (0, "TEXT"), (8, name + _LABELS), *_place(inside.x, inside.y))
    _put(out, (40, f"{_TEXT_HEIGHT_M}"), (1, label))


def _write_line(
    out: BinaryIO, layer: str, points: npt.NDArray[np.float64], *, closed: bool
) -> None:
    _put(out, (0, "POLYLINE"), (8, layer), (66, "1"), (70, "1" if closed else "0"))
    for x, y in points.tolist():
        _put(out, (0, "VERTEX"), (8, layer), *_place(x, y))
    _put(out, (0, "SEQEND"), (8, layer))


def _place(x: float, y: float) -> Iterator[tuple[int, str]]:
    """Millimetre and a tenth: the grid of the library is 1.1 mm."""
    yield from ((10, f"{x:.4f}"), (20, f"{y:.4f}"), (30, "0.0"))


def _put(out: BinaryIO, *pairs: tuple[int, str]) -> None:
    out.writelines(b"%3d\r\n%b\r\n" % (code, _encoded(value)) for code, value in pairs)


def _encoded(value: str) -> bytes:
    """GBK; what that lacks as \\U+XXXX, which CAD programs read. A value is one line."""
    one_line = "".join(c if c.isprintable() else " " for c in value)
    return b"".join(
        _in_code_page(character) or b"\\U+%04X" % ord(character) for character in one_line
    )


def _in_code_page(character: str) -> bytes | None:
    try:
        return character.encode(_CODE_PAGE)
    except UnicodeEncodeError:
        return None
