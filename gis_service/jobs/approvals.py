"""A task of the ledger: approvals whose last day is over give back what they reserved."""

import logging
from typing import Final

from procrastinate import App

from gis_service.jobs.workshop import Workshop
from layers.database import connect

_log = logging.getLogger(__name__)

QUEUE: Final = "upkeep"


def expire_approvals(dsn: str) -> list[str]:
    """Let them lapse; gives the submissions. A second run finds nothing left to do."""
    from gis_service.submissions.decisions import expire

    with connect(dsn) as connection:
        return expire(connection)


def register(app: App, workshop: Workshop) -> None:
    """Add the task to a worker's application."""

    @app.periodic(cron="7 * * * *")
    @app.task(name="approvals.expire", queue=QUEUE, queueing_lock="expire_approvals")
    def expire(timestamp: int) -> None:
        for submission_id in expire_approvals(workshop.dsn):
            _log.info("the approval of %s has lapsed", submission_id)
