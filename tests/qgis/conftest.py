"""QGIS as a planner's program: the system's Python runs it, we watch what it asks for.

Without python3-qgis the tests skip with a reason; with ``GIS_REQUIRE_SHARED=1`` they fail.
"""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

QGIS_PYTHON = Path("/usr/bin/python3")
_NOT_FORWARDED = {"content-length", "transfer-encoding", "content-encoding", "connection"}


@dataclass(slots=True)
class Recorder:
    """A door before the service that notes what went through it."""

    address: str
    asked: list[str] = field(default_factory=list)

    def queries(self, path_end: str) -> list[dict[str, str]]:
        """The parameters of the requests whose path ends so, in order."""
        return [
            {name: values[0] for name, values in parse_qs(one.query).items()}
            for one in map(urlsplit, self.asked)
            if one.path.endswith(path_end)
        ]


@pytest.fixture
def recorder(live_service: str) -> Iterator[Recorder]:
    noted: list[str] = []

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            noted.append(self.path)
            answer = httpx2.get(live_service + self.path, headers=dict(self.headers), timeout=60)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _NOT_FORWARDED:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Recorder(f"http://localhost:{server.server_port}", noted)
        server.shutdown()


Ask = Callable[..., Any]


@pytest.fixture(scope="session")
def in_qgis(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Run one task of ``qgis_tasks.py`` in a QGIS with a profile of its own; gives its answer."""
    asked = subprocess.run(
        [QGIS_PYTHON, "-c", "import qgis.core"], capture_output=True, check=False
    )
    if asked.returncode:
        reason = "no QGIS (python3-qgis) on this machine"
        if os.environ.get("GIS_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)

    def ask(task: str, **words: Any) -> Any:
        profile = tmp_path_factory.mktemp("qgis")
        environment = {
            **os.environ, "PYTHONPATH": "", "LC_ALL": "C.UTF-8", "QT_QPA_PLATFORM": "offscreen",
            "HOME": str(profile), "QGIS_CUSTOM_CONFIG_PATH": str(profile),
            "XDG_RUNTIME_DIR": str(profile),
        }  # fmt: skip
        done = subprocess.run(
            [QGIS_PYTHON, Path(__file__).with_name("qgis_tasks.py"), task],
            input=json.dumps(words), capture_output=True, text=True, check=False, timeout=240,
            env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return ask
