"""One worker process: takes jobs until it is told to stop."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from procrastinate import App

from gis_service.jobs.app import worker_app
from gis_service.jobs.upkeep import STALLED_AFTER_S
from gis_service.jobs.workshop import Workshop, open_workshop
from gis_service.settings import Settings

_log = logging.getLogger(__name__)

UPKEEP_QUEUES: Final = ("upkeep",)
_LAST_RESORT_S: Final = 20.0
"""How long after the grace a job may take to notice that it is to stop; then the process ends."""


@dataclass(frozen=True, slots=True)
class WorkerTimes:
    """The clocks of a worker, in seconds; ``grace_s`` is what running jobs get to finish."""

    grace_s: float = 10.0
    heartbeat_s: float = 10.0
    stalled_after_s: float = STALLED_AFTER_S
    poll_s: float = 5.0


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """Which queues are worked on (None = all) and how many jobs at once."""

    queues: Sequence[str] | None = None
    threads: int = 2
    times: WorkerTimes = WorkerTimes()


def run_worker(settings: Settings, dsn: str, plan: WorkerPlan | None = None) -> bool:
    """Work until SIGTERM or SIGINT; True after such a stop, False when the worker failed.

    Running jobs get the grace to finish. Those that do not are told to stop and go back into the
    queue; one that does not listen ends with the process and is found by the others as stalled.
    """
    with open_workshop(settings, dsn) as workshop:
        return asyncio.run(_work(dsn, workshop, plan or WorkerPlan()))


async def _work(dsn: str, workshop: Workshop, plan: WorkerPlan) -> bool:
    app = worker_app(dsn, workshop, threads=plan.threads + 1)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with app.open_async():
        # Upkeep has a thread of its own: it must not wait behind a harvest of an hour.
        workers = [
            asyncio.create_task(_one(app, UPKEEP_QUEUES, 1, plan.times), name="upkeep"),
            asyncio.create_task(_one(app, plan.queues, plan.threads, plan.times), name="work"),
        ]
        told = asyncio.create_task(stopping.wait())
        await asyncio.wait([told, *workers], return_when=asyncio.FIRST_COMPLETED)
        last_resort = _end_later(plan.times.grace_s + _LAST_RESORT_S)
        for worker in workers:
            worker.cancel()
        told.cancel()
        ended = await asyncio.gather(*workers, return_exceptions=True)
        last_resort.cancel()
    for result in ended:
        if isinstance(result, Exception):
            _log.error("the worker failed: %s", result)
    return stopping.is_set()


async def _one(app: App, queues: Sequence[str] | None, threads: int, times: WorkerTimes) -> None:
    options: dict[str, Any] = {"queues": list(queues)} if queues else {}
    await app.run_worker_async(
        **options,
        concurrency=threads,
        install_signal_handlers=False,
        shutdown_graceful_timeout=times.grace_s,
        update_heartbeat_interval=times.heartbeat_s,
        stalled_worker_timeout=times.stalled_after_s,
        fetch_job_polling_interval=times.poll_s,
        abort_job_polling_interval=times.poll_s,
    )


def _end_later(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os._exit, args=(1,))
    timer.daemon = True
    timer.start()
    return timer


def stop_with_parent(pipe: int) -> None:
    """Stop this process, gently, when the other end of the pipe goes: however the parent died."""

    def wait() -> None:
        # Below Python's buffers, whose locks the interpreter wants at its end.
        while os.read(pipe, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()
