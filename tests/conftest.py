"""Fixtures: one real PostGIS a run, a migrated template, cheap databases from it.

* ``connection``: a transaction on the shared database that is rolled back at the end (0.4 ms).
* ``database``: the DSN of a database of its own (0.1 s), for tests that commit.
* ``demo_dsn``: a database with the small demo province, built once a run; read only.
* ``live_service``: the base URL of a real server process on the demo.
* ``shared_data``: real files beside the checkout; absent = a loud skip, an error with
  ``GIS_REQUIRE_SHARED=1``.
"""

import datetime
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx2
import psycopg
import pytest
import shapely

from gis_service import start
from gis_service.demo_load import load_demo
from gis_service.local_postgis import LocalPostgis, running_cluster
from gis_service.settings import ServiceConfig, Settings, load_service_config
from layers.catalog import Catalog, load_catalog
from layers.catalog_sync import sync_catalog
from layers.contents import create_content, finish_content, load_arrays
from layers.database import Connection, connect, create_database, migrate
from layers.editions import open_draft, put_layer
from layers.editions import publish as publish_edition
from layers.sandbox import Sandbox

# The processes of pytest-xdist ignore Ctrl-C, and what they start would inherit that; programs
# under test are stopped by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = Path(__file__).resolve().parent.parent
SHARED_DATA = PROJECT.parent / "shared" / "data"
REGION = shapely.box(107.9, 17.6, 111.9, 20.7)
_numbers = itertools.count(1)

for _name in ("DATABASE_URL", "DATA_DIR", "PORT", "HOST", "PUBLIC_URL"):
    os.environ.pop(_name, None)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalPostgis]:
    folder = Path(tempfile.mkdtemp(prefix="gis-test-"))
    folder.chmod(0o711)  # the server's own user must be able to reach its files in it
    try:
        with running_cluster(folder / "data", durable=False) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog(PROJECT / "config")


@pytest.fixture(scope="session")
def service_config() -> ServiceConfig:
    return load_service_config(PROJECT / "config")


@pytest.fixture(scope="session")
def template(cluster: LocalPostgis, catalog: Catalog) -> str:
    """The name of a migrated database with the catalogue, to clone."""
    name = "test_template"
    create_database(cluster.dsn(), name)
    with connect(cluster.dsn(name)) as connection:
        migrate(connection)
        sync_catalog(connection, catalog)
    return name


@pytest.fixture(scope="session")
def shared_database(cluster: LocalPostgis, template: str) -> str:
    create_database(cluster.dsn(), "test_shared", template=template)
    return cluster.dsn("test_shared")


@pytest.fixture
def connection(shared_database: str) -> Iterator[Connection]:
    with connect(shared_database) as opened, opened.transaction(force_rollback=True):
        yield opened


@pytest.fixture
def database(cluster: LocalPostgis, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    create_database(cluster.dsn(), name, template=template)
    yield cluster.dsn(name)
    with psycopg.connect(cluster.dsn(), autocommit=True) as server:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


class PublishLayer(Protocol):
    """Publishes one layer of a plan as an edition; gives the edition's number."""

    def __call__(
        self,
        layer_id: str,
        geometries: Sequence[shapely.Geometry],
        attributes: Mapping[str, Sequence[Any]] | None = None,
        *,
        valid_from: datetime.date = datetime.date(2021, 1, 1),
        coverage: shapely.Geometry | None = None,
        publish: bool = True,
    ) -> int: ...


def publish_layer_on(connection: Connection, catalog: Catalog) -> PublishLayer:
    def make(
        layer_id: str,
        geometries: Sequence[shapely.Geometry],
        attributes: Mapping[str, Sequence[Any]] | None = None,
        *,
        valid_from: datetime.date = datetime.date(2021, 1, 1),
        coverage: shapely.Geometry | None = None,
        publish: bool = True,
    ) -> int:
        plan, _ = catalog.layer_with_plan(layer_id)
        content_id = create_content(connection, layer_id)
        load_arrays(connection, content_id, list(geometries), attributes or {}, 1)
        finish_content(connection, content_id, coverage=coverage or REGION)
        with connection.transaction():
            edition = open_draft(connection, plan.id, valid_from=valid_from)
            put_layer(connection, edition, layer_id, content_id)
        if publish:
            publish_edition(connection, plan.id, edition)
        return edition

    return make


@pytest.fixture
def publish_layer(connection: Connection, catalog: Catalog) -> PublishLayer:
    return publish_layer_on(connection, catalog)


@pytest.fixture(scope="session")
def demo_dsn(
    cluster: LocalPostgis, template: str, catalog: Catalog, service_config: ServiceConfig
) -> str:
    name = "test_demo"
    create_database(cluster.dsn(), name, template=template)
    coast = start.coast_file(Settings())
    with connect(cluster.dsn(name)) as opened:
        load_demo(opened, catalog, service_config, "small", coast)
    return cluster.dsn(name)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as running:
        yield running


@pytest.fixture(scope="session")
def live_service(demo_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server process; its log is printed when it does not come up."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("gis-service")
    # Its worker writes tiles into the data folder, and removes those of other libraries.
    folder = str(tmp_path_factory.mktemp("live"))
    environment = {
        **os.environ, "DATABASE_URL": demo_dsn, "PORT": str(port), "DATA_DIR": folder,
    }  # fmt: skip
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            [str(program), "serve"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            address = f"http://localhost:{port}"
            _await(address, server, log)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=20)


def _await(address: str, server: subprocess.Popen[bytes], log: object) -> None:
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            if httpx2.get(f"{address}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.2)
    log.seek(0)  # type: ignore[attr-defined]
    pytest.fail("the service did not come up:\n" + log.read())  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        reason = f"no real files: {SHARED_DATA.relative_to(PROJECT.parent)} is not there"
        if os.environ.get("GIS_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED_DATA


@pytest.fixture
def publish_layer_for(catalog: Catalog) -> Callable[[Connection], PublishLayer]:
    """The same on a connection of one's own, for tests that commit."""
    return lambda connection: publish_layer_on(connection, catalog)
