"""Rows as they came: kept some thousand together, and digests by which the next import compares.

The original row stays retrievable where snapping, mending or a change of CRS made the stored one
differ. It is kept in the database and not as a file beside it, so that one backup holds both; in
chunks, because a row each cost a quarter of an import. Fields of persons are in neither.
"""

import hashlib
import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa  # type: ignore[import-untyped]

from layers.database import Connection, row, rows, statements

DIGEST_BYTES: Final = 16
GEOMETRY: Final = "geometry"
"""The column of a chunk that holds the WKB; fields are called ``field:`` and their name."""

_SQL: Final = statements("layers", "import.sql")
_FIELD: Final = "field:"
_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
_TRAILER: Final = struct.pack("!h", -1)
_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="zstd")
_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row as it came, in its own CRS."""

    source_crs: str
    geom_wkb: bytes
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of rows; ``noted`` tells those with issues, which are checked each time."""

    fids: npt.NDArray[np.int64]
    digests: npt.NDArray[np.void]
    noted: npt.NDArray[np.bool_]


def row_digests(
    wkb: Sequence[bytes | None], values: Sequence[Sequence[Any]], ids: Sequence[str]
) -> list[bytes]:
    """A digest of each row: its id, its geometry byte by byte, its fields as the file has them."""
    fields = list(zip(*values, strict=True)) if values else [()] * len(wkb)
    new = hashlib.blake2b
    dumps = orjson.dumps
    return [
        new(
            b"\x00".join((name.encode(), dumps(row, default=repr), shape or b"")),
            digest_size=DIGEST_BYTES,
        ).digest()
        for shape, row, name in zip(wkb, fields, ids, strict=True)
    ]


class ChunkFile:
    """Writes chunks as a COPY stream of ``library.source_chunk``."""

    def __init__(self, path: Path, content_id: int, source_crs: str) -> None:
        """Create the file; it is complete after ``close``."""
        self._file = path.open("wb", buffering=_BLOCK_BYTES)
        self._file.write(_SIGNATURE)
        self._content_id, self._crs = content_id, source_crs.encode()
        self._chunk = 0

    def write(
        self,
        fids: npt.NDArray[np.int64],
        digests: Sequence[bytes],
        noted: npt.NDArray[np.bool_],
        altered: npt.NDArray[np.int64],
        wkb: pa.Array,
        values: Mapping[str, pa.Array],
    ) -> None:
        """Append one chunk; ``altered`` are the fids whose rows (WKB, values) are kept."""
        body = _body(altered, wkb, values) if len(altered) else b""
        fields = (
            struct.pack("!i", self._content_id),
            struct.pack("!i", self._chunk),
            struct.pack("!q", int(fids[0])),
            struct.pack("!q", int(fids[-1])),
            self._crs,
            fids.astype("<i8").tobytes(),
            b"".join(digests),
            noted.astype("u1").tobytes(),
            body,
        )
        self._chunk += 1
        self._file.write(struct.pack("!h", len(fields)))
        for value in fields:
            self._file.write(struct.pack("!i", len(value)))
            self._file.write(value)

    def close(self) -> None:
        """Write the end."""
        self._file.write(_TRAILER)
        self._file.close()


def _body(fids: npt.NDArray[np.int64], wkb: pa.Array, values: Mapping[str, pa.Array]) -> bytes:
    names = ["fid", GEOMETRY, *(f"{_FIELD}{name}" for name in values)]
    batch = pa.record_batch([pa.array(fids), wkb, *values.values()], names=names)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema, options=_OPTIONS) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def source_row(connection: Connection, content_id: int, fid: int) -> SourceRow | None:
    """The row as it came; None where the stored one is equal to it."""
    values = {"content_id": content_id, "fid": fid}
    for found in rows(connection, _SQL["chunks_of_fid"], **values):
        taken = _from_chunk(bytes(found["body"]), fid)
        if taken is not None:
            wkb, attributes = taken
            return SourceRow(found["source_crs"], wkb, attributes)
    single = row(connection, _SQL["single_source_row"], **values)
    if single is None:
        return None
    return SourceRow(single["source_crs"], bytes(single["geom_wkb"]), single["attributes"])


def _from_chunk(body: bytes, fid: int) -> tuple[bytes, dict[str, Any]] | None:
    if not body:
        return None
    table = pa.ipc.open_stream(body).read_all()
    at = np.flatnonzero(table.column("fid").to_numpy() == fid)
    if not len(at):
        return None
    (found,) = table.slice(int(at[0]), 1).to_pylist()
    fields = {k.removeprefix(_FIELD): v for k, v in found.items() if k.startswith(_FIELD)}
    return found[GEOMETRY], fields


def copy_chunks(connection: Connection, path: Path) -> None:
    """COPY a file of ``ChunkFile`` into the library."""
    with (
        connection.cursor() as cursor,
        cursor.copy(_SQL["copy_source_chunks"]) as copy,
        path.open("rb") as file,
    ):
        while block := file.read(_BLOCK_BYTES):
            copy.write(block)


def load_digests(connection: Connection, content_id: int, *, nothing: bool = False) -> Digests:
    """Digests of the rows that a content holds now, those of its base among them; or none."""
    fids, digests, noted = [], [], []
    for found in (
        [] if nothing else rows(connection, _SQL["digests_of_content"], content_id=content_id)
    ):
        fids.append(np.frombuffer(found["fids"], dtype="<i8"))
        digests.append(np.frombuffer(found["digests"], dtype=f"V{DIGEST_BYTES}"))
        noted.append(np.frombuffer(found["noted"], dtype="u1") != 0)
    if not fids:
        return Digests(np.zeros(0, np.int64), np.zeros(0, f"V{DIGEST_BYTES}"), np.zeros(0, bool))
    all_fids = np.concatenate(fids)
    present = np.isin(all_fids, fids_of(connection, content_id))
    return Digests(
        all_fids[present], np.concatenate(digests)[present], np.concatenate(noted)[present]
    )


def fids_of(connection: Connection, content_id: int) -> npt.NDArray[np.int64]:
    """All fids that a content holds, those of its base among them."""
    with connection.cursor(binary=True) as cursor:
        found = cursor.execute(_SQL["fids_of_content"], {"content_id": content_id}).fetchone()
    return np.frombuffer(found[0], dtype=">i8") if found and found[0] else np.zeros(0, np.int64)
