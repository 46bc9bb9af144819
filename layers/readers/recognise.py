"""Recognises files by their first bytes; a name or an extension proves nothing."""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from layers.errors import UnreadableFile
from layers.readers.survey_text import lines_of
from layers.readers.table_header import separator_of
from layers.text import Text

Format = Literal[
    "geopackage", "geojson", "shapefile", "flatgeobuf", "zip",
    "filegdb", "kml", "kmz", "dxf", "gml", "boundary-txt", "coordinate-table",
]  # fmt: skip

_HEAD_BYTES: Final = 65_536

SUFFIXES: Final[dict[str, Format]] = {
    ".gpkg": "geopackage",
    ".geojson": "geojson",
    ".json": "geojson",
    ".shp": "shapefile",
    ".fgb": "flatgeobuf",
    ".kml": "kml",
    ".kmz": "kmz",
    ".dxf": "dxf",
    ".gml": "gml",
    ".xlsx": "coordinate-table",
    ".csv": "coordinate-table",
    ".zip": "zip",
}
"""A .txt promises nothing: survey boundaries, tables and GeoJSON come under that name."""


@dataclass(frozen=True, slots=True)
class _Foreign:
    name: str
    advice: Text


_CONVERT: Final = Text(
    zh="请另存为 GeoPackage、GeoJSON、Shapefile、文件地理数据库、KML、GML 或 DXF。",
    en="Save it as GeoPackage, GeoJSON, shapefile, file geodatabase, KML, GML or DXF.",
)
_DWG_ADVICE: Final = Text(
    zh="请在 CAD 软件中另存为文本格式的 DXF（R2000 及以上），或导出为 Shapefile，并说明坐标系。",
    en="Save it from the CAD program as DXF in text form (R2000 or later), or export it as "
    "shapefile, and state its CRS.",
)
_DATABASE_ADVICE: Final = Text(
    zh="请在 ArcGIS 或 QGIS 中导出为 GeoPackage 或 Shapefile。",
    en="Export the layer from ArcGIS or QGIS as GeoPackage or shapefile.",
)

_FOREIGN: Final[tuple[tuple[re.Pattern[bytes], _Foreign], ...]] = (
    (re.compile(rb"AC10\d\d"), _Foreign("AutoCAD DWG", _DWG_ADVICE)),
    (re.compile(rb"AutoCAD Binary DXF"), _Foreign("binary DXF", _DWG_ADVICE)),
    (re.compile(rb"\x00\x01\x00\x00Standard (Jet|ACE) DB"), _Foreign("MDB", _DATABASE_ADVICE)),
    (re.compile(rb"%PDF-"), _Foreign("PDF", _CONVERT)),
    (re.compile(rb"(II\*\x00|MM\x00\*|II\+\x00|MM\x00\+)"), _Foreign("TIFF", _CONVERT)),
    (re.compile(rb"Rar!\x1a\x07"), _Foreign("RAR", Text(zh="请改用 ZIP。", en="Use ZIP."))),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), _Foreign("7z", Text(zh="请改用 ZIP。", en="Use ZIP."))),
    (re.compile(rb"\x1f\x8b"), _Foreign("gzip", Text(zh="请改用 ZIP。", en="Use ZIP."))),
    (re.compile(rb"\x89PNG|\xff\xd8\xff"), _Foreign("image", _CONVERT)),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), _Foreign("Office", _CONVERT)),
)
_FOREIGN_TEXT: Final[tuple[tuple[re.Pattern[str], _Foreign], ...]] = (
    (
        re.compile(r"\s*HeadBegin", re.IGNORECASE),
        _Foreign(
            "VCT",
            Text(
                zh="暂不支持 VCT，请转换为文件地理数据库后导出 GeoPackage 或 Shapefile。",
                en="VCT is not read yet; convert it to GeoPackage or shapefile.",
            ),
        ),
    ),
    (re.compile(r"\s*<OGRVRT|\s*<VRTDataset"), _Foreign("GDAL VRT", _CONVERT)),
    (re.compile(r"\s*<"), _Foreign("XML", _CONVERT)),
)
_DXF: Final = re.compile(r"(?:\s*999[ \t]*\r?\n[^\r\n]*\r?\n)*\s*0\s+SECTION\s")
_XML_ROOT: Final = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)")
_XML_BEFORE_ROOT: Final = re.compile(
    r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL
)


