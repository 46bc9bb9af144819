"""Tasks that keep the tiles of what is published: written in the background, removed by upkeep.

A publish puts nothing into the queue: once a minute the worker looks what is in force without an
archive. So a harvest, the command line and a restored backup are all served by one way.
"""

import logging
import os
import threading
from contextlib import suppress
from typing import Final

from procrastinate import App, JobContext
from procrastinate.exceptions import AlreadyEnqueued, JobAborted

from gis_service.jobs.processes import RetryStopped
from gis_service.jobs.workshop import Workshop
from layers.database import connect

_log = logging.getLogger(__name__)

WRITE_TASK: Final = "tiles.write"
QUEUE: Final = "tiles"
_LOCK: Final = "tiles.write"
_NICE: Final = 10


def has_missing(workshop: Workshop) -> bool:
    """Whether something is in force of which no archive is written."""
    from gis_service.library import today
    from gis_service.tile_archives import contents_of, missing

    with connect(workshop.dsn) as connection:
        wanted = contents_of(connection, workshop.catalog, (), today())
        return any(True for _ in missing(workshop.settings.tiles_dir, wanted))


def write_missing(workshop: Workshop, context: JobContext | None = None) -> None:
    """Write all that are missing, and stop where the worker is to stop: the next one goes on."""
    from gis_service.library import today
    from gis_service.tile_archives import contents_of, missing, write

    with suppress(OSError, AttributeError):  # the thread goes back behind the others
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    quarters: dict[str, int] = {}

    def told(layer_id: str, share: float) -> None:
        if context is not None and context.should_abort():
            raise JobAborted
        if int(share * 4) > quarters.get(layer_id, 0):
            quarters[layer_id] = int(share * 4)
            _log.info("tiles of %s: %.0f %% written", layer_id, 100 * share)

    folder = workshop.settings.tiles_dir
    with connect(workshop.dsn) as connection:
        wanted = contents_of(connection, workshop.catalog, (), today())
        write(connection, folder, list(missing(folder, wanted)), told=told)


def remove_old(workshop: Workshop) -> list[str]:
    """Remove the archives of what is in force no more; give their names."""
    from gis_service.library import today
    from tiles.tile_archive import remove_unwanted, wanted_contents

    with connect(workshop.dsn) as connection:
        wanted = wanted_contents(connection, today())
    return remove_unwanted(workshop.settings.tiles_dir, wanted)


def register(app: App, workshop: Workshop) -> None:
    """Add the tasks to a worker's application."""

    @app.task(
        name=WRITE_TASK, queue=QUEUE, queueing_lock=WRITE_TASK, lock=_LOCK,
        retry=RetryStopped(), pass_context=True,
    )  # fmt: skip
    def write_archives(context: JobContext) -> None:
        write_missing(workshop, context)

    @app.periodic(cron="* * * * *")
    @app.task(name="tiles.tick", queue="upkeep", queueing_lock="tiles.tick")
    def tick(timestamp: int) -> None:
        from gis_service.jobs.app import client_app

        if has_missing(workshop):
            with client_app(workshop.dsn).open() as client, suppress(AlreadyEnqueued):
                client.configure_task(
                    WRITE_TASK, queue=QUEUE, queueing_lock=WRITE_TASK, lock=_LOCK
                ).defer()

    @app.periodic(cron="37 * * * *")
    @app.task(name="tiles.remove_old", queue="upkeep", queueing_lock="tiles.remove_old")
    def remove(timestamp: int) -> None:
        for name in remove_old(workshop):
            _log.info("removed the tiles %s", name)
