"""Children are killed, bounded and cut off; each test goes red when its defence is taken out."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from pyogrio.errors import DataSourceError

from layers import crs, sandbox
from layers.errors import CrsRefused, GaveUp
from layers.sandbox import ADMITTED_DRIVERS, GDAL_OPTIONS, Sandbox

PATIENCE_S = 3.0
"""What a busy test machine may add to a deadline."""


def star(n: int) -> shapely.Polygon:
    """About n * n / 2 self-crossings; 40 KB of it crashed a PostGIS backend (reliability study)."""
    k = (n - 1) // 2
    turn = 2 * np.pi * np.arange(n) * k / n
    ring = 1000 * np.column_stack((np.cos(turn), np.sin(turn)))
    return shapely.Polygon(np.vstack((ring, ring[:1])))


def comb(teeth: int) -> shapely.Polygon:
    """Valid; n * n crossings with the same comb turned by a quarter."""
    top = 2 * teeth
    points = [(0, 0)]
    for x in range(0, top, 2):
        points += [(x, top), (x + 1, top), (x + 1, 1), (x + 2, 1)]
    return shapely.Polygon([*points, (top, 0), (0, 0)])


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as running:
        running.warm_up()
        yield running


@pytest.fixture
def listener() -> Iterator[tuple[str, int, list[str]]]:
    """A server on the loopback interface that notes who comes."""
    seen: list[str] = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.2)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, address = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    seen.append(str(address))
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        host, port = server.getsockname()
        try:
            yield host, port, seen
        finally:
            stop.set()
            thread.join()


def test_a_result_comes_back(box: Sandbox) -> None:
    square = box.run(shapely.box, 0.0, 0.0, 1.0, 2.0, deadline_s=10)

    assert square.equals(shapely.box(0, 0, 1, 2))


def test_an_error_of_ours_arrives_whole(box: Sandbox) -> None:
    with pytest.raises(CrsRefused) as caught:
        box.run(crs.parse_crs, "gcj02", deadline_s=10)

    assert caught.value.code == "obfuscated-crs"
    assert "CGCS2000" in caught.value.text.zh


def test_an_error_of_python_stays_what_it_is(box: Sandbox) -> None:
    with pytest.raises(FileNotFoundError):
        box.run(os.stat, "/no/such/file", deadline_s=10)


@pytest.mark.parametrize("seconds", [0.5, 1.5])
def test_a_child_is_killed_at_its_deadline(box: Sandbox, seconds: float) -> None:
    begin = time.monotonic()

    with pytest.raises(GaveUp) as caught:
        box.run(time.sleep, 60, deadline_s=seconds)

    assert caught.value.code == "deadline-exceeded"
    assert seconds <= time.monotonic() - begin < seconds + PATIENCE_S


def test_an_overlay_inside_geos_is_killed_too(box: Sandbox) -> None:
    first = comb(700)
    second = shapely.transform(first, lambda xy: xy[:, ::-1])
    assert first.is_valid
    assert second.is_valid
    begin = time.monotonic()

    with pytest.raises(GaveUp) as caught:
        box.run(shapely.intersection, first, second, deadline_s=1.0)

    assert caught.value.code == "deadline-exceeded"
    assert time.monotonic() - begin < 1.0 + PATIENCE_S


def test_the_star_that_crashes_a_database_is_judged_or_given_up(box: Sandbox) -> None:
    begin = time.monotonic()

    reason = box.run(shapely.is_valid_reason, star(1401), deadline_s=5.0)
    with pytest.raises(GaveUp):
        box.run(shapely.make_valid, star(1401), deadline_s=1.0)

    assert str(reason).startswith("Self-intersection")
    assert time.monotonic() - begin < 6.0 + PATIENCE_S


def test_memory_is_bounded() -> None:
    with Sandbox(memory_bytes=1 << 30) as small, pytest.raises(GaveUp) as caught:
        small.run(bytearray, 2 << 30, deadline_s=20)

    assert caught.value.code == "resource-limit"


def test_an_overlay_that_eats_memory_ends_and_the_sandbox_lives_on() -> None:
    first = comb(400)
    second = shapely.transform(first, lambda xy: xy[:, ::-1])
    with Sandbox(memory_bytes=700 << 20) as small:
        with pytest.raises(GaveUp) as caught:
            small.run(shapely.intersection, first, second, deadline_s=60)

        assert caught.value.code in ("resource-limit", "crashed")
        assert small.run(abs, -3, deadline_s=20) == 3


def test_files_are_bounded(tmp_path: Path) -> None:
    with Sandbox(file_bytes=1 << 20) as small, pytest.raises(GaveUp) as caught:
        small.run(Path.write_bytes, tmp_path / "big", b"x" * (2 << 20), deadline_s=20)

    assert caught.value.code == "resource-limit"
    assert (tmp_path / "big").stat().st_size <= 1 << 20


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_crash_is_an_outcome_and_the_next_task_runs(box: Sandbox, number: int) -> None:
    with pytest.raises(GaveUp) as caught:
        box.run(signal.raise_signal, number, deadline_s=20)

    assert caught.value.code == "crashed"
    assert box.run(abs, -3, deadline_s=20) == 3


def test_processor_time_is_bounded_task_by_task(box: Sandbox) -> None:
    limits = [
        box.run(sandbox.resource.getrlimit, sandbox.resource.RLIMIT_CPU, deadline_s=seconds)[0]
        for seconds in (1.0, 50.0, 1.0)
    ]

    assert limits[1] > limits[0]
    assert limits[2] < limits[1]
    assert 0 < limits[0] < 60


def test_the_child_has_no_network(box: Sandbox, listener: tuple[str, int, list[str]]) -> None:
    host, port, seen = listener
    with socket.create_connection((host, port), timeout=5):
        pass  # the server is there, for this process

    with pytest.raises(OSError) as caught:  # noqa: PT011 (the number says it)
        box.run(socket.create_connection, (host, port), 5.0, deadline_s=10)

    assert caught.value.errno in (errno.ENETUNREACH, errno.ECONNREFUSED, errno.EADDRNOTAVAIL)
    assert len(seen) == 1


def test_isolation_is_proven_by_trying_and_not_assumed(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert box.network_isolated
    # In this process the network is there, so the same test has to say no.
    assert not sandbox.network_is_gone()


def test_the_child_knows_the_admitted_drivers_only(box: Sandbox) -> None:
    found = set(box.run(pyogrio.list_drivers, deadline_s=20))

    assert found - {"MEM"} == ADMITTED_DRIVERS
    assert "OGR_VRT" in pyogrio.list_drivers()


def test_a_vrt_that_reads_another_file_reads_nothing(box: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("x,y\n1,2\n")
    vrt = tmp_path / "plan.geojson"
    vrt.write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="secret"><SrcDataSource>{secret}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    )
    assert list(pyogrio.read_info(vrt)["fields"]) == ["x", "y"]  # GDAL as it comes follows it

    with pytest.raises(DataSourceError):
        box.run(pyogrio.read_info, vrt, deadline_s=20)


@pytest.mark.parametrize("option", sorted(GDAL_OPTIONS))
def test_every_gdal_option_is_one_that_gdal_knows(option: str) -> None:
    """A misspelt option protects nothing; a peer had two such for months."""
    folder = Path(pyogrio.__file__).parent.parent / "pyogrio.libs"
    library = next(folder.glob("libgdal*"), None)
    if library is None and option.startswith("PROJ"):
        pytest.skip("no bundled libraries")
    assert library is not None
    names = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert option.encode() + b"\x00" in names


def test_watch_is_called_and_can_stop_the_work(box: Sandbox) -> None:
    calls = []

    def stop_at_third() -> None:
        calls.append(time.monotonic())
        if len(calls) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        box.run(time.sleep, 60, deadline_s=30, watch=stop_at_third)

    assert len(calls) == 3
    assert box.run(abs, -3, deadline_s=20) == 3


def test_children_die_with_their_parent() -> None:
    script = (
        "import os, time\n"
        "from layers.sandbox import Sandbox\n"
        "box = Sandbox()\n"
        "print(box.run(os.getpid, deadline_s=30), flush=True)\n"
        "box.run(time.sleep, 600, deadline_s=600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").exists()

    parent.kill()
    parent.wait()

    deadline = time.monotonic() + 10
    while _is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(child)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_sandbox_whose_fork_server_was_killed_works_again() -> None:
    """Without a new pool every later check of the service would fail until a restart."""
    with Sandbox(workers=1) as sandbox:
        child = sandbox.run(os.getpid, deadline_s=20)
        server = int(Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[1])
        for process in (server, child):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(1.0)
        assert sandbox.run(os.getpid, deadline_s=20) not in (child, os.getpid())
