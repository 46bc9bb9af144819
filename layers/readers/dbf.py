"""The DBF part of a shapefile: which encoding its text has, and broken field names.

The order of evidence: the .cpg file, the language byte 0x4D (GBK), a strict UTF-8 test over all
text, GB18030. Without .cpg GDAL would take GBK for Latin-1 (黑龙江省 becomes ºÚÁú½­Ê¡), and a name
cut inside a character makes the whole file unreadable for it.
"""

import codecs
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from layers.readers.source import Note, damaged
from layers.text import Text

_GB18030_NAMES: Final = frozenset(
    {
        "936",
        "CP936",
        "ANSI936",
        "OEM936",
        "GB2312",
        "GBK",
        "GB18030",
        "EUCCN",
        "54936",
        "WINDOWS936",
    }
)
_UTF8_NAMES: Final = frozenset({"UTF8", "65001", "CP65001", "UTF8BOM"})
_LANGUAGE_BYTES: Final = {0x4D: "GB18030", 0x7A: "GB18030", 0xC9: "CP1251", 0x03: "CP1252"}
_TESTED_VALUES: Final = 200_000


@dataclass(frozen=True, slots=True)
class _Field:
    name: bytes
    kind: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Table:
    """Header of a DBF file."""

    records: int
    header_bytes: int
    record_bytes: int
    language: int
    fields: tuple[_Field, ...]


def read_header(path: Path) -> Table:
    """Parse the header; ``UnreadableFile`` when the file is shorter than it says."""
    with path.open("rb") as file:
        head = file.read(32)
        if len(head) < 32:
            raise damaged("DBF")
        records = int.from_bytes(head[4:8], "little")
        header_bytes = int.from_bytes(head[8:10], "little")
        record_bytes = int.from_bytes(head[10:12], "little")
        descriptors = file.read(max(0, header_bytes - 32))
    fields, offset = [], 1
    for start in range(0, len(descriptors) - 31, 32):
        descriptor = descriptors[start : start + 32]
        if descriptor[0] == 0x0D:
            break
        name = descriptor[:11].split(b"\x00")[0]
        fields.append(_Field(name, descriptor[11], offset, descriptor[16]))
        offset += descriptor[16]
    if path.stat().st_size < header_bytes + records * record_bytes:
        raise damaged("DBF")
    return Table(records, header_bytes, record_bytes, head[29], tuple(fields))


def choose_encoding(dbf: Path, cpg: Path | None, notes: list[Note]) -> str:
    """The encoding of the text, with a note where it had to be assumed."""
    table = read_header(dbf)
    stated = _stated_encoding(cpg) if cpg else _LANGUAGE_BYTES.get(table.language)
    if stated is not None and not (stated == "UTF-8" and not _text_is_utf8(dbf, table)):
        return stated
    if stated is None and _text_is_utf8(dbf, table):
        return "UTF-8"
    notes.append(
        Note(
            "encoding-assumed",
            Text(
                zh="属性表未（正确）声明编码，文本不是 UTF-8，按 GB18030 读取。",
                en="The table states no (or a wrong) encoding and is not UTF-8; read as GB18030.",
            ),
        )
    )
    return "GB18030"


def _stated_encoding(cpg: Path) -> str | None:
    text = cpg.read_bytes()[:64].decode("ascii", "ignore").strip().upper()
    key = text.replace("-", "").replace(" ", "").replace("_", "")
    if key in _GB18030_NAMES:
        return "GB18030"
    if key in _UTF8_NAMES:
        return "UTF-8"
    for name in (text, f"CP{key.removeprefix('ANSI').removeprefix('OEM')}", key):
        try:
            return codecs.lookup(name).name.upper().replace("ISO8859", "ISO-8859")
        except (LookupError, ValueError):  # the latter for a NUL in the name
            continue
    return None


def _text_is_utf8(dbf: Path, table: Table) -> bool:
    """Strict test over field names and values; a value cut at its field's end is no fault."""
    if not all(_decodes(field.name, "utf-8", cut=True) for field in table.fields):
        return False
    if table.records == 0 or table.record_bytes == 0:
        return True
    shape = (table.records, table.record_bytes)
    records = np.memmap(dbf, dtype=np.uint8, mode="r", offset=table.header_bytes, shape=shape)
    for field in table.fields:
        if field.kind not in b"CM" or field.length == 0:
            continue
        column = records[:, field.offset : field.offset + field.length]
        foreign = np.flatnonzero((column & 0x80).any(axis=1))[:_TESTED_VALUES]
        for row in foreign:
            if not _decodes(column[row].tobytes().rstrip(b" \x00"), "utf-8", cut=True):
                return False
    return True


def _decodes(raw: bytes, encoding: str, *, cut: bool = False) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError as error:
        return cut and error.reason == "unexpected end of data"
    return True


def mend_names(dbf: Path, copy: Path, encoding: str, notes: list[Note]) -> Path:
    """The file itself, or a copy in which field names are whole characters and differ."""
    table = read_header(dbf)
    names = [field.name for field in table.fields]
    mended: list[bytes] = []
    for number, name in enumerate(names, start=1):
        whole = name.decode(encoding, "ignore").encode(encoding) or f"FIELD{number}".encode()
        mended.append(_distinct(whole, mended, encoding))
    if mended == names:
        return dbf
    shutil.copyfile(dbf, copy)
    with copy.open("r+b") as file:
        for number, name in enumerate(mended):
            file.seek(32 + 32 * number)
            file.write(name.ljust(11, b"\x00"))
    changed = [new.decode(encoding) for old, new in zip(names, mended, strict=True) if old != new]
    notes.append(
        Note(
            "field-name-mended",
            Text(
                zh=f"字段名被截断或重复，已修正：{'、'.join(changed)}。",
                en=f"Field names were cut inside a character or repeated: {', '.join(changed)}.",
            ),
        )
    )
    return copy


def _distinct(name: bytes, taken: list[bytes], encoding: str) -> bytes:
    candidate, number = name[:10], 1
    while candidate.upper() in {other.upper() for other in taken}:
        number += 1
        tail = f"_{number}".encode()
        candidate = name[: 10 - len(tail)].decode(encoding, "ignore").encode(encoding) + tail
    return candidate
