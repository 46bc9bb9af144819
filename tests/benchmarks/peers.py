"""Stock pygeoapi and tipg on our own tables, in a virtual environment that goes with the run."""

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg

PACKAGES = ("pygeoapi==0.24.0", "psycopg2-binary", "psycopg[binary,pool]", "tipg>=1.5", "uvicorn",
            "starlette", "sqlalchemy<2.2", "geoalchemy2", "pygeofilter<0.5")  # fmt: skip


@contextmanager
def peer_python() -> Iterator[Path]:
    """The Python of a throwaway environment with the peers in it, by uv."""
    with tempfile.TemporaryDirectory(prefix="gis-peers-") as folder:
        where = Path(folder) / "venv"
        run = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(where)], **run)
        python = where / "bin" / "python"
        subprocess.run(["uv", "pip", "install", "-q", "--python", str(python), *PACKAGES], **run)
        yield python


def timed_ms(work: Callable[[], Any], times: int) -> list[float]:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1000)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(command: list[str], environment: dict[str, str], ready: str) -> Iterator[None]:
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            for _ in range(600):
                try:
                    if httpx2.get(ready, timeout=5).status_code < 500:
                        break
                except httpx2.TransportError:
                    time.sleep(0.2)
                if process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"{command} did not start: {log.read()[-400:]}")
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def median_of(url: str, times: int = 30) -> float:
    """The median time of whole answers, ms, after one that is not counted.

    By http.client on one connection: httpx2 takes milliseconds of its own for a large answer.
    """
    place = urllib.parse.urlsplit(url)
    client = http.client.HTTPConnection(place.hostname or "localhost", place.port, timeout=120)
    path = f"{place.path}?{place.query}"

    def fetch() -> None:
        client.request("GET", path, headers={"Accept": "application/geo+json"})
        answer = client.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{url} answers {answer.status}: {body[:200]!r}")

    fetch()
    return statistics.median(timed_ms(fetch, times))


@contextmanager
def stock_pygeoapi(python: Path, dsn: str, table: str) -> Iterator[str]:
    """Its items of a partition, declared in its CRS (it then transforms to CRS84)."""
    port = free_port()
    described = {"name": "x", "url": "x"}
    config = {
        "server": {
            "bind": {"host": "127.0.0.1", "port": port}, "url": f"http://127.0.0.1:{port}",
            "mimetype": "application/json", "encoding": "utf-8", "languages": ["en-US"],
            "limits": {"default_items": 10, "max_items": 10_000},
            "map": {"url": "x", "attribution": "x"},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {"title": "x", "description": "x", "keywords": ["x"],
                               "keywords_type": "theme", "terms_of_service": "x", "url": "x"},
            "license": described, "provider": described, "contact": described,
        },
        "resources": {
            "landuse": {
                "type": "collection", "title": "x", "description": "x", "keywords": ["x"],
                "links": [], "extents": {"spatial": {"bbox": [107, 17, 112, 21]}},
                "providers": [{
                    "type": "feature", "name": "PostgreSQL",
                    "data": _socket_in_query(dsn), "id_field": "fid",
                    "table": table, "geom_field": "geom",
                    "options": {"search_path": ["library", "public"]},
                    "crs": ["http://www.opengis.net/def/crs/OGC/1.3/CRS84"],
                    "storage_crs": "http://www.opengis.net/def/crs/EPSG/0/4490",
                }],
            }
        },
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        config_file, openapi_file = Path(folder) / "config.json", Path(folder) / "openapi.json"
        config_file.write_text(json.dumps(config))
        environment = {"PYGEOAPI_CONFIG": str(config_file), "PYGEOAPI_OPENAPI": str(openapi_file)}
        subprocess.run(
            [str(python.with_name("pygeoapi")), "openapi", "generate", str(config_file),
             "--output-file", str(openapi_file)],
            env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        command = [str(python), "-m", "uvicorn", "pygeoapi.starlette_app:APP", "--port", str(port),
                   "--log-level", "error"]  # fmt: skip
        base = f"http://127.0.0.1:{port}/collections/landuse"
        with server(command, environment, f"{base}?f=json"):
            yield f"{base}/items?f=json"


@contextmanager
def tipg(python: Path, dsn: str, table: str) -> Iterator[str]:
    """Its items of a partition."""
    port = free_port()
    environment = {"DATABASE_URL": _socket_as_host(dsn), "TIPG_DB_SCHEMAS": '["library"]',
                   "TIPG_DB_TABLES": json.dumps([f"library.{table}"]),
                   "TIPG_MAX_FEATURES_PER_QUERY": "10000"}  # fmt: skip
    command = [str(python), "-m", "uvicorn", "tipg.main:app", "--port", str(port),
               "--log-level", "error"]  # fmt: skip
    base = f"http://127.0.0.1:{port}/collections/library.{table}"
    with server(command, environment, base):
        yield f"{base}/items?f=geojson"


def _socket_in_query(dsn: str) -> str:
    """psycopg2 finds the folder of the socket in the query of an address."""
    place = psycopg.conninfo.conninfo_to_dict(dsn)
    rest = urllib.parse.urlencode({"host": place["host"], "port": place["port"]})
    return f"postgresql+psycopg2://{place['user']}@/{place['dbname']}?{rest}"


def _socket_as_host(dsn: str) -> str:
    """tipg wants a host in the address: the folder of the socket, percent-encoded."""
    place = psycopg.conninfo.conninfo_to_dict(dsn)
    host = urllib.parse.quote(str(place["host"]), safe="")
    return f"postgresql://{place['user']}@{host}:{place['port']}/{place['dbname']}"
