"""``gis-service keys``: made, listed, revoked; the secret is shown once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("gis-service")


def run(dsn: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {"DATABASE_URL": dsn, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run(
        [str(PROGRAM), "keys", *arguments],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip


def test_a_key_from_birth_to_end(database: str) -> None:
    made = run(database, "create", "规划科", "--role", "editor", "--per-minute", "600", "--json",
               "--host", "Map.Example")  # fmt: skip
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)
    assert len(key.pop("secret")) == 32
    assert key == {"id": 1, "name": "规划科", "role": "editor", "per_minute": 600,
                   "hosts": ["map.example"]}  # fmt: skip
    shown = run(database, "create", "clients", "--role", "reader")
    secret = shown.stdout.split()[0]
    assert len(secret) == 32
    listed = run(database, "list")
    assert secret not in listed.stdout + listed.stderr
    assert "规划科" in listed.stdout
    assert run(database, "revoke", "1").returncode == 0
    after = json.loads(run(database, "list", "--json").stdout)
    assert [one["revoked"] is not None for one in after] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["revoke", "99"], "no key 99"),
        (["create", "x"], "--role"),
        (["create", "x", "--role", "king"], "king"),
        (["create", " ", "--role", "editor"], "name"),
        (["create", "x", "--role", "editor", "--host", "https://a.example/"], "host name"),
    ],
)
def test_what_cannot_be_done_says_why(database: str, arguments: list[str], word: str) -> None:
    done = run(database, *arguments)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
