"""Looking into the queue and changing it, for the command line."""

import datetime
from typing import Any, Final

from psycopg.rows import dict_row

from gis_service.jobs.app import client_app
from layers.database import Connection, row, rows, statements
from layers.errors import Conflict, NotFound

_SQL: Final = statements("gis_service.jobs", "queue.sql")


def list_jobs(
    connection: Connection, *, status: str | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """The newest jobs, without those of the upkeep."""
    return rows(connection, _SQL["list_jobs"], status=status, limit=limit)


def show_job(connection: Connection, job_id: int) -> dict[str, Any]:
    """One job with its events, or ``NotFound``."""
    job = row(connection, _SQL["job"], job_id=job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}.", f"没有任务 {job_id}。")
    with connection.cursor(row_factory=dict_row) as cursor:
        events = cursor.execute(_SQL["events"], {"job_id": job_id}).fetchall()
    return {**job, "events": events}


def is_unfinished(connection: Connection, lock: str) -> bool:
    """Whether a job under that lock waits or runs."""
    found = row(connection, _SQL["unfinished"], lock=lock)
    return bool(found and found["unfinished"])


def defer(dsn: str, connection: Connection, task: dict[str, Any]) -> int:
    """Put a job into the queue; ``Conflict`` if one under the same lock waits or runs already."""
    if task.get("lock") and is_unfinished(connection, task["lock"]):
        raise Conflict(
            "Such a job waits or runs already; see: jobs list",
            "已有相同任务在等待或执行，见：jobs list",
            code="already-waiting",
        )
    app = client_app(dsn)
    with app.open():
        return app.configure_task(**task).defer()


def retry_job(dsn: str, connection: Connection, job_id: int) -> None:
    """Put a failed job back into the queue, to run now; ``Conflict`` for any other."""
    job = show_job(connection, job_id)
    if job["status"] != "failed":
        raise Conflict(
            f"Job {job_id} is {job['status']}; only a failed one is tried again.",
            f"任务 {job_id} 的状态为 {job['status']}，只有失败的任务可以重试。",
            code="not-failed",
        )
    app = client_app(dsn)
    with app.open():
        app.job_manager.retry_job_by_id(job_id, datetime.datetime.now(datetime.UTC))


def cancel_job(dsn: str, connection: Connection, job_id: int) -> str:
    """Cancel a waiting job, ask a running one to stop; give its status. ``Conflict`` if ended."""
    show_job(connection, job_id)
    app = client_app(dsn)
    with app.open():
        if not app.job_manager.cancel_job_by_id(job_id, abort=True):
            raise Conflict(
                f"Job {job_id} has ended already.", f"任务 {job_id} 已经结束。", code="ended"
            )
    return str(show_job(connection, job_id)["status"])
