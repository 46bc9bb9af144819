"""The two sizes of the demo province."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from gis_service.demo_province.drawing_plane import FloatArray, to_plane
from gis_service.demo_province.noise import lattice
from gis_service.demo_province.places import COUNTIES
from gis_service.demo_province.terrain import Terrain

ScaleName = Literal["small", "province"]

SHOWN_COUNTIES: Final = {"469021": 1.0, "469022": 3.0}
"""Ding'an and Tunchang, where the sample sites lie: the least factor on areas around the seats."""

_VILLAGE_CELL_M: Final = 2_300.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How finely the land is cut; areas multiply those of the full province."""

    name: ScaleName
    edge_spacing_m: float
    coarse: float
    """Factor on the area of parcels away from the places shown in detail."""
    town_coarse: float

    def factor(self, x: FloatArray, y: FloatArray, town: bool = False) -> FloatArray:
        """Factor on parcel areas at these places: 1 near the places shown in detail."""
        coarse = self.town_coarse if town else self.coarse
        if coarse == 1.0:
            return np.ones_like(x)
        factor = np.full_like(x, coarse)
        for code, least in SHOWN_COUNTIES.items():
            seat = next(county.seat for county in COUNTIES if county.code == code)
            middle = to_plane(np.array([seat]))[0]
            share = np.clip((np.hypot(x - middle[0], y - middle[1]) - 1_500) / 4_000, 0, 1)
            factor = np.minimum(factor, least * (coarse / least) ** share)
        return factor


SCALES: Final[dict[ScaleName, Scale]] = {
    "small": Scale("small", 300.0, 125.0, 60.0),
    "province": Scale("province", 60.0, 1.0, 1.0),
}


def village_nearness(x: FloatArray, y: FloatArray, terrain: Terrain) -> FloatArray:
    """1 in the middle of a village, 0 at its edge, below 0 outside it."""
    column = np.floor(x / _VILLAGE_CELL_M).astype(np.int64)
    row = np.floor(y / _VILLAGE_CELL_M).astype(np.int64)
    likely = np.where(terrain.height_m(x, y) < 220, 0.8, 0.22)
    best = np.full_like(x, -9.0)
    for step_column in (-1, 0, 1):
        for step_row in (-1, 0, 1):
            c, r = column + step_column, row + step_row
            east = (c + 0.15 + 0.7 * lattice(c, r, terrain.seed + 81)) * _VILLAGE_CELL_M
            north = (r + 0.15 + 0.7 * lattice(c, r, terrain.seed + 82)) * _VILLAGE_CELL_M
            radius = 90 + 210 * lattice(c, r, terrain.seed + 83) ** 2
            there = lattice(c, r, terrain.seed + 84) < likely
            near = 1 - np.hypot(x - east, y - north) / radius
            best = np.where(there, np.maximum(best, near), best)
    return best
