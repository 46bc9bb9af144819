"""Places that stand where they are whatever the seed: sample sites' surroundings and airports.

The sample sites of the first minute must give the same verdict in every demo, so the land around
them is set by hand: its use, plan parcel and monument. Roads keep clear of these places.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.curves import blob, turned_box
from gis_service.demo_province.drawing_plane import FloatArray, to_plane
from gis_service.demo_province.places import COUNTIES
from gis_service.demo_province.superblocks import COUNTRY, FIXED


@dataclass(frozen=True, slots=True)
class FixedPlace:
    """A piece of land set by hand, in metres of the drawing plane."""

    id: str
    shape: BaseGeometry
    kind: int
    """``FIXED``: one parcel as it is; ``COUNTRY``: cut into fields, all of one use."""
    current_code: str
    planned_code: str
    clear_m: float
    """Roads stay this far from its middle."""

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle."""
        centre = self.shape.centroid
        return float(centre.x), float(centre.y)


@dataclass(frozen=True, slots=True)
class Airport:
    """A runway by its middle and direction; figures of the demonstration, no real airport's."""

    id: str
    zh: str
    en: str
    lonlat: tuple[float, float]
    angle_deg: float
    runway_m: float
    elevation_m: float


AIRPORTS: Final = (
    Airport("A1", "北部机场", "North Airport", (110.47, 19.925), 88.0, 3_400, 23.0),
    Airport("A2", "南部机场", "South Airport", (109.40, 18.312), 76.0, 3_200, 28.0),
    Airport("A3", "东部机场", "East Airport", (110.42, 19.145), 112.0, 2_600, 12.0),
    Airport("A4", "西部机场", "West Airport", (108.92, 19.16), 24.0, 2_400, 40.0),
)


def near_seat(code: str, east_m: float, north_m: float) -> tuple[float, float]:
    """A place by its distance from the seat of a county that lies far from any coast."""
    county = next(county for county in COUNTIES if county.code == code)
    seat = to_plane(np.array([county.seat]))[0]
    return float(seat[0] + east_m), float(seat[1] + north_m)


INDUSTRY: Final = ("469021", 1_000.0, -880.0)
FARMLAND: Final = ("469021", 3_600.0, 1_300.0)
OLD_TOWN: Final = ("469021", -940.0, 840.0)
HOUSING: Final = ("469022", 900.0, 760.0)
"""County code and metres east and north of its seat."""


def fixed_places() -> tuple[FixedPlace, ...]:
    """All of them; airports last."""
    places = [
        FixedPlace(
            "industry",
            turned_box(*near_seat(*INDUSTRY), 420, 300, 14),
            FIXED,
            "2301",
            "1001",
            480.0,
        ),
        FixedPlace(
            "farmland",
            blob(*near_seat(*FARMLAND), 430, 7, 1, unevenness=0.15),
            COUNTRY,
            "0101",
            "0101",
            620.0,
        ),
        FixedPlace(
            "old-town",
            turned_box(*near_seat(*OLD_TOWN), 330, 240, -9),
            FIXED,
            "0901",
            "0901",
            430.0,
        ),
        FixedPlace(
            "housing", turned_box(*near_seat(*HOUSING), 360, 280, 21), FIXED, "2301", "0701", 450.0
        ),
    ]
    for airport in AIRPORTS:
        x, y = to_plane(np.array([airport.lonlat]))[0]
        shape = turned_box(x, y, airport.runway_m + 900, 1_100, airport.angle_deg)
        places.append(FixedPlace(airport.id, shape, FIXED, "1203", "1203", 2_300.0))
    return tuple(places)


def kept_clear() -> FloatArray:
    """Circles that roads go around: x, y, radius in metres."""
    return np.array([(*place.middle, place.clear_m) for place in fixed_places()])


def monument() -> tuple[float, float]:
    """Middle of the protected monument beside the old-town site."""
    x, y = near_seat(*OLD_TOWN)
    return x - 95.0, y
