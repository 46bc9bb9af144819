"""A real service under floods of tiles: checks go on, nothing works for clients that are gone."""

import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest

pytestmark = pytest.mark.slow

PATIENCE_S = 30.0


@pytest.fixture
def blocked(demo_dsn: str, live_service: str) -> Iterator[psycopg.Connection[Any]]:
    """While it is open no statement that draws tiles gets on; checks read other tables."""
    with psycopg.connect(demo_dsn) as holder:
        (content,) = holder.execute(
            "SELECT max(id) FROM library.layer_content WHERE layer_id = 'county'"
        ).fetchone()  # type: ignore[misc]
        holder.execute(f"LOCK TABLE library.tile_piece_c{content} IN ACCESS EXCLUSIVE MODE")
        yield holder


def waiting(demo_dsn: str) -> int:
    """Statements that wait for the blocked table."""
    with psycopg.connect(demo_dsn) as other:
        (count,) = other.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE '%%ST_AsMVT%%'"
        ).fetchone()  # type: ignore[misc]
    return int(count)


def until_waiting(demo_dsn: str, most: int, least: int = 0) -> None:
    end = time.monotonic() + PATIENCE_S
    while not least <= waiting(demo_dsn) <= most:
        assert time.monotonic() < end, f"{waiting(demo_dsn)} statements wait"
        time.sleep(0.1)


def sample(service: str) -> dict[str, Any]:
    first = httpx2.get(f"{service}/samples").json()[0]
    feature: dict[str, Any] = httpx2.get(service + first["href"]).json()
    return feature


def check_s(service: str, feature: dict[str, Any]) -> float:
    """Seconds that a check takes; it must come to an end and to a verdict."""
    began = time.perf_counter()
    answer = httpx2.post(
        f"{service}/ogc/processes/conflict-check/execution",
        json={"inputs": {"submission": feature}},
        timeout=60,
    )
    assert answer.status_code == 200
    assert answer.json()["outcome"] == "violation"
    return time.perf_counter() - began


def raw_request(service: str, path: str) -> socket.socket:
    address = urlsplit(service)
    opened = socket.create_connection((address.hostname, address.port))
    host = address.netloc.encode()
    opened.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    return opened


def test_a_client_that_goes_away_takes_its_statement_along(
    live_service: str, demo_dsn: str, blocked: object
) -> None:
    # At zoom 15: the tiles of 5 to 14 may be in the archive that the worker writes meanwhile.
    clients = [
        raw_request(live_service, f"/tiles/county/15/{26400 + 8 * n}/14548.mvt") for n in range(9)
    ]
    until_waiting(demo_dsn, 9, least=1)
    for client in clients:
        client.close()
    # Well before the deadline of ten seconds.
    began = time.monotonic()
    until_waiting(demo_dsn, 0)
    assert time.monotonic() - began < 5


def test_a_full_queue_says_so_and_checks_go_on(
    live_service: str, demo_dsn: str, blocked: object
) -> None:
    feature = sample(live_service)

    def tile(number: int) -> tuple[int, str | None, float]:
        began = time.perf_counter()
        column, row = 26400 + number % 60 * 4, 14520 + number // 60 * 4
        answer = httpx2.get(f"{live_service}/tiles/county/15/{column}/{row}.mvt", timeout=60)
        return answer.status_code, answer.headers.get("retry-after"), time.perf_counter() - began

    with ThreadPoolExecutor(120) as pool:
        asked = [pool.submit(tile, number) for number in range(120)]
        until_waiting(demo_dsn, 50, least=1)
        took = check_s(live_service, feature)
        answers = [one.result() for one in asked]
    assert took < 20
    statuses = Counter(status for status, _, _ in answers)
    assert set(statuses) <= {503, 204, 200}
    assert statuses[503] >= 40
    assert all(wait for status, wait, _ in answers if status == 503)
    assert min(seconds for _, _, seconds in answers) < 5, "refused at once, not after the others"
    assert max(seconds for _, _, seconds in answers) < 40


@pytest.mark.parametrize(
    "paths",
    [
        ["/tiles/county/16/0/{n}.mvt", "/ogc/collections/county/tiles/c/16/{n}/0"],
        ["/tiles/county/99/{n}/0.mvt", "/DataServer?T=vec_w&x=-1&y={n}&l=8",
         "/vec_c/wmts?TILEMATRIX=8&TILEROW={n}&TILECOL=999"],
    ],
    ids=["empty", "out of range"],
)  # fmt: skip
def test_a_flood_of_nothing_does_not_starve_checks(live_service: str, paths: list[str]) -> None:
    feature = sample(live_service)
    quiet = statistics.median(check_s(live_service, feature) for _ in range(5))
    stop = threading.Event()

    def flood(worker: int) -> int:
        sent = 0
        with httpx2.Client(timeout=60) as client:
            while not stop.is_set():
                path = paths[sent % len(paths)].format(n=worker * 1000 + sent % 1000)
                assert client.get(live_service + path).status_code in (204, 404)
                sent += 1
        return sent

    with ThreadPoolExecutor(8) as pool:
        floods = [pool.submit(flood, worker) for worker in range(8)]
        time.sleep(1)
        loud = statistics.median(check_s(live_service, feature) for _ in range(5))
        stop.set()
        sent = sum(one.result() for one in floods)
    assert sent > 100
    # The clients share two cores with the service: five times is far from starving.
    assert loud < 5 * quiet + 1.5
