"""The tile archives that a serving process reads: opened once, found by content and digest."""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from layers.errors import UnreadableFile
from tiles.matrix_set import Tile
from tiles.pmtiles import Archive
from tiles.tile_archive import EMPTY_TILE, archive_name

_LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ContentTiles:
    """The archive of a content, and that of its base where it holds only what differs."""

    own: Archive
    base: Archive | None = None

    def covers(self, zoom: int) -> bool:
        """Whether a tile of that zoom that is not found here is empty."""
        return self.own.covers(zoom) and (self.base is None or self.base.covers(zoom))

    def tile(self, tile: Tile) -> bytes:
        """The gzipped tile; empty = nothing is there."""
        found = self.own.tile(tile)
        if found is not None:
            return b"" if found == EMPTY_TILE else found
        return (self.base.tile(tile) or b"") if self.base is not None else b""


class ArchiveShelf:
    """Archives in a folder into which another process writes."""

    def __init__(self, folder: Path) -> None:
        """Open nothing yet; the folder may come later."""
        self.folder = folder
        self._open: dict[str, ContentTiles] = {}
        self._there: dict[str, tuple[int, int]] = {}
        """Names with what tells a file from the one that was there before."""
        self._looked_s = float("-inf")
        self._lock = threading.Lock()

    def of_content(self, content_id: int, sha256: str) -> ContentTiles | None:
        """The tiles of a content; None while they are not written."""
        name = archive_name(content_id, sha256)
        if time.monotonic() - self._looked_s < _LOOK_EVERY_S:
            held = self._open.get(name)
            if held is not None or name not in self._there:
                return held
        with self._lock:
            self._look()
            return self._opened(name)

    def _look(self) -> None:
        if time.monotonic() - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = time.monotonic()
        there: dict[str, tuple[int, int]] = {}
        with suppress(OSError):
            for path in self.folder.glob("*.pmtiles"):
                found = path.stat()
                there[path.name] = (found.st_ino, found.st_mtime_ns)
        # One that was written anew replaces the base below others, too.
        changed = {name for name, mark in self._there.items() if there.get(name) != mark}
        for name, held in list(self._open.items()):
            if name in changed or (held.base is not None and held.base.path.name in changed):
                del self._open[name]
        self._there = there

    def _opened(self, name: str) -> ContentTiles | None:
        if name in self._open or name not in self._there:
            return self._open.get(name)
        try:
            own = Archive(self.folder / name)
            base_name = own.about.metadata.get("gis:base")
            base = Archive(self.folder / str(base_name)) if base_name else None
        except UnreadableFile:
            # Deleted meanwhile, or damaged: the database makes the tiles.
            del self._there[name]
            return None
        self._open[name] = ContentTiles(own, base)
        return self._open[name]
