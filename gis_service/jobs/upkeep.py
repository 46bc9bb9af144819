"""Tasks that keep the queue itself in order."""

import logging
from typing import Final

from procrastinate import App, JobContext
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Job, Status

_log = logging.getLogger(__name__)

STALLED_AFTER_S: Final = 30.0
"""Three heartbeats of a worker; after that its jobs are given to others."""
MOST_ATTEMPTS: Final = 3
"""A job whose worker dies that often is put aside as failed: it would kill the next one, too."""
KEPT_HOURS: Final = 24 * 30


async def retry_stalled_jobs(app: App, *, stalled_after_s: float = STALLED_AFTER_S) -> list[int]:
    """Put the jobs of dead workers back into the queue; give their ids.

    procrastinate leaves them in ``doing`` for ever otherwise, and their locks with them.
    """
    retried: list[int] = []
    manager = app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=stalled_after_s):
        if job.id is None:
            continue
        if job.attempts + 1 < MOST_ATTEMPTS and await _put_back(app, job):
            _log.warning("job %s (%s) lost its worker; tried again", job.id, job.task_name)
            retried.append(job.id)
        else:
            _log.error("job %s (%s) lost its worker; failed", job.id, job.task_name)
            await manager.finish_job_by_id_async(job.id, Status.FAILED, delete_job=False)
    return retried


async def _put_back(app: App, job: Job) -> bool:
    """False where one with the same queueing lock waits already, which will do its work.

    Such a job would stop the upkeep of all others, for ever, if its error went on.
    """
    try:
        await app.job_manager.retry_job(job)
    except UniqueViolation:
        return False
    return True


def register(app: App) -> None:
    """Add the tasks to a worker's application."""

    @app.periodic(cron="* * * * *")
    @app.task(
        name="upkeep.retry_stalled_jobs",
        queue="upkeep",
        queueing_lock="retry_stalled_jobs",
        pass_context=True,
    )
    async def retry_stalled(context: JobContext, timestamp: int) -> None:
        await retry_stalled_jobs(context.app)

    @app.periodic(cron="17 * * * *")
    @app.task(
        name="upkeep.remove_old_jobs",
        queue="upkeep",
        queueing_lock="remove_old_jobs",
        pass_context=True,
    )
    async def remove_old(context: JobContext, timestamp: int) -> None:
        await context.app.job_manager.delete_old_jobs(
            nb_hours=KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
        )
