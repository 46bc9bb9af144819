"""The way out: what servers do wrong, and what a link or a redirect may not do."""

import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from gis_service.harvesting.answers import TryAgain
from gis_service.harvesting.egress import WebSource, open_postgres
from layers.errors import BadInput, GisError, LimitExceeded, NotFound, Unavailable

SECRET = "s3cret-canary-token"


@pytest.fixture
def source(web: Any) -> Any:
    made: list[WebSource] = []

    def make(**options: Any) -> WebSource:
        options = {"sleep": lambda _s: None, "deadline_s": 3.0, **options}
        made.append(WebSource(f"{web.address}/ogc/collections/forest", **options))
        return made[-1]

    yield make
    for one in made:
        one.__exit__(None, None, None)


def here(web: Any, path: str = "/items") -> str:
    return f"{web.address}/ogc/collections/forest{path}"


def answering(web: Any, body: bytes, status: int = 200, **headers: str) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    web.respond = respond


def test_a_document_comes_whole_and_the_secret_goes_to_its_host(web: Any, source: Any) -> None:
    answering(web, b'{"a": 1}', ETag='"x"')
    got = source(secret_headers={"Authorization": f"Bearer {SECRET}"}).get(
        here(web), accept="application/json"
    )
    assert (got.body, got.status, got.headers["etag"]) == (b'{"a": 1}', 200, '"x"')
    assert web.seen[0][1]["Authorization"] == f"Bearer {SECRET}"


def test_gzip_is_unpacked_and_a_cut_one_is_no_shorter_text(web: Any, source: Any) -> None:
    text = json.dumps(list(range(50_000))).encode()
    packed = gzip.compress(text)
    answering(web, packed, Content_Encoding="gzip")
    assert source().get(here(web), accept="*/*").body == text
    answering(web, packed[:-20], Content_Encoding="gzip")
    with pytest.raises(Unavailable):
        source().get(here(web), accept="*/*")


def test_a_gzip_bomb_ends_at_the_bound(web: Any, source: Any) -> None:
    packer = zlib.compressobj(9, wbits=31)
    packed = packer.compress(b" " * 300_000_000) + packer.flush()
    assert len(packed) < 400_000
    answering(web, packed, Content_Encoding="gzip")
    with pytest.raises(LimitExceeded):
        source(body_bytes=5_000_000).get(here(web), accept="*/*")


def test_an_answer_over_the_bound_is_refused_packed_or_not(web: Any, source: Any) -> None:
    answering(web, b"x" * 2_000_000)
    with pytest.raises(LimitExceeded):
        source(body_bytes=1_000_000).get(here(web), accept="*/*")
    answering(web, b"x" * 10, Content_Encoding="br")
    with pytest.raises(BadInput, match="br"):
        source().get(here(web), accept="*/*")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_and_not_followed(web: Any, source: Any, status: int) -> None:
    answering(web, b"", status, Location=f"{web.address}/secret")
    with pytest.raises(BadInput) as caught:
        source().get(here(web), accept="*/*")
    assert caught.value.code == "redirect-refused"
    assert [path for path, _ in web.seen] == ["/ogc/collections/forest/items"]


@pytest.mark.parametrize(
    ("status", "kind", "calls"),
    [(503, Unavailable, 3), (500, Unavailable, 3), (429, Unavailable, 3), (401, BadInput, 1),
     (403, BadInput, 1), (404, NotFound, 1), (400, BadInput, 1)],
)  # fmt: skip
def test_what_may_pass_by_is_tried_three_times_and_the_rest_once(
    web: Any, source: Any, status: int, kind: type[GisError], calls: int
) -> None:
    waits: list[float] = []
    answering(web, b"", status, Retry_After="7")
    with pytest.raises(kind):
        source(sleep=waits.append).get(here(web), accept="*/*")
    assert len(web.seen) == calls
    assert waits == [7.0] * (calls - 1)


