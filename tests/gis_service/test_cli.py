"""The command line as people and programs call it: a real process, its streams and exit code."""

import datetime
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import shapely
from shapely.geometry import mapping

from layers.database import connect
from layers.editions import contents_in_force, list_editions

PROGRAM = Path(sys.executable).with_name("gis-service")
REDLINE = [shapely.box(110 + i / 100, 19, 110 + i / 100 + 0.005, 19.005) for i in range(20)]
BOW_TIE = shapely.Polygon([(110, 19), (110.01, 19.01), (110.01, 19), (110, 19.01), (110, 19)])

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(database: str) -> Run:
    def call(*arguments: str, language: str = "C.UTF-8") -> "subprocess.CompletedProcess[str]":
        environment = {"DATABASE_URL": database, "PATH": os.environ["PATH"], "LC_ALL": language}
        return subprocess.run(
            [str(PROGRAM), *arguments], env=environment, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip

    return call


def gpkg(path: Path, shapes: list[shapely.Geometry]) -> Path:
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array(shapes)),
        [np.array([f"R{i}" for i in range(len(shapes))], dtype=object)], ["HXBM"],
        geometry_type="Polygon", crs="EPSG:4490", driver="GPKG",
    )  # fmt: skip
    return path


def site(path: Path, geometry: shapely.Geometry, **properties: Any) -> Path:
    feature = {"type": "Feature", "properties": properties, "geometry": mapping(geometry)}
    path.write_text(json.dumps(feature), "utf-8")
    return path


@pytest.mark.parametrize(
    "command",
    ["serve", "demo", "plans list", "plans show", "import", "publish", "withdraw", "check",
     "rules lint", "rules test", "rules show", "rules schema", "rules preview"],
)  # fmt: skip
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = subprocess.run(
        [str(PROGRAM), *command.split(), "--help"], capture_output=True, text=True, check=True
    )
    flat = " ".join(done.stdout.replace("│", " ").split())
    assert f"gis-service {command}" in flat
    assert "Example:" in flat


def test_import_publish_check_withdraw(run: Run, tmp_path: Path) -> None:
    file = gpkg(tmp_path / "redline.gpkg", REDLINE)
    imported = run(
        "import", str(file), "--plan", "overall-plan", "--layer", "ecological_redline",
        "--valid-from", "2026-01-01", "--json",
    )  # fmt: skip
    assert imported.returncode == 0, imported.stderr
    report = json.loads(imported.stdout)  # nothing else stands on stdout
    assert {"read": 20, "accepted": 20, "repaired": 0, "refused": 0}.items() <= report.items()
    assert run("publish", "overall-plan").returncode == 0
    listed = json.loads(run("plans", "show", "overall-plan", "--json").stdout)
    assert [edition["state"] for edition in listed["editions"]] == ["published"]

    inside = site(
        tmp_path / "site.geojson", shapely.box(110.001, 19.001, 110.002, 19.002), name="a"
    )
    checked = run("check", str(inside), "--json")
    assert checked.returncode == 1
    findings = {f["rule_id"]: f for f in json.loads(checked.stdout)["findings"]}
    assert findings["HN-ERL-001"]["outcome"] == "violation"
    assert findings["HN-PBF-001"]["outcome"] == "undetermined"  # no edition: no data
    page = tmp_path / "report.html"
    assert run("check", str(inside), "--format", "html", "-o", str(page)).returncode == 1
    assert "HN-ERL-001" in page.read_text("utf-8")
    words = run("check", str(inside), language="zh_CN.UTF-8")
    assert "违反" in words.stdout

    number = str(report["edition"])
    assert run("withdraw", "overall-plan", number).returncode == 0
    again = json.loads(run("check", str(inside), "--json").stdout)
    assert again["outcome"] == "undetermined"
    assert run("withdraw", "overall-plan", number).returncode == 2


