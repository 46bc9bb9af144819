"""The application on the demo province, in process."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from gis_service import start
from gis_service.app import create_app
from gis_service.library import Library
from gis_service.settings import Settings


@pytest.fixture(scope="session")
def library(demo_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    data_dir = tmp_path_factory.mktemp("data")
    settings = Settings(check_processes=1, pool_size=4, data_dir=data_dir)
    with start.library(settings, demo_dsn) as opened:
        yield opened


@pytest.fixture(scope="session")
def client(library: Library) -> Iterator[TestClient]:
    app = create_app(library)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as opened:
        yield opened
