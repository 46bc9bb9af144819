"""The worker beside the service: restarted ever later, ended with it, never in its way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gis_service.jobs.supervisor import WorkerSupervisor, worker_beside


def until(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("did not happen in time")


@pytest.fixture
def supervised() -> Iterator[Callable[..., WorkerSupervisor]]:
    made: list[WorkerSupervisor] = []

    def start(program: str, **options: Any) -> WorkerSupervisor:
        supervisor = WorkerSupervisor(
            "dbname=owners", command=(sys.executable, "-c", program), first_wait_s=0.05, **options
        )
        made.append(supervisor)
        supervisor.start()
        return supervisor

    yield start
    for one in made:
        one.stop()


SLEEP = "import time; time.sleep(60)"


def test_a_killed_worker_is_started_again(
    supervised: Callable[..., WorkerSupervisor],
) -> None:
    supervisor = supervised(SLEEP)
    first = until(lambda: supervisor.pid)
    os.kill(first, signal.SIGKILL)
    second = until(lambda: supervisor.pid if supervisor.pid not in (None, first) else None)
    assert second != first
    assert supervisor.starts == 2


def test_one_that_ends_at_once_is_tried_ever_later(
    supervised: Callable[..., WorkerSupervisor],
) -> None:
    """0.05 s, doubled each time: in 1.5 s there is room for five starts, not for hundreds."""
    supervisor = supervised("raise SystemExit(1)")
    time.sleep(1.5)
    assert 2 <= supervisor.starts <= 6


def test_it_waits_for_the_service_and_gets_the_owners_address(
    supervised: Callable[..., WorkerSupervisor], tmp_path: Path
) -> None:
    order: list[str] = []
    noted = tmp_path / "dsn"
    program = (
        f"import os, time; open({str(noted)!r}, 'w').write(os.environ['DATABASE_URL'])\n"
        "time.sleep(60)"
    )
    supervisor = supervised(program, when_up=lambda: order.append("up"))
    until(lambda: noted.exists() and noted.read_text())
    assert order == ["up"]
    assert noted.read_text() == "dbname=owners"
    assert os.environ.get("DATABASE_URL") != "dbname=owners"
    assert supervisor.starts == 1


def test_a_stop_is_gentle_and_final(
    supervised: Callable[..., WorkerSupervisor], tmp_path: Path
) -> None:
    noted = tmp_path / "stopped"
    program = (
        "import signal, sys, time\n"
        f"def stop(*_): open({str(noted)!r}, 'w').write('gently'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"open({str(tmp_path / 'ready')!r}, 'w').close()\n"
        "time.sleep(60)"
    )
    supervisor = supervised(program)
    until(lambda: (tmp_path / "ready").exists())
    pid = supervisor.pid
    supervisor.stop()
    assert noted.read_text() == "gently"
    assert supervisor.pid is None
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    time.sleep(0.3)
    assert supervisor.starts == 1


def test_no_worker_is_no_worker() -> None:
    with worker_beside(None):
        pass


def test_the_worker_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """The parent has no time to say anything: the pipe between them tells."""
    noted = tmp_path / "pid"
    child = (
        "import os, sys, time, signal\n"
        "from gis_service.jobs.worker import stop_with_parent\n"
        f"open({str(noted)!r}, 'w').write(str(os.getpid()))\n"
        "stop_with_parent(sys.stdin.fileno())\n"
        "time.sleep(60)"
    )
    parent = (
        "import sys, time\n"
        "from gis_service.jobs.supervisor import WorkerSupervisor\n"
        f"WorkerSupervisor('x', command=(sys.executable, '-c', {child!r})).start()\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    try:
        pid = int(until(lambda: noted.exists() and noted.read_text(), 30))
        time.sleep(0.5)  # its watch has begun
        process.kill()
        process.wait()
        until(lambda: not _lives(pid))
    finally:
        process.kill()
        process.wait()


def _lives(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