def test_refused_rows_are_exit_1_and_block_the_publish(run: Run, tmp_path: Path) -> None:
    file = gpkg(tmp_path / "redline.gpkg", [*REDLINE, BOW_TIE])
    arguments = ("import", str(file), "--plan", "overall-plan", "--layer", "ecological_redline")
    imported = run(*arguments, "--json")
    assert imported.returncode == 1
    (issue,) = [i for i in json.loads(imported.stdout)["issues"] if i["severity"] == "blocking"]
    assert issue["row"] == 21
    assert "110.005" in issue["reason"]["en"]
    assert "自相交" in issue["reason"]["zh"]
    refused = run("publish", "overall-plan")
    assert refused.returncode == 2
    assert "blocking" in refused.stderr
    assert run("publish", "overall-plan", "--accept-blocking", "known").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("check", "nowhere.geojson"), "no file"),
        (("publish", "overall-plan"), "draft"),
        (("publish", "no-plan"), "no plan"),
        (("plans", "show", "no-plan"), "no plan"),
        (("rules", "show", "HN-NO-1"), "no rule"),
        (("import", "nowhere.gpkg", "--plan", "forest-plan"), "nowhere.gpkg"),
        (("withdraw", "overall-plan", "999"), "no edition"),
        (("check",), "file"),
        (("nonsense",), "nonsense"),
    ],
)
def test_what_cannot_run_is_exit_2_and_says_why(
    run: Run, arguments: tuple[str, ...], word: str
) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert word.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_dead_database_is_one_line() -> None:
    environment = {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [str(PROGRAM), "plans", "list"], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_taken_port_is_one_line(database: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environment = {"DATABASE_URL": database, "PORT": port, "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [str(PROGRAM), "serve"], env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert "make run PORT=" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.2, 0.5, 0.8, 1.2])
def test_kill_9_of_a_publish_leaves_the_draft_or_the_edition_whole(
    database: str, run: Run, tmp_path: Path, after_s: float
) -> None:
    many = [
        shapely.Point(109.0 + i * 0.015, 18.5 + j * 0.015).buffer(0.006, quad_segs=64)
        for i in range(60)
        for j in range(40)
    ]
    file = gpkg(tmp_path / "redline.gpkg", many)
    assert run(
        "import", str(file), "--plan", "overall-plan", "--layer", "ecological_redline"
    ).returncode == 0  # fmt: skip
    killed = subprocess.Popen(
        [str(PROGRAM), "publish", "overall-plan"],
        env={"DATABASE_URL": database, "PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(0.6 + after_s)  # the imports of the program come first
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    today = datetime.date(2040, 1, 1)
    with connect(database) as connection:
        (edition,) = list_editions(connection, "overall-plan")
        in_force = contents_in_force(connection, ["ecological_redline"], today)
        assert (edition["state"] == "published") == bool(in_force)
    if not in_force:
        done = run("publish", "overall-plan")
        assert done.returncode == 0, done.stderr
    with connect(database) as connection:
        content = contents_in_force(connection, ["ecological_redline"], today)["ecological_redline"]
        counts = connection.execute(
            "SELECT (SELECT count(DISTINCT fid) FROM library.overlay_piece"
            " WHERE content_id = %(c)s),"
            " (SELECT count(DISTINCT fid) FROM library.tile_piece"
            " WHERE content_id = %(c)s AND base_zoom = 13)",
            {"c": content.content_id},
        ).fetchone()
    assert content.feature_count == 2400
    assert counts == (2400, 2400)


def test_a_draft_keeps_its_day_when_nobody_says_another(run: Run, tmp_path: Path) -> None:
    """Imported for next year, and then a layer more: it must not come into force today."""
    file = gpkg(tmp_path / "redline.gpkg", REDLINE)
    to_plan = ("import", str(file), "--plan", "overall-plan", "--layer")
    assert run(*to_plan, "ecological_redline", "--valid-from", "2040-01-01").returncode == 0
    assert run(*to_plan, "permanent_basic_farmland").returncode == 0
    assert run("drafts", "open", "overall-plan").returncode == 0
    drafts = json.loads(run("drafts", "list", "--json").stdout)
    assert [one["valid_from"] for one in drafts] == ["2040-01-01"]
    bad = run(*to_plan, "ecological_redline", "--valid-from", "1.1.2040")
    assert bad.returncode == 2
    assert "2026-01-31" in bad.stderr
