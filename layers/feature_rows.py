"""Rows of features in the form that COPY takes, and their fingerprint.

PostgreSQL's binary COPY format needs no escaping and is half the size of text with hexadecimal
geometry. Attributes are JSON with sorted keys, so equal content gives equal bytes; that is what
the fingerprint (``content_sha256``) stands on.
"""

import hashlib
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import orjson

from layers.crs import STORAGE_SRID, GeometryArray
from layers.ewkb import to_ewkb

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
_TRAILER: Final = struct.pack("!h", -1)
_HEAD: Final = np.dtype(
    [("fields", ">i2"), ("fid_size", ">i4"), ("fid", ">i8"), ("name_size", ">i4")]
)
_ATTRIBUTES_HEAD: Final = np.dtype([("size", ">i4"), ("version", "u1")])
_AREA: Final = struct.Struct("!id")
_LENGTH: Final = struct.Struct("!i")
_NO_AREA: Final = _LENGTH.pack(-1)
_JSONB_VERSION: Final = b"\x01"
_NUL: Final = b"\\u0000"
_ROWS_A_BLOCK: Final = 4_000
_KEPT_MEMBERS: Final = 500
_TEXTS: Final = frozenset({str, type(None)})
_BLOCK_BYTES: Final = 1 << 20


class Fingerprint:
    """SHA-256 over rows in fid order: feature id, attributes (sorted keys), EWKB of EPSG:4490."""

    def __init__(self) -> None:
        """Start with no rows."""
        self._digest = hashlib.sha256()

    def add(self, feature_id: bytes, attributes: bytes, ewkb: bytes) -> None:
        """Take in one row; each field is preceded by its length, so that none can flow over."""
        lengths = struct.pack("<III", len(feature_id), len(attributes), len(ewkb))
        self._digest.update(b"".join((lengths, feature_id, attributes, ewkb)))

    def add_rows(
        self, names: Sequence[bytes], attributes: Sequence[bytes], ewkb: Sequence[bytes]
    ) -> None:
        """Take in rows; the same bytes as ``add`` one by one."""
        lengths = np.empty((len(names), 3), dtype="<u4")
        for column, values in enumerate((names, attributes, ewkb)):
            lengths[:, column] = _sizes(values)
        heads = lengths.reshape(-1).view("V12").tolist()
        self._digest.update(_interleaved(heads, names, attributes, ewkb))

    def add_stored(self, feature_id: str, attributes: str, ewkb: bytes) -> None:
        """Take in one row as PostgreSQL gives it back (jsonb has its own order of keys)."""
        canonical = attributes_json(orjson.loads(attributes))
        self.add(feature_id.encode(), canonical, bytes(ewkb))

    def hexdigest(self) -> str:
        """The fingerprint so far, in hexadecimal."""
        return self._digest.hexdigest()


def attributes_json(attributes: Mapping[str, Any]) -> bytes:
    """Attributes as JSON: sorted keys, without those that have no value (None, NaN)."""
    present = {
        key: value
        for key, value in attributes.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }
    return _json(present)


def attribute_rows(
    columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]], count: int
) -> Iterator[bytes]:
    """The JSON of each row from columns of equal length, as ``attributes_json`` writes it."""
    members = [_members(name, columns[name]) for name in sorted(columns)]
    always = [texts for texts in members if all(texts)]
    if len(always) == len(members) > 0:
        for row in zip(*members, strict=True):
            yield b"{" + b",".join(row) + b"}"
        return
    for row in zip(*members, strict=True) if members else [()] * count:
        yield b"{" + b",".join(filter(None, row)) + b"}"


def _members(name: str, column: Sequence[Any] | npt.NDArray[Any]) -> list[bytes]:
    """``"name":value`` of each row, empty where there is none; texts that repeat are made once."""
    key = orjson.dumps(name) + b":"
    values = column.tolist() if isinstance(column, np.ndarray) else column
    dumps = orjson.dumps
    if set(map(type, values)) <= _TEXTS:
        distinct = set(values)
        if len(distinct) <= _KEPT_MEMBERS:
            made = {v: b"" if v is None else key + _json(v) for v in distinct}
            return list(map(made.__getitem__, values))
    texts = [b"" if (text := dumps(value)) == b"null" else key + text for value in values]
    if _NUL in b"".join(texts):
        return [text and key + _json(value) for text, value in zip(texts, values, strict=True)]
    return texts


