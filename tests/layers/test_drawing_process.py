"""The process that draws beside the reading one: it dies with it, and its own death is told."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import os, signal, sys
from pathlib import Path
import numpy as np, shapely
from layers.catalog import load_catalog
from layers.drawing_process import DrawingProcess
from layers.errors import GisError
from layers.ewkb import to_ewkb

project, pipe, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
layer = load_catalog(project / "config").plan("overall-plan").layers[0]
shapes = shapely.box(110 + np.arange(50) / 100, 19.0, 110.01 + np.arange(50) / 100, 19.01)
rows = np.arange(1, 51), {"landuse_code": ["0101"] * 50}, to_ewkb(shapes, 4490)
try:
    with DrawingProcess(layer, pipe) as drawing:
        print(drawing._pid, flush=True)
        drawing.add(*rows)
        if what == "wait":
            sys.stdin.read()
        if what == "killed":
            os.kill(drawing._pid, signal.SIGKILL)
            for _ in range(1000):
                drawing.add(*rows)
        if what == "broken rows":
            drawing.add(rows[0], rows[1], [b"no geometry"] * 50)
        if what == "reader fails":
            raise GisError("The reading failed.", "读取失败。", code="reading")
    print([grid["base_zoom"] for grid in drawing.grids])
except Exception as error:
    print(type(error).__name__, getattr(error, "code", error))
"""
PROJECT = Path(__file__).resolve().parents[2]
TRAILER = b"\xff\xff"


def begin(pipe: Path, what: str) -> tuple["subprocess.Popen[str]", int]:
    pipe.touch()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(PROJECT), str(pipe), what],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT,
    )  # fmt: skip
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int) -> bool:
    for _ in range(100):
        if not is_there(pid):
            return True
        time.sleep(0.05)
    return False


def test_all_that_was_handed_over_is_drawn(tmp_path: Path) -> None:
    process, pid = begin(tmp_path / "pieces", "")
    told, _ = process.communicate(timeout=60)
    assert told.strip() == "[7, 4]"
    assert gone(pid)
    stream = (tmp_path / "pieces").read_bytes()
    assert stream.startswith(b"PGCOPY\n")
    assert stream.endswith(TRAILER)
    assert len(stream) > 50 * 2 * 93  # 50 squares at two base zooms


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("killed", "GaveUp crashed"),
        ("broken rows", "RuntimeError"),
        ("reader fails", "GisError reading"),
    ],
)
def test_after_a_failure_on_either_side_the_stream_has_no_end(
    tmp_path: Path, what: str, told: str
) -> None:
    """A stream without its end is stored by nobody (test_row_loading)."""
    process, pid = begin(tmp_path / "pieces", what)
    said, _ = process.communicate(timeout=60)
    assert said.startswith(told)
    assert gone(pid)
    assert not (tmp_path / "pieces").read_bytes().endswith(TRAILER)


def test_it_dies_with_the_reading_process(tmp_path: Path) -> None:
    process, pid = begin(tmp_path / "pieces", "wait")
    assert is_there(pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert gone(pid)
    assert not (tmp_path / "pieces").read_bytes().endswith(TRAILER)
