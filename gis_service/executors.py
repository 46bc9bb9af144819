"""Who works on the parts of a long computation: one seam, ``concurrent.futures.Executor``.

By default children that can be killed, with the GEOS of this machine; where the address of a Dask
scheduler is given, its workers (package extra ``dask``), which need the same versions. Tasks are
values and pure functions, and answers are taken in the order of the tasks: who works, and how many
of them, changes no byte of a result.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from layers.errors import BadParameter, GaveUp, Unavailable
from layers.sandbox import Sandbox

_DASK_WAIT_S: Final = 60
_AHEAD: Final = 3
"""Tasks in flight for each worker: the next is read while the last ones are worked on."""


class SandboxExecutor(Executor):
    """Runs every task in a child; ``GaveUp`` is the answer of one that had to be killed."""

    def __init__(self, sandbox: Sandbox, workers: int, deadline_s: float) -> None:
        """Children of ``sandbox``; ``deadline_s`` counts for each task."""
        self.workers = workers
        self._sandbox, self._deadline_s = sandbox, deadline_s
        self._threads = ThreadPoolExecutor(workers)

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Put a task into the queue of the children."""
        return self._threads.submit(self._run, fn, args)

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        return self._sandbox.run(function, *args, deadline_s=self._deadline_s)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for what was submitted; the sandbox is closed by who made it."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)


@contextmanager
def executor(
    workers: int, *, scheduler: str | None = None, deadline_s: float, memory_bytes: int
) -> Iterator[tuple[Executor, int]]:
    """An executor and how many work at once."""
    if scheduler is not None:
        with _dask(scheduler) as found:
            yield found
        return
    with (
        Sandbox(workers=workers, memory_bytes=memory_bytes) as sandbox,
        SandboxExecutor(sandbox, workers, deadline_s) as made,
    ):
        yield made, workers


@contextmanager
def _dask(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        distributed: Any = import_module("distributed")  # untyped, and an extra
    except ImportError:
        raise BadParameter(
            "--scheduler needs Dask; install the extra: uv sync --extra dask",
            "--scheduler 需要 Dask；请安装附加组件：uv sync --extra dask",
            code="no-dask",
        ) from None
    try:
        client = distributed.Client(address, timeout=_DASK_WAIT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise Unavailable(
            f"No Dask scheduler answers at {address}.", f"{address} 处没有 Dask 调度器应答。"
        ) from error
    try:
        client.wait_for_workers(1, timeout=_DASK_WAIT_S)
        workers = sum(client.nthreads().values())
        with client.get_executor(pure=False) as found:
            yield found, workers
    except TimeoutError as error:
        raise Unavailable(
            f"The Dask scheduler at {address} has no workers.",
            f"{address} 处的 Dask 调度器没有工作进程。",
        ) from error
    finally:
        client.close()


def in_order[K, T](
    runner: Executor,
    workers: int,
    function: Callable[..., T],
    tasks: Iterable[tuple[K, tuple[Any, ...]]],
) -> Iterator[tuple[K, T | GaveUp]]:
    """The answers of tasks in their order; a task that gave up answers with its reason."""
    waiting: list[tuple[K, Future[T]]] = []
    for key, arguments in tasks:
        waiting.append((key, runner.submit(function, *arguments)))
        if len(waiting) >= workers * _AHEAD:
            key, future = waiting.pop(0)
            yield key, _answer(future)
    for key, future in waiting:
        yield key, _answer(future)


def _answer(future: Future[Any]) -> Any:
    try:
        return future.result()
    except GaveUp as error:
        return error
