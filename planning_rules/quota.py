"""Quotas as values: what a ledger had granted, reserved and booked when a check read it.

The ledger itself is kept by the service. Here its figures are arguments like plan features: the
report pins those that it used, so a replay judges with the same ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

ANY_CLASS: Final = "*"
"""The land class of a quota that holds for all of them together."""


@dataclass(frozen=True, slots=True)
class Quota:
    """One row of a ledger: an administrative unit, a period, a land class; areas in m2, to 0.01.

    ``last_entry`` is the number of the newest ledger entry behind the sums.
    """

    ledger: str
    admin_code: str
    period: str
    first: date
    last: date
    land_class: str
    granted_m2: float
    reserved_m2: float
    booked_m2: float
    last_entry: int

    @property
    def remaining_m2(self) -> float:
        """What can still be reserved; negative where somebody decided to exceed the quota."""
        return round(self.granted_m2 - self.reserved_m2 - self.booked_m2, 2)

    def contains(self, day: date) -> bool:
        """Whether the period holds the day, both ends included."""
        return self.first <= day <= self.last

    def as_json(self) -> dict[str, Any]:
        """The form of reports."""
        return {
            "ledger": self.ledger,
            "admin_code": self.admin_code,
            "period": self.period,
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
            "land_class": self.land_class,
            "granted_m2": self.granted_m2,
            "reserved_m2": self.reserved_m2,
            "booked_m2": self.booked_m2,
            "last_entry": self.last_entry,
        }


def quota_of(stated: Mapping[str, Any]) -> Quota:
    """A quota from the form of reports; ``KeyError`` or ``ValueError`` for any other form."""
    return Quota(
        ledger=stated["ledger"],
        admin_code=stated["admin_code"],
        period=stated["period"],
        first=date.fromisoformat(stated["from"]),
        last=date.fromisoformat(stated["to"]),
        land_class=stated["land_class"],
        granted_m2=float(stated["granted_m2"]),
        reserved_m2=float(stated["reserved_m2"]),
        booked_m2=float(stated["booked_m2"]),
        last_entry=int(stated["last_entry"]),
    )


def in_order(quotas: Iterable[Quota]) -> tuple[Quota, ...]:
    """In the one order of reports."""
    return tuple(
        sorted(quotas, key=lambda q: (q.ledger, q.admin_code, q.first.isoformat(), q.land_class))
    )
