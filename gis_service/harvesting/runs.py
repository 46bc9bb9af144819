"""The rows of harvests: one for each occasion, finished once, in the transaction of its draft."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from psycopg.types.json import Jsonb

from gis_service.harvesting.fetched import Fetched, Validator
from gis_service.harvesting.sources import RegisteredSource
from layers.database import Connection, row, rows, statements
from layers.errors import Conflict, Unavailable

_SQL: Final = statements("gis_service.harvesting", "runs.sql")
_LOCK_CLASS: Final = 73_620
"""First key of the advisory locks that harvests hold; the second one is the source."""

_LOST: Final = {
    "outcome": "failed",
    "error": {
        "code": "worker-lost",
        "reason": {
            "zh": "执行进程中断，未作任何更改。",
            "en": "The process that did this ended on the way; nothing was changed.",
        },
    },
}


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt at one occasion; ``attempt`` is the fence that a late finisher fails at."""

    id: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What the library has of the source's layer now; the digests are None if others brought it."""

    content_id: int
    content_sha256: str | None
    edition_id: int
    is_draft: bool
    fetched_sha256: str | None
    definition_sha256: str | None
    validators: tuple[Validator, ...]


@contextmanager
def only_one(connection: Connection, source_id: str) -> Iterator[None]:
    """Hold the source for the block; ``Unavailable`` while another process harvests it."""
    values = {"lock_class": _LOCK_CLASS, "source_id": source_id}
    held = row(connection, _SQL["try_lock"], **values)
    if held is None or not held["held"]:
        raise Unavailable(
            f"Source {source_id} is being harvested now.",
            f"数据源 {source_id} 正在获取中。",
            code="being-harvested",
        )
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute(_SQL["unlock"], values)


def begin(
    connection: Connection, source: RegisteredSource, occasion: str, definition_sha256: str
) -> Run | None:
    """Begin an occasion, or begin it again after a failure; None if it is done already."""
    values = {"source_id": source.id, "occasion": occasion}
    with connection.transaction():
        connection.execute(_SQL["close_lost"], {**values, "report": Jsonb(_LOST)})
        found = row(
            connection,
            _SQL["begin"],
            **values,
            plan_id=source.plan,
            layer_id=source.layer,
            definition_sha256=definition_sha256,
        )
    return Run(found["id"], found["attempt"]) if found else None


def note_fetch(connection: Connection, run: Run, fetched: Fetched) -> None:
    """Keep what came, before it is imported."""
    connection.execute(
        _SQL["note_fetch"],
        {
            "id": run.id,
            "attempt": run.attempt,
            "fetched_sha256": fetched.sha256,
            "validators": Jsonb(list(fetched.validators)),
        },
    )


def finish(
    connection: Connection,
    run: Run,
    outcome: str,
    report: Mapping[str, Any],
    *,
    edition_id: int | None = None,
    content_id: int | None = None,
) -> None:
    """Write the result; ``Conflict`` if another attempt has taken this one's place."""
    found = row(
        connection,
        _SQL["finish"],
        id=run.id,
        attempt=run.attempt,
        outcome=outcome,
        edition_id=edition_id,
        content_id=content_id,
        report=Jsonb(dict(report)),
    )
    if found is None:
        raise Conflict(
            "Another attempt has taken over this harvest; this one changed nothing.",
            "另一次执行已接管该任务，本次未作任何更改。",
            code="taken-over",
        )


def stored(connection: Connection, source_id: str, occasion: str) -> dict[str, Any] | None:
    """The row of an occasion."""
    return row(connection, _SQL["run"], source_id=source_id, occasion=occasion)


def history(connection: Connection, source_id: str, limit: int = 50) -> list[dict[str, Any]]:
    """The harvests of a source, newest first."""
    return rows(connection, _SQL["history"], source_id=source_id, limit=limit)


def latest(connection: Connection) -> dict[str, dict[str, Any]]:
    """The last harvest of each source, by source."""
    return {found["source_id"]: found for found in rows(connection, _SQL["latest"])}


def standing(connection: Connection, source: RegisteredSource, day: Any) -> Standing | None:
    """What the library has of the layer, in the draft or in force on the day."""
    found = row(connection, _SQL["standing"], source_id=source.id, layer_id=source.layer, day=day)
    if found is None:
        return None
    return Standing(**{**found, "validators": tuple(found["validators"])})


def refuse_foreign_work(connection: Connection, plan_id: str, edition_id: int | None) -> None:
    """``Conflict`` if people work in the plan's draft: a harvest never overwrites them."""
    if edition_id is None:
        draft = row(connection, _SQL["draft_of_plan"], plan_id=plan_id)
        edition_id = draft["id"] if draft else None
    if edition_id is None:
        return
    found = row(connection, _SQL["draft_holds_foreign_work"], edition_id=edition_id)
    if found and found["foreign_work"]:
        raise Conflict(
            f"People work in draft {edition_id} of {plan_id}; the harvest left it alone and is "
            "tried again at its next time.",
            f"规划 {plan_id} 的草稿 {edition_id} 正在人工编辑；"
            "本次获取未改动草稿，将在下次计划时间重试。",
            code="draft-in-work",
        )


def brought_to_draft(connection: Connection, edition_id: int) -> list[dict[str, Any]]:
    """The contents of a draft with their sources; empty if it is no draft any more."""
    return rows(connection, _SQL["brought_to_draft"], edition_id=edition_id)


def lock_edition(connection: Connection, edition_id: int) -> None:
    """Make imports and edits of a draft wait until the transaction ends."""
    connection.execute(_SQL["lock_edition"], {"edition_id": edition_id})


def mark_published(connection: Connection, run_id: int) -> None:
    """Say of a finished harvest that its draft is in force."""
    connection.execute(_SQL["mark_published"], {"id": run_id})
