"""What officers decide: approval with its reservation, rejection, booking; and what lapses.

An approval reserves in the ledger what the report measured, in one transaction with the decision:
either both stand or neither. A report that says violation or undetermined is approved only with a
reason that stays in the history. Where the report itself found a quota too small, that reason also
covers exceeding it; where others took the rest since the check, nothing does: check again. A
report whose plans or quotas are not those of today any more counts as one that doubts.
"""

import datetime
from collections.abc import Mapping
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
from layers.editions import contents_in_force
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
        report = report_kept(connection, submission["report_id"])
        needs = _needs(report)
        if step.override_reason is None:
            if submission["state"] != "checked":
                raise record.out_of_turn(submission, step.state)
            _refuse_doubtful(submission, needs)
            _refuse_outdated(connection, report)
        _append(connection, submission, step)
        posting = Posting(step.actor, submission_id, step.override_reason or step.reason)
        for need in needs:
            quota_id = quota_id_of(connection, need.name)
            post(connection, quota_id, "reserve", need.area_m2, posting, exceeds=need.exceeds)
        return record.read(connection, submission_id)


def _refuse_doubtful(submission: Mapping[str, Any], needs: list[_Need]) -> None:
    """Of a rule that only warns, a quota too small leaves no mark on the report's outcome."""
    if submission["outcome"] in _DOUBTFUL:
        en, zh = f"says {submission['outcome']}", f"结论为 {submission['outcome']}"
    elif any(need.exceeds for need in needs):
        en, zh = "finds a quota too small", "指出指标余额不足"
    else:
        return
    raise Conflict(
        f"The report {en}; an approval against it needs a reason that is recorded "
        "(override_reason).",
        f"报告{zh}；要作出相反的批准，须填写并记录理由（override_reason）。",
        code="override-reason-needed",
    )


def _refuse_outdated(connection: Connection, report: Mapping[str, Any]) -> None:
    """What a report was judged by must still hold: on its own day, or today if that is later."""
    pinned, now = report["provenance"], today()
    day = max(now, datetime.date.fromisoformat(report["as_of"]))
    known = {
        one["layer"]: one["content_sha256"]
        for one in pinned["editions"]
        if one["content_sha256"] is not None
    }
    held = contents_in_force(connection, sorted(known), day)
    changed = [
        layer
        for layer, digest in known.items()
        if layer not in held or held[layer].content_sha256 != digest
    ]
    changed += [
        f"{one['ledger']} {one['period']}"
        for one in pinned.get("quotas", ())
        if datetime.date.fromisoformat(one["to"]) < now
    ]
    if changed:
        names = ", ".join(changed)
        raise Conflict(
            f"Since the check other data came into force, or a period ended: {names}. Check the "
            "project again, or approve with a reason that is recorded (override_reason).",
            f"核查之后数据已更新或期间已结束：{names}。请重新核查项目，"
            "或填写并记录理由（override_reason）后批准。",
            code="report-outdated",
        )


def _needs(report: Mapping[str, Any]) -> list[_Need]:
    """What the balances of a report reserve on approval: one sum a quota, in the order of quotas.

    Every approval locks quotas in this order, so two of them never wait for each other.
    """
    needs: dict[QuotaName, _Need] = {}
    for finding in report["findings"]:
        if finding["test"] != "balance" or finding["exemption"] is not None:
            continue  # the quota of an exempted project is not this one
        for one in finding["details"]:
            if one["reserve"] is None or one["period"] is None:
                continue  # no quota is known: approved against an undetermined report
            name = QuotaName(one["ledger"], one["admin_code"], one["period"], one["land_class"])
            others = needs.get(name, _Need(name, Decimal(0), exceeds=False))
            area_m2 = others.area_m2 + cents(one["quantity_m2"])
            needs[name] = _Need(name, area_m2, others.exceeds or one["result"] == "fails")
    return sorted(needs.values(), key=lambda n: (n.name.ledger, n.name.admin_code, n.name.period,
                                                 n.name.land_class))  # fmt: skip


def reject(connection: Connection, submission_id: str, officer: str, reason: str) -> dict[str, Any]:
    """Reject, or take an approval back; what was reserved is released."""
    step = Step("rejected", _words(officer, "officer"), _words(reason, "reason"))
    return _end(connection, submission_id, step, "release")


def book(
    connection: Connection, submission_id: str, officer: str, reason: str | None = None
) -> dict[str, Any]:
    """Book what was reserved: the land is granted; not after the last day of the approval."""
    step = Step("booked", _words(officer, "officer"), _optional(reason))
    with connection.transaction():
        last_day = record.read(connection, submission_id)["history"][-1].get("valid_until")
        if last_day is not None and datetime.date.fromisoformat(last_day) < today():
            raise Conflict(
                f"The approval lapsed after {last_day}; check the project and approve it again.",
                f"批准已于 {last_day} 后失效；请重新核查并批准。",
                code="approval-lapsed",
            )
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
