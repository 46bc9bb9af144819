"""The tiles of a published content, zoom 5 to 14, made ahead into one PMTiles file.

A sweep over the tiles of the base zooms that have pieces: all tiles below some of them come from
one statement. The bytes are those that ``tiles.tile_store`` would make. A content that stands on
another one has a file of the tiles that differ; a tile that became empty stands in it as a tile
without layers. Files are named by content and digest and never change.
"""

import datetime
import gzip
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from psycopg import sql

from layers import partitions
from layers.catalog import Layer
from layers.crs import Box
from layers.database import Connection, beside, rows, statements
from layers.features import Parts, content_parts
from tiles.archive_file import ArchiveFile
from tiles.matrix_set import Tile
from tiles.pmtiles import About, Archive
from tiles.tile_store import finished
from tiles.vector_tile import BASE_ZOOMS

_SQL: Final = statements("tiles", "tile_archive.sql")

FIRST_ZOOM: Final = 5
LAST_ZOOM: Final = 14
EMPTY_TILE: Final = gzip.compress(b"", 6, mtime=0)
"""A tile without layers: the base has one there, this content has not."""
_TILES_A_STEP: Final = 336
_NICE: Final = 10
_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class ArchivedContent:
    """A content whose tiles are to be kept, and what it stands on."""

    content_id: int
    layer_id: str
    sha256: str
    base_id: int | None
    base_sha256: str | None
    bounds: Box

    @property
    def file_name(self) -> str:
        """The file of its tiles."""
        return archive_name(self.content_id, self.sha256)

    @property
    def base_name(self) -> str | None:
        """The file of the content that it stands on."""
        if self.base_id is None:
            return None
        return archive_name(self.base_id, self.base_sha256 or "")


def archive_name(content_id: int, sha256: str) -> str:
    """The file name for a content: another library's content of that number has another digest."""
    return f"{content_id}-{sha256[:16]}.pmtiles"


def wanted_contents(connection: Connection, today: datetime.date) -> list[ArchivedContent]:
    """What is in force today or later, and what that stands on; bases first."""
    return [
        ArchivedContent(
            found["id"], found["layer_id"], found["content_sha256"] or "", found["base_id"],
            found["base_sha256"],
            (found["west"], found["south"], found["east"], found["north"]),
        )
        for found in rows(connection, _SQL["wanted"], today=today)
    ]  # fmt: skip


def zooms_of(layer: Layer, first: int = FIRST_ZOOM, last: int = LAST_ZOOM) -> range:
    """The zooms of a layer's file: none above those at which it is drawn."""
    return range(max(first, layer.min_zoom), last + 1)


