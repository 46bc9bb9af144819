"""``submissions`` and ``quotas`` as people and programs call them: a real process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.gis_service.submissions.conftest import COUNTY, LEDGER, PERIOD

PROGRAM = Path(sys.executable).with_name("gis-service")
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Site = Callable[..., dict[str, Any]]
QUOTA = (LEDGER, COUNTY, PERIOD)
DAYS = ("--from", "2021-01-01", "--to", "2035-12-31", "--officer", "王")


@pytest.fixture
def run(granted: str, tmp_path: Path) -> Run:
    def call(*arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        environment = {
            "DATABASE_URL": granted, "DATA_DIR": str(tmp_path / "data"),
            "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        done = subprocess.run(
            [str(PROGRAM), *arguments], env=environment, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    return call


def test_from_a_file_to_a_booking(run: Run, site: Site, tmp_path: Path) -> None:
    file, beside = tmp_path / "site.geojson", tmp_path / "beside.json"
    file.write_text(json.dumps(site()), "utf-8")
    beside.write_text('{"land_take": true}', "utf-8")
    send = ("submissions", "add", str(file), "--sender", "测绘院", "--attributes", str(beside),
            "--key", "k-1", "--json")  # fmt: skip
    first = run(*send, code=1)  # most layers have no data here: undetermined
    sent = json.loads(first.stdout)
    assert sent["received"]["file_name"] == "site.geojson"
    assert sent["history"][0]["actor"] == "测绘院"
    assert sent["request"]["attributes"] == {"land_take": True}
    assert run(*send, code=1).stdout == first.stdout, "the same key, the same answer"
    listed = json.loads(run("submissions", "list", "--state", "checked", "--json").stdout)
    assert [one["id"] for one in listed["submissions"]] == [sent["id"]]

    approve = ("submissions", "approve", sent["id"], "--officer", "王")
    assert "override_reason" in run(*approve, code=2).stderr
    approved = run(*approve, "--override-reason", "演示", "--valid-until", "2099-12-31").stdout
    assert "approved" in approved
    assert "演示 2099-12-31" in approved
    assert "approved" in run(*approve, "--override-reason", "again", code=2).stderr
    entries = json.loads(run("quotas", "entries", *QUOTA, "--json").stdout)["entries"]
    assert [(e["kind"], e["submission_id"]) for e in entries] == [
        ("grant", None), ("reserve", sent["id"]),
    ]  # fmt: skip
    assert "booked" in run("submissions", "book", sent["id"], "--officer", "李").stdout
    (quota,) = json.loads(run("quotas", "list", "--json").stdout)["quotas"]
    assert (quota["reserved_m2"], quota["booked_m2"]) == (0, entries[1]["area_m2"])
    shown = run("submissions", "show", sent["id"]).stdout
    assert sent["received"]["sha256"] in shown
    assert sent["normalised"]["sha256"] in shown
    assert run("submissions", "expire").stdout == ""


def test_quotas_are_set_by_entries(run: Run) -> None:
    told = run("quotas", "set", *QUOTA, "41000.5", *DAYS, "--reason", "琼府〔2026〕1号").stdout
    assert "41,000.50" in told
    text = run("quotas", "entries", *QUOTA).stdout
    assert "11,000.50" in text
    assert "琼府〔2026〕1号" in text
    for area in ("nan", "a lot", "-1"):
        arguments = (*QUOTA, "--", area) if area == "-1" else (*QUOTA, area)
        run("quotas", "set", *DAYS, *arguments, code=2)
    assert "overlaps" in run(
        "quotas", "set", LEDGER, COUNTY, "2030-2040", "1", "--from", "2030-01-01", "--to",
        "2040-12-31", "--officer", "王", code=2,
    ).stderr  # fmt: skip
    assert "no quota" in run("quotas", "entries", LEDGER, "460100", PERIOD, code=2).stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"type": "Feature", "type": "Point"}', "stands twice"),
        ('{"type": NaN}', "not valid JSON"),
        ('{"type": "Feature", "geometry": null}', "no geometry"),
        ("no survey", "no known format"),
        ("", "Nothing was sent"),
    ],
)
def test_bad_files_in_one_line(run: Run, tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "site.json"
    file.write_text(content, "utf-8")
    done = run("submissions", "add", str(file), "--sender", "x", code=2)
    assert said in done.stderr
    assert done.stdout == ""
    checked = run("check", str(file), code=2)
    assert checked.stdout == ""
    assert len(checked.stderr.strip().splitlines()) <= 2


def test_what_is_not_there(run: Run, tmp_path: Path) -> None:
    assert "no file" in run("submissions", "add", str(tmp_path / "x"), "--sender", "x",
                            code=2).stderr  # fmt: skip
    assert "no submission" in run("submissions", "show", "x", code=2).stderr
    run("submissions", "list", "--state", "lost", code=2)
