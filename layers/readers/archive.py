"""Unpacks ZIP files with its own limits; nothing of an archive is trusted, least of all sizes."""

import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from layers.errors import LimitExceeded, UnreadableFile
from layers.readers.source import damaged

SUFFIXES: Final = frozenset(
    {
        ".shp", ".shx", ".dbf", ".prj", ".cpg", ".cst", ".gpkg", ".geojson", ".json", ".fgb",
        ".kml", ".gml", ".dxf", ".gdbtable", ".gdbtablx", ".txt", ".csv", ".xlsx",
    }
)  # fmt: skip
"""What is unpacked; everything else (styles, indexes, licences, pictures) stays in the archive."""

_ARCHIVES: Final = frozenset({".zip", ".7z", ".rar", ".gz", ".tgz", ".bz2", ".xz", ".kmz"})
_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Published limits of an archive; counted while unpacking, whatever its directory says."""

    members: int = 2_000
    unpacked_bytes: int = 8 << 30
    ratio: int = 100


def unpack(path: Path, target: Path, limits: ArchiveLimits | None = None) -> list[Path]:
    """Unpack the admitted members below a new folder; give their paths in archive order."""
    bounds = limits or ArchiveLimits()
    target.mkdir(parents=True)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > bounds.members:
                raise LimitExceeded(
                    f"The archive has {len(members)} members; at most {bounds.members} are read.",
                    f"压缩包含 {len(members)} 个成员，上限为 {bounds.members}。",
                )
            chosen = [(info, name) for info in members if (name := _admitted_name(info))]
            allowance = min(bounds.unpacked_bytes, bounds.ratio * path.stat().st_size)
            return _extract(archive, chosen, target, allowance)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise damaged("ZIP") from error


def _extract(
    archive: zipfile.ZipFile,
    chosen: list[tuple[zipfile.ZipInfo, PurePosixPath]],
    target: Path,
    allowance: int,
) -> list[Path]:
    written = 0
    paths: list[Path] = []
    for info, name in chosen:
        path = target.joinpath(*name.parts)
        if not path.resolve().is_relative_to(target.resolve()) or path.exists():
            raise _hostile(str(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as packed, path.open("xb") as file:
            while block := packed.read(_BLOCK_BYTES):
                written += len(block)
                if written > allowance:
                    raise LimitExceeded(
                        "The archive unpacks to more than it is allowed (100 times its size).",
                        "压缩包解压后超出限制（压缩比上限 100）。",
                        code="archive-bomb",
                    )
                file.write(block)
        paths.append(path)
    return paths


def _admitted_name(info: zipfile.ZipInfo) -> PurePosixPath | None:
    """The member's name if it is to be unpacked; hostile members raise."""
    name = _decoded_name(info).replace("\\", "/")
    parts = PurePosixPath(name).parts
    kind = stat.S_IFMT(info.external_attr >> 16)
    hostile = (
        name.startswith("/")
        or ".." in parts
        or any(":" in part or len(part.encode()) > 255 for part in parts)
        or "\x00" in info.orig_filename
        or kind not in (0, stat.S_IFREG, stat.S_IFDIR)
    )
    if hostile:
        raise _hostile(name)
    if info.is_dir() or "__MACOSX" in parts or not parts:
        return None
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _ARCHIVES:
        raise UnreadableFile(
            "The archive holds another archive; unpack it and send the inner one.",
            "压缩包内还有压缩包；请解开后提交内层文件。",
            code="nested-archive",
        )
    if suffix not in SUFFIXES:
        return None
    if info.flag_bits & 1:
        raise UnreadableFile(
            "The archive is encrypted; send it without a password.",
            "压缩包已加密；请提供未加密的文件。",
            code="encrypted-archive",
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise damaged("ZIP", "compression method")
    return PurePosixPath(name)


def _decoded_name(info: zipfile.ZipInfo) -> str:
    """Names without the UTF-8 flag: strict UTF-8 first, then GB18030 (Windows in China)."""
    if info.flag_bits & 0x800:
        return info.filename
    raw = info.filename.encode("cp437", "replace")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _hostile(name: str) -> UnreadableFile:
    return UnreadableFile(
        f"The archive holds a member with a forbidden name or kind: {name[:80]!r}.",
        f"压缩包含有不允许的成员：{name[:80]!r}。",
        code="hostile-archive",
    )
