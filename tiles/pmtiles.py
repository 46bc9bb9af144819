"""PMTiles version 3: one file with many tiles, found by bisecting directories.

The file begins with a header of 127 bytes and the root directory, both within the first 16 KiB,
which are kept free for them; then come the bytes of the tiles, the leaf directories and the
metadata. Directories are held as arrays: a tile is found without touching the disk, and one that
is not there is known to be empty. Format: github.com/protomaps/PMTiles, spec/v3.
"""

import gzip
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import orjson

from layers.crs import Box
from layers.errors import UnreadableFile
from tiles.matrix_set import Tile

HEAD_BYTES: Final = 16_384
"""Header and root directory; the tiles begin here."""
ENTRY: Final = np.dtype([("id", "<u8"), ("run", "<u8"), ("offset", "<u8"), ("length", "<u8")])
"""Consecutive tiles of equal bytes share one entry: ``run`` is how many."""
Entries = npt.NDArray[np.void]

_HEADER: Final = struct.Struct("<7sB8Q3Q6B4iB2i")
_MAGIC: Final = b"PMTiles"
_VERSION: Final = 3
_GZIP: Final = 2
_MVT: Final = 1
_LEAF_ENTRIES: Final = 8_192
_E7: Final = 10_000_000
_INFLATED_MOST: Final = 1 << 30


def tile_id(tile: Tile) -> int:
    """The number of a tile: those of lower zooms first, then along a Hilbert curve."""
    z, x, y = tile
    d, side = 0, (1 << z) >> 1
    while side:
        right, low = int(bool(x & side)), int(bool(y & side))
        d += side * side * ((3 * right) ^ low)
        if not low:
            if right:
                x, y = (side - 1) - (x & (side - 1)), (side - 1) - (y & (side - 1))
            x, y = y, x
        x, y = x & (side - 1), y & (side - 1)
        side >>= 1
    return first_id(z) + d


