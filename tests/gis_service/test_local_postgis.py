"""The embedded cluster on real processes: shared, stopped by the last, mended after a kill -9."""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from gis_service import local_postgis, postgis_programs
from gis_service.local_postgis import LocalPostgis, running_cluster
from layers.errors import Unavailable

HOLD = """
import sys
from pathlib import Path
from gis_service.local_postgis import running_cluster
with running_cluster(Path(sys.argv[1]), durable=False) as cluster:
    print(cluster.dsn(), flush=True)
    sys.stdin.read()
"""
FORK = HOLD.replace("sys.stdin", "import os; os.fork() or sys.exit(); os.wait(); sys.stdin")


class Holder:
    """A process of its own that holds the cluster until told to go."""

    def __init__(self, data_dir: Path, program: str = HOLD) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def dsn(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def started(self) -> object:
        """When the postmaster that this holder uses came up: its identity."""
        return one_value(self.dsn(), "SELECT pg_postmaster_start_time()")

    def go(self) -> None:
        self.process.communicate("", timeout=60)

    def send(self, number: signal.Signals) -> None:
        """Signal the whole group, as the terminal does."""
        os.killpg(self.process.pid, number)

    def end_by(self, number: signal.Signals) -> int:
        self.send(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def hold() -> Iterator[Callable[..., Holder]]:
    with ExitStack() as processes:

        def start(data_dir: Path, program: str = HOLD) -> Holder:
            holder = Holder(data_dir, program)
            processes.callback(holder.process.communicate)
            processes.callback(holder.process.kill)
            return holder

        yield start


@contextmanager
def passable_folder() -> Iterator[Path]:
    """A folder that every user can pass through, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="gis-test-"))
    folder.chmod(0o755)
    yield folder
    kill_all_in(folder)
    shutil.rmtree(folder, ignore_errors=True)


def kill_all_in(folder: Path) -> None:
    for process in processes_in(folder):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@pytest.fixture(scope="module")
def used_folder() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


@pytest.fixture
def data_dir(used_folder: Path) -> Iterator[Path]:
    """A data folder whose cluster may have been made by an earlier test: saves that second."""
    yield used_folder / "data"
    kill_all_in(used_folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


@pytest.fixture
def new_data_dir(open_folder: Path) -> Path:
    return open_folder / "data"


@pytest.fixture(autouse=True)
def elsewhere(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(local_postgis, "ELSEWHERE", open_folder / "elsewhere")
    return open_folder / "elsewhere"


def one_value(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return row[0]


def processes_in(folder: Path) -> list[int]:
    """The processes that work below a folder: every server process does in its data directory."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink().is_relative_to(folder):
                found.append(int(link.parent.name))
        except OSError:
            continue
    return found


def until[T](probe: Callable[[], T], seconds: float = 20) -> T:
    end = time.monotonic() + seconds
    while not (seen := probe()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return seen


def short_socket_folder(data_dir: Path) -> Path:
    return Path("/tmp") / f"gis-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"


def test_answers_while_held_and_leaves_no_process(data_dir: Path) -> None:
    with running_cluster(data_dir, durable=False) as cluster:
        assert one_value(cluster.dsn(), "SELECT current_database()") == "gis"
        assert one_value(cluster.dsn("postgres"), "SHOW server_encoding") == "UTF8"
        assert one_value(cluster.dsn(), "SHOW data_checksums") == "on"
        assert one_value(cluster.dsn(), "SHOW listen_addresses") == ""
        # Case and letters beyond ASCII, in the order of code points.
        assert one_value(cluster.dsn(), "SELECT upper('é') = 'É' AND 'Z' < 'a'") is True
        assert len(processes_in(data_dir)) > 1
    assert processes_in(data_dir) == []


def test_only_its_user_enters_the_socket_folder(data_dir: Path) -> None:
    with running_cluster(data_dir, durable=False) as cluster:
        held = cluster.socket_dir.stat()
        assert held.st_mode & 0o777 == 0o700
        assert held.st_uid == cluster.data_dir.stat().st_uid != 0
        assert (cluster.socket_dir / ".s.PGSQL.5432").stat().st_mode & 0o077 == 0


def test_a_durable_cluster_waits_for_the_disk(data_dir: Path) -> None:
    with running_cluster(data_dir) as cluster:
        assert one_value(cluster.dsn(), "SHOW fsync") == "on"
        assert one_value(cluster.dsn(), "SHOW full_page_writes") == "on"


def test_the_first_to_go_leaves_the_cluster_to_the_second(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    first = hold(data_dir)
    dsn = first.dsn()
    second = hold(data_dir)
    assert second.dsn() == dsn
    first.go()
    assert one_value(dsn, "SELECT 1") == 1
    second.go()
    assert processes_in(data_dir) == []


def test_processes_that_start_together_make_one_cluster(
    new_data_dir: Path, hold: Callable[..., Holder]
) -> None:
    holders = [hold(new_data_dir) for _ in range(4)]
    assert len({holder.started() for holder in holders}) == 1
    for holder in holders:
        holder.go()
    assert processes_in(new_data_dir) == []


def test_a_forked_child_that_ends_does_not_stop_the_cluster(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    parent = hold(data_dir, FORK)
    dsn = parent.dsn()
    time.sleep(0.5)
    assert one_value(dsn, "SELECT 1") == 1
    parent.go()
    assert processes_in(data_dir) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_from_outside_leaves_no_process(
    data_dir: Path, hold: Callable[..., Holder], number: signal.Signals
) -> None:
    holder = hold(data_dir)
    holder.dsn()
    assert holder.end_by(number) != 0
    assert processes_in(data_dir) == []


def test_a_second_impatient_ctrl_c_leaves_no_process(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    holder = hold(data_dir)
    holder.dsn()
    with (data_dir / "postgis.gate").open() as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)  # the holder has to wait before it may stop the server
        holder.send(signal.SIGINT)
        time.sleep(0.3)
        holder.send(signal.SIGINT)
        time.sleep(0.3)
    holder.process.communicate(timeout=60)
    assert processes_in(data_dir) == []


def test_the_cluster_of_a_killed_process_is_joined_and_then_stopped(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    killed = hold(data_dir)
    before = killed.started()
    killed.end_by(signal.SIGKILL)
    assert processes_in(data_dir)
    with running_cluster(data_dir, durable=False) as cluster:
        assert one_value(cluster.dsn(), "SELECT pg_postmaster_start_time()") == before
    assert processes_in(data_dir) == []


def test_a_left_over_server_without_its_socket_is_started_anew(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    killed = hold(data_dir)
    killed.dsn()
    killed.end_by(signal.SIGKILL)
    (data_dir / "postgis/socket/.s.PGSQL.5432").unlink()
    with running_cluster(data_dir, durable=False) as cluster:
        assert one_value(cluster.dsn(), "SELECT 1") == 1


def test_starts_after_server_and_owner_were_killed(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    killed = hold(data_dir)
    dsn = killed.dsn()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on")
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    killed.end_by(signal.SIGKILL)
    postmaster = int((data_dir / "postgis/files/postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    with running_cluster(data_dir, durable=False) as cluster:
        assert one_value(cluster.dsn(), "SELECT answer FROM kept") == 42


def test_a_process_number_that_went_to_a_stranger_is_no_server(data_dir: Path) -> None:
    with running_cluster(data_dir, durable=False) as cluster:
        files = cluster.data_dir
    owner = files.stat()
    as_owner = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "60"], cwd="/", **as_owner) as stranger:  # type: ignore[call-overload]
        for left_over in (files / "postmaster.pid", cluster.socket_dir / ".s.PGSQL.5432.lock"):
            left_over.write_text(f"{stranger.pid}\n{files}\n")
            os.chown(left_over, owner.st_uid, owner.st_gid)
        with running_cluster(data_dir, durable=False) as cluster:
            assert one_value(cluster.dsn(), "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_a_start_killed_while_it_makes_the_cluster_is_cleared_away(
    new_data_dir: Path, hold: Callable[..., Holder]
) -> None:
    killed = hold(new_data_dir)
    until(lambda: list(new_data_dir.glob("postgis/*/base")))
    killed.end_by(signal.SIGKILL)
    for _ in range(2):
        with running_cluster(new_data_dir, durable=False) as cluster:
            assert one_value(cluster.dsn(), "SELECT current_database()") == "gis"
    assert list(new_data_dir.glob("postgis/making-*")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that the server cannot reach")
def test_a_folder_closed_to_the_server_keeps_its_cluster_elsewhere(
    open_folder: Path, elsewhere: Path
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    said: list[str] = []
    with running_cluster(closed / "data", say=said.append) as cluster:
        assert cluster.data_dir.is_relative_to(elsewhere)
        with psycopg.connect(cluster.dsn()) as connection:
            connection.execute("CREATE TABLE kept ()")
    assert any(str(elsewhere) in line and "cannot reach" in line for line in said)
    closed.chmod(0o755)
    # Even a caller who takes it for a test's must not throw it away.
    for durable in (False, True):
        with running_cluster(closed / "data", durable=durable) as again:
            assert again == cluster
            assert one_value(again.dsn(), "SELECT to_regclass('kept') IS NOT NULL") is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that the server cannot reach")
def test_a_test_cluster_elsewhere_goes_with_its_last_process(
    open_folder: Path, elsewhere: Path
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    with running_cluster(closed / "data", durable=False):
        with running_cluster(closed / "data", durable=False):
            pass
        assert len(list(elsewhere.iterdir())) == 1
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 100, "多规合一, a 'b'"])
def test_a_path_unfit_for_a_socket_gets_a_short_folder(open_folder: Path, name: str) -> None:
    data_dir = open_folder / name
    with running_cluster(data_dir, durable=False) as cluster:
        assert cluster.data_dir.is_relative_to(data_dir)
        assert one_value(cluster.dsn(), "SELECT 1") == 1
        assert cluster.socket_dir == short_socket_folder(data_dir)
    cluster.socket_dir.rmdir()


@pytest.mark.parametrize("trap", ["open to all", "symbolic link", "file"])
def test_a_socket_folder_that_somebody_else_laid_is_refused(open_folder: Path, trap: str) -> None:
    data_dir = open_folder / ("x" * 100)
    laid = short_socket_folder(data_dir)
    if trap == "symbolic link":
        laid.symlink_to(open_folder)
    elif trap == "file":
        laid.touch(mode=0o600)
    else:
        laid.mkdir()
        laid.chmod(0o777)
    try:
        with pytest.raises(Unavailable) as refused, running_cluster(data_dir):
            pytest.fail("the trap was entered")
        assert_one_line(refused.value, str(laid))
        assert "not a private folder" in refused.value.text.en
    finally:
        laid.rmdir() if trap == "open to all" else laid.unlink()


def test_without_postgis_says_what_to_install(
    new_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server too old, and a new one that lacks PostGIS, are the same as none."""
    for major, extensions in ((14, ["postgis"]), (99, ["plpgsql"])):
        folder = tmp_path / str(major) / "bin"
        folder.mkdir(parents=True)
        shared = tmp_path / str(major) / "extension"
        shared.mkdir()
        for extension in extensions:
            (shared / f"{extension}.control").touch()
        (folder / "pg_ctl").write_text(f"#!/bin/sh\necho 'pg_ctl (PostgreSQL) {major}.1'\n")
        (folder / "pg_config").write_text(f"#!/bin/sh\necho '{tmp_path / str(major)}'\n")
        for program in folder.iterdir():
            program.chmod(0o755)
    monkeypatch.setattr(postgis_programs, "DEBIAN_PROGRAMS", tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable) as refused, running_cluster(new_data_dir):
        pytest.fail("started without PostGIS")
    assert_one_line(refused.value, "postgresql-15-postgis-3", "DATABASE_URL")


def test_a_cluster_of_another_version_names_that_version(new_data_dir: Path) -> None:
    with running_cluster(new_data_dir, durable=False) as cluster:
        pass
    (cluster.data_dir / "PG_VERSION").write_text("13\n")
    with pytest.raises(Unavailable) as refused, running_cluster(new_data_dir):
        pytest.fail("opened the files of another version")
    assert_one_line(refused.value, "postgresql-13-postgis-3")


def test_a_server_that_cannot_start_gives_its_reason(new_data_dir: Path) -> None:
    with running_cluster(new_data_dir, durable=False) as cluster:
        pass
    (cluster.data_dir / "postgresql.conf").write_text("port = = 1\n")
    with pytest.raises(Unavailable) as refused, running_cluster(new_data_dir):
        pytest.fail("started with broken settings")
    assert_one_line(refused.value, "postgresql.conf", "postgresql.log")


@pytest.mark.parametrize("taken", ["data", "data/postgis.gate/x"])
def test_a_data_folder_that_cannot_be_used_is_refused(new_data_dir: Path, taken: str) -> None:
    """A file where the folder should be; a folder where the lock should be."""
    taken_path = new_data_dir.parent / taken
    taken_path.parent.mkdir(parents=True, exist_ok=True)
    taken_path.touch()
    with pytest.raises(Unavailable) as refused, running_cluster(new_data_dir):
        pytest.fail("used a file as a folder")
    assert_one_line(refused.value, "DATA_DIR=", str(new_data_dir))


def test_the_address_quotes_what_a_path_may_hold() -> None:
    cluster = LocalPostgis(Path("/d"), Path("/srv/规划 a&b"))
    assert psycopg.conninfo.conninfo_to_dict(cluster.dsn("other")) == {
        "user": "gis",
        "dbname": "other",
        "host": "/srv/规划 a&b",
        "port": "5432",
    }


def assert_one_line(error: Unavailable, *needed: str) -> None:
    for text in (error.text.en, error.text.zh):
        assert "\n" not in text
        for word in needed:
            assert word in text
