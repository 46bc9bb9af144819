"""Sources that are folders: the newest matching file, once nobody writes to it any more."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gis_service.harvesting.fetched import Fetched, FetchRoom, deadline_check, refuse_larger
from gis_service.harvesting.sources import RegisteredSource
from layers.errors import NotFound, Unavailable

_BLOCK_BYTES: Final = 1 << 20
_BETWEEN_LOOKS_S: Final = 1.0
_SIDECARS: Final = frozenset({".shp", ".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx"})


@dataclass(frozen=True, slots=True)
class _Look:
    """What a file looked like at one moment; two equal looks mean that nobody writes to it."""

    path: Path
    inode: int
    byte_count: int
    changed: float

    @classmethod
    def at(cls, path: Path) -> "_Look | None":
        """None for what is gone, or no plain file: a link may lead anywhere."""
        try:
            found = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return cls(path, found.st_ino, found.st_size, max(found.st_mtime, found.st_ctime))


def fetch(source: RegisteredSource, room: FetchRoom) -> Fetched:
    """Copy the newest settled file, with its siblings if it is a shapefile, into the room."""
    check = deadline_check(room, source.deadline_s)
    looks = _newest_set(Path(source.location), source.glob)
    refuse_larger(sum(look.byte_count for look in looks), room.largest_bytes)
    youngest = max(look.changed for look in looks)
    if room.now() - youngest < source.settle_s:
        raise _unsettled(looks[0].path.name)
    room.sleep(_BETWEEN_LOOKS_S if source.settle_s else 0.0)
    target = room.folder / "fetched"
    target.mkdir()
    digest = hashlib.sha256()
    for look in looks:
        _copy(look, target / look.path.name, digest, check)
    if _newest_set(Path(source.location), source.glob) != looks:
        raise _unsettled(looks[0].path.name)
    copied = target if len(looks) > 1 else target / looks[0].path.name
    return Fetched(copied, digest.hexdigest(), sum(look.byte_count for look in looks))


def _newest_set(folder: Path, pattern: str) -> tuple[_Look, ...]:
    """The newest matching file and, for a shapefile, the files of its name; main file first."""
    try:
        found = [look for path in folder.glob(pattern) if (look := _Look.at(path)) is not None]
    except OSError:
        found = []
    if not found:
        if not folder.is_dir():
            raise Unavailable(
                f"The folder {folder} is not there or cannot be read.",
                f"目录 {folder} 不存在或无法读取。",
                code="source-unavailable",
            )
        raise NotFound(
            f"No file in {folder} matches '{pattern}'.",
            f"目录 {folder} 中没有匹配“{pattern}”的文件。",
            code="no-file",
        )
    newest = max(found, key=lambda look: (look.changed, look.path.name))
    if newest.path.suffix.lower() not in _SIDECARS:
        return (newest,)
    siblings = [
        look
        for path in sorted(folder.iterdir())
        if path.stem == newest.path.stem
        and path.suffix.lower() in _SIDECARS
        and (look := _Look.at(path)) is not None
    ]
    return tuple(sorted(siblings, key=lambda look: (look.path.suffix.lower() != ".shp", look.path)))


def _copy(look: _Look, target: Path, digest: "hashlib._Hash", check: object) -> None:
    """Copy exactly the file that was looked at; another one in its place is refused."""
    assert callable(check)
    try:
        handle = os.open(look.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Unavailable(
            f"{look.path.name} cannot be read ({error.strerror}).",
            f"无法读取 {look.path.name}（{error.strerror}）。",
            code="source-unavailable",
        ) from error
    with os.fdopen(handle, "rb") as file, target.open("wb") as out:
        if os.fstat(file.fileno()).st_ino != look.inode:
            raise _unsettled(look.path.name)
        digest.update(f"{look.path.name}\0{look.byte_count}\0".encode())
        while block := file.read(_BLOCK_BYTES):
            check()
            digest.update(block)
            out.write(block)


def _unsettled(name: str) -> Unavailable:
    return Unavailable(
        f"{name} is still being written; it is looked at again later.",
        f"{name} 正在写入，稍后再试。",
        code="not-settled",
    )