def _json(value: Any) -> bytes:
    """JSON without NUL, which is legal there and impossible in jsonb."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return orjson.dumps(_without_nul(value), option=orjson.OPT_SORT_KEYS) if _NUL in text else text


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, Mapping):
        return {key: _without_nul(one) for key, one in value.items()}
    return [_without_nul(one) for one in value] if isinstance(value, list | tuple) else value


def _sizes(values: Sequence[bytes]) -> npt.NDArray[np.int64]:
    return np.fromiter(map(len, values), np.int64, len(values))


def _interleaved(*columns: Sequence[bytes]) -> bytes:
    """The first of each column, the second of each, and so on, joined."""
    parts: list[bytes] = [b""] * (len(columns) * len(columns[0]))
    for place, column in enumerate(columns):
        parts[place :: len(columns)] = column
    return b"".join(parts)


def encode_rows(
    fids: Iterable[int],
    feature_ids: Iterable[str],
    attributes: Iterable[bytes],
    areas_m2: npt.NDArray[np.float64],
    geometries: GeometryArray,
    fingerprint: Fingerprint | None = None,
) -> Iterator[bytes]:
    """Binary COPY rows, some thousand a block: fid, id, attributes, area_m2 (NaN = none), geom."""
    all_fids = np.fromiter(fids, np.int64)
    names = [feature_id.encode() for feature_id in feature_ids]
    texts = list(attributes)
    if not len(all_fids) == len(names) == len(texts) == len(areas_m2) == len(geometries):
        raise ValueError("columns of different lengths")
    for start in range(0, len(names), _ROWS_A_BLOCK):
        part = slice(start, start + _ROWS_A_BLOCK)
        ewkb = to_ewkb(geometries[part], STORAGE_SRID)
        if fingerprint is not None:
            fingerprint.add_rows(names[part], texts[part], ewkb)
        yield _encode(all_fids[part], names[part], texts[part], areas_m2[part], ewkb)


def _encode(
    fids: npt.NDArray[np.int64],
    names: Sequence[bytes],
    attributes: Sequence[bytes],
    areas_m2: npt.NDArray[np.float64],
    ewkb: Sequence[bytes],
) -> bytes:
    heads = np.empty(len(fids), dtype=_HEAD)
    heads["fields"], heads["fid_size"] = 5, 8
    heads["fid"], heads["name_size"] = fids, _sizes(names)
    middle = np.empty(len(fids), dtype=_ATTRIBUTES_HEAD)
    middle["size"], middle["version"] = _sizes(attributes) + 1, 1
    areas = [_NO_AREA if area != area else _AREA.pack(8, area) for area in areas_m2.tolist()]
    return _interleaved(
        heads.view(f"V{_HEAD.itemsize}").tolist(),
        names,
        middle.view(f"V{_ATTRIBUTES_HEAD.itemsize}").tolist(),
        attributes,
        areas,
        _sizes(ewkb).astype(">i4").view("V4").tolist(),
        ewkb,
    )


def copy_blocks(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """The whole binary COPY stream in blocks of about a mebibyte."""
    parts: list[bytes] = [_SIGNATURE]
    size = 0
    for part in encoded:
        parts.append(part)
        size += len(part)
        if size >= _BLOCK_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    parts.append(_TRAILER)
    yield b"".join(parts)


class CopyStream:
    """A binary COPY stream in a file or a pipe that grows block by block."""

    def __init__(self, path: Path) -> None:
        """Open; the stream is complete only after ``close`` (the trailer ends it)."""
        self._file = path.open("wb", buffering=0)
        self.write_block(_SIGNATURE)

    def write_block(self, rows: bytes) -> None:
        """Append encoded rows."""
        left = memoryview(rows)
        while left:
            left = left[self._file.write(left) or 0 :]

    def close(self) -> None:
        """Write the trailer and close."""
        self.write_block(_TRAILER)
        self._file.close()

    def __enter__(self) -> Self:
        """Give the open file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the stream; after an error it stays without its end, and nobody takes it."""
        if kind is None:
            self.close()
        else:
            self._file.close()


class RowFile(CopyStream):
    """A stream of encoded rows that grows batch by batch, for ``contents.load_rows``."""

    def __init__(self, path: Path) -> None:
        """Open a file or a pipe."""
        super().__init__(path)
        self.fingerprint = Fingerprint()

    def write(
        self,
        fids: npt.NDArray[np.int64],
        feature_ids: Sequence[str],
        attributes: Sequence[bytes],
        areas_m2: npt.NDArray[np.float64],
        ewkb: Sequence[bytes],
    ) -> None:
        """Append rows, all of equal length; the EWKB has the SRID of the library."""
        names = [feature_id.encode() for feature_id in feature_ids]
        for start in range(0, len(names), _ROWS_A_BLOCK):
            part = slice(start, start + _ROWS_A_BLOCK)
            self.fingerprint.add_rows(names[part], attributes[part], ewkb[part])
            self.write_block(
                _encode(fids[part], names[part], attributes[part], areas_m2[part], ewkb[part])
            )
