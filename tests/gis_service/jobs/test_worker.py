"""Workers as processes: killed, stopped, doubled; each harvest ends with one result."""

import asyncio
import signal
from typing import Any

import pytest

from gis_service.jobs.app import client_app
from gis_service.jobs.harvesting import HarvestRetry, harvest_job
from gis_service.jobs.queue import cancel_job, defer, list_jobs, retry_job, show_job
from gis_service.jobs.upkeep import MOST_ATTEMPTS, retry_stalled_jobs
from layers.database import Connection, connect
from layers.errors import BadInput, Conflict, GaveUp, NotFound, Unavailable

from .conftest import Place, Workers, harvests, jobs_in, set_all, until


def ask(workers: Workers, occasion: str = "by-hand") -> int:
    with connect(workers.dsn) as connection:
        return defer(workers.dsn, connection, harvest_job("forestry", occasion))


def put_behind(dsn: str, occasion: str) -> None:
    """A second job of the source, which ``defer`` would not admit."""
    app = client_app(dsn)
    with app.open():
        app.configure_task(**harvest_job("forestry", occasion)).defer()


def stalled(dsn: str, after_s: float) -> list[int]:
    """Run the upkeep's look for dead workers now instead of at the next minute."""
    from procrastinate import App, PsycopgConnector

    from gis_service.jobs.app import OPTIONS

    async def look() -> list[int]:
        app = App(connector=PsycopgConnector(conninfo=dsn, kwargs={"options": OPTIONS}))
        async with app.open_async():
            return await retry_stalled_jobs(app, stalled_after_s=after_s)

    return asyncio.run(look())


def test_a_job_becomes_a_draft(workers: Workers, place: Place, own: Connection) -> None:
    place.put(4)
    workers.go()
    workers.start()
    number = ask(workers)
    until(lambda: jobs_in(own)[0][1] == "succeeded")
    ((occasion, attempt, outcome, content),) = harvests(own)
    assert (occasion, attempt, outcome) == ("by-hand", 1, "draft")
    assert content is not None
    assert [event["type"] for event in show_job(own, number)["events"]] == [
        "deferred", "started", "succeeded",
    ]  # fmt: skip


def test_the_job_of_a_killed_worker_is_done_by_another(
    workers: Workers, place: Place, own: Connection
) -> None:
    place.put(4)
    first = workers.start()
    ask(workers)
    until(lambda: workers.entered())
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = workers.start()
    assert stalled(workers.dsn, 3600.0) == []  # not before its heart has been silent for long
    # Its upkeep may have had a job in its hand, too.
    until(lambda: jobs_in(own)[0][0] in stalled(workers.dsn, 1.0))
    workers.go()
    until(lambda: jobs_in(own)[0][1] == "succeeded")
    assert second.poll() is None
    ((_, attempt, outcome, content),) = harvests(own)
    assert (attempt, outcome) == (2, "draft")
    found = own.execute("SELECT array_agg(id) FROM library.layer_content").fetchone()
    assert found == ([content],)


def test_without_the_upkeep_the_job_would_stay_for_ever(
    workers: Workers, place: Place, own: Connection
) -> None:
    """What the periodic task is for: a second worker alone does not take a dead one's job."""
    place.put(4)
    first = workers.start()
    ask(workers)
    until(lambda: workers.entered())
    first.kill()
    first.wait()
    workers.go()
    workers.start()
    ask_again = defer(workers.dsn, own, {**harvest_job("other", "x"), "lock": None})
    until(lambda: show_job(own, ask_again)["status"] == "failed")  # it works, on other jobs
    assert jobs_in(own)[0][1] == "doing"


def test_a_job_that_kills_its_workers_is_put_aside(
    workers: Workers, place: Place, own: Connection
) -> None:
    place.put(4)
    number = ask(workers)
    for _ in range(MOST_ATTEMPTS):
        for left in workers.hold.glob("entered-*"):
            left.unlink()
        victim = workers.start()
        until(lambda: workers.entered())
        victim.kill()
        victim.wait()
        until(lambda: own.execute(
            "SELECT bool_and(last_heartbeat < now() - interval '1 s')"
            " FROM procrastinate.procrastinate_workers").fetchone() == (True,))  # fmt: skip
        stalled(workers.dsn, 1.0)
    assert show_job(own, number)["status"] == "failed"
    assert harvests(own)[0][2] == "running"
    # By hand it can be tried again, and then what was left open is closed.
    workers.go()
    workers.start()
    retry_job(workers.dsn, own, number)
    until(lambda: show_job(own, number)["status"] == "succeeded")
    assert [run[2] for run in harvests(own)] == ["draft"]


def test_two_workers_never_harvest_one_source_at_once(
    workers: Workers, place: Place, own: Connection
) -> None:
    place.put(4)
    workers.start()
    workers.start()
    ask(workers, "one")
    until(lambda: workers.entered())
    put_behind(workers.dsn, "two")
    until(lambda: len(_live_workers(own)) >= 4)  # both processes, with two workers each
    asyncio.run(asyncio.sleep(1.0))
    assert len(workers.entered()) == 1
    assert [status for _, status, _ in jobs_in(own)] == ["doing", "todo"]
    workers.go()
    until(lambda: [status for _, status, _ in jobs_in(own)] == ["succeeded", "succeeded"])
    assert [(run[0], run[2]) for run in harvests(own)] == [("one", "draft"), ("two", "unchanged")]