def test_a_fault_that_passes_by_is_not_noticed(web: Any, source: Any) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        status = 503 if len(web.seen) < 3 else 200
        handler.send_response(status)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"ok")

    web.respond = respond
    assert source().get(here(web), accept="*/*").body == b"ok"


def test_an_answer_that_breaks_off_is_no_answer(web: Any, source: Any) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    web.respond = respond
    with pytest.raises(Unavailable):
        source().get(here(web), accept="*/*")


def drip_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.1)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("drip", [drip_body, drip_headers])
def test_single_bytes_do_not_prolong_a_request(
    web: Any, source: Any, drip: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    web.respond = drip
    began = time.monotonic()
    with pytest.raises(Unavailable):
        source(deadline_s=0.5).get(here(web), accept="*/*")
    assert time.monotonic() - began < 4.0  # three tries of half a second


def test_a_silent_server_ends_with_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/ogc/collections/a"
        accepted: list[socket.socket] = []
        thread = threading.Thread(
            target=lambda: accepted.extend(server.accept()[0] for _ in range(3))
        )
        thread.start()
        with WebSource(address, deadline_s=0.3, sleep=lambda _s: None) as web:
            began = time.monotonic()
            with pytest.raises(Unavailable):
                web.get(address, accept="*/*")
            assert time.monotonic() - began < 3.0
        thread.join()
        for one in accepted:
            one.close()


@pytest.mark.parametrize(
    "href",
    [
        "https://data.example.cn/ogc/collections/a2/items",
        "https://data.example.cn/ogc/collections/a/../b/items",
        "https://data.example.cn/ogc/collections/a/%2e%2e/b/items",
        "https://data.example.cn:8443/ogc/collections/a/items",
        "http://data.example.cn/ogc/collections/a/items",
        "https://data.example.cn.evil.cn/ogc/collections/a/items",
        "https://evil.cn@data.example.cn/ogc/collections/a/items",
        "https://data.example.cn@evil.cn/ogc/collections/a/items",
        "//evil.cn/ogc/collections/a/items",
        "https:\\\\evil.cn/ogc/collections/a/items",
        "file:///etc/passwd",
        "/other",
        "https://data.example.cn:99999999/ogc/collections/a",
    ],
)
def test_a_link_that_leads_away_is_refused(monkeypatch: pytest.MonkeyPatch, href: str) -> None:
    monkeypatch.setattr(
        "gis_service.harvesting.addresses.Reach.addresses", lambda _self: ("192.0.2.1",)
    )
    location = "https://data.example.cn/ogc/collections/a"
    with WebSource(location) as web:
        with pytest.raises(BadInput) as caught:
            web.admitted(location, href)
        assert caught.value.code == "link-leads-away"
        for good in (f"{location}/items?limit=5", "a/items?f=json", f"{location}"):
            assert web.admitted(location, good).startswith(location)
        assert web.admitted(location, "https://data.example.cn:443/ogc/collections/a/items")


def test_no_message_holds_a_secret(web: Any, source: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    answering(web, b"", 503)
    url = here(web, f"/items?token={SECRET}")
    with pytest.raises(Unavailable) as caught:
        source(secret_headers={"X-Key": SECRET}).get(url, accept="*/*")
    assert SECRET not in str(caught.value)
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("gis_service")]
    assert ours
    assert not any(SECRET in message for message in ours)
    with (
        pytest.raises((BadInput, Unavailable)) as told,
        open_postgres(f"postgresql://u:{SECRET}@127.0.0.1:1/x", ()),
    ):
        pass
    assert SECRET not in f"{told.value!r} {told.value.text}"
    assert told.value.__cause__ is None


def test_the_environment_sets_no_proxy(
    web: Any, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    answering(web, b"ok")
    assert source().get(here(web), accept="*/*").body == b"ok"


def test_try_again_carries_what_is_said_at_last() -> None:
    final = Unavailable("a", "b")
    assert TryAgain(final, 3.0).final is final
