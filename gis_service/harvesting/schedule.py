"""When a source is due: five cron fields, in Chinese time."""

import datetime
from typing import Final
from zoneinfo import ZoneInfo

from croniter import croniter

from gis_service.harvesting.sources import RegisteredSource
from layers.database import Connection, row, statements

CHINESE_TIME: Final = ZoneInfo("Asia/Shanghai")
_SQL: Final = statements("gis_service.harvesting", "schedule.sql")


def last_time(schedule: str, now: datetime.datetime) -> datetime.datetime:
    """The last moment, now included, that a schedule names."""
    local = now.astimezone(CHINESE_TIME)
    found: datetime.datetime = croniter(
        schedule, local + datetime.timedelta(microseconds=1)
    ).get_prev(datetime.datetime)
    return found


def next_time(schedule: str, now: datetime.datetime) -> datetime.datetime:
    """The next moment that a schedule names."""
    found: datetime.datetime = croniter(schedule, now.astimezone(CHINESE_TIME)).get_next(
        datetime.datetime
    )
    return found


def take_due(
    connection: Connection, source: RegisteredSource, now: datetime.datetime
) -> datetime.datetime | None:
    """The moment for which the source is due, given to one caller only; None if it is not.

    A time that was missed (the machine was down) is made good once. A new entry, or one with a new
    schedule, waits for its first time from now on.
    """
    moment = last_time(source.schedule, now)
    values = {"source_id": source.id, "schedule": source.schedule, "moment": moment}
    if row(connection, _SQL["begin_schedule"], **values) is not None:
        return None
    return moment if row(connection, _SQL["take_due"], **values) is not None else None
