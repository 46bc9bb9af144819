# ruff: noqa: S608 - names of views are put in
"""``plans diff`` and ``plans restore`` as real processes."""

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyogrio
import pytest
import shapely

from layers.database import connect
from layers.editions import contents_in_force

PROGRAM = Path(sys.executable).with_name("gis-service")
PLAN, LAYER = "overall-plan", "ecological_redline"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(database: str) -> Run:
    def call(*arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        environment = {"DATABASE_URL": database, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [str(PROGRAM), *arguments], env=environment, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done

    return call


def redline(path: Path, sides: dict[str, float]) -> Path:
    features = [
        {
            "type": "Feature",
            "properties": {"HXBM": name},
            "geometry": shapely.geometry.mapping(
                shapely.box(110 + n / 50, 19, 110 + n / 50 + side, 19.01)
            ),
        }
        for n, (name, side) in enumerate(sides.items())
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    return path


def test_diff_and_restore(run: Run, database: str, tmp_path: Path) -> None:
    old = redline(tmp_path / "old.geojson", {"R1": 0.01, "R2": 0.01})
    new = redline(tmp_path / "new.geojson", {"R1": 0.01, "R2": 0.009, "R3": 0.01})
    say = ("--plan", PLAN, "--layer", LAYER)
    run("import", str(old), *say, "--valid-from", "2024-01-01")
    first = json.loads(run("publish", PLAN, "--json").stdout)["edition"]
    run("import", str(new), *say, "--valid-from", "2025-01-01")

    # The draft against what is in force, before anybody publishes it.
    package = tmp_path / "changes.gpkg"
    done = run("plans", "diff", PLAN, "in-force", "draft", "--json", "-o", str(package))
    (layer,) = json.loads(done.stdout)["layers"]
    assert (layer["added"]["features"], layer["removed"]["features"]) == (1, 0)
    assert (layer["changed"]["geometry"], layer["matched_by"]) == (1, "feature_id")
    lost = layer["changed"]["area_m2_before"] - layer["changed"]["area_m2_after"]
    assert layer["changed"]["symmetric_difference_m2"] == pytest.approx(lost, abs=0.02)
    assert pyogrio.read_info(package, layer=LAYER)["features"] == 3
    text = run("plans", "diff", PLAN, str(first), "draft").stdout
    assert "+1 -0 ~1" in text

    run("publish", PLAN)
    refusal = run("plans", "restore", PLAN, "987654", code=2).stderr
    assert "no edition 987654" in refusal
    restored = json.loads(
        run("plans", "restore", PLAN, str(first), "--valid-from", "2026-01-01", "--json").stdout
    )
    assert "draft" in run("plans", "restore", PLAN, str(first), code=2).stderr
    same = json.loads(run("plans", "diff", PLAN, str(first), "draft", "--json").stdout)
    assert [one["state"] for one in same["layers"]] == ["same"]
    run("publish", PLAN)
    with connect(database) as connection:
        held = contents_in_force(connection, [LAYER], datetime.date(2026, 6, 1))
    assert held[LAYER].edition_id == restored["edition"]
    assert held[LAYER].feature_count == 2
    listed = json.loads(run("plans", "show", PLAN, "--json").stdout)["editions"]
    assert listed[0]["metadata"]["restored_from"] == first
    assert [edition["in_force"] for edition in listed] == [True, False, False]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no-plan", "1", "2"), "no plan"),
        ((PLAN, "in-force", "draft"), "no edition in force"),
        ((PLAN, "one", "2"), "no edition number"),
        ((PLAN, "1", "2", "-o", "x.shp"), ".gpkg or .geojson"),
        ((PLAN, "1", "2", "--layer", "forest_land"), "has no layer"),
        ((PLAN, "1", "2"), "no edition 1"),
    ],
)
def test_diff_says_what_to_do(run: Run, arguments: tuple[str, ...], words: str) -> None:
    done = run("plans", "diff", *arguments, code=2)
    assert words in done.stderr
    assert done.stdout == ""


def test_a_draft_is_opened_edited_checked_and_published(
    run: Run, database: str, tmp_path: Path
) -> None:
    old = redline(tmp_path / "old.geojson", {f"R{n}": 0.01 for n in range(8)})
    run("import", str(old), "--plan", PLAN, "--layer", LAYER, "--valid-from", "2024-01-01")
    first = json.loads(run("publish", PLAN, "--json").stdout)["edition"]
    opened = json.loads(run("drafts", "open", PLAN, "--layer", LAYER, "--json").stdout)
    assert opened["layers"] == [LAYER]
    with connect(database) as connection:  # as QGIS does
        connection.execute(f"DELETE FROM layer_draft.{LAYER} WHERE feature_id = 'R3'".encode())
        connection.execute(
            f"UPDATE layer_draft.{LAYER} SET geom = ST_SetSRID(ST_Expand(geom, 0.001), 4490)"
            " WHERE feature_id = 'R5'".encode()
        )
    changes = json.loads(run("drafts", "history", PLAN, LAYER, "--json").stdout)
    assert [(one["feature_id"], one["action"]) for one in changes] == [
        ("R5", "update"), ("R3", "delete"),
    ]  # fmt: skip
    assert "2 changes" in run("drafts", "list").stdout
    assert "drafts check" in run("publish", PLAN, code=2).stderr
    run("drafts", "revert", PLAN, LAYER, "R3", "0", "--reason", "still there")
    text = run("drafts", "history", PLAN, LAYER, "R3").stdout
    assert "version 2" in text
    assert "still there" in text
    assert json.loads(run("drafts", "check", PLAN, "--json").stdout)["issues"] == []
    run("publish", PLAN)
    done = json.loads(run("plans", "diff", PLAN, str(first), "in-force", "--json").stdout)
    (layer,) = done["layers"]
    assert (layer["changed"]["geometry"], layer["removed"]["features"]) == (1, 0)
    run("drafts", "open", PLAN)
    run("drafts", "discard", PLAN)
    assert "no draft" in run("drafts", "discard", PLAN, code=2).stderr
