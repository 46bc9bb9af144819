"""Which addresses a source may lead to, tried with the forms that attackers use."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gis_service.harvesting.addresses import Reach
from gis_service.harvesting.egress import WebSource, open_postgres
from layers.errors import BadInput, Unavailable

INWARD = [
    "127.0.0.1", "127.8.9.10", "::1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1", "fc00::1", "fd00:ec2::254", "224.0.0.1",
    "ff02::1", "::", "240.0.0.1", "198.18.0.1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]  # fmt: skip


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port))
            for a in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.parametrize("address", INWARD)
def test_a_name_that_leads_inwards_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    answers(monkeypatch, address)
    with pytest.raises(BadInput) as caught:
        Reach("data.example.cn", 443).addresses()
    assert caught.value.code == "address-not-admitted"


def test_one_inward_address_among_public_ones_refuses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "1.1.1.1", "::1")
    with pytest.raises(BadInput):
        Reach("data.example.cn", 443).addresses()


def test_a_public_name_and_a_registered_network_are_admitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, "1.1.1.1", "2606:4700::1111")
    assert Reach("data.example.cn", 443).addresses() == ("1.1.1.1", "2606:4700::1111")
    answers(monkeypatch, "10.20.3.4")
    assert Reach("data.example.cn", 443, ("10.20.0.0/16",)).addresses() == ("10.20.3.4",)
    with pytest.raises(BadInput):
        Reach("data.example.cn", 443, ("10.21.0.0/16",)).addresses()


def test_a_registered_network_does_not_open_the_public_or_the_metadata_of_a_cloud(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, "1.1.1.1")
    with pytest.raises(BadInput):
        Reach("data.example.cn", 443, ("10.0.0.0/8",)).addresses()
    for address in ("169.254.169.254", "100.100.100.200", "::ffff:169.254.169.254"):
        answers(monkeypatch, address)
        with pytest.raises(BadInput):
            Reach("data.example.cn", 443, ("0.0.0.0/0", "::/0")).addresses()


def test_an_address_in_digits_is_its_own_statement_and_its_odd_spellings_are_not() -> None:
    assert Reach("127.0.0.1", 80).addresses() == ("127.0.0.1",)
    for host in ("127.1", "0x7f.1", "2130706433", "localhost", "017700000001"):
        with pytest.raises(BadInput):
            Reach(host, 80).addresses()


def test_an_unknown_name_is_unavailable() -> None:
    with pytest.raises(Unavailable) as caught:
        Reach("no-such-host.invalid", 80).addresses()
    assert caught.value.code == "host-unknown"


@pytest.fixture
def canary() -> Iterator[tuple[int, list[Any]]]:
    """A port of this machine where nobody may ever ring."""
    visitors: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                try:
                    connection, peer = server.accept()
                except TimeoutError:
                    continue
                visitors.append(peer)
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], visitors
        stop.set()
        thread.join()


def test_a_name_that_changes_between_check_and_use_reaches_nobody(
    monkeypatch: pytest.MonkeyPatch, canary: tuple[int, list[Any]]
) -> None:
    port, visitors = canary
    # A block for documentation (RFC 5737) stands in for the public address of the first answer.
    answers(monkeypatch, "192.0.2.1")
    monkeypatch.setattr(Reach, "_admits", lambda _self, address: str(address) == "192.0.2.1")
    with WebSource(f"http://data.example.cn:{port}/ogc/collections/a") as source:
        answers(monkeypatch, "127.0.0.1")  # the flip
        monkeypatch.setattr("gis_service.harvesting.egress._CONNECT_S", 0.3)
        source._sleep = lambda _s: None
        real = socket.create_connection

        def dial(address: tuple[str, int], *args: Any, **more: Any) -> socket.socket:
            assert address[0] == "192.0.2.1"
            raise TimeoutError

        monkeypatch.setattr(socket, "create_connection", dial)
        with pytest.raises(Unavailable):
            source.get(f"http://data.example.cn:{port}/ogc/collections/a", accept="*/*")
        monkeypatch.setattr(socket, "create_connection", real)
    assert visitors == []


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:pw@localhost:{port}/x",
        "postgresql://u:pw@localhost,127.0.0.1:{port}/x",
        "host=data.example.cn hostaddr=127.0.0.1 port={port} password=pw",
        "service=anything password=pw",
        "password=pw dbname=x",
        "not a dsn pw",
    ],
)
def test_a_database_address_that_is_not_registered_is_not_dialled(
    dsn: str, canary: tuple[int, list[Any]]
) -> None:
    port, visitors = canary
    with pytest.raises((BadInput, Unavailable)) as caught, open_postgres(dsn.format(port=port), ()):
        pass
    assert "pw" not in str(caught.value)
    assert visitors == []
