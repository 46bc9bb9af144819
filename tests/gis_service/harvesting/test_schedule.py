"""When a source is due: Chinese time, each moment once, a missed one made good once."""

import datetime
from collections.abc import Iterator

import pytest

from gis_service.harvesting.schedule import CHINESE_TIME, last_time, next_time, take_due
from layers.database import Connection, connect

from .conftest import make_source


def china(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=CHINESE_TIME)


@pytest.fixture
def own(library_dsn: str) -> Iterator[Connection]:
    with connect(library_dsn) as connection:
        yield connection


NIGHTLY = make_source("folder", "/srv/exchange", schedule="30 2 * * *")


def test_the_hour_is_chinese_wherever_the_machine_stands() -> None:
    utc = datetime.datetime(2026, 11, 24, 18, 30, tzinfo=datetime.UTC)  # 02:30 on the 25th there
    assert last_time("30 2 * * *", utc) == china("2026-11-25T02:30:00")
    assert last_time("30 2 * * *", utc - datetime.timedelta(seconds=1)) == china(
        "2026-11-24T02:30:00"
    )
    assert next_time("30 2 * * *", utc) == china("2026-11-26T02:30:00")
    # Monday there while it is still Sunday in Greenwich.
    sunday = datetime.datetime(2026, 11, 22, 19, 0, tzinfo=datetime.UTC)
    assert last_time("0 3 * * 1", sunday) == china("2026-11-23T03:00:00")


def test_a_new_entry_waits_for_its_first_time(own: Connection) -> None:
    assert take_due(own, NIGHTLY, china("2026-11-24T12:00:00")) is None
    assert take_due(own, NIGHTLY, china("2026-11-25T02:29:59")) is None
    due = take_due(own, NIGHTLY, china("2026-11-25T02:30:00"))
    assert due == china("2026-11-25T02:30:00")


def test_a_moment_is_given_once(own: Connection) -> None:
    take_due(own, NIGHTLY, china("2026-11-24T12:00:00"))
    assert take_due(own, NIGHTLY, china("2026-11-25T02:30:10")) is not None
    assert take_due(own, NIGHTLY, china("2026-11-25T02:30:10")) is None
    assert take_due(own, NIGHTLY, china("2026-11-25T12:00:00")) is None


def test_what_was_missed_for_days_is_made_good_once(own: Connection) -> None:
    take_due(own, NIGHTLY, china("2026-11-20T12:00:00"))
    assert take_due(own, NIGHTLY, china("2026-11-24T09:00:00")) == china("2026-11-24T02:30:00")
    assert take_due(own, NIGHTLY, china("2026-11-24T09:01:00")) is None


def test_a_changed_schedule_fires_nothing_by_itself(own: Connection) -> None:
    take_due(own, NIGHTLY, china("2026-11-24T01:00:00"))
    hourly = NIGHTLY.model_copy(update={"schedule": "0 * * * *"})
    assert take_due(own, hourly, china("2026-11-24T12:10:00")) is None
    assert take_due(own, hourly, china("2026-11-24T13:00:05")) == china("2026-11-24T13:00:00")


def test_a_clock_that_goes_back_fires_nothing_twice(own: Connection) -> None:
    take_due(own, NIGHTLY, china("2026-11-23T12:00:00"))
    assert take_due(own, NIGHTLY, china("2026-11-24T02:31:00")) is not None
    assert take_due(own, NIGHTLY, china("2026-11-24T02:29:00")) is None
    assert take_due(own, NIGHTLY, china("2026-11-24T02:31:00")) is None
