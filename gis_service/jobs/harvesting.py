"""Tasks of the exchange: look once a minute which sources are due, and harvest them."""

import datetime
import logging
from collections.abc import Callable
from typing import Any, Final

from procrastinate import App, BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.exceptions import JobAborted
from procrastinate.job_context import AbortReason
from procrastinate.jobs import Job
from psycopg import Rollback

from gis_service.harvesting import schedule
from gis_service.harvesting.sources import RegisteredSource, source_named
from gis_service.jobs.app import client_app
from gis_service.jobs.queue import is_unfinished
from gis_service.jobs.workshop import Workshop
from layers.database import Connection, connect
from layers.errors import GaveUp, Unavailable

_log = logging.getLogger(__name__)

HARVEST_TASK: Final = "harvest.source"
QUEUE: Final = "harvest"
_MOST_ATTEMPTS: Final = 4
_FIRST_WAIT_S: Final = 60
_STOPPED_WAIT_S: Final = 1


class HarvestRetry(BaseRetryStrategy):
    """Again after 1, 4 and 16 minutes where the fault may pass by; at once after a shutdown.

    What only people can mend (a refused credential, a wrong file) waits for its next time.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When to run the job again; None = not."""
        if isinstance(exception, JobAborted):
            return RetryDecision(retry_in={"seconds": _STOPPED_WAIT_S})
        if not isinstance(exception, Unavailable | GaveUp) or job.attempts + 1 >= _MOST_ATTEMPTS:
            return None
        return RetryDecision(retry_in={"seconds": _FIRST_WAIT_S * 4**job.attempts})


def harvest_job(source_id: str, occasion: str) -> dict[str, Any]:
    """How a harvest is put into the queue; jobs of one source run one after the other.

    Without a queueing lock: a job that goes back into the queue (a passing fault, a dead worker)
    while another waits would break it, and stay in ``doing`` for ever.
    """
    return {
        "name": HARVEST_TASK,
        "queue": QUEUE,
        "lock": f"harvest:{source_id}",
        "task_kwargs": {"source_id": source_id, "occasion": occasion},
    }


def manual_occasion(now: datetime.datetime) -> str:
    """The occasion of a harvest that a person asks for."""
    return f"manual:{now.astimezone(datetime.UTC).isoformat(timespec='microseconds')}"


def defer_due(workshop: Workshop, now: datetime.datetime) -> list[str]:
    """Put a job into the queue for each source whose time has come; give their ids.

    The note that an occasion was due and its job are written in one transaction.
    """
    due: list[str] = []
    app = client_app(workshop.dsn)
    with app.open(), connect(workshop.dsn) as connection:
        connection.execute("SET search_path = procrastinate")
        for source in workshop.sources():
            if source.enabled and _defer_if_due(app, connection, source, now):
                due.append(source.id)
    return due


def _defer_if_due(
    app: App, connection: Connection, source: RegisteredSource, now: datetime.datetime
) -> bool:
    with connection.transaction() as transaction:
        moment = schedule.take_due(connection, source, now)
        if moment is None:
            return False
        job = harvest_job(source.id, f"schedule:{moment.isoformat()}")
        if is_unfinished(connection, job["lock"]):
            # Not noted as due: the next tick asks again, until the one before is done.
            _log.warning("harvest %s: the one before is not done yet", source.id)
            raise Rollback(transaction)
        app.configure_task(**job, connection=connection).defer()
        return True
    return False


def register(app: App, workshop: Workshop) -> None:
    """Add the tasks to a worker's application."""

    @app.periodic(cron="* * * * *")
    @app.task(name="harvest.tick", queue="upkeep", queueing_lock="harvest.tick")
    def tick(timestamp: int) -> None:
        defer_due(workshop, datetime.datetime.now(datetime.UTC))

    @app.task(name=HARVEST_TASK, queue=QUEUE, retry=HarvestRetry(), pass_context=True)
    def harvest_source(context: JobContext, source_id: str, occasion: str) -> None:
        run_harvest(workshop, source_id, occasion, _stop_check(context))


def _stop_check(context: JobContext) -> Callable[[], None]:
    from gis_service.harvesting.harvest import Stopped

    def check() -> None:
        if context.should_abort():
            reason = context.abort_reason()
            raise Stopped("shutdown" if reason is AbortReason.SHUTDOWN else "cancelled")

    return check


def run_harvest(
    workshop: Workshop, source_id: str, occasion: str, check: Callable[[], None]
) -> None:
    """Harvest; raises what went wrong, so that the job fails and may be tried again."""
    from gis_service.harvesting.harvest import Stopped, harvest

    source = source_named(workshop.sources(), source_id)
    try:
        result = harvest(workshop.harvest_house(), source, occasion, check)
    except Stopped as error:
        raise JobAborted from error
    # A draft that people work in is no fault: the next time comes by itself.
    if result.error is not None and result.outcome != "conflict":
        raise result.error
