"""The service's own PostGIS: a private cluster on a unix socket.

The processes of one data folder share it: the first starts it, the last one out stops it. Each
holds a shared lock for its life; starting and stopping happen under a second, exclusive lock, so
no order of events can stop the cluster under somebody. The kernel drops both locks with their
process: whatever a kill -9 leaves behind is told from the living, and the next start joins or
clears it.
"""

import fcntl
import hashlib
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from gis_service.postgis_programs import Programs, ServerUser
from layers.errors import Unavailable

ROLE = "gis"
DATABASE = "gis"
# Where clusters go that the server's user cannot reach in the data folder itself.
ELSEWHERE = Path("/var/lib/gis-service")
# sun_path holds 108 bytes with the closing zero; the server adds a lock file beside the socket.
LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.5432.lock")
START_SECONDS = 300

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalPostgis:
    """A running cluster: the folder of PostgreSQL's files and the one of its socket."""

    data_dir: Path
    socket_dir: Path

    def dsn(self, database: str = DATABASE) -> str:
        """Give the connection address of one database, in the form of ``DATABASE_URL``."""
        return f"postgresql://{ROLE}@/{database}?host={quote(str(self.socket_dir))}&port=5432"


@contextmanager
def running_cluster(
    data_dir: Path, *, durable: bool = True, say: Callable[[str], None] = _log.info
) -> Iterator[LocalPostgis]:
    """Keep the cluster of ``data_dir`` up for the length of the block; the database exists.

    ``durable=False`` gives up crash safety for speed: for tests only. SIGTERM and SIGHUP unwind
    the block as Ctrl-C does, unless the caller has handlers of its own for them.
    """
    caller = os.getpid()
    with ExitStack() as locks:
        with _said_plainly(data_dir):
            data_dir.mkdir(parents=True, exist_ok=True)
            data_dir = data_dir.resolve()
            users = locks.enter_context(_lock_file(data_dir / "postgis.users"))
            gate = locks.enter_context(_lock_file(data_dir / "postgis.gate"))
        server = _Server.of(data_dir, durable, say)
        with _unwound_by_signals():
            try:
                with _said_plainly(data_dir), _only_one(gate):
                    alone = _try_exclusive(users)
                    fcntl.flock(users, fcntl.LOCK_SH)
                    server.bring_up(alone)
                yield LocalPostgis(server.files, server.socket_dir)
            finally:
                # A forked child shares the lock of its parent, and must not close up for it.
                if os.getpid() == caller:
                    with _undisturbed(), _only_one(gate):
                        if _try_exclusive(users):
                            server.stop()
                            server.throw_away()


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    lock = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        yield lock
    finally:
        os.close(lock)


