"""Tasks of OGC processes: run a job, tell its subscribers, look after what was lost."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from procrastinate import App, BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Job

from gis_service import process_jobs
from gis_service.jobs.workshop import Workshop
from gis_service.process_jobs import JobRun
from gis_service.processes import process_named
from gis_service.processes.addresses import load_addresses, post_news
from gis_service.processes.process import Run
from layers.database import connect
from layers.errors import GisError, Unavailable
from layers.text import Text

_log = logging.getLogger(__name__)

RUN_TASK: Final = "process.run"
TELL_TASK: Final = "process.tell"
QUEUE: Final = "process"
_LOOK_EVERY_S: Final = 0.5
_TELL_ATTEMPTS: Final = 5
_TELL_WAIT_S: Final = 30
_INTERNAL: Final = Text(
    zh="服务内部错误，详见日志。", en="Something went wrong inside; the log has the details."
)


class Dismissed(Exception):
    """Somebody does not want the job any more."""


class RetryStopped(BaseRetryStrategy):
    """A job that a shutdown stopped goes back into the queue; nothing else is tried again."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When to run the job again; None = not."""
        return RetryDecision(retry_in={"seconds": 1}) if isinstance(exception, JobAborted) else None


class RetryTelling(BaseRetryStrategy):
    """The other side may be down: again after half a minute, then ever later."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When to tell again; None = not."""
        if not isinstance(exception, Unavailable | JobAborted):
            return None
        if job.attempts + 1 >= _TELL_ATTEMPTS:
            return None
        return RetryDecision(retry_in={"seconds": _TELL_WAIT_S * 4**job.attempts})


def register(app: App, workshop: Workshop) -> None:
    """Add the tasks to a worker's application."""

    @app.task(name=TELL_TASK, queue=QUEUE, retry=RetryTelling())
    def tell(url: str, news: dict[str, Any]) -> None:
        known = load_addresses(workshop.settings.config_dir)
        post_news(url, orjson.dumps(news), known.callbacks)

    def queue_news(subscriber: Mapping[str, str], event: str, news: dict[str, Any]) -> None:
        url = subscriber.get(event)
        if url is not None:
            from gis_service.jobs.app import client_app

            with client_app(workshop.dsn).open() as client:
                client.configure_task(
                    TELL_TASK, queue=QUEUE, task_kwargs={"url": url, "news": news}
                ).defer()

    @app.task(name=RUN_TASK, queue=QUEUE, retry=RetryStopped(), pass_context=True)
    def run(context: JobContext, job_id: str) -> None:
        run_job(workshop, job_id, context.should_abort, queue_news)

    @app.periodic(cron="* * * * *")
    @app.task(name="process.upkeep", queue="upkeep", queueing_lock="process.upkeep")
    def upkeep(timestamp: int) -> None:
        with connect(workshop.dsn) as connection:
            for lost in process_jobs.fail_lost(connection):
                _log.error("process job %s lost its workers; failed", lost)
            process_jobs.remove_old(connection)


Tell = Callable[[Mapping[str, str], str, dict[str, Any]], None]


def run_job(workshop: Workshop, job_id: str, stopping: Callable[[], bool], tell: Tell) -> None:
    """Run a job to its end, its failure, its dismissal, or the stop of the worker."""
    with connect(workshop.dsn) as connection:
        attempt = JobRun(connection, job_id)
        if not attempt.wanted:
            return
        found = process_jobs.job(connection, job_id)
        tell(found["subscriber"] or {}, "inProgressUri", _news(found))
        try:
            outputs = _outputs(workshop, attempt, _check_of(attempt, stopping))
            subscriber, event = attempt.finish(outputs), "successUri"
        except Dismissed:
            return
        except GisError as error:
            subscriber, event = attempt.fail(error.text), "failedUri"
        except (JobAborted, Unavailable):
            raise
        except Exception:
            _log.exception("process job %s", job_id)
            subscriber, event = attempt.fail(_INTERNAL), "failedUri"
        tell(subscriber, event, _news(process_jobs.job(connection, job_id)))


def _outputs(workshop: Workshop, attempt: JobRun, check: Callable[[], None]) -> Mapping[str, Any]:
    process = process_named(attempt.process_id)
    inputs = attempt.request["inputs"]
    ends = time.monotonic() + process.pause_s(inputs)
    while time.monotonic() < ends:
        check()
        time.sleep(min(_LOOK_EVERY_S, max(0.0, ends - time.monotonic())))
    library = workshop.library(attempt.access)
    return process.run(Run(library, check, attempt.tell_progress), inputs)


def _check_of(attempt: JobRun, stopping: Callable[[], bool]) -> Callable[[], None]:
    """Looks at most twice a second; from whatever thread the work calls it."""
    lock, last = threading.Lock(), time.monotonic()

    def check() -> None:
        nonlocal last
        if stopping():
            raise JobAborted
        with lock:
            if time.monotonic() - last < _LOOK_EVERY_S:
                return
            last = time.monotonic()
            if not attempt.is_wanted():
                raise Dismissed

    return check


def _news(found: Mapping[str, Any]) -> dict[str, Any]:
    """What subscribers are told: the status; results are fetched by who may see them."""
    news = process_jobs.status_info(found, "", "en")
    return {name: value for name, value in news.items() if name != "links"}
