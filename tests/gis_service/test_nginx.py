"""The shipped nginx configuration, run by a real nginx before a stand-in that counts its calls."""

import gzip
import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gis_service.routes.tile_answers import ASK_AGAIN, FOR_EVER

TEMPLATE = Path(__file__).resolve().parents[2] / "config" / "nginx.conf.template"
BODY = gzip.compress(b"tile" * 100, mtime=0)
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")


class Service(ThreadingHTTPServer):
    """Answers like the service: v= for ever, without it ask again, /wmts holds for a second."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: Counter[str] = Counter()
        self.encodings: set[str | None] = set()
        self.hosts: set[str | None] = set()
        self.lock = threading.Lock()
        self.is_away = False


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_GET(self) -> None:
        if self.server.is_away:
            self.close_connection = True
            return
        with self.server.lock:
            self.server.asked[self.path] += 1
            self.server.encodings.add(self.headers["Accept-Encoding"])
            self.server.hosts.add(self.headers["Host"])
        time.sleep(0.3)
        control = FOR_EVER if "v=" in self.path else ASK_AGAIN
        if self.path.startswith("/wmts"):
            control = "public, max-age=1"
        self.send_response(204 if "empty" in self.path else 200)
        self.send_header("Cache-Control", control)
        self.send_header("ETag", '"digest"')
        self.send_header("Vary", "Accept-Encoding")
        if "empty" not in self.path:
            self.send_header("Content-Type", "application/vnd.mapbox-vector-tile")
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        if "empty" not in self.path:
            self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


class Door:
    """nginx on a port of its own."""

    def __init__(self, port: int, service: Service) -> None:
        self.port, self.service = port, service

    def get(self, path: str, **headers: str) -> tuple[int, bytes, http.client.HTTPMessage]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as call:
            call.request("GET", path, headers={"Accept-Encoding": "gzip", **named})
            answer = call.getresponse()
            return answer.status, answer.read(), answer.headers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    if NGINX is None:
        pytest.skip("no nginx: scripts/setup test brings it")
    service, port = Service(), free_port()
    threading.Thread(target=service.serve_forever, daemon=True).start()
    text = TEMPLATE.read_text("utf-8")
    for name, value in (
        ("LISTEN", f"127.0.0.1:{port}"),
        ("UPSTREAM", f"127.0.0.1:{service.server_port}"),
        ("CACHE_DIR", str(tmp_path / "cache")),
    ):
        text = text.replace("${" + name + "}", value)
    temporary = "".join(
        f"{one}_temp_path {tmp_path / one};\n"
        for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = (
        f"daemon off;\nuser root;\npid {tmp_path / 'pid'};\nerror_log {tmp_path / 'errors'};\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{text}\n}}\n"
    )
    if os.geteuid() != 0:
        whole = whole.replace("user root;\n", "")
    (tmp_path / "nginx.conf").write_text(whole)
    nginx = subprocess.Popen([NGINX, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"),
                              "-e", str(tmp_path / "errors")])  # fmt: skip
    try:
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert nginx.poll() is None, (tmp_path / "errors").read_text()
            time.sleep(0.05)
        yield Door(port, service)
    finally:
        nginx.terminate()
        nginx.wait(timeout=10)
        service.shutdown()
        service.server_close()


def test_many_who_want_one_tile_ask_the_service_once(door: Door) -> None:
    path = "/tiles/a/5/1/1.mvt?v=7"
    with ThreadPoolExecutor(20) as pool:
        answers = [one.result() for one in [pool.submit(door.get, path) for _ in range(20)]]
    assert {(status, body) for status, body, _ in answers} == {(200, BODY)}
    assert {headers["Content-Encoding"] for _, _, headers in answers} == {"gzip"}
    assert door.service.asked == {path: 1}
    # Who takes no gzip gets the same tile, from the same place.
    status, body, headers = door.get(path, Accept_Encoding="identity")
    assert (status, body, headers["Content-Encoding"]) == (200, b"tile" * 100, None)
    assert headers["Cache-Control"] == FOR_EVER
    assert door.get(path, If_None_Match='"digest"')[0] == 304
    assert door.service.asked == {path: 1}
    assert door.service.encodings == {"gzip"}


def test_an_empty_tile_is_kept_and_another_edition_is_another_tile(door: Door) -> None:
    for _ in range(2):
        assert door.get("/tiles/empty/5/1/1.mvt?v=7")[0] == 204
    door.get("/tiles/empty/5/1/1.mvt?v=8")
    assert sorted(door.service.asked.values()) == [1, 1]


def test_what_may_change_and_what_a_key_opens_is_not_kept(door: Door) -> None:
    for path in ("/tiles/a/5/1/1.mvt", "/tiles/a/5/1/1.mvt?v=7&tk=mine", "/layers"):
        door.get(path)
        door.get(path)
        assert door.service.asked[path] == 2, path
    # The service refuses hosts that it does not know, and makes links of the one that it sees.
    assert door.service.hosts == {f"127.0.0.1:{door.port}"}


def test_tiles_go_on_while_the_service_is_away(door: Door) -> None:
    for path in ("/wmts?tile=1", "/tiles/a/5/1/1.mvt?v=7"):
        door.get(path)
    time.sleep(2.5)  # the first is out of date by now
    door.service.is_away = True
    status, body, headers = door.get("/wmts?tile=1")
    assert (status, body) == (200, BODY)
    assert headers["X-Cache"] in ("STALE", "UPDATING")
    assert door.get("/tiles/a/5/1/1.mvt?v=7")[:2] == (200, BODY)
    assert door.get("/wmts?tile=2")[0] == 502
