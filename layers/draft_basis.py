"""What a draft's layers were made against, and whether that is still what they will replace.

A layer opened for editing, or imported as changes, holds the rows of the content in force then; a
whole file was held against it (``layers.import_comparison``). If that edition is withdrawn before
the publish, or another import moves the draft to a day that another edition holds, the publish
would bring back rows that are gone or pass by the comparison: it is refused until somebody looks.
"""

import datetime
from dataclasses import dataclass
from typing import Any, Final, Literal

from layers.database import Connection, row, rows, statements
from layers.errors import Conflict

_SQL: Final = statements("layers", "editions.sql")


@dataclass(frozen=True, slots=True)
class Basis:
    """The content that a draft's layer was made against; None = there was none."""

    kind: Literal["changed", "compared"]
    content_id: int | None


def content_to_replace(
    connection: Connection, layer_id: str, valid_from: datetime.date
) -> int | None:
    """The content of a layer in force on the day, else the last one, else None."""
    found = row(connection, _SQL["content_to_replace"], layer_id=layer_id, valid_from=valid_from)
    return int(found["content_id"]) if found else None


def refuse_lost_basis(connection: Connection, edition_id: int, accepted: str | None) -> None:
    """``Conflict`` where a layer of the draft was made against what it does not replace any more.

    ``accepted`` is the reason why it may be published all the same.
    """
    if accepted:
        return
    lost = rows(connection, _SQL["lost_bases"], edition_id=edition_id)
    if lost:
        raise Conflict(
            f"Edition {edition_id} was made against what is not in force on its first day any "
            f"more: {', '.join(_en(one) for one in lost)}. Make it anew on what is in force "
            "(gis-service drafts discard, then edit or import again; a whole file: import it "
            "again), or publish with --accept-basis 'reason'.",
            f"版本 {edition_id} 所依据的内容在其生效首日已不再生效："
            f"{'、'.join(_zh(one) for one in lost)}。请以现行内容为基础重做"
            "（gis-service drafts discard 后重新编辑或导入；整份文件请重新导入），"
            "或使用 --accept-basis '理由' 发布。",
            code="basis-not-in-force",
        )


def _en(one: dict[str, Any]) -> str:
    if one["edition_id"] is None:
        return f"{one['layer_id']} (nothing was in force)"
    state = "withdrawn" if one["withdrawn"] else "not in force on that day"
    return f"{one['layer_id']} (edition {one['edition_id']}, {state})"


def _zh(one: dict[str, Any]) -> str:
    if one["edition_id"] is None:
        return f"{one['layer_id']}（当时无生效内容）"
    state = "已撤回" if one["withdrawn"] else "该日未生效"
    return f"{one['layer_id']}（版本 {one['edition_id']}，{state}）"
