"""``rules lint`` and ``rules test`` as a real process: what is printed and the exit code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("gis-service")
RULES = Path(__file__).resolve().parents[3] / "config" / "rules"


def run(*arguments: str, language: str = "C.UTF-8") -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "LC_ALL": language}
    return subprocess.run(
        [str(PROGRAM), "rules", *arguments], env=environment, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip


def test_lint_of_the_shipped_rules_is_good() -> None:
    done = run("lint", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(told["rules"]) >= 25
    assert {fault["weight"] for fault in told["faults"]} == {"note"}


def test_lint_says_what_is_wrong_in_both_languages(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder)
    reserves = folder / "control-lines.yml"
    text = reserves.read_text("utf-8").replace("zone = 'core'", "zone = 'kernel'")
    reserves.write_text(text, "utf-8")
    english, chinese = run("lint", str(folder)), run("lint", str(folder), language="zh_CN.UTF-8")
    assert (english.returncode, chinese.returncode) == (1, 1)
    assert "✕ HN-RESERVE-001 unknown-code: zone: the code list reserve-zones has no" in (
        english.stdout
    )
    assert "代码表 reserve-zones 中没有 kernel" in chinese.stdout
    # The rules without any case.
    bare = run("lint", "--cases", str(tmp_path / "none"))
    assert bare.returncode == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "without-cases" in run("lint", "--cases", str(empty)).stdout


def test_lint_looks_at_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder)
    file = folder / "corridors-and-hazards.yml"
    basis = "article: 第十条、第十五条, verified: false"
    text = file.read_text("utf-8").replace(basis, f"{basis}, valid_to: 2026-06-30")
    assert "valid_to" in text
    file.write_text(text, "utf-8")
    assert run("lint", str(folder), "--as-of", "2026-06-30").returncode == 0
    late = run("lint", str(folder), "--as-of", "2026-07-01")
    assert late.returncode == 1
    assert "HN-POWER-001 expired-basis" in late.stdout
    wrong = run("lint", "--as-of", "soon")
    assert (wrong.returncode, "2026-01-31" in wrong.stderr) == (2, True)


def test_a_set_that_does_not_load_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.yml"
    file.write_text("ruleset: {id: x}\nrules: []", "utf-8")
    done = run("lint", str(file))
    assert done.returncode == 2
    assert done.stderr.startswith("broken.yml")
    assert run("lint", str(tmp_path / "absent.yml")).returncode == 2