def is_written(folder: Path, content: ArchivedContent, zooms: range) -> bool:
    """Whether the file is there with these zooms, and that of the base."""
    path = folder / content.file_name
    if not path.is_file():
        return False
    about = Archive(path).about
    return not zooms or (about.min_zoom <= zooms[0] and about.max_zoom >= zooms[-1])


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is made in one writing, and whom it tells of its progress."""

    content: ArchivedContent
    layer: Layer
    zooms: range
    told: Callable[[float], None] = lambda _share: None
    """Gets the share (0..1) that is done after each step; what it raises stops the writing."""


def write_archive(connection: Connection, folder: Path, sweep: Sweep) -> Path:
    """Write the file of a content, going on where a killed writing ended; give its path.

    A delta's base has its file already. ``connection`` reads as the owner.
    """
    content = sweep.content
    path = folder / content.file_name
    base = Archive(folder / content.base_name) if content.base_name is not None else None
    steps = _steps(_ancestors(connection, content), sweep.zooms)
    plan = orjson.dumps([list(sweep.zooms), content.sha256, len(steps), _TILES_A_STEP])
    with ArchiveFile(path, plan) as file, ExitStack() as stack:
        if not is_written(folder, content, sweep.zooms):
            done = file.steps_done
            for tiles in _made(connection, sweep, steps[done:], stack):
                _add(file, base, tiles)
                file.end_step()
                sweep.told(file.steps_done / len(steps))
            file.publish(_about(content, sweep))
        else:
            path.with_suffix(".journal").unlink(missing_ok=True)
            path.with_suffix(".part").unlink(missing_ok=True)
    return path


def _about(content: ArchivedContent, sweep: Sweep) -> About:
    metadata = {
        "name": content.layer_id,
        "type": "overlay",
        "vector_layers": [
            {
                "id": content.layer_id,
                "fields": dict.fromkeys(sweep.layer.tile_attributes, "String"),
            }
        ],
        "gis:content": content.content_id,
        "gis:sha256": content.sha256,
        "gis:base": content.base_name,
    }
    return About(sweep.zooms[0], sweep.zooms[-1], content.bounds, metadata)


def _add(file: ArchiveFile, base: Archive | None, tiles: Sequence[tuple[Tile, bytes]]) -> None:
    for tile, body in tiles:
        if base is None:
            if body:
                file.add(tile, body)
        elif body != (base.tile(tile) or b""):
            file.add(tile, body or EMPTY_TILE)


@dataclass(frozen=True, slots=True)
class _Step:
    """Some tiles below tiles of one base zoom."""

    base_zoom: int
    tiles: tuple[Tile, ...]


def _ancestors(connection: Connection, content: ArchivedContent) -> list[tuple[int, int, int]]:
    own = partitions.partition("tile_piece", content.content_id)
    if content.base_id is None:
        return connection.execute(sql.SQL(_SQL["ancestors"]).format(pieces=own)).fetchall()
    statement = sql.SQL(_SQL["changed_ancestors"]).format(
        pieces=own, base_pieces=partitions.partition("tile_piece", content.base_id)
    )
    return connection.execute(statement, {"content_id": content.content_id}).fetchall()


def _steps(ancestors: Sequence[tuple[int, int, int]], zooms: range) -> list[_Step]:
    """The tiles below the ancestors, a few hundred a step, deepest base zoom last."""
    steps: list[_Step] = []
    for base_zoom in sorted(BASE_ZOOMS):
        served = [z for z in zooms if _base_of(z) == base_zoom]
        tiles = [
            Tile(z, (x << z - base_zoom) + column, (y << z - base_zoom) + line)
            for zoom, x, y in ancestors
            if zoom == base_zoom
            for z in served
            for column in range(1 << z - base_zoom)
            for line in range(1 << z - base_zoom)
        ]
        size = _TILES_A_STEP if base_zoom >= 10 else _TILES_A_STEP // 16
        steps += [
            _Step(base_zoom, tuple(tiles[at : at + size])) for at in range(0, len(tiles), size)
        ]
    return steps


def _base_of(zoom: int) -> int:
    return next(base for base in BASE_ZOOMS if base <= zoom)


def _made(
    connection: Connection, sweep: Sweep, steps: Sequence[_Step], stack: ExitStack
) -> Iterator[list[tuple[Tile, bytes]]]:
    """The gzipped tiles of each step in turn, some steps ahead by threads of low priority."""
    parts = content_parts(connection, [sweep.content.content_id])
    readers = [stack.enter_context(beside(connection)) for _ in range(_THREADS)]
    free, lock = list(readers), threading.Lock()

    def work(step: _Step) -> list[tuple[Tile, bytes]]:
        with lock:
            reader = free.pop()
        try:
            return _read(reader, sweep, step, parts)
        finally:
            with lock:
                free.append(reader)

    pool = stack.enter_context(ThreadPoolExecutor(_THREADS, "archive", _step_back))
    ahead: list[Future[list[tuple[Tile, bytes]]]] = []
    try:
        for step in steps:
            ahead.append(pool.submit(work, step))
            if len(ahead) > 2 * _THREADS:
                yield ahead.pop(0).result()
        for future in ahead:
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _step_back() -> None:
    """Let everything else on this machine go first (the priority of a thread, on Linux)."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _read(reader: Connection, sweep: Sweep, step: _Step, parts: Parts) -> list[tuple[Tile, bytes]]:
    z, x, y = (list(column) for column in zip(*step.tiles, strict=True))
    values: dict[str, Any] = {
        "z": z, "x": x, "y": y, "base_zoom": step.base_zoom, "parts": parts.parts,
        "layer_id": sweep.layer.id, "content_id": sweep.content.content_id,
    }  # fmt: skip
    with reader.cursor(binary=True) as cursor:
        cursor.execute(parts.on(_SQL["tiles"]), values, prepare=True)
        made = {Tile(*found[:3]): bytes(found[3]) for found in cursor}
    return [
        (tile, finished(made[tile], gzipped=True).body if tile in made else b"")
        for tile in step.tiles
    ]


def remove_unwanted(folder: Path, wanted: Sequence[ArchivedContent]) -> list[str]:
    """Delete the files of contents that are not in force any more; give their names.

    Who has such a file open reads on; a file in the making is not touched.
    """
    if not folder.is_dir():
        return []
    names = {content.file_name for content in wanted}
    removed = []
    for path in sorted(folder.glob("*.pmtiles")):
        if path.name not in names:
            path.unlink(missing_ok=True)
            removed.append(path.name)
    return removed
