"""What each server process runs: the application with its own pool and child processes."""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from starlette.applications import Starlette

from gis_service import start
from gis_service.app import create_app
from gis_service.settings import Settings
from layers.errors import Unavailable

_log = logging.getLogger(__name__)


def make_app() -> Starlette:
    """Build the application from the environment; called in each worker process."""
    settings = Settings()
    if settings.database_url is None:
        raise Unavailable("DATABASE_URL is not set.", "未设置 DATABASE_URL。")
    stack = ExitStack()
    library = stack.enter_context(start.library(settings, settings.database_url))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        with stack:
            yield

    app = create_app(library, lifespan=lifespan)
    # The first answers need neither; who asks for them meanwhile waits for this thread.
    address = settings.public_url or f"http://localhost:{settings.port}"
    threading.Thread(target=_warm_up, args=(app, address), daemon=True).start()
    return app


def _warm_up(app: Starlette, address: str) -> None:
    import layers.feature_pages  # noqa: F401 - SQLAlchemy and GeoAlchemy2 load with it

    try:
        app.state.library.sandbox.warm_up()
        app.state.ogc.warm_up(address)
        app.state.map_tiles.painter.warm_up()
    except Exception as error:  # a stop in these seconds; or the first request meets the fault
        _log.info("not warmed up: %s", error)
