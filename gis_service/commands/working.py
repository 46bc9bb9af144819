"""``worker`` and ``jobs``."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from gis_service.commands.terminal import say, show, show_json
from gis_service.settings import Settings

app = typer.Typer(help="The job queue.", no_args_is_help=True)

_GRACE_HELP = "Seconds that running jobs get to finish when the worker is stopped."


class JobStatus(StrEnum):
    """States of a job."""

    todo = "todo"
    doing = "doing"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"
    aborted = "aborted"


def worker(
    queues: Annotated[
        str | None, typer.Option(help="Queues to work on, with commas between; all of them.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=32, help="Jobs at once.")] = 2,
    grace: Annotated[float, typer.Option(min=0, help=_GRACE_HELP)] = 10.0,
) -> None:
    """Run one more job worker until it is stopped. Example: gis-service worker --queues harvest"""
    from gis_service import start
    from gis_service.jobs.worker import WorkerPlan, WorkerTimes, run_worker

    settings = Settings()
    names = tuple(name.strip() for name in queues.split(",") if name.strip()) if queues else None
    plan = WorkerPlan(names, threads, WorkerTimes(grace_s=grace))
    with start.database(settings, say) as dsn:
        say("worker: Ctrl-C stops it · 任务进程已启动，按 Ctrl-C 停止")
        if not run_worker(settings, dsn, plan):
            raise typer.Exit(2)


@app.command(name="list")
def list_jobs(
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """The newest jobs. Example: gis-service jobs list --status failed"""
    from gis_service import start
    from gis_service.jobs import queue
    from layers.database import connect

    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        jobs = queue.list_jobs(connection, status=status.value if status else None, limit=limit)
    if json:
        show_json(jobs)
        return
    for job in jobs:
        show(f"{job['id']:>8}  {job['status']:<10} {job['task']:<16} {_arguments(job)}")


@app.command(name="show")
def show_job(
    job: Annotated[int, typer.Argument(help="Job number, see: jobs list")],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """One job and what happened to it. Example: gis-service jobs show 12"""
    from gis_service import start
    from gis_service.jobs import queue
    from layers.database import connect

    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        found = queue.show_job(connection, job)
    if json:
        show_json(found)
        return
    show(f"{found['id']}  {found['task']}  {found['status']}  {_arguments(found)}")
    for event in found["events"]:
        show(f"  {event['at']:%Y-%m-%d %H:%M:%S}  {event['type']}")


@app.command(name="retry")
def retry_job(job: Annotated[int, typer.Argument(help="Number of a failed job.")]) -> None:
    """Put a failed job back into the queue. Example: gis-service jobs retry 12"""
    from gis_service import start
    from gis_service.jobs import queue
    from layers.database import connect

    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        queue.retry_job(dsn, connection, job)
    show(f"{job}: todo")


@app.command(name="cancel")
def cancel_job(job: Annotated[int, typer.Argument(help="Number of a job.")]) -> None:
    """Cancel a waiting job, ask a running one to stop. Example: gis-service jobs cancel 12"""
    from gis_service import start
    from gis_service.jobs import queue
    from layers.database import connect

    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        status = queue.cancel_job(dsn, connection, job)
    show(f"{job}: {status}")


def _arguments(job: dict[str, Any]) -> str:
    return "  ".join(f"{name}={value}" for name, value in job["args"].items())
