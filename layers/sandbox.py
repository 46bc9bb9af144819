"""Killable child processes for files and geometries that nobody has checked yet.

GDAL follows links out of uploads and GEOS cannot be stopped by a statement timeout (a 21 KB pair
of valid polygons ran 50 s), so both work in children that are killed at their deadline, are
bounded in memory, processor time and file size, have no network, and die with their parent. A
child's own ``GisError`` arrives whole; every other end is ``GaveUp`` with one of the codes
``deadline-exceeded``, ``resource-limit``, ``crashed``.

Workers are kept warm. They are forked from multiprocessing's fork server, so their main thread
is the only one when it leaves the network behind; ``unshare`` moves no other thread.
"""

import ctypes
import errno
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as DeadlinePassed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import forkserver, get_context
from types import TracebackType
from typing import Any, Final, Self

from pebble import ProcessExpired, ProcessPool

from layers.errors import GaveUp, GisError, Unavailable, disk_full, is_disk_full

DEFAULT_MEMORY_BYTES: Final = 4 << 30
DEFAULT_FILE_BYTES: Final = 16 << 30

ADMITTED_DRIVERS: Final = frozenset(
    {"GPKG", "GeoJSON", "ESRI Shapefile", "FlatGeobuf", "OpenFileGDB", "DXF"}
)
"""The GDAL drivers that exist in a child; VRT, which opens other files, is not among them, nor
are KML and GML, which the project reads itself."""

GDAL_OPTIONS: Final = {
    # No remote file systems: no name satisfies both conditions. The wall is the lost network.
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "/vsicurl/none",
    "GDAL_DRIVER_PATH": "disable",
    "GDAL_PYTHON_DRIVER_PATH": "disable",
    "OGR_SQLITE_LOAD_EXTENSIONS": "",
    "PROJ_NETWORK": "OFF",
    "GDAL_CACHEMAX": "64",
    "OGR_GPKG_NUM_THREADS": "1",
}
"""Configuration of GDAL in a child. A name that GDAL does not know would protect nothing, so a
test looks for each one in the library itself."""

_M_ARENA_MAX: Final = -8
_PR_SET_PDEATHSIG: Final = 1
_WATCH_INTERVAL_S: Final = 0.2


class Sandbox:
    """A pool of warm children; ``run`` may be called from many threads.

    ``max_tasks`` recycles a child after that many tasks (1 for imports, whose memory grows).
    ``memory_bytes`` bounds the address space of each child. ``keeps_network`` is for children that
    work on our own data and talk to the database; files of others are not for them.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        max_tasks: int = 500,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        file_bytes: int = DEFAULT_FILE_BYTES,
        keeps_network: bool = False,
    ) -> None:
        """Start nothing yet; the first ``run`` (or ``warm_up``) starts the children."""
        self._new_pool: Callable[[], Any] = partial(
            _make_pool, workers, max_tasks, memory_bytes, file_bytes, keeps_network
        )
        self._pool = self._new_pool()
        self._replacing = threading.Lock()
        self._network_isolated: bool | None = None

    @property
    def network_isolated(self) -> bool:
        """Whether a child was seen to have no network; asked of a child once.

        Where it is False (a container that forbids ``unshare``), the caller refuses files of
        others unless the settings allow them all the same.
        """
        if self._network_isolated is None:
            self._network_isolated = self.run(network_is_gone, deadline_s=30)
        return self._network_isolated

    def warm_up(self) -> None:
        """Start the children now, so that the first caller does not wait for their imports."""
        self.run(_import_libraries, deadline_s=60)

    def run[T](
        self,
        function: Callable[..., T],
        /,
        *args: Any,
        deadline_s: float,
        watch: Callable[[], None] | None = None,
    ) -> T:
        """Run an importable function in a child and give its result.

        ``deadline_s`` counts from the start of the work, not from the queue. ``watch`` is called
        about five times a second meanwhile (to look at a progress file, say); when it raises, the
        child is killed. A child that ends by SIGSEGV is given one more try.
        """
        for try_again in (True, False):
            try:
                return self._once(function, args, deadline_s, watch)
            except ProcessExpired as expired:
                if not (try_again and expired.exitcode == -signal.SIGSEGV):
                    raise _gave_up_by_signal(expired.exitcode) from None
            except GisError:
                raise
            except BrokenProcessPool:
                # The children went together with their fork server; the next pool has others.
                if not try_again:
                    raise _gave_up_by_signal(-signal.SIGTERM) from None
            except Exception as error:
                if is_disk_full(error):
                    raise disk_full() from None
                if _is_out_of_memory(error):
                    raise _out_of_memory() from None
                raise
        raise _gave_up_by_signal(-signal.SIGSEGV)

    def _once[T](
        self,
        function: Callable[..., T],
        args: tuple[Any, ...],
        deadline_s: float,
        watch: Callable[[], None] | None,
    ) -> T:
        future = self._schedule(_run_task, (function, args, deadline_s), deadline_s)
        try:
            while True:
                try:
                    result: T = future.result(timeout=_WATCH_INTERVAL_S if watch else None)
                    return result
                except DeadlinePassed:
                    if future.done():
                        raise _deadline_exceeded(deadline_s) from None
                    if watch:
                        watch()
        finally:
            if not future.done():
                future.cancel()

    def _schedule(self, task: Callable[..., Any], args: tuple[Any, ...], deadline_s: float) -> Any:
        """Put a task into the pool; a pool that broke (its fork server was killed) is replaced."""
        pool = self._pool
        try:
            return pool.schedule(task, args=args, timeout=deadline_s)
        except (RuntimeError, BrokenProcessPool):
            with self._replacing:
                if self._pool is pool:
                    pool.stop()
                    self._pool = self._new_pool()
        try:
            return self._pool.schedule(task, args=args, timeout=deadline_s)
        except (RuntimeError, BrokenProcessPool) as error:
            raise Unavailable(
                "No child process can be started for the check; see the log.",
                "无法启动用于检查的子进程；请查看日志。",
                code="no-child",
            ) from error

    def close(self) -> None:
        """Kill the children and wait for them."""
        self._pool.stop()
        self._pool.join()

    def __enter__(self) -> Self:
        """Give the sandbox."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


