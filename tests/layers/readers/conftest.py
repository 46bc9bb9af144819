"""What tests of readers share: reading a file as rows, and a listener nobody may visit."""

import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from layers.readers import Source, open_source, stream


class Row(NamedTuple):
    """A geometry, or the code of its fault, with the values."""

    geometry: Any
    values: dict[str, Any]
    linearised: bool


class ReadRows(Protocol):
    """Reads a file in a job folder of its own."""

    def __call__(self, path: Path, layer: str | None = None) -> tuple[Source, list[Row]]: ...


@pytest.fixture
def read_rows(tmp_path: Path) -> ReadRows:
    def read(path: Path, layer: str | None = None) -> tuple[Source, list[Row]]:
        source = open_source(path, Path(tempfile.mkdtemp(dir=tmp_path)), layer)
        found = [
            Row(
                batch.faults.get(i, batch.geometries[i]),
                {name: column[i].as_py() for name, column in batch.columns.items()},
                i in batch.linearised,
            )
            for batch in stream(source)
            for i in range(len(batch))
        ]
        return source, found

    return read


class Listener(NamedTuple):
    """A server on the loopback interface and what it was asked."""

    port: int
    seen: list[bytes]


@pytest.fixture
def visited() -> Iterator[Listener]:
    seen: list[bytes] = []
    stop = threading.Event()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.1)

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    seen.append(connection.recv(200))
                    connection.sendall(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Listener(server.getsockname()[1], seen)
        finally:
            stop.set()
            thread.join()