@contextmanager
def _said_plainly(data_dir: Path) -> Iterator[None]:
    """Turn what the file system refuses (rights, room, a file in the way) into one line."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"cannot use the data folder {data_dir}: {error}; name another by DATA_DIR=",
            f"无法使用数据目录 {data_dir}：{error}；请用 DATA_DIR= 指定其他目录",
        ) from error


@contextmanager
def _unwound_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the process by an exception, where nobody else handles them."""
    taken = []
    if threading.current_thread() is threading.main_thread():
        wanted = (signal.SIGTERM, signal.SIGHUP)
        taken = [number for number in wanted if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold back a second, impatient Ctrl-C until the server is down."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _only_one(gate: int) -> Iterator[None]:
    """Wait for the exclusive lock under which the cluster is started or stopped."""
    fcntl.flock(gate, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(gate, fcntl.LOCK_UN)


def _try_exclusive(lock: int) -> bool:
    """Tell whether no other process uses the cluster."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Server:
    """One cluster on disk and what starts and stops it."""

    programs: Programs
    owner: ServerUser
    home: Path
    socket_dir: Path
    durable: bool
    say: Callable[[str], None]

    @classmethod
    def of(cls, data_dir: Path, durable: bool, say: Callable[[str], None]) -> "_Server":
        """Settle where the cluster of a data folder lives and who runs it."""
        mark = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
        home = data_dir / "postgis"
        owner = ServerUser.choose(home)
        moved = (ELSEWHERE / mark).exists() and not home.exists()
        if moved or not owner.reaches(data_dir):
            home = ELSEWHERE / mark
            owner = ServerUser.choose(home)
            if not home.exists():
                say(
                    f"{data_dir} 不可由数据库用户访问，数据库置于 {home} · the database's user "
                    f"cannot reach {data_dir}; the database is kept in {home}"
                )
        socket_dir = home / "socket"
        if not re.fullmatch(rf"[\w./+-]{{1,{LONGEST_SOCKET_FOLDER}}}", str(socket_dir), re.ASCII):
            # Owner and mode are checked. Also for a comma or a quote: server and client split
            # lists of hosts.
            socket_dir = Path("/tmp") / f"gis-{mark}"
        version = home / "files" / "PG_VERSION"
        made_by = int(version.read_text()) if version.exists() else None
        return cls(Programs.find(made_by), owner, home, socket_dir, durable, say)

    @property
    def files(self) -> Path:
        """Give the folder that PostgreSQL calls its data directory."""
        return self.home / "files"

    def bring_up(self, alone: bool) -> None:
        """Make, mend, start or join the cluster; needs the exclusive lock."""
        self.home.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.owner.make_folder(self.home)
        self.owner.make_folder(self.socket_dir)
        for left_over in self.home.glob("making-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        if not self.files.exists():
            self._make()
        socket = self.socket_dir / ".s.PGSQL.5432"
        if alone and not socket.exists():
            self.stop()  # left running by a killed process, and its socket cleaned away since
        if self._postmaster() is None:
            if alone:
                # PostgreSQL refuses to start when the number in a left-over file has gone to
                # another process of its user, as after a reboot in a container.
                (self.files / "postmaster.pid").unlink(missing_ok=True)
                socket.with_name(f"{socket.name}.lock").unlink(missing_ok=True)
            self._start()
        self._ensure_database()

    def _make(self) -> None:
        """Make the cluster beside its place and move it there whole."""
        self.say("新建数据库 · making the database (a few seconds, first start only)")
        # A name of its own: the initdb of a killed start may still be writing to the last one.
        making = self.home / f"making-{os.getpid()}-{time.monotonic_ns()}"
        options = ["--username", ROLE, "--auth=trust", "--data-checksums", "--encoding=UTF8"]
        # Order by code point, that no update of the system's locales can change under an index;
        # but letters and case of all of Unicode.
        options += ["--locale=C", "--lc-ctype=C.UTF-8", *([] if self.durable else ["--no-sync"])]
        made = self.owner.run(self.programs.folder / "initdb", "-D", making, *options)
        if made.returncode != 0:
            shutil.rmtree(making, ignore_errors=True)
            raise self._failed("make", "新建", made.stderr)
        if self.home.parent == ELSEWHERE and not self.durable:
            self._throwaway.touch()
        making.rename(self.files)

    def _start(self) -> None:
        """Start the server; wait for the last processes of a killed one to let go."""
        values = _settings(self.programs, self.socket_dir, self.durable)
        settings = " ".join(
            f"-c {shlex.quote(f'{name}={value}')}" for name, value in values.items()
        )
        waiting = ["-w", "-t", str(START_SECONDS)]
        patience = time.monotonic() + 20
        while True:
            log_start = self._log_size()
            done = self._pg_ctl("start", *waiting, "-l", self._log_file, "-o", settings)
            if done.returncode == 0 or self._postmaster() is not None:
                return
            told = self._log_file.read_text(errors="replace")[log_start:] + done.stderr
            if "still in use" not in told or time.monotonic() > patience:
                raise self._failed("start", "启动", told)
            time.sleep(0.5)

    def stop(self) -> None:
        """Stop the server, breaking what connections are left; needs the exclusive lock."""
        if self._postmaster() is None:
            return
        if self._pg_ctl("stop", "-m", "fast", "-w", "-t", "60").returncode != 0:
            self._pg_ctl("stop", "-m", "immediate", "-w", "-t", "30")

    def throw_away(self) -> None:
        """Remove a test's cluster that lies outside its data folder, where nobody would look."""
        if not self.durable and self._throwaway.exists():
            shutil.rmtree(self.home, ignore_errors=True)

    @property
    def _throwaway(self) -> Path:
        return self.home / "throwaway"

    def _ensure_database(self) -> None:
        with self._connection() as connection:
            there = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
            ).fetchone()
            if there is None:
                connection.execute("CREATE DATABASE gis")

    def _connection(self) -> psycopg.Connection:
        """Connect as soon as a server that is still recovering lets us in."""
        address = LocalPostgis(self.files, self.socket_dir).dsn("postgres")
        patience = time.monotonic() + START_SECONDS
        while True:
            try:
                return psycopg.connect(address, autocommit=True, connect_timeout=10)
            except psycopg.OperationalError as error:
                if time.monotonic() > patience or self._postmaster() is None:
                    raise self._failed("reach", "连接", str(error)) from error
                time.sleep(0.1)

    def _postmaster(self) -> int | None:
        """Give the process of the running server, told from a stranger with its old number."""
        try:
            number = int((self.files / "postmaster.pid").read_text().partition("\n")[0])
            return number if Path(f"/proc/{number}/cwd").samefile(self.files) else None
        except (OSError, ValueError):
            return None

    def _pg_ctl(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.owner.run(self.programs.folder / "pg_ctl", "-D", self.files, *arguments)

    @property
    def _log_file(self) -> Path:
        return self.home / "postgresql.log"

    def _log_size(self) -> int:
        return len(self._log_file.read_text(errors="replace")) if self._log_file.exists() else 0

    def _failed(self, en: str, zh: str, told: str) -> Unavailable:
        """Put the server's own reason into one line."""
        lines = [line.strip() for line in told.splitlines() if line.strip()]
        reasons = [line for line in lines if re.search("FATAL|PANIC|rror:", line)]
        reason = (reasons or lines or ["no reason given"])[-1]
        return Unavailable(
            f"cannot {en} the database in {self.home}: {reason} (log: {self._log_file})",
            f"无法{zh}数据库 {self.home}：{reason}（日志：{self._log_file}）",
        )


def _settings(programs: Programs, socket_dir: Path, durable: bool) -> dict[str, str]:
    """Settings for a map service that shares its machine; given anew at every start."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    values = {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": f'"{socket_dir}"',
        "unix_socket_permissions": "0700",
        "max_connections": "60",
        # A content has tables and indexes of its own, and one transaction may touch hundreds.
        "max_locks_per_transaction": "256",
        "timezone": "UTC",
        "shared_buffers": f"{min(512, max(128, memory_mb // 8))}MB",
        "effective_cache_size": f"{max(256, memory_mb // 2)}MB",
        "maintenance_work_mem": f"{min(256, max(64, memory_mb // 32))}MB",
        "work_mem": "16MB",
        # Short statements on small parts: compiling them costs more than it gives.
        "jit": "off",
        "max_parallel_workers_per_gather": "1",
        "random_page_cost": "1.1",
        # A caller who has gone away must not keep a backend busy; nor one statement fill the disk.
        "client_connection_check_interval": "2s",
        "temp_file_limit": "8GB",
        # Bulk loads are long bursts of writing; nobody replicates from here.
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        # A raster driver would read files and addresses in a caller's name.
        "postgis.gdal_enabled_drivers": "DISABLE_ALL",
        "postgis.enable_outdb_rasters": "off",
    }
    if programs.lz4:
        values["default_toast_compression"] = "lz4"
    if not durable:
        values |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
    return values