def _make_pool(
    workers: int, max_tasks: int, memory_bytes: int, file_bytes: int, keeps_network: bool
) -> Any:
    # The fork server begins with the current folder on its path: modules that lie beside the
    # files of a department would be run as ours.
    os.environ["PYTHONSAFEPATH"] = "1"
    context = get_context("forkserver")
    context.set_forkserver_preload(["layers.sandbox", "shapely"])
    return ProcessPool(
        max_workers=workers,
        max_tasks=max_tasks,
        initializer=_enter_sandbox,
        initargs=(
            os.getpid(),
            memory_bytes,
            file_bytes,
            _gdal_environment(),
            keeps_network,
        ),
        context=context,
    )


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.EFBIG, errno.ENOMEM):
        return True
    return isinstance(error, MemoryError) or "bad_alloc" in str(error)


def _gave_up_by_signal(exit_code: int) -> GaveUp:
    if exit_code in (-signal.SIGKILL, -signal.SIGXCPU):
        return _out_of_memory()
    return GaveUp(
        "The process that worked on this input crashed; nothing was stored. The input may be "
        "damaged.",
        "处理该输入的进程崩溃，未存储任何内容；输入可能已损坏。",
        code="crashed",
    )


def _deadline_exceeded(deadline_s: float) -> GaveUp:
    return GaveUp(
        f"The work was stopped after {deadline_s:g} s; nothing was stored. Simplify the geometry "
        "or split the file.",
        f"处理超过 {deadline_s:g} 秒被终止，未存储任何内容；请简化图形或拆分文件。",
        code="deadline-exceeded",
    )


def _out_of_memory() -> GaveUp:
    return GaveUp(
        "The work needed more memory, processor time or disk than it is allowed; nothing was "
        "stored. Simplify the geometry or split the file.",
        "处理所需的内存、计算时间或磁盘超出限制，未存储任何内容；请简化图形或拆分文件。",
        code="resource-limit",
    )


def _gdal_environment() -> dict[str, str]:
    """The environment of a child: GDAL without the drivers that are not admitted."""
    import pyogrio

    skipped = sorted(set(pyogrio.list_drivers()) - ADMITTED_DRIVERS - {"MEM"})
    return {
        **GDAL_OPTIONS,
        "GDAL_SKIP": ",".join(skipped),
        "OPENBLAS_NUM_THREADS": "1",
        # Its own allocator reserves a gigabyte of address space, which counts against the limit.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }


def _enter_sandbox(
    parent: int,
    memory_bytes: int,
    file_bytes: int,
    environment: dict[str, str],
    keeps_network: bool,
) -> None:
    """Make this process a sandbox; runs in each child before it takes work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not keeps_network:
        _leave_network()
    # After the change of namespace, which may change credentials and thereby clears the signal.
    _die_with_parent(parent)
    os.environ.update(environment)
    _few_arenas()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


def _few_arenas() -> None:
    """Let threads share heaps: glibc reserves 64 MiB of address space for each of its own."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)


def _die_with_parent(parent: int) -> None:
    """Be killed when the fork server ends, which ends when the service does, however that dies.

    multiprocessing hands every child a copy of the pipe by which the fork server watches the
    service; with it a busy child would keep the fork server, and so itself, alive.
    """
    server = getattr(forkserver, "_forkserver", None)
    alive_fd = getattr(server, "_forkserver_alive_fd", None)
    if isinstance(alive_fd, int):
        os.close(alive_fd)
        vars(server)["_forkserver_alive_fd"] = None
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1 and parent != 1:
        os._exit(1)


def _leave_network() -> None:
    """Move to a network namespace with nothing in it; ``network_is_gone`` proves it later."""
    try:
        os.unshare(os.CLONE_NEWNET)
    except OSError:
        try:
            os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
        except OSError:
            return


def network_is_gone() -> bool:
    """Whether this process can reach no network, tried by connecting.

    The address belongs to a block that is reserved for documentation (RFC 5737); with a network
    the kernel has a route and tries, without one it refuses at once. Also the loopback interface
    has to be down.
    """
    for address in (("192.0.2.1", 9), ("127.0.0.1", 9)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            if probe.connect_ex(address) not in (errno.ENETUNREACH, errno.EADDRNOTAVAIL):
                return False
    return True


def _import_libraries() -> None:
    import pyogrio  # noqa: F401
    import shapely  # noqa: F401


def _run_task(function: Callable[..., Any], args: tuple[Any, ...], deadline_s: float) -> Any:
    """One task in the child, with its own allowance of processor time."""
    # The pool asks by SIGTERM first; a handler in Python would wait for GEOS to return.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowance = int(used.ru_utime + used.ru_stime + 2 * deadline_s) + 2
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (allowance, hard))
    return function(*args)
