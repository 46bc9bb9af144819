"""What people see of the registered sources: entry, next time, last harvest."""

import datetime
from collections.abc import Sequence
from typing import Any

from gis_service.harvesting import runs
from gis_service.harvesting.schedule import next_time
from gis_service.harvesting.sources import RegisteredSource
from layers.database import Connection


def source_statuses(
    connection: Connection,
    sources: Sequence[RegisteredSource],
    now: datetime.datetime | None = None,
) -> list[dict[str, Any]]:
    """Each source with its next time (None when it is off) and its last harvest."""
    moment = now or datetime.datetime.now(datetime.UTC)
    last = runs.latest(connection)
    return [
        {
            **source.to_json(),
            "next": next_time(source.schedule, moment).isoformat() if source.enabled else None,
            "last": last.get(source.id),
        }
        for source in sources
    ]
