"""Submissions as they are kept: what came, what was judged, and every step since."""

import base64
import binascii
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import orjson
from psycopg.types.json import Jsonb

from gis_service.checking import Judged
from gis_service.submissions.claims import Claim
from gis_service.submissions.delivery import Delivery
from layers.catalog import AccessClass
from layers.database import Connection, row, rows, statements
from layers.errors import BadParameter, Conflict, NotFound

_SQL: Final = statements("gis_service.submissions", "submissions.sql")

State = Literal["received", "checked", "approved", "rejected", "booked", "expired"]


@dataclass(frozen=True, slots=True)
class Step:
    """One event in the life of a submission."""

    state: State
    actor: str
    reason: str | None = None
    override_reason: str | None = None
    valid_until: datetime.date | None = None


def received_json(delivery: Delivery, judged: Judged) -> dict[str, Any]:
    """What came: the bytes as they were, not the canonical form that a report knows GeoJSON by."""
    read = judged.submission.received
    return {
        "format": read.format.removesuffix(" (RFC 8785)") if read else None,
        "media_type": delivery.media_type,
        "file_name": delivery.file_name,
        "bytes": len(delivery.content),
        "sha256": delivery.sha256,
    }


def keep(
    connection: Connection,
    submission_id: str,
    delivery: Delivery,
    judged: Judged,
    access_class: AccessClass,
    claim: Claim | None,
    answer: bytes | None,
    created: datetime.datetime,
) -> None:
    """Store a submission with the bytes that came, in the caller's transaction."""
    submission = judged.submission
    values = {
        "id": submission_id,
        "created": created,
        "name": submission.name,
        "access_class": access_class,
        "received": Jsonb(received_json(delivery, judged)),
        "request": Jsonb(delivery.asked()),
        "normalised_sha256": submission.sha256,
        "source_crs": submission.source_crs,
        "area_m2": round(submission.area_m2, 2),
        "repairs": Jsonb([one.as_json() for one in submission.repairs]),
        "notes": Jsonb([one.as_json() for one in submission.notes]),
        "report_id": judged.report["report_id"],
        "outcome": judged.report["outcome"],
        "key_sha256": claim.key.key_sha256 if claim else None,
        "request_sha256": claim.key.request_sha256 if claim else None,
        "answer": answer if claim else None,
    }
    connection.execute(_SQL["keep"], values)
    connection.execute(
        _SQL["keep_original"], {"submission_id": submission_id, "content": delivery.content}
    )


def add_step(
    connection: Connection,
    submission_id: str,
    number: int,
    step: Step,
    at: datetime.datetime | None = None,
) -> None:
    """Append an event; the database refuses one that cannot follow the last."""
    connection.execute(
        _SQL["add_event"],
        {
            "submission_id": submission_id, "number": number, "state": step.state, "at": at,
            "actor": step.actor, "reason": step.reason, "override_reason": step.override_reason,
            "valid_until": step.valid_until,
        },
    )  # fmt: skip


def read(connection: Connection, submission_id: str) -> dict[str, Any]:
    """A submission with its history, newest state first named; ``NotFound`` without it."""
    found = row(connection, _SQL["submission"], id=submission_id)
    if found is None:
        raise NotFound(f"There is no submission '{submission_id[:60]}'.", "没有该提交。")
    history = rows(connection, _SQL["events"], id=submission_id)
    return as_json(found, history)


def as_json(found: Mapping[str, Any], history: list[dict[str, Any]]) -> dict[str, Any]:
    """The form of answers, without links: those depend on who asks."""
    return {
        "id": found["id"],
        "name": found["name"],
        "state": history[-1]["state"],
        "created": _time(found["created"]),
        "outcome": found["outcome"],
        "report_id": found["report_id"],
        "received": found["received"],
        "normalised": {
            "sha256": found["normalised_sha256"],
            "source_crs": found["source_crs"],
            "area_m2": float(found["area_m2"]),
            "repairs": found["repairs"],
            "notes": found["notes"],
        },
        "request": found["request"],
        "history": [_event(one) for one in history],
    }


def _event(one: Mapping[str, Any]) -> dict[str, Any]:
    value = {"state": one["state"], "at": _time(one["at"]), "actor": one["actor"]}
    for name in ("reason", "override_reason"):
        if one[name] is not None:
            value[name] = one[name]
    if one["valid_until"] is not None:
        value["valid_until"] = one["valid_until"].isoformat()
    return value


def for_sender(submission: Mapping[str, Any]) -> dict[str, Any]:
    """What its sender sees: all but the names of the officers."""
    history = [
        {name: value for name, value in one.items() if name != "actor"}
        for one in submission["history"]
    ]
    return {**submission, "history": history}


def page(
    connection: Connection, *, state: State | None = None, after: str | None = None, most: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """The newest submissions, and the mark after which the next page begins (None at the end)."""
    created, submission_id = _place(after) if after is not None else (None, None)
    found = rows(
        connection, _SQL["page"],
        state=state, after_created=created, after_id=submission_id, most=most + 1,
    )  # fmt: skip
    shown = [
        {
            "id": one["id"],
            "name": one["name"],
            "state": one["state"],
            "created": _time(one["created"]),
            "changed": _time(one["at"]),
            "outcome": one["outcome"],
            "area_m2": float(one["area_m2"]),
            "report_id": one["report_id"],
        }
        for one in found[:most]
    ]
    return shown, (_mark(found[most - 1]) if len(found) > most else None)


def _mark(one: Mapping[str, Any]) -> str:
    text = orjson.dumps([one["created"].isoformat(), one["id"]])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _place(mark: str) -> tuple[datetime.datetime, str]:
    try:
        padded = mark.encode() + b"=" * (-len(mark) % 4)
        created, submission_id = orjson.loads(base64.urlsafe_b64decode(padded))
        return datetime.datetime.fromisoformat(created), str(submission_id)
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadParameter(
            "'after' is not a mark that a page gave.", "after 不是分页返回的标记。"
        ) from error


def original(connection: Connection, submission_id: str) -> tuple[bytes, dict[str, Any]]:
    """The bytes as they came, and what was said of them."""
    found = row(connection, _SQL["original"], id=submission_id)
    if found is None:
        raise NotFound(f"There is no submission '{submission_id[:60]}'.", "没有该提交。")
    return bytes(found["content"]), found["received"]


def lapsed(connection: Connection, today: datetime.date) -> list[str]:
    """Approved submissions whose last day is over and that nothing followed."""
    return [one["submission_id"] for one in rows(connection, _SQL["lapsed"], today=today)]


def state_named(text: str | None) -> State | None:
    """A state by its word; ``BadParameter`` lists them."""
    if text is None:
        return None
    for state in get_args(State):
        if state == text:
            found: State = state
            return found
    names = ", ".join(get_args(State))
    raise BadParameter(f"state is one of {names}.", f"state 应为 {names} 之一。")


def out_of_turn(submission: Mapping[str, Any], wanted: State) -> Conflict:
    """The error of an act that the state does not admit."""
    state = submission["state"]
    return Conflict(
        f"The submission is {state}; it cannot become {wanted}.",
        f"该提交当前状态为 {state}，不能转为 {wanted}。",
        code="wrong-state",
    )


def _time(moment: datetime.datetime) -> str:
    text = moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
