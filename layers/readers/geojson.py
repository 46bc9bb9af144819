"""GeoJSON: its ``crs`` members never reach GDAL, which fetches a linked one from the network.

RFC 7946 has no ``crs``: coordinates are longitude, latitude. Older files carry one; the name at
the top is honoured by our own parser, and every such object is blanked out in a copy.
"""

import codecs
import json
import re
from pathlib import Path
from typing import Any, Final

from layers.errors import CrsRefused
from layers.readers.geopackage import choose_layer
from layers.readers.source import Note, Source, damaged, describe
from layers.readers.transcoding import is_utf8, utf8_copy
from layers.text import Text

_BLOCK_BYTES: Final = 1 << 24
_LONGEST_CRS: Final = 4096
# Possessive and with an optional closing quote: a string that never ends is one token, tried once.
_STRING: Final = rb'"(?:[^"\\]|\\.)*+"?+'
_OBJECT_TOKENS: Final = re.compile(_STRING + rb"|[{}]", re.DOTALL)
_TOKENS: Final = re.compile(_STRING + rb"|[{}\[\]]", re.DOTALL)

# Also spelt with escapes: GDAL's parser decodes them before it compares names.
_CRS_MEMBER: Final = re.compile(
    rb'"(?:c|\\u0063)(?:r|\\u0072)(?:s|\\u0073)"\s*:\s*\{', re.IGNORECASE
)


def open_geojson(path: Path, job_dir: Path, layer: str | None) -> Source:
    """A feature collection, feature or geometry; GB18030 text is turned into UTF-8."""
    notes: list[Note] = []
    path = _as_utf8(path, job_dir, notes)
    path, crs_text = _without_crs(path, job_dir)
    _refuse_unclosed(path)
    source = describe("GeoJSON", "GeoJSON", path, None, crs_text=crs_text, notes=tuple(notes))
    choose_layer("GeoJSON", [source.layer or ""], layer)
    return source


def _as_utf8(path: Path, job_dir: Path, notes: list[Note]) -> Path:
    with path.open("rb") as file:
        mark = file.read(2)
    encoding = "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "gb18030"
    if encoding == "gb18030" and is_utf8(path):
        return path
    copy = utf8_copy(path, job_dir / "utf8.geojson", encoding, "GeoJSON")
    notes.append(
        Note(
            "encoding-assumed",
            Text(
                zh=f"文件不是 UTF-8，按 {encoding.upper()} 读取。",
                en=f"The file is not UTF-8; it was read as {encoding.upper()}.",
            ),
        )
    )
    return copy


def _without_crs(path: Path, job_dir: Path) -> tuple[Path, str]:
    """A path without ``crs`` objects, and the CRS that the file declares (CRS84 if none)."""
    found = _crs_members(path)
    if not found:
        return path, "OGC:CRS84"
    copy = job_dir / "without-crs.geojson"
    with path.open("rb") as file, copy.open("wb") as out:
        while block := file.read(_BLOCK_BYTES):
            out.write(block)
    with copy.open("r+b") as out:
        for start, raw in found:
            out.seek(start)
            out.write(b"null".ljust(len(raw)))
    # The declaration of the whole file stands before its features or after all of them.
    head = [raw for start, raw in found if _is_at_top(path, start, start + len(raw))]
    return copy, _declared(head[0]) if head else "OGC:CRS84"


def _crs_members(path: Path) -> list[tuple[int, bytes]]:
    """Offset and bytes of the value of every ``crs`` member that is an object."""
    found: list[tuple[int, bytes]] = []
    overlap = _LONGEST_CRS + 64
    with path.open("rb") as file:
        offset, tail = 0, b""
        while block := file.read(_BLOCK_BYTES):
            text = tail + block
            base = offset - len(tail)
            for match in _CRS_MEMBER.finditer(text):
                start = match.end() - 1
                if len(text) - start < overlap and len(block) == _BLOCK_BYTES:
                    break  # seen again whole, at the start of the next block
                if not found or base + start >= found[-1][0] + len(found[-1][1]):
                    found.append((base + start, _object_at(text, start)))
            offset += len(block)
            tail = text[-overlap * 2 :]
    return found


def _object_at(text: bytes, start: int) -> bytes:
    """The JSON object that begins there, braces in strings not counted."""
    depth = 0
    for token in _OBJECT_TOKENS.finditer(text[start : start + _LONGEST_CRS]):
        depth += {b"{": 1, b"}": -1}.get(token.group(), 0)
        if depth == 0:
            return text[start : start + token.end()]
    raise damaged("GeoJSON", "crs")


def _is_at_top(path: Path, start: int, end: int) -> bool:
    """Whether a member stands in the outermost object, seen from the nearer end of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if start <= _BLOCK_BYTES:
            return _depth(file.read(start)) == 1
        if size - end > _BLOCK_BYTES:
            return False
        file.seek(end)
        return _depth(file.read()) == -1


def _depth(text: bytes) -> int:
    depth = 0
    for token in _TOKENS.finditer(text):
        byte = token.group()
        depth += 1 if byte in (b"{", b"[") else -1 if byte in (b"}", b"]") else 0
    return depth


def _declared(raw: bytes) -> str:
    try:
        crs: Any = json.loads(raw)
        kind, name = crs["type"], crs["properties"]["name"]
    except (ValueError, KeyError, TypeError):
        kind, name = "link", ""
    if kind != "name" or not isinstance(name, str):
        raise CrsRefused(
            "The file's crs member points elsewhere instead of naming a CRS; links are not "
            "followed. Remove it or state the CRS.",
            "文件的 crs 成员指向外部链接而不是坐标系名称；不会访问链接。请删除该成员或指定坐标系。",
            code="crs-link",
        )
    return name


def _refuse_unclosed(path: Path) -> None:
    """A streamed collection that breaks off could otherwise be read as a shorter one."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1024))
        if not file.read().rstrip(b" \t\r\n\x00").endswith(b"}"):
            raise damaged("GeoJSON")
