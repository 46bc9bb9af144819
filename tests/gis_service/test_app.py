"""Guards around all routes: hosts, headers, errors, health."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from gis_service.app import create_app
from gis_service.library import Library


def test_foreign_hosts_are_refused_and_never_reach_links(client: TestClient) -> None:
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example"):
        answer = client.get("/tiles/county.json", headers={"host": host})
        assert answer.status_code == 400
        assert "evil" not in answer.text
    forwarded = client.get("/ogc?f=json", headers={"x-forwarded-host": "evil.example"})
    assert "evil" not in forwarded.text
    assert client.get("/healthz", headers={"host": "127.0.0.1:8000"}).status_code == 200


def test_security_headers_are_on_every_answer(client: TestClient) -> None:
    for path in ("/", "/catalog", "/nowhere", "/tiles/county/5/99/99.mvt"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_errors_speak_the_clients_language(client: TestClient) -> None:
    path = "/ogc/collections/nobody/items"
    assert "没有图层" in client.get(path, headers={"accept-language": "zh-CN"}).json()["detail"]
    assert "no layer" in client.get(path, headers={"accept-language": "en"}).json()["detail"]
    assert "没有图层" in client.get(path + "?lang=zh").json()["detail"]


def test_an_unexpected_error_tells_nothing_of_the_inside(library: Library) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("secret /etc/path SELECT")

    app = create_app(library)
    app.router.routes.insert(0, Route("/broken", broken))  # type: ignore[arg-type]
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        answer = client.get("/broken")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "path",
    ["/ogc/collections/county/items/%00", "/ogc/collections/county/items?name=%00",
     "/reports/%00.json", "/ogc/processes/%00", "/identify?lon=%00&lat=1"],
)  # fmt: skip
def test_a_nul_character_is_a_bad_request(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("nul-character")


@pytest.mark.parametrize("path", ["/ogc/collections?f=xml", "/ogc/processes/nope"])
def test_errors_of_the_ogc_frame_are_problems_too(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"accept-language": "zh-CN"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    assert any("\u4e00" <= letter <= "\u9fff" for letter in answer.json()["detail"])


def test_a_string_that_never_ends_is_scanned_once(client: TestClient) -> None:
    body = b'{"inputs": {"submission": "' + b'\\"' * 400_000
    began = time.perf_counter()
    answer = client.post("/ogc/processes/conflict-check/execution", content=body)
    assert answer.status_code == 422
    assert time.perf_counter() - began < 5  # quadratic: 40 minutes


def test_waiting_echoes_hold_no_thread(client: TestClient) -> None:
    echo = {"inputs": {"pause": 3}}
    with ThreadPoolExecutor(60) as pool:
        waiting = [
            pool.submit(client.post, "/ogc/processes/echo/execution", json=echo) for _ in range(50)
        ]
        time.sleep(0.5)
        began = time.perf_counter()
        assert client.get("/readyz").status_code == 200
        assert time.perf_counter() - began < 2
        assert all(one.result().status_code == 200 for one in waiting)


def test_health(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    assert "gis_requests_total" in client.get("/metrics").text


def test_description_for_programs_and_page_for_people(client: TestClient) -> None:
    described = client.get("/", headers={"accept": "application/json"}).json()
    assert {link["rel"] for link in described["links"]} >= {"service-desc", "ogc", "catalog"}
    page = client.get("/", headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../index.html",
        "/assets/%2e%2e/index.html",
        "/assets/../../../pyproject.toml",
        "/assets//etc/passwd",
    ],
)
def test_no_file_outside_the_built_client(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (200, 404)
    assert "[project]" not in answer.text
    assert "root:" not in answer.text
