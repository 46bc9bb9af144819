"""Rows of features in the form that COPY takes, and their fingerprint.

PostgreSQL's binary COPY format needs no escaping and is half the size of text with hexadecimal
geometry. Attributes are JSON with sorted keys, so equal content gives equal bytes; that is what
the fingerprint (``content_sha256``) stands on.
"""

import hashlib
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, cast

import numpy as np
import numpy.typing as npt
import orjson
import shapely

from layers.crs import STORAGE_SRID, GeometryArray

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
_TRAILER: Final = struct.pack("!h", -1)
_HEAD: Final = struct.Struct("!hiqi")  # 5 columns; length and value of fid; length of feature_id
_AREA: Final = struct.Struct("!id")
_LENGTH: Final = struct.Struct("!i")
_NO_AREA: Final = _LENGTH.pack(-1)
_JSONB_VERSION: Final = b"\x01"
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
    # NUL is legal in JSON and impossible in jsonb.
    return orjson.dumps(present, option=orjson.OPT_SORT_KEYS).replace(b"\\u0000", b"")


def attribute_rows(
    columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]], count: int
) -> Iterator[bytes]:
    """The JSON of each row from columns of equal length."""
    names = sorted(columns)
    if not names:
        yield from (b"{}" for _ in range(count))
        return
    lists = [
        column.tolist() if isinstance(column, np.ndarray) else column
        for column in (columns[name] for name in names)
    ]
    for values in zip(*lists, strict=True):
        yield attributes_json(dict(zip(names, values, strict=True)))


def to_ewkb(geometries: GeometryArray) -> list[bytes]:
    """Two-dimensional little-endian EWKB with the SRID of the library."""
    stamped = shapely.set_srid(geometries, STORAGE_SRID)
    encoded = shapely.to_wkb(stamped, include_srid=True, output_dimension=2, byte_order=1)
    return cast(list[bytes], encoded.tolist())


def encode_rows(
    fids: Iterable[int],
    feature_ids: Iterable[str],
    attributes: Iterable[bytes],
    areas_m2: npt.NDArray[np.float64],
    geometries: GeometryArray,
    fingerprint: Fingerprint | None = None,
) -> Iterator[bytes]:
    """One binary COPY row each: fid, feature_id, attributes, area_m2 (NaN = none), geom."""
    note: Callable[[bytes, bytes, bytes], None] = (
        fingerprint.add if fingerprint is not None else lambda *_: None
    )
    columns = zip(
        fids, feature_ids, attributes, areas_m2.tolist(), to_ewkb(geometries), strict=True
    )
    for fid, feature_id, attribute_json, area, ewkb in columns:
        name = feature_id.encode()
        note(name, attribute_json, ewkb)
        yield b"".join(
            (
                _HEAD.pack(5, 8, fid, len(name)),
                name,
                _LENGTH.pack(len(attribute_json) + 1),
                _JSONB_VERSION,
                attribute_json,
                _NO_AREA if math.isnan(area) else _AREA.pack(8, area),
                _LENGTH.pack(len(ewkb)),
                ewkb,
            )
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


class RowFile:
    """A file of encoded rows that grows batch by batch, for ``contents.load_rows``."""

    def __init__(self, path: Path) -> None:
        """Create the file; it is complete only after ``close`` (the trailer ends it)."""
        self._file = path.open("wb", buffering=_BLOCK_BYTES)
        self._file.write(_SIGNATURE)
        self.fingerprint = Fingerprint()

    def write(
        self,
        fids: Iterable[int],
        feature_ids: Iterable[str],
        attributes: Iterable[bytes],
        areas_m2: npt.NDArray[np.float64],
        geometries: GeometryArray,
    ) -> None:
        """Append rows."""
        self._file.writelines(
            encode_rows(fids, feature_ids, attributes, areas_m2, geometries, self.fingerprint)
        )

    def close(self) -> None:
        """Write the trailer and close."""
        self._file.write(_TRAILER)
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
        """Complete the file, also after an error: nobody loads the file of a failed child."""
        self.close()


def start_rows(file: BinaryIO) -> None:
    """Write the head of a binary COPY stream."""
    file.write(_SIGNATURE)


def end_rows(file: BinaryIO) -> None:
    """Write the end of a binary COPY stream."""
    file.write(_TRAILER)


def encode_source_row(
    content_id: int, fid: int, source_crs: str, wkb: bytes, attributes: Mapping[str, Any]
) -> bytes:
    """One binary COPY row of ``library.source_feature``: the row as it came, in its own CRS."""
    body = orjson.dumps(dict(attributes), default=str).replace(b"\\u0000", b"")
    fields = (
        struct.pack("!i", content_id),
        struct.pack("!q", fid),
        source_crs.encode(),
        wkb,
        _JSONB_VERSION + body,
    )
    return struct.pack("!h", len(fields)) + b"".join(
        _LENGTH.pack(len(value)) + value for value in fields
    )
