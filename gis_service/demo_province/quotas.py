"""Quotas of the demo province: new construction land of every county, 2021 to 2035.

Figures are made up. Most counties have plenty left; Dongfang (469007) has next to nothing, so
that a site drawn there meets the limit.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from gis_service.demo_province.places import COUNTIES

LEDGER: Final = "new_construction_land"
PERIOD: Final = "2021-2035"
DAYS: Final = (date(2021, 1, 1), date(2035, 12, 31))
_M2_OF_TOWN_RADIUS: Final = 2_000
"""Square metres of quota for each metre of the radius of the county's town."""
_NEARLY_USED_UP: Final = frozenset({"469007"})
_LITTLE_M2: Final = Decimal(800)


@dataclass(frozen=True, slots=True)
class DemoQuota:
    """What one county may turn into construction land within the period."""

    admin_code: str
    granted_m2: Decimal


def demo_quotas() -> list[DemoQuota]:
    """One row a county, in the order of the counties."""
    return [
        DemoQuota(
            county.code,
            _LITTLE_M2
            if county.code in _NEARLY_USED_UP
            else Decimal(round(county.radius_m) * _M2_OF_TOWN_RADIUS),
        )
        for county in COUNTIES
    ]
