"""What officers decide: approval with its reservation, rejection, booking; and what lapses.

An approval reserves in the ledger what the report measured, in one transaction with the decision:
either both stand or neither. A report that says violation or undetermined is approved only with a
reason that stays in the history. Where the report itself found a quota too small, that reason also
covers exceeding it; where others took the rest since the check, nothing does: check again.
"""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from psycopg import errors as pg

from gis_service.checking import report_kept
from gis_service.library import today
from gis_service.submissions import record
from gis_service.submissions.ledger import (
    Posting,
    QuotaName,
    cents,
    end_reservations,
    post,
    quota_id_of,
)
from gis_service.submissions.record import State, Step
from layers.database import Connection
from layers.errors import BadParameter, Conflict

_DOUBTFUL: Final = frozenset({"violation", "undetermined"})
_FROM: Final[Mapping[State, frozenset[State]]] = {
    "approved": frozenset({"checked"}),
    "rejected": frozenset({"checked", "approved"}),
    "booked": frozenset({"approved"}),
    "expired": frozenset({"approved"}),
}
_LONGEST_REASON: Final = 4_000


@dataclass(frozen=True, slots=True)
class Approval:
    """What an officer says with an approval; ``override_reason`` against a report that doubts."""

    officer: str
    reason: str | None = None
    override_reason: str | None = None
    valid_until: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class _Need:
    """What a submission takes of one quota, and whether the report had found it too small."""

    name: QuotaName
    area_m2: Decimal
    exceeds: bool


def approve(connection: Connection, submission_id: str, approval: Approval) -> dict[str, Any]:
    """Approve and reserve; ``Conflict`` where state, report or ledger do not admit it."""
    if approval.valid_until is not None and approval.valid_until < today():
        raise BadParameter("The approval would be over already.", "批准的有效期已过。")
    step = Step(
        "approved", _words(approval.officer, "officer"), _optional(approval.reason),
        _optional(approval.override_reason), approval.valid_until,
    )  # fmt: skip
    with connection.transaction():
        submission = record.read(connection, submission_id)
        if submission["outcome"] in _DOUBTFUL and step.override_reason is None:
            _refuse_doubtful(submission, step)
        _append(connection, submission, step)
        report = report_kept(connection, submission["report_id"])
        posting = Posting(step.actor, submission_id, step.override_reason or step.reason)
        for need in _needs(report):
            quota_id = quota_id_of(connection, need.name)
            post(connection, quota_id, "reserve", need.area_m2, posting, exceeds=need.exceeds)
        return record.read(connection, submission_id)


def _refuse_doubtful(submission: Mapping[str, Any], step: Step) -> None:
    if submission["state"] != "checked":
        raise record.out_of_turn(submission, step.state)
    raise Conflict(
        f"The report says {submission['outcome']}; an approval against it needs a reason that is "
        "recorded (override_reason).",
        f"报告结论为 {submission['outcome']}；"
        "要作出相反的批准，须填写并记录理由（override_reason）。",
        code="override-reason-needed",
    )


def _needs(report: Mapping[str, Any]) -> Iterable[_Need]:
    """What the balances of a report reserve on approval, in the order of quotas.

    Every approval locks quotas in this order, so two of them never wait for each other.
    """
    needs = []
    for finding in report["findings"]:
        if finding["test"] != "balance" or finding["exemption"] is not None:
            continue  # the quota of an exempted project is not this one
        for one in finding["details"]:
            if one["reserve"] is None or one["period"] is None:
                continue  # no quota is known: approved against an undetermined report
            name = QuotaName(one["ledger"], one["admin_code"], one["period"], one["land_class"])
            exceeds = one["result"] == "fails"
            needs.append(_Need(name, cents(one["quantity_m2"]), exceeds))
    return sorted(needs, key=lambda n: (n.name.ledger, n.name.admin_code, n.name.period,
                                        n.name.land_class))  # fmt: skip


def reject(connection: Connection, submission_id: str, officer: str, reason: str) -> dict[str, Any]:
    """Reject, or take an approval back; what was reserved is released."""
    step = Step("rejected", _words(officer, "officer"), _words(reason, "reason"))
    return _end(connection, submission_id, step, "release")


def book(
    connection: Connection, submission_id: str, officer: str, reason: str | None = None
) -> dict[str, Any]:
    """Book what was reserved: the land is granted."""
    step = Step("booked", _words(officer, "officer"), _optional(reason))
    return _end(connection, submission_id, step, "book")


def expire(connection: Connection) -> list[str]:
    """Let approvals lapse whose last day is over, and release what they reserved; gives ids.

    Runs as often as one likes and beside others: one that was decided on meanwhile is left alone.
    """
    ended = []
    for submission_id in record.lapsed(connection, today()):
        step = Step("expired", "gis-service", "批准有效期届满 / the approval has lapsed")
        try:
            _end(connection, submission_id, step, "release")
        except Conflict:
            continue
        ended.append(submission_id)
    return ended


def _end(
    connection: Connection, submission_id: str, step: Step, kind: Literal["release", "book"]
) -> dict[str, Any]:
    with connection.transaction():
        submission = record.read(connection, submission_id)
        _append(connection, submission, step)
        end_reservations(
            connection, submission_id, kind, Posting(step.actor, submission_id, step.reason)
        )
        return record.read(connection, submission_id)


def _append(connection: Connection, submission: Mapping[str, Any], step: Step) -> None:
    """The next event; of two officers at once, one is told that the state has changed."""
    if submission["state"] not in _FROM[step.state]:
        raise record.out_of_turn(submission, step.state)
    number = len(submission["history"]) + 1
    try:
        with connection.transaction():
            record.add_step(connection, submission["id"], number, step)
    except pg.UniqueViolation as error:
        raise Conflict(
            "Somebody else has decided on the submission at this moment; look at it again.",
            "该提交刚刚已由他人处理；请重新查看。",
            code="decided-meanwhile",
        ) from error


def _words(text: str, name: str) -> str:
    found = _optional(text)
    if found is None:
        raise BadParameter(f"{name} must not be empty.", f"{name} 不得为空。")
    return found


def _optional(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    if len(text) > _LONGEST_REASON or "\x00" in text:
        raise BadParameter(
            f"At most {_LONGEST_REASON:,} characters, without NUL.",
            f"不超过 {_LONGEST_REASON:,} 个字符，且不得含空字符。",
        )
    return text.strip()
