"""The ledger of quotas: what is granted, reserved by approvals, and booked.

Entries are appended and never changed; the database keeps the sums and refuses what a quota has
not left (migration 0009), whoever writes and however many at once. Areas are square metres to
0.01.
"""

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, Literal

from psycopg import errors as pg

from layers.database import Connection, row, rows, statements
from layers.errors import BadParameter, Conflict, NotFound
from planning_rules.quota import ANY_CLASS, Quota, in_order

_SQL: Final = statements("gis_service.submissions", "ledger.sql")
_CENT: Final = Decimal("0.01")
_MOST_M2: Final = Decimal(10) ** 12
_NOT_ENOUGH: Final = "quota_has_enough_left"

EntryKind = Literal["grant", "reserve", "release", "book"]


@dataclass(frozen=True, slots=True)
class QuotaName:
    """What names one quota: a ledger, an administrative unit, a period, a land class."""

    ledger: str
    admin_code: str
    period: str
    land_class: str = ANY_CLASS


@dataclass(frozen=True, slots=True)
class Posting:
    """Who writes an entry, for which submission, and why."""

    actor: str
    submission_id: str | None = None
    reason: str | None = None


def quotas_for_check(
    connection: Connection,
    ledgers: Collection[str],
    admin_codes: Iterable[str],
    as_of: datetime.date,
) -> tuple[Quota, ...]:
    """The rows that a check can need; reads in the caller's snapshot."""
    if not ledgers:
        return ()
    found = rows(
        connection, _SQL["quotas_for_check"],
        ledgers=list(ledgers), admin_codes=sorted(set(admin_codes)), as_of=as_of,
    )  # fmt: skip
    return in_order(_quota(one) for one in found)


def _quota(one: dict[str, Any]) -> Quota:
    return Quota(
        one["ledger"], one["admin_code"], one["period"], one["first_day"], one["last_day"],
        one["land_class"], float(one["granted_m2"]), float(one["reserved_m2"]),
        float(one["booked_m2"]), one["entries"],
    )  # fmt: skip


def list_quotas(
    connection: Connection,
    *,
    ledger: str | None = None,
    admin_code: str | None = None,
    as_of: datetime.date | None = None,
) -> list[dict[str, Any]]:
    """Quotas with what is left of each, in order of ledger, unit and period."""
    found = rows(
        connection, _SQL["quotas"], ledger=ledger, admin_code=admin_code, as_of=as_of
    )  # fmt: skip
    return [
        {"id": one["id"], **quota.as_json(), "remaining_m2": quota.remaining_m2}
        for one in found
        for quota in (_quota(one),)
    ]


def set_quota(
    connection: Connection,
    name: QuotaName,
    days: tuple[datetime.date, datetime.date],
    granted_m2: Decimal,
    posting: Posting,
) -> int:
    """Grant a quota, or change what it grants by one more entry; give its id.

    ``days`` are the first and last of its period. Raises ``Conflict`` where another period of the
    same unit overlaps, where a known quota has other days, or where more than the new figure is
    reserved and booked already.
    """
    granted = cents(granted_m2)
    if granted < 0:
        raise BadParameter("A quota is not below 0.", "指标不得小于 0。")
    with connection.transaction():
        # What it grants now is read and then added to: nobody else may do that in between.
        connection.execute(_SQL["lock_grants"])
        quota_id, before = _opened(connection, name, days)
        if granted != before:
            post(connection, quota_id, "grant", granted - before, posting)
    return quota_id


