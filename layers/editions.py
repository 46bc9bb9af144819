"""Editions (版本) of plans: draft, publish, withdraw, and what is in force on a day.

Publishing is one short transaction that moves a pointer (``library.in_force``); the derived
pieces are made before it. Nothing is ever overwritten: the pointer's history keeps since when
an edition was known to be in force (``recorded``) for which days (``valid``), so that a report
can be replayed later as it was.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import errors as pg
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

from layers.contents import build_pieces
from layers.database import Connection, row, rows, statements
from layers.draft_basis import Basis, refuse_lost_basis
from layers.errors import Conflict, NotFound
from layers.quality.record import refuse_blocking
from layers.text import Text

_SQL: Final = statements("layers", "editions.sql")
_PUBLISH_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Content:
    """The content of one layer in the edition in force on a day."""

    layer_id: str
    plan_id: str
    edition_id: int
    synthetic: bool
    content_id: int
    content_sha256: str
    accuracy_m: float
    feature_count: int
    base_id: int | None
    """The content that it stands on; None for a whole one."""


def open_draft(
    connection: Connection,
    plan_id: str,
    *,
    valid_from: datetime.date,
    title: Text | None = None,
    synthetic: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> int:
    """The plan's draft edition; made if there is none. Runs inside the caller's transaction.

    A plan has one draft at a time; imports of several layers meet in it, also when two begin at
    the same moment. ``valid_from`` is the first day on which the edition will be in force; a
    later import may change it.
    """
    name = title or Text(
        zh=f"{valid_from.isoformat()} 起施行的版本", en=f"Edition from {valid_from.isoformat()}"
    )
    created = row(
        connection,
        _SQL["create_draft"],
        plan_id=plan_id,
        title=Jsonb(name.model_dump()),
        valid_from=valid_from,
        synthetic=synthetic,
        metadata=Jsonb(dict(metadata or {})),
    )
    if created is not None:
        return int(created["id"])
    found = row(connection, _SQL["open_draft"], plan_id=plan_id)
    if found is None:  # it was published in this very moment
        return open_draft(
            connection, plan_id, valid_from=valid_from, title=title, synthetic=synthetic,
            metadata=metadata,
        )  # fmt: skip
    row_id: int = found["id"]
    connection.execute(_SQL["date_draft"], {"valid_from": valid_from, "edition_id": row_id})
    return row_id


def put_layer(
    connection: Connection,
    edition_id: int,
    layer_id: str,
    content_id: int,
    *,
    basis: Basis | None = None,
) -> None:
    """Make a loaded content the draft's content of that layer; ``Conflict`` if it is no draft.

    ``basis`` is what it was made against: the publish asks whether that is still in force.
    """
    try:
        connection.execute(
            _SQL["put_layer"],
            {
                "edition_id": edition_id,
                "layer_id": layer_id,
                "content_id": content_id,
                "basis": basis.kind if basis else None,
                "basis_id": basis.content_id if basis else None,
            },
        )
    except pg.RestrictViolation as error:
        raise Conflict(
            f"Edition {edition_id} is published and cannot change.",
            f"版本 {edition_id} 已发布，不可更改。",
            code="edition-published",
        ) from error


def list_editions(connection: Connection, plan_id: str) -> list[dict[str, Any]]:
    """All editions of a plan, newest first, each with its layers and their counts."""
    return rows(connection, _SQL["editions_of_plan"], plan_id=plan_id)


def publish(
    connection: Connection,
    plan_id: str,
    edition_id: int | None = None,
    *,
    accept_blocking: str | None = None,
    accept_basis: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> int:
    """Put a draft in force from its ``valid_from`` on; give its edition number.

    The pieces for overlay and tiles are made first, each content in its own transaction, so a
    killed publish is simply run again. Then one transaction carries over the layers that the
    draft does not bring and moves the pointer. An import that comes in between is seen: its pieces
    are made and the transaction tried again. Refused (``Conflict``)
    while blocking issues are open, also those of the newest quality run on each of the contents,
    unless ``accept_blocking`` gives the reason, which is kept; and while a layer was made against
    what is not in force any more (``layers.draft_basis``), unless ``accept_basis`` gives one.
    """
    edition = _draft(connection, plan_id, edition_id)
    accepted = _Accepted(accept_blocking, accept_basis)
    for _ in range(_PUBLISH_TRIES):
        contents = rows(connection, _SQL["contents_of_edition"], edition_id=edition["id"])
        _refuse_unready(connection, edition["id"], contents, accepted)
        for content in contents:
            if content["state"] != "ready":
                progress(content["layer_id"])
                build_pieces(connection, content["id"])
        if _put_in_force(connection, plan_id, edition["id"], accepted):
            return int(edition["id"])
    raise Conflict(
        f"Edition {edition['id']} keeps changing while it is published; stop the imports first.",
        f"版本 {edition['id']} 在发布期间不断变化；请先停止导入。",
        code="edition-changes",
    )


@dataclass(frozen=True, slots=True)
class _Accepted:
    """Reasons for which a draft is published in spite of what speaks against it."""

    blocking: str | None
    basis: str | None

    def metadata(self) -> dict[str, str]:
        """As the edition keeps them."""
        said = {"accepted_blocking_issues": self.blocking, "accepted_basis": self.basis}
        return {name: reason for name, reason in said.items() if reason}


def _refuse_unready(
    connection: Connection,
    edition_id: int,
    contents: Sequence[Mapping[str, Any]],
    accepted: _Accepted,
) -> None:
    _refuse_unfit(edition_id, contents, accepted.blocking)
    refuse_blocking(connection, edition_id, accepted.blocking)
    refuse_lost_basis(connection, edition_id, accepted.basis)


def _put_in_force(
    connection: Connection, plan_id: str, edition_id: int, accepted: _Accepted
) -> bool:
    """Move the pointer; False if an import changed the draft since its pieces were made."""
    with connection.transaction():
        moment = lock_plan(connection, plan_id)
        edition = _draft(connection, plan_id, edition_id)  # locks the row: imports wait
        values = {
            "plan_id": plan_id,
            "edition_id": edition_id,
            "valid_from": edition["valid_from"],
        }
        connection.execute(_SQL["carry_over"], values)
        contents = rows(connection, _SQL["contents_of_edition"], edition_id=edition_id)
        if any(content["state"] != "ready" for content in contents):
            connection.execute("DELETE FROM library.edition_layer WHERE edition_id = %s"
                               " AND carried_over", (edition_id,))  # fmt: skip
            return False
        brought = [content for content in contents if not content["carried_over"]]
        _refuse_unready(connection, edition_id, brought, accepted)
        connection.execute(
            "UPDATE library.edition SET metadata = metadata || %s WHERE id = %s",
            (Jsonb(accepted.metadata()), edition_id),
        )
        connection.execute(_SQL["mark_published"], {**values, "moment": moment})
        _move_pointer(connection, plan_id, edition_id, edition["valid_from"], moment)
    return True


def lock_plan(connection: Connection, plan_id: str) -> datetime.datetime:
    """Keep other publishers and withdrawers of the plan out until the transaction ends.

    Gives the moment that is recorded for what the transaction changes. It is taken behind the
    lock, so moments of a plan have the order of its changes: the start of a transaction that
    waited (``now()``) would lie before the change it waited for.
    """
    found = row(connection, _SQL["lock_plan"], plan_id=plan_id)
    if found is None:
        raise NotFound(f"There is no plan '{plan_id}'.", f"没有规划“{plan_id}”。")
    last = row(connection, _SQL["moment"], plan_id=plan_id)  # a snapshot of its own, after the wait
    moment: datetime.datetime = last["moment"] if last else found["moment"]
    return moment


def named_edition(connection: Connection, plan_id: str, edition_id: int | None) -> dict[str, Any]:
    """The edition of that number, else the plan's draft, with its row locked.

    ``Conflict`` where the plan has no draft, ``NotFound`` where it has no edition of the number.
    """
    if edition_id is None:
        found = row(connection, _SQL["open_draft"], plan_id=plan_id)
        if found is None:
            raise Conflict(
                f"Plan {plan_id} has no draft edition; import a file first.",
                f"规划 {plan_id} 没有草稿版本；请先导入文件。",
                code="no-draft",
            )
        edition_id = found["id"]
    edition = row(connection, _SQL["edition"], edition_id=edition_id)
    if edition is None or edition["plan_id"] != plan_id:
        raise NotFound(
            f"Plan {plan_id} has no edition {edition_id}.",
            f"规划 {plan_id} 没有版本 {edition_id}。",
        )
    return edition


def _draft(connection: Connection, plan_id: str, edition_id: int | None) -> dict[str, Any]:
    edition = named_edition(connection, plan_id, edition_id)
    edition_id = edition["id"]
    if edition["state"] != "draft":
        raise Conflict(
            f"Edition {edition_id} is {edition['state']}, only a draft can be published.",
            f"版本 {edition_id} 的状态为 {edition['state']}，只有草稿可以发布。",
            code="not-a-draft",
        )
    return edition


def _refuse_unfit(
    edition_id: int, contents: Sequence[Mapping[str, Any]], accepted: str | None
) -> None:
    if not contents:
        raise Conflict(
            f"Edition {edition_id} holds no layer; import a file first.",
            f"版本 {edition_id} 没有图层；请先导入文件。",
            code="empty-edition",
        )
    unchecked = ", ".join(content["layer_id"] for content in contents if content["unchecked"])
    if unchecked:  # not to be accepted: areas of edited features are not even measured
        raise Conflict(
            f"Features of {unchecked} were edited and not checked since; run: "
            "gis-service drafts check PLAN.",
            f"图层 {unchecked} 编辑后尚未检查；请执行 gis-service drafts check 规划。",
            code="edits-not-checked",
        )
    open_issues = sum(content["blocking_issues"] for content in contents)
    if open_issues and not accepted:
        raise Conflict(
            f"Edition {edition_id} has blocking issues: {open_issues} (see the import report). "
            "Mend the file and import it again, or publish with --accept-blocking 'reason'.",
            f"版本 {edition_id} 有 {open_issues} 个阻断性问题（见导入报告）。"
            "请修正文件后重新导入，或使用 --accept-blocking '理由' 发布。",
            code="blocking-issues",
        )


def _move_pointer(
    connection: Connection,
    plan_id: str,
    edition_id: int,
    valid_from: datetime.date,
    moment: datetime.datetime,
) -> None:
    """Put the edition in force from ``valid_from`` to the day on which a later one begins.

    A back-dated edition corrects the days before the next edition and nothing after: the later
    one was published with its own contents and stays.
    """
    values = {"plan_id": plan_id, "valid_from": valid_from}
    following = row(connection, _SQL["next_record"], **values)
    ends = following["begins"] if following else None
    before = row(connection, _SQL["record_on"], **values)
    if before is not None:
        _close(connection, before["id"], moment)
        if before["valid"].lower is None or before["valid"].lower < valid_from:
            earlier = Range(before["valid"].lower, valid_from, "[)")
            _record(connection, plan_id, before["edition_id"], earlier, moment)
        _mark(connection, before["edition_id"], "superseded")
    _record(connection, plan_id, edition_id, Range(valid_from, ends, "[)"), moment)
    if ends is not None:
        _mark(connection, edition_id, "superseded")


def _close(connection: Connection, record_id: int, moment: datetime.datetime) -> None:
    connection.execute(_SQL["close_record"], {"id": record_id, "moment": moment})


def _mark(connection: Connection, edition_id: int, state: str) -> None:
    connection.execute(_SQL["mark_state"], {"state": state, "edition_id": edition_id})


def _record(
    connection: Connection,
    plan_id: str,
    edition_id: int,
    valid: Range[datetime.date],
    moment: datetime.datetime,
) -> None:
    connection.execute(
        _SQL["record"],
        {"plan_id": plan_id, "edition_id": edition_id, "valid": valid, "moment": moment},
    )


def withdraw(connection: Connection, plan_id: str, edition_id: int) -> int | None:
    """Take an edition out of force; give the edition that is in force again, if there is one.

    Its days fall to the edition that would hold them had it never been published: of those not
    withdrawn the one that begins last before them, and of several of one day the one published
    last. Without one the plan has no data on those days: checks say "no data", never "no conflict".
    """
    with connection.transaction():
        moment = lock_plan(connection, plan_id)
        edition = row(connection, _SQL["edition"], edition_id=edition_id)
        if edition is None or edition["plan_id"] != plan_id:
            raise NotFound(
                f"Plan {plan_id} has no edition {edition_id}.",
                f"规划 {plan_id} 没有版本 {edition_id}。",
            )
        record = row(connection, _SQL["current_record"], edition_id=edition_id)
        if edition["state"] in ("draft", "withdrawn"):
            raise Conflict(
                f"Edition {edition_id} is {edition['state']} and not in force.",
                f"版本 {edition_id} 的状态为 {edition['state']}，并未生效。",
                code="not-in-force",
            )
        _refuse_carried(connection, edition_id)
        _mark(connection, edition_id, "withdrawn")
        if record is None:  # another edition of the same first day stands in its place
            values = {"plan_id": plan_id, "valid_from": edition["valid_from"]}
            holder = row(connection, _SQL["record_on"], **values)
            return int(holder["edition_id"]) if holder else None
        _close(connection, record["id"], moment)
        return _give_back(connection, plan_id, record["valid"], moment)


def _give_back(
    connection: Connection, plan_id: str, valid: Range[datetime.date], moment: datetime.datetime
) -> int | None:
    """Give the days of a withdrawn edition to the one that holds them without it."""
    heir = row(connection, _SQL["heir"], plan_id=plan_id, begins=valid.lower)
    if heir is None:
        return None
    begins = valid.lower
    if heir["record"] is not None:  # it ends where the withdrawn one began
        _close(connection, heir["record"], moment)
        begins = heir["valid"].lower
    _record(connection, plan_id, heir["id"], Range(begins, valid.upper, "[)"), moment)
    if valid.upper is None:
        _mark(connection, heir["id"], "published")
    return int(heir["id"])


def _refuse_carried(connection: Connection, edition_id: int) -> None:
    """A layer that a later edition carried over would stay in force: say so instead."""
    carriers = rows(connection, _SQL["carriers"], edition_id=edition_id)
    if carriers:
        names = ", ".join(f"{one['layer_id']} ({one['edition_id']})" for one in carriers)
        raise Conflict(
            f"Later editions carry layers of edition {edition_id}: {names}. Publish a corrected "
            "edition of these layers, or withdraw the later editions first.",
            f"后续版本沿用了版本 {edition_id} 的图层：{names}。"
            "请发布更正后的版本，或先撤回后续版本。",
            code="layers-carried-over",
        )


def contents_in_force(
    connection: Connection,
    layer_ids: Sequence[str] | None,
    as_of: datetime.date,
    *,
    known_at: datetime.datetime | None = None,
) -> dict[str, Content]:
    """What holds on a day, by layer id; a layer that is missing has no data on that day.

    ``known_at`` asks what the library knew at that moment; None = now.
    """
    found = rows(
        connection,
        _SQL["contents_in_force"],
        as_of=as_of,
        known_at=known_at,
        layer_ids=list(layer_ids) if layer_ids is not None else None,
    )
    return {record["layer_id"]: Content(**record) for record in found}