def tile_of_id(number: int) -> Tile:
    """The tile with that number."""
    z = 0
    while first_id(z + 1) <= number:
        z += 1
    rest, x, y = number - first_id(z), 0, 0
    for step in range(z):
        side = 1 << step
        right = 1 & (rest // 2)
        low = 1 & (rest ^ right)
        if not low:
            if right:
                x, y = side - 1 - x, side - 1 - y
            x, y = y, x
        x, y = x + side * right, y + side * low
        rest //= 4
    return Tile(z, x, y)


def first_id(z: int) -> int:
    """The number of the first tile of a zoom."""
    return ((1 << (2 * z)) - 1) // 3


@dataclass(frozen=True, slots=True)
class About:
    """What the header says of the tiles: zooms, lon/lat box, and the metadata beside it."""

    min_zoom: int
    max_zoom: int
    bounds: Box
    metadata: Mapping[str, Any]


def merged(entries: Entries) -> Entries:
    """Entries of single tiles, sorted, with equal neighbours made one."""
    found = entries[np.argsort(entries["id"], kind="stable")]
    if not len(found):
        return found
    same = (
        (found["id"][1:] == found["id"][:-1] + 1)
        & (found["offset"][1:] == found["offset"][:-1])
        & (found["length"][1:] == found["length"][:-1])
    )
    starts = np.flatnonzero(np.concatenate(([True], ~same)))
    runs = np.diff(np.append(starts, len(found)))
    kept = found[starts].copy()
    kept["run"] = runs
    return kept


def finish(file: BinaryIO, data_bytes: int, entries: Entries, about: About) -> None:
    """Complete a file whose tiles stand behind its first ``HEAD_BYTES``.

    ``entries`` are one a tile, with offsets from the first tile; the caller syncs the file.
    """
    kept = merged(entries)
    root, leaves = _directories(kept)
    metadata = gzip.compress(orjson.dumps(about.metadata), mtime=0)
    leaf_at = HEAD_BYTES + data_bytes
    metadata_at = leaf_at + len(leaves)
    west, south, east, north = (round(side * _E7) for side in about.bounds)
    places = {(int(e["offset"]), int(e["length"])) for e in kept}
    in_order = bool(len(kept) < 2 or np.all(np.diff(kept["offset"].astype(np.int64)) >= 0))
    header = _HEADER.pack(
        _MAGIC, _VERSION, _HEADER.size, len(root), metadata_at, len(metadata), leaf_at,
        len(leaves), HEAD_BYTES, data_bytes, int(kept["run"].sum()), len(kept), len(places),
        int(in_order), _GZIP, _GZIP, _MVT, about.min_zoom, about.max_zoom,
        west, south, east, north, about.min_zoom, (west + east) // 2, (south + north) // 2,
    )  # fmt: skip
    file.seek(leaf_at)
    file.write(leaves + metadata)
    file.truncate()
    file.seek(0)
    file.write((header + root).ljust(HEAD_BYTES, b"\0"))
    file.flush()


def _directories(entries: Entries) -> tuple[bytes, bytes]:
    """The root, small enough for its place, and all leaves one behind the other."""
    whole = _pack(entries)
    if len(whole) <= HEAD_BYTES - _HEADER.size:
        return whole, b""
    size = _LEAF_ENTRIES
    while True:
        leaves, pointers = [], np.zeros(-(-len(entries) // size), dtype=ENTRY)
        at = 0
        for number, start in enumerate(range(0, len(entries), size)):
            leaf = _pack(entries[start : start + size])
            pointers[number] = (entries["id"][start], 0, at, len(leaf))
            leaves.append(leaf)
            at += len(leaf)
        root = _pack(pointers)
        if len(root) <= HEAD_BYTES - _HEADER.size:
            return root, b"".join(leaves)
        size *= 2


def _pack(entries: Entries) -> bytes:
    numbers = entries["id"].astype(np.int64)
    ends = entries["offset"] + entries["length"]
    offsets = entries["offset"] + 1
    follows = np.zeros(len(entries), dtype=bool)
    follows[1:] = entries["offset"][1:] == ends[:-1]
    columns = (
        np.diff(numbers, prepend=0), entries["run"], entries["length"],
        np.where(follows, 0, offsets),
    )  # fmt: skip
    written = bytearray(_varint(len(entries)))
    for column in columns:
        for value in column.tolist():
            written += _varint(value)
    return gzip.compress(bytes(written), mtime=0)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append((value & 0x7F) | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _unpack(packed: bytes) -> Entries:
    raw = np.frombuffer(gzip.decompress(packed), dtype=np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    starts = np.concatenate(([0], ends[:-1] + 1))
    values = np.zeros(len(ends), dtype=np.uint64)
    for step in range(int((ends - starts).max(initial=0)) + 1):
        there = starts + step <= ends
        part = (raw[starts[there] + step] & 0x7F).astype(np.uint64)
        values[there] |= part << np.uint64(7 * step)
    count = int(values[0])
    numbers, runs, lengths, places = values[1 : 1 + 4 * count].reshape(4, count)
    entries = np.zeros(count, dtype=ENTRY)
    entries["id"], entries["run"], entries["length"] = np.cumsum(numbers), runs, lengths
    entries["offset"] = _offsets(places, lengths)
    return entries


def _offsets(places: npt.NDArray[np.uint64], lengths: npt.NDArray[np.uint64]) -> Any:
    """0 stands for "behind the one before"."""
    sums = np.concatenate(([0], np.cumsum(lengths[:-1]))).astype(np.int64)
    stated = places != 0
    last = np.maximum.accumulate(np.where(stated, np.arange(len(places)), 0))
    return (places.astype(np.int64)[last] - 1 - sums[last]) + sums


class Archive:
    """An open file: its tiles by number. Threads may share it; it never changes."""

    def __init__(self, path: Path) -> None:
        """Read header and directories; ``UnreadableFile`` for what is no such file."""
        self.path = path
        try:
            with path.open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._read()
        except (OSError, ValueError, EOFError, IndexError, struct.error) as error:
            raise UnreadableFile(
                f"{path.name} is no PMTiles file: {error}.", f"{path.name} 不是 PMTiles 文件。"
            ) from error

    def _read(self) -> None:
        head = _HEADER.unpack_from(self._bytes)
        if head[:2] != (_MAGIC, _VERSION) or head[14:16] != (_GZIP, _GZIP):
            raise ValueError("no gzipped tiles of version 3")
        root_at, root_size, meta_at, meta_size, leaf_at, _, self._data_at, data_size = head[2:10]
        if self._data_at + data_size > len(self._bytes):
            raise ValueError("it is cut off")
        metadata = orjson.loads(gzip.decompress(self._bytes[meta_at : meta_at + meta_size]))
        west, south, east, north = (side / _E7 for side in head[19:23])
        self.about = About(head[17], head[18], (west, south, east, north), metadata)
        self.tile_count: int = head[10]
        found = _unpack(self._bytes[root_at : root_at + root_size])
        parts = [found[found["run"] > 0]]
        for leaf in found[found["run"] == 0]:
            start = leaf_at + int(leaf["offset"])
            parts.append(_unpack(self._bytes[start : start + int(leaf["length"])]))
        self._entries = np.concatenate(parts)
        self._ids = np.ascontiguousarray(self._entries["id"])

    def covers(self, zoom: int) -> bool:
        """Whether it holds all tiles of that zoom that are not empty."""
        return self.about.min_zoom <= zoom <= self.about.max_zoom

    def tile(self, tile: Tile) -> bytes | None:
        """The tile, gzipped; None where none is held."""
        number = tile_id(tile)
        at = int(np.searchsorted(self._ids, np.uint64(number), side="right")) - 1
        if at < 0:
            return None
        first, run, offset, length = self._entries[at].tolist()
        if number >= first + run:
            return None
        start = self._data_at + offset
        return self._bytes[start : start + length]

    def tiles(self) -> Iterator[tuple[int, bytes]]:
        """All tiles in the order of their numbers."""
        for first, run, offset, length in self._entries.tolist():
            start = self._data_at + offset
            body = self._bytes[start : start + length]
            for number in range(first, first + run):
                yield number, body
