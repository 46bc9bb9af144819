"""Restore (恢复): a draft that points to the contents of an earlier edition, nothing is copied.

The draft is published like any other: its blocking issues, if the earlier edition had been
published in spite of some, have to be accepted again, and a report of then stays what it was.
"""

import datetime
from typing import Final

from layers import partitions
from layers.database import Connection, row, rows, statements
from layers.editions import lock_plan, open_draft
from layers.errors import Conflict, NotFound
from layers.text import Text

_SQL: Final = statements("layers", "editions.sql")
_NOT_REPEATED: Final = ("accepted_blocking_issues", "accepted_basis", "restored_from")
"""What was said about the earlier edition's publishing is not said about this one's."""


def restore(
    connection: Connection,
    plan_id: str,
    edition_id: int,
    *,
    valid_from: datetime.date,
    title: Text | None = None,
) -> int:
    """Make a draft with the layers of an edition that was published once; give its number.

    Refused (``Conflict``): another draft is open, the edition is a draft itself, or rows that it
    needs are not in the library any more. ``restored_from`` in the metadata keeps its number.
    """
    with connection.transaction():
        lock_plan(connection, plan_id)
        source = row(connection, _SQL["edition_to_restore"], edition_id=edition_id)
        if source is None or source["plan_id"] != plan_id:
            raise NotFound(
                f"Plan {plan_id} has no edition {edition_id}.",
                f"规划 {plan_id} 没有版本 {edition_id}。",
            )
        if source["state"] == "draft":
            raise Conflict(
                f"Edition {edition_id} is a draft; only a published edition can be restored.",
                f"版本 {edition_id} 是草稿；只能恢复已发布的版本。",
                code="not-published",
            )
        _refuse_second_draft(connection, plan_id)
        _refuse_lost_contents(connection, edition_id)
        kept = {k: v for k, v in source["metadata"].items() if k not in _NOT_REPEATED}
        draft = open_draft(
            connection,
            plan_id,
            valid_from=valid_from,
            title=title or _title(edition_id, source["title"]),
            synthetic=source["synthetic"],
            metadata={**kept, "restored_from": edition_id},
        )
        connection.execute(_SQL["restore_layers"], {"draft_id": draft, "edition_id": edition_id})
    return draft


def _title(edition_id: int, title: dict[str, str]) -> Text:
    return Text(
        zh=f"恢复版本 {edition_id}：{title['zh']}",
        en=f"Edition {edition_id} restored: {title['en']}",
    )


def _refuse_second_draft(connection: Connection, plan_id: str) -> None:
    found = row(connection, _SQL["open_draft"], plan_id=plan_id)
    if found is not None:
        raise Conflict(
            f"Plan {plan_id} has the draft {found['id']} already; publish or discard it first "
            f"(gis-service drafts discard {plan_id}).",
            f"规划 {plan_id} 已有草稿版本 {found['id']}；请先发布或丢弃该草稿"
            f"（gis-service drafts discard {plan_id}）。",
            code="draft-exists",
        )


def _refuse_lost_contents(connection: Connection, edition_id: int) -> None:
    contents = rows(connection, _SQL["contents_of_edition"], edition_id=edition_id)
    lost = [
        content["layer_id"]
        for content in contents
        if content["state"] == "loading"
        or not partitions.exists(connection, "feature", content["id"])
    ]
    if lost or not contents:
        names = ", ".join(lost) or "-"
        raise Conflict(
            f"The rows of edition {edition_id} are not in the library any more (layers: {names}); "
            "import its files again.",
            f"版本 {edition_id} 的数据已不在库中（图层：{names}）；请重新导入原始文件。",
            code="contents-gone",
        )