def _opened(
    connection: Connection, name: QuotaName, days: tuple[datetime.date, datetime.date]
) -> tuple[int, Decimal]:
    """The id of the quota and what it grants now; a new one grants nothing yet."""
    named = {
        "ledger": name.ledger, "admin_code": name.admin_code,
        "period": name.period, "land_class": name.land_class,
    }  # fmt: skip
    found = row(connection, _SQL["quota_named"], **named)
    if found is not None:
        if (found["first_day"], found["last_day"]) != days:
            raise Conflict(
                f"The period {name.period} runs from {found['first_day']} to "
                f"{found['last_day']}; that cannot change.",
                f"期间 {name.period} 为 {found['first_day']} 至 {found['last_day']}，不可更改。",
                code="quota-period-differs",
            )
        return found["id"], found["granted_m2"]
    try:
        made = row(
            connection, _SQL["open_quota"], **named, first_day=days[0], last_day=days[1]
        )  # fmt: skip
    except pg.ExclusionViolation as error:
        raise Conflict(
            f"Another period of {name.admin_code} in {name.ledger} overlaps these days.",
            f"台账 {name.ledger} 中 {name.admin_code} 的另一期间与该期间重叠。",
            code="quota-period-overlaps",
        ) from error
    except pg.CheckViolation as error:
        raise BadParameter(
            "A quota needs a ledger (a-z, 0-9, _), a division code of 6 to 12 digits, a period "
            "that does not end before it begins, and a land class that is a code or '*'.",
            "指标须有台账名（a-z、0-9、_）、6～12 位行政区代码、起止有序的期间，"
            "以及地类代码或“*”。",
        ) from error
    if made is None:
        raise NotFound("The quota was not made.", "未能建立指标。")
    return made["id"], Decimal(0)


def post(
    connection: Connection,
    quota_id: int,
    kind: EntryKind,
    area_m2: Decimal,
    posting: Posting,
    *,
    exceeds: bool = False,
) -> None:
    """Append one entry; ``Conflict`` (code ``quota-exhausted``) where not enough is left."""
    try:
        with connection.transaction():
            connection.execute(
                _SQL["post"],
                {
                    "quota_id": quota_id, "kind": kind, "area_m2": area_m2,
                    "submission_id": posting.submission_id, "actor": posting.actor,
                    "reason": posting.reason, "exceeds": exceeds,
                },
            )  # fmt: skip
    except pg.CheckViolation as error:
        if error.diag.constraint_name != _NOT_ENOUGH:
            raise
        raise Conflict(
            f"Quota {quota_id} has not {abs(area_m2):,} m² left; others reserved it meanwhile, or "
            "it is booked. Check the project again.",
            f"指标 {quota_id} 的余额不足 {abs(area_m2):,} 平方米（已被其他项目预留或核销）；"
            "请重新核查项目。",
            code="quota-exhausted",
        ) from error


def end_reservations(
    connection: Connection, submission_id: str, kind: Literal["release", "book"], posting: Posting
) -> None:
    """Release or book all that a submission has reserved, in the order of quotas."""
    for one in rows(connection, _SQL["open_reservations"], submission_id=submission_id):
        post(connection, one["quota_id"], kind, one["area_m2"], posting)


def quota_id_of(connection: Connection, name: QuotaName) -> int:
    """The id of a quota that is named, ``NotFound`` without it."""
    found = row(
        connection, _SQL["quota_named"], ledger=name.ledger, admin_code=name.admin_code,
        period=name.period, land_class=name.land_class,
    )  # fmt: skip
    if found is None:
        raise NotFound(
            f"The ledger {name.ledger} holds no quota of {name.admin_code} for {name.period}.",
            f"台账 {name.ledger} 中没有 {name.admin_code} 在 {name.period} 的指标。",
        )
    return int(found["id"])


def entries(
    connection: Connection, quota_id: int, *, after: int = 0, most: int = 1_000
) -> list[dict[str, Any]]:
    """The entries of a quota in the order in which they were posted."""
    found = rows(connection, _SQL["entries"], quota_id=quota_id, after=after, most=most)
    return [
        {
            **one,
            "area_m2": float(one["area_m2"]),
            "at": one["at"].astimezone(datetime.UTC).isoformat(timespec="seconds"),
        }
        for one in found
    ]


def cents(area_m2: Decimal | float) -> Decimal:
    """An area to 0.01 m2, as the ledger keeps it; ``BadParameter`` for no finite one."""
    area = Decimal(str(area_m2))
    if not area.is_finite() or abs(area) > _MOST_M2:
        raise BadParameter("An area is a number of square metres.", "面积应为以平方米计的数值。")
    return area.quantize(_CENT, rounding=ROUND_HALF_EVEN)