def _live_workers(own: Connection) -> list[Any]:
    return own.execute("SELECT id FROM procrastinate.procrastinate_workers").fetchall()


def test_a_dead_workers_job_comes_back_though_another_waits(
    workers: Workers, place: Place, own: Connection
) -> None:
    """Neither stands in the way of the other, nor of the upkeep."""
    place.put(4)
    first = workers.start()
    ask(workers, "one")
    until(lambda: workers.entered())
    put_behind(workers.dsn, "two")
    first.kill()
    first.wait()
    until(lambda: stalled(workers.dsn, 1.0))
    workers.go()
    workers.start()
    until(lambda: [status for _, status, _ in jobs_in(own)] == ["succeeded", "succeeded"])
    assert [(run[0], run[2]) for run in harvests(own)] == [("one", "draft"), ("two", "unchanged")]


def test_a_dead_periodic_job_does_not_stop_the_upkeep_of_others(
    workers: Workers, own: Connection
) -> None:
    """Its like waits already (one queueing lock): it is given up, and the next is looked at."""
    app = client_app(workers.dsn)
    with app.open():
        periodic = {"name": "harvest.tick", "queue": "upkeep", "queueing_lock": "harvest.tick"}
        dead = app.configure_task(**periodic).defer(timestamp=1)
        other = app.configure_task(**harvest_job("forestry", "one")).defer()
        set_all(own, "doing")
        app.configure_task(**periodic).defer(timestamp=2)
    assert stalled(workers.dsn, 1.0) == [other]
    assert show_job(own, dead)["status"] == "failed"


def test_a_second_one_by_hand_is_told(workers: Workers) -> None:
    ask(workers, "one")
    with pytest.raises(Conflict) as caught:
        ask(workers, "two")
    assert caught.value.code == "already-waiting"


def test_a_stopped_worker_finishes_its_job_within_the_grace(
    workers: Workers, place: Place, own: Connection
) -> None:
    place.put(4)
    worker = workers.start(grace_s=30)
    ask(workers)
    until(lambda: workers.entered())
    worker.terminate()
    workers.go()
    assert worker.wait(30) == 0
    assert jobs_in(own)[0][1] == "succeeded"
    assert harvests(own)[0][2] == "draft"


def test_a_stopped_worker_gives_its_job_back_after_the_grace(
    workers: Workers, place: Place, own: Connection
) -> None:
    place.put(4)
    worker = workers.start(grace_s=0.3)
    ask(workers)
    until(lambda: workers.entered())
    worker.terminate()
    assert worker.wait(30) == 0
    assert jobs_in(own)[0][1] == "todo"
    assert harvests(own)[0][2] == "stopped"
    assert _live_workers(own) == []
    workers.go()
    workers.start()
    until(lambda: jobs_in(own)[0][1] == "succeeded")
    assert [(run[1], run[2]) for run in harvests(own)] == [(2, "draft")]


def test_a_running_job_is_cancelled(workers: Workers, place: Place, own: Connection) -> None:
    place.put(4)
    workers.start()
    number = ask(workers)
    until(lambda: workers.entered())
    assert cancel_job(workers.dsn, own, number) == "doing"
    until(lambda: show_job(own, number)["status"] == "aborted")
    assert harvests(own)[0][2] == "stopped"
    assert own.execute("SELECT count(*) FROM library.edition").fetchone() == (0,)
    with pytest.raises(Conflict):
        cancel_job(workers.dsn, own, number)


def test_a_waiting_job_is_cancelled_and_never_runs(
    workers: Workers, place: Place, own: Connection
) -> None:
    place.put(4)
    number = ask(workers)
    assert cancel_job(workers.dsn, own, number) == "cancelled"
    with pytest.raises(Conflict, match="cancelled"):
        retry_job(workers.dsn, own, number)
    with pytest.raises(NotFound):
        show_job(own, 999_999)
    assert [job["id"] for job in list_jobs(own, status="cancelled")] == [number]
    assert list_jobs(own, status="failed") == []


def test_a_passing_fault_is_tried_again_later_and_a_lasting_one_is_not() -> None:
    from procrastinate.exceptions import JobAborted
    from procrastinate.jobs import Job

    def decision(error: Exception, attempts: int) -> Any:
        job = Job(id=1, queue="q", lock=None, queueing_lock=None, task_name="t",
                  task_kwargs={}, scheduled_at=None, attempts=attempts, priority=0)  # fmt: skip
        return HarvestRetry().get_retry_decision(exception=error, job=job)

    assert decision(BadInput("a", "b"), 0) is None
    for error in (Unavailable("a", "b"), GaveUp("a", "b")):
        waits = [decision(error, n).retry_at for n in range(3)]
        assert waits == sorted(waits)
        assert (waits[2] - waits[0]).total_seconds() == pytest.approx(16 * 60 - 60, abs=2)
        assert decision(error, 3) is None
    assert decision(JobAborted(), 50) is not None


def test_the_client_needs_no_tasks(queue_dsn: str) -> None:
    app = client_app(queue_dsn)
    with app.open():
        assert app.check_connection()
