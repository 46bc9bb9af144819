"""The first day of a draft: as stated, else as the open draft has it, else today."""

import datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from layers.database import Connection

ValidFrom = Annotated[
    str | None, typer.Option(help="First day in force; that of the open draft, else today.")
]


def first_day(connection: "Connection", plan_id: str, stated: str | None) -> datetime.date:
    """``BadParameter`` if what is stated is no day.

    Without a word the draft keeps its day: one meant for next year must not come into force today
    because another of its layers was imported.
    """
    from gis_service.library import today
    from gis_service.routes.requests import calendar_day
    from layers.database import row, statements

    if stated:
        return calendar_day(stated, "--valid-from")
    draft = row(connection, statements("layers", "editions.sql")["draft_of_plan"], plan_id=plan_id)
    return draft["valid_from"] if draft else today()
