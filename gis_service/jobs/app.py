"""The procrastinate application: connectors with the queue's own search path, and the tasks."""

from typing import TYPE_CHECKING, Any, Final

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from gis_service.jobs.schema import SCHEMA

if TYPE_CHECKING:
    from gis_service.jobs.workshop import Workshop

OPTIONS: Final = f"-c search_path={SCHEMA} -c jit=off"


def worker_app(dsn: str, workshop: "Workshop", *, threads: int = 1) -> App:
    """The application of a worker, with everything that its tasks need."""
    from gis_service.jobs import approvals, harvesting, processes, tile_archives, upkeep

    # A connection for each running job, one for the heartbeat, one for the listener.
    app = App(
        connector=PsycopgConnector(
            conninfo=dsn, kwargs={"options": OPTIONS}, min_size=1, max_size=threads + 3
        )
    )
    upkeep.register(app)
    harvesting.register(app, workshop)
    processes.register(app, workshop)
    approvals.register(app, workshop)
    tile_archives.register(app, workshop)
    return app


def client_app(dsn: str) -> App:
    """The application of who puts jobs into the queue or looks at it."""
    kwargs: dict[str, Any] = {"options": OPTIONS}
    return App(connector=SyncPsycopgConnector(conninfo=dsn, kwargs=kwargs, min_size=1, max_size=2))
