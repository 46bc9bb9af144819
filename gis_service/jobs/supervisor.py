"""Keeps one worker process up beside the service; its crashes never touch the service."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

_log = logging.getLogger(__name__)

_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0
_STEADY_S: Final = 60.0
"""A worker that lived this long is not blamed for what happened before."""
_STOP_WITHIN_S: Final = 35.0
_COMMAND: Final = (sys.executable, "-m", "gis_service.jobs.child")


class WorkerSupervisor:
    """Starts the worker when the service is up, and again, ever later, when it ends."""

    def __init__(
        self,
        dsn: str,
        *,
        when_up: Callable[[], object] = lambda: None,
        command: Sequence[str] = _COMMAND,
        first_wait_s: float = _FIRST_WAIT_S,
    ) -> None:
        """Start nothing yet. ``dsn`` goes to the worker alone, in its own environment."""
        self._environment = {**os.environ, "DATABASE_URL": dsn}
        self._when_up, self._command, self._first_wait_s = when_up, tuple(command), first_wait_s
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_up, name="worker", daemon=True)
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process of the worker that runs now."""
        worker = self._worker
        return worker.pid if worker is not None and worker.poll() is None else None

    def start(self) -> None:
        """Begin to keep a worker up; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the worker gently, at last by force, and wait for its end."""
        self._stopping.set()
        with self._lock:
            worker = self._worker
        if worker is not None and worker.poll() is None:
            worker.terminate()
            try:
                worker.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self._thread.join(timeout=5.0)

    def _keep_up(self) -> None:
        self._when_up()
        wait_s = self._first_wait_s
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - began > _STEADY_S:
                wait_s = self._first_wait_s
            _log.warning("the job worker ended (%s); started again in %g s", code, wait_s)
            self._stopping.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _run_once(self) -> int:
        with self._lock:
            if self._stopping.is_set():
                return 0
            # The pipe is never written to; the worker ends when this process does.
            self._worker = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.PIPE
            )
            self.starts += 1
        code = self._worker.wait()
        if self._worker.stdin is not None:
            self._worker.stdin.close()
        return code


@contextmanager
def worker_beside(supervisor: WorkerSupervisor | None) -> Iterator[None]:
    """Keep the worker up for the length of the block; None = no worker."""
    if supervisor is None:
        yield
        return
    supervisor.start()
    try:
        yield
    finally:
        supervisor.stop()
