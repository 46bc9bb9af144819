"""The tick: due sources get a job, once, whoever asks, and the periodic task really fires."""

import datetime
import threading
from collections.abc import Iterator

import pytest

from gis_service.harvesting.schedule import CHINESE_TIME
from gis_service.jobs.harvesting import defer_due
from gis_service.jobs.workshop import Workshop, open_workshop
from gis_service.settings import Settings
from layers.database import Connection

from .conftest import Place, Workers, harvests, jobs_in, set_all, until


def china(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=CHINESE_TIME)


@pytest.fixture
def workshop(queue_dsn: str, place: Place) -> Iterator[Workshop]:
    place.register(schedule="30 2 * * *")
    with open_workshop(Settings(config_dir=place.config_dir), queue_dsn) as opened:
        yield opened


def arguments(own: Connection) -> list[str]:
    found = own.execute(
        "SELECT args ->> 'occasion' FROM procrastinate.procrastinate_jobs ORDER BY id"
    ).fetchall()
    return [occasion for (occasion,) in found]


def test_a_due_source_gets_one_job_for_its_time(workshop: Workshop, own: Connection) -> None:
    assert defer_due(workshop, china("2026-11-24T12:00:00")) == []
    assert defer_due(workshop, china("2026-11-25T02:29:00")) == []
    assert defer_due(workshop, china("2026-11-25T02:30:20")) == ["forestry"]
    assert defer_due(workshop, china("2026-11-25T02:31:20")) == []
    assert arguments(own) == ["schedule:2026-11-25T02:30:00+08:00"]


def test_two_ticks_at_once_make_one_job(workshop: Workshop, own: Connection) -> None:
    defer_due(workshop, china("2026-11-24T12:00:00"))
    barrier = threading.Barrier(4)
    results: list[list[str]] = []

    def tick() -> None:
        barrier.wait()
        results.append(defer_due(workshop, china("2026-11-25T02:30:20")))

    threads = [threading.Thread(target=tick) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [[], [], [], ["forestry"]]
    assert len(arguments(own)) == 1


def test_while_the_one_before_is_not_done_the_time_is_kept(
    workshop: Workshop, own: Connection
) -> None:
    defer_due(workshop, china("2026-11-24T12:00:00"))
    assert defer_due(workshop, china("2026-11-25T02:30:20")) == ["forestry"]
    assert defer_due(workshop, china("2026-11-26T02:30:20")) == []
    set_all(own, "failed")
    assert defer_due(workshop, china("2026-11-26T02:31:20")) == ["forestry"]
    assert arguments(own)[1] == "schedule:2026-11-26T02:30:00+08:00"


def test_the_file_holds_from_the_next_tick_on_and_a_switch_is_a_switch(
    workshop: Workshop, place: Place
) -> None:
    defer_due(workshop, china("2026-11-24T12:00:00"))
    place.register(schedule="30 2 * * *", enabled=False)
    assert defer_due(workshop, china("2026-11-25T02:30:20")) == []
    place.register(schedule="30 2 * * *")
    assert defer_due(workshop, china("2026-11-25T02:31:20")) == ["forestry"]


@pytest.mark.slow
def test_the_schedule_fires_by_itself(workers: Workers, place: Place, own: Connection) -> None:
    """A real worker with its real clock: within a bit over a minute there is a draft."""
    place.register(schedule="* * * * *")
    place.put(3)
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=2)
    own.execute("INSERT INTO harvest.source VALUES ('forestry', '* * * * *', %s)", (moment,))
    workers.go()
    workers.start()
    until(lambda: jobs_in(own) and jobs_in(own)[0][1] == "succeeded", 100)
    occasion, _, outcome, _ = harvests(own)[0]
    assert occasion.startswith("schedule:")
    assert outcome == "draft"
