"""The installed PostgreSQL programs, and the unprivileged user they run as."""

import os
import pwd
import re
import shutil
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from layers.errors import Unavailable

OLDEST_MAJOR = 15
DEBIAN_PROGRAMS = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Programs:
    """One installed PostgreSQL that has PostGIS."""

    folder: Path
    major: int
    lz4: bool

    @classmethod
    def find(cls, needed_major: int | None = None) -> "Programs":
        """Take the newest that fits; a cluster can only be opened by the version that made it."""
        found = [p for folder in _program_folders() if (p := cls._in(folder)) is not None]
        fitting = [p for p in found if needed_major in (None, p.major)]
        if fitting:
            return max(fitting, key=lambda p: p.major)
        major = needed_major or OLDEST_MAJOR
        raise Unavailable(
            f"no PostgreSQL {major} with PostGIS on this machine: run scripts/setup, or "
            f"apt-get install postgresql-{major}-postgis-3, or give DATABASE_URL=",
            f"本机没有带 PostGIS 的 PostgreSQL {major}：请运行 scripts/setup，或执行 "
            f"apt-get install postgresql-{major}-postgis-3，或指定 DATABASE_URL=",
        )

    @classmethod
    def _in(cls, folder: Path) -> "Programs | None":
        try:
            version = _output(folder / "pg_ctl", "--version")
            shared = _output(folder / "pg_config", "--sharedir").strip()
            configured = _output(folder / "pg_config", "--configure")
        except (OSError, subprocess.CalledProcessError):
            return None
        major = re.search(r"\) (\d+)", version)
        has_postgis = Path(shared, "extension", "postgis.control").exists()
        if major is None or int(major[1]) < OLDEST_MAJOR or not has_postgis:
            return None
        return cls(folder, int(major[1]), "--with-lz4" in configured)


def _program_folders() -> list[Path]:
    folders = sorted(DEBIAN_PROGRAMS.glob("*/bin"))
    on_path = shutil.which("pg_ctl")
    return [*folders, Path(on_path).resolve().parent] if on_path else folders


def _output(program: Path, argument: str) -> str:
    return subprocess.run(
        [program, argument], check=True, capture_output=True, text=True, env=_environment()
    ).stdout


def _environment() -> dict[str, str]:
    """Leave out PGDATA, PGOPTIONS and the like, which would lead the programs elsewhere."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user the server runs as; PostgreSQL refuses to run as root."""

    uid: int
    gid: int

    @classmethod
    def choose(cls, existing: Path) -> "ServerUser":
        """Take the caller; for root the owner of what exists, else an unprivileged user."""
        caller = os.geteuid()
        holder = existing.stat() if existing.exists() else None
        if caller != 0 and holder is not None and holder.st_uid != caller:
            raise Unavailable(
                f"{existing} belongs to user {holder.st_uid}: run as that user, "
                "or name another folder by DATA_DIR=",
                f"{existing} 属于用户 {holder.st_uid}：请以该用户运行，或用 DATA_DIR= 指定其他目录",
            )
        if caller != 0:
            return cls(caller, os.getegid())
        if holder is not None and holder.st_uid != 0:
            return cls(holder.st_uid, holder.st_gid)
        try:
            entry = pwd.getpwnam("postgres")
        except KeyError:
            entry = pwd.getpwnam("nobody")
        return cls(entry.pw_uid, entry.pw_gid)

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program as this user, away from the terminal's Ctrl-C."""
        root = os.geteuid() == 0
        return subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            user=self.uid if root else None,
            group=self.gid if root else None,
            extra_groups=[] if root else None,
        )

    def reaches(self, folder: Path) -> bool:
        """Tell whether this user may pass through ``folder`` (asked of the kernel, not guessed)."""
        return os.geteuid() != 0 or self.run("/usr/bin/test", "-x", folder).returncode == 0

    def make_folder(self, folder: Path) -> None:
        """Make a folder that only this user enters; refuse one that somebody else laid there."""
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        there = folder.lstat()
        if os.geteuid() == 0 and there.st_uid == 0:
            os.chown(folder, self.uid, self.gid, follow_symlinks=False)
            there = folder.lstat()
        if not stat.S_ISDIR(there.st_mode) or there.st_uid != self.uid or there.st_mode & 0o077:
            raise Unavailable(
                f"{folder} is not a private folder of user {self.uid}: remove it and start again",
                f"{folder} 不是用户 {self.uid} 的私有目录：请删除后重试",
            )
