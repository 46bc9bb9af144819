"""A PMTiles file in the making that a killed process leaves so that the next one goes on.

Beside ``NAME.part`` with the tiles stands ``NAME.journal`` with one record a tile and one at the
end of each step; what was written after the last complete step is cut off and made again. The lock
on the journal keeps a second writer out, and ends with the process that holds it.
"""

import fcntl
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np

from layers.errors import Conflict
from tiles.matrix_set import Tile
from tiles.pmtiles import ENTRY, HEAD_BYTES, About, Archive, finish, tile_id

_STEP: Final = np.iinfo(np.uint64).max
"""In the place of a tile's number: a step is complete."""
_DIGEST_BYTES: Final = 16


class ArchiveFile:
    """Takes tiles step by step; complete with ``publish``, a block without it keeps its steps."""

    def __init__(self, path: Path, plan: bytes) -> None:
        """Go on with what is there if it was made by the same ``plan`` (a digest), else anew.

        ``Conflict`` while another process writes it.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._journal = path.with_suffix(".journal").open("a+b")
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one who had it may have ended, and taken away what we locked.
            if not os.path.samestat(os.fstat(self._journal.fileno()), _stat_of(path)):
                raise BlockingIOError
        except OSError as error:
            self._journal.close()
            raise Conflict(
                f"{path.name} is being written by another process.",
                f"另一进程正在写入 {path.name}。",
                code="archive-busy",
            ) from error
        part = path.with_suffix(".part")
        self._part = part.open("r+b" if part.exists() else "w+b")
        self._places: dict[bytes, tuple[int, int]] = {}
        self._entries = np.zeros(0, dtype=ENTRY)
        self._new: list[tuple[int, int, int, int]] = []
        self.steps_done = 0
        self._end = 0
        self._take_up(hashlib.sha256(plan).digest()[:_DIGEST_BYTES])

    def __enter__(self) -> "ArchiveFile":
        """The file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Close; what is complete of it stays."""
        self._part.close()
        self._journal.close()

    def add(self, tile: Tile, body: bytes) -> None:
        """Note a tile; equal bytes are kept once."""
        digest = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
        place = self._places.get(digest)
        if place is None:
            self._part.write(body)
            place = self._places[digest] = (self._end, len(body))
            self._end += len(body)
        self._new.append((tile_id(tile), 1, *place))

    def end_step(self) -> None:
        """What was added since the last step is there for whoever goes on after this process."""
        self._part.flush()
        step = np.array([*self._new, (_STEP, 0, self._end, 0)], dtype=ENTRY)
        self._journal.write(step.tobytes())
        self._journal.flush()
        self._entries = np.concatenate((self._entries, step[:-1]))
        self._new = []
        self.steps_done += 1

    def publish(self, about: About) -> None:
        """Put the whole file in its place, at once."""
        finish(self._part, self._end, self._entries, about)
        os.fsync(self._part.fileno())
        self.path.with_suffix(".part").replace(self.path)
        # Last: while it is there, whoever comes waits or goes on from it.
        self.path.with_suffix(".journal").unlink()

    def _take_up(self, plan: bytes) -> None:
        self._journal.seek(0)
        if self._journal.read(_DIGEST_BYTES) == plan:
            raw = self._journal.read()
            found = np.frombuffer(raw[: len(raw) // ENTRY.itemsize * ENTRY.itemsize], dtype=ENTRY)
            ends = np.flatnonzero(found["id"] == _STEP)
            found = found[: ends[-1] + 1] if len(ends) else found[:0]
            self._end = int(found["offset"][-1]) if len(found) else 0
            if self._part.seek(0, os.SEEK_END) >= HEAD_BYTES + self._end:
                self.steps_done = len(ends)
                self._entries = found[found["id"] != _STEP].copy()
                self._journal.truncate(_DIGEST_BYTES + found.nbytes)
                self._know_again()
                return
        self._end = 0
        self._journal.truncate(0)
        self._journal.write(plan)
        self._part.truncate(0)
        self._part.seek(HEAD_BYTES)

    def _know_again(self) -> None:
        """The digests of the tiles that are there."""
        places = np.unique(self._entries[["offset", "length"]])
        for offset, length in places.tolist():
            self._part.seek(HEAD_BYTES + offset)
            body = self._part.read(length)
            digest = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
            self._places[digest] = (offset, length)
        self._part.seek(HEAD_BYTES + self._end)
        self._part.truncate()


def _stat_of(path: Path) -> os.stat_result:
    return path.with_suffix(".journal").stat()


def copy_tiles(path: Path, tiles: Mapping[int, bytes], about: About) -> None:
    """Write tiles, by number, in order of their numbers: near tiles are near in the file."""
    part = path.with_name(path.name + ".part")
    entries, places, end = [], dict[bytes, tuple[int, int]](), 0
    try:
        with part.open("w+b") as file:
            file.seek(HEAD_BYTES)
            for number in sorted(tiles):
                body = tiles[number]
                if body not in places:
                    places[body] = (end, len(body))
                    file.write(body)
                    end += len(body)
                entries.append((number, 1, *places[body]))
            finish(file, end, np.array(entries, dtype=ENTRY), about)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def held_tiles(archives: tuple[Archive, ...]) -> dict[int, bytes]:
    """The tiles of archives; those of later ones hold in place of those of earlier ones."""
    return {number: body for archive in archives for number, body in archive.tiles()}