_BOUNDARY: Final = re.compile(r"(?:\A|[\r\n])[\s\ufeff]*[\[【［]\s*(?:属性描述|地块坐标)")


def recognise(path: Path) -> Format:
    """The admitted format of a file; ``UnreadableFile`` says what it is otherwise.

    A suffix that promises another admitted format is an error too: one of the two is a mistake.
    """
    found = _recognise_content(path)
    if found == "zip" and path.suffix.lower() == ".kmz":
        found = "kmz"
    promised = SUFFIXES.get(path.suffix.lower(), found)
    if promised != found:
        raise UnreadableFile(
            f"The file is named {path.suffix} but is {found} by its content; rename it.",
            f"文件扩展名为 {path.suffix}，但内容是 {found}；请更正扩展名。",
            code="wrong-extension",
        )
    return found


def _recognise_content(path: Path) -> Format:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.strip():
        raise UnreadableFile("The file is empty.", "文件为空。", code="empty-file")
    if head.startswith(b"SQLite format 3\x00"):
        return "geopackage"
    if head.startswith(b"fgb\x03"):
        return "flatgeobuf"
    if head.startswith(b"\x00\x00\x27\x0a"):
        return "shapefile"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return "coordinate-table" if _is_workbook(path) else "zip"
    for signature, foreign in _FOREIGN:
        if signature.match(head):
            raise _declined(path, foreign)
    return _recognise_text(path, head)


def _recognise_text(path: Path, head: bytes) -> Format:
    text = _decoded(head)
    if text is None:
        raise UnreadableFile(
            "The content of the file is of no known format.",
            "无法识别文件内容的格式。",
            code="unknown-format",
        )
    begun = _by_beginning(text)
    if begun is not None:
        return begun
    for pattern, foreign in _FOREIGN_TEXT:
        if pattern.match(text):
            raise _declined(path, foreign)
    if text.lstrip().startswith("{"):
        if re.search(r'"type"\s*:\s*"Topology"', text[:2000]):
            raise _declined(path, _Foreign("TopoJSON", _CONVERT))
        return "geojson"
    if separator_of(lines_of(text), "CSV") is not None:
        return "coordinate-table"
    raise UnreadableFile(
        "The content of the file is text of no known format.",
        "文件内容是无法识别的文本。",
        code="unknown-format",
    )


def _by_beginning(text: str) -> Format | None:
    if _BOUNDARY.search(text):
        return "boundary-txt"
    root = _xml_root(text)
    if root == "kml":
        return "kml"
    if root.endswith("FeatureCollection"):
        return "gml"
    return "dxf" if _DXF.match(text) else None


def _xml_root(text: str) -> str:
    """Local name of the first element; what may stand before it (also a DTD) is passed over."""
    at = 0
    while before := _XML_BEFORE_ROOT.match(text, at):
        at = before.end()
    found = _XML_ROOT.match(text, at)
    return found[1] if found else ""


def _decoded(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "replace").lstrip("\ufeff")
    if b"\x00" in head:
        # UTF-16 without its mark is read where it is a survey file; zero bytes else are no text.
        encodings = ("utf-16-le", "utf-16-be")
        texts = (head.decode(encoding, "replace") for encoding in encodings)
        return next((text for text in texts if _BOUNDARY.search(text)), None)
    head = head.removeprefix(b"\xef\xbb\xbf")
    for encoding in ("utf-8", "gb18030"):
        try:
            return head.decode(encoding)
        except UnicodeDecodeError as error:
            if error.end >= len(head) - 4 and error.start > 0:
                return head[: error.start].decode(encoding)
    # A broken byte further on is for the reader to tell, with its line.
    lossy = [head.decode(encoding, "replace") for encoding in ("utf-8", "gb18030")]
    return next((text for text in lossy if _BOUNDARY.search(text)), lossy[0])


def _is_workbook(path: Path) -> bool:
    """An XLSX is a ZIP with these two members; a damaged directory is told when it is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.lower() for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return {"[content_types].xml", "xl/workbook.xml"} <= names


def _declined(path: Path, foreign: _Foreign) -> UnreadableFile:
    suffix = path.suffix or path.name
    return UnreadableFile(
        f"The file ({suffix}) is {foreign.name} by its content, which is not read. "
        f"{foreign.advice.en}",
        f"文件（{suffix}）的内容是 {foreign.name}，不予读取。{foreign.advice.zh}",
        code="format-declined",
    )
