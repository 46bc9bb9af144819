"""Which land use a parcel has, and which one the plan gives it, from the fields of the terrain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.drawing_plane import BoolArray, FloatArray, IntArray
from gis_service.demo_province.fixed_places import FixedPlace
from gis_service.demo_province.land_codes import CodeArray
from gis_service.demo_province.layout import Layout
from gis_service.demo_province.noise import lattice
from gis_service.demo_province.parcels import PLOT, RURAL_ROAD, STREET, Tessellation
from gis_service.demo_province.scale import village_nearness
from gis_service.demo_province.superblocks import COUNTRY
from gis_service.demo_province.terrain import Terrain

_Choice = tuple[BoolArray, str]


@dataclass(frozen=True, slots=True)
class Ground:
    """The fields at the parcels' middles, read once."""

    x: FloatArray
    y: FloatArray
    height: FloatArray
    inland: FloatArray
    moisture: FloatArray
    village: FloatArray
    luck: FloatArray
    """A number in 0..1 of each parcel's own."""
    area_m2: FloatArray
    terrain: Terrain

    @classmethod
    def at(cls, parcels: Tessellation, terrain: Terrain, key: int) -> "Ground":
        """Read the fields at the middles of parcels; ``key`` gives another luck."""
        x, y = parcels.x, parcels.y
        return cls(
            x,
            y,
            terrain.height_m(x, y),
            terrain.inland_m(x, y),
            terrain.moisture(x, y),
            village_nearness(x, y, terrain),
            luck_at(x, y, terrain, key),
            parcels.area_m2,
            terrain,
        )

    def patches(self, size_m: float, key: int) -> FloatArray:
        """One more field in about -1..1."""
        return self.terrain.patches(self.x, self.y, size_m, key)


def _first(choices: Sequence[_Choice], other: str, count: int) -> CodeArray:
    codes = np.select([mask for mask, _ in choices], [code for _, code in choices], default=other)
    return np.broadcast_to(codes, (count,)).astype("U6")


def luck_at(x: FloatArray, y: FloatArray, terrain: Terrain, key: int) -> FloatArray:
    """A number in 0..1 for each square metre."""
    return lattice(
        np.floor(x).astype(np.int64), np.floor(y).astype(np.int64), terrain.seed + 900 + key
    )


def forest_score(ground: Ground) -> FloatArray:
    """Above 0: woodland by terrain; the forest department draws the line elsewhere."""
    slope = np.clip((ground.height - 205) / 130, -1.6, 0.24 + ground.height / 2_900)
    return slope + ground.patches(5_200, 6) * 0.95


def country_codes(ground: Ground) -> CodeArray:
    """Land use of open country."""
    choices = _special_ground(ground) + _woods_and_gardens(ground)
    return _first(choices, "0103", len(ground.x))


def _special_ground(ground: Ground) -> list[_Choice]:
    """Villages, the shore, ponds and pits: never larger than such things are."""
    height, inland, luck, village = ground.height, ground.inland, ground.luck, ground.village
    small, middling = ground.area_m2 < 3e5, ground.area_m2 < 1.5e6
    shrimps = (inland < 1_900) & (ground.patches(4_200, 3) > 0.5)
    return [
        ((village > 0) & small & (luck < 0.82), "0703"),
        ((village > 0) & small & (luck < 0.88), "0704"),
        ((village > -0.4) & small & (luck > 0.975), "060202"),
        ((inland < 700) & middling & (ground.patches(8_000, 1) > 0.5), "0507"),
        ((inland < 260) & middling & (ground.patches(6_000, 2) > 0.3), "0505"),
        (shrimps & middling, "1704"),
        ((inland < 1_900) & (ground.x < -88_000) & (ground.patches(6_000, 4) > 0.45), "1003"),
        ((inland < 420) & middling & (ground.patches(3_000, 16) > 0.4), "2305"),
        ((height > 45) & middling & (ground.patches(2_200, 5) > 1.02), "1002"),
        ((height < 130) & (ground.area_m2 < 4.5e4) & (luck < 0.05), "1704"),
    ]


def _woods_and_gardens(ground: Ground) -> list[_Choice]:
    height, luck, small = ground.height, ground.luck, ground.area_m2 < 3e5
    forest = forest_score(ground) > 0
    shore_wood = (ground.inland < 900) & (ground.patches(3_600, 8) > 0.18)
    grove = (height < 130) & (ground.patches(2_600, 9) > 0.62)
    rubber = (height > 42) & (height < 420) & (ground.x < 45_000)
    rubber &= ground.patches(7_000, 10) > 0.02
    return [
        (forest & (ground.patches(3_000, 7) > 0.62), "0303"),
        (forest & (luck > 0.975), "0302"),
        (forest | shore_wood, "0301"),
        (grove, "0304"),
        ((height > 120) & (ground.patches(3_800, 12) > 0.55), "0202"),
        (rubber, "0203"),
        (ground.patches(4_600, 11) > 0.3, "0201"),
        (ground.patches(3_400, 13) > 0.48, "0205"),
        (ground.patches(2_600, 14) > 0.85, "0403"),
        (small & (luck > 0.992), "060201"),
        (small & (luck > 0.988), "060203"),
        (small & (luck > 0.985), "1506"),
        (height > 300, "0205"),
        (ground.moisture + ground.patches(1_900, 17) * 0.3 > -0.02, "0101"),
        (ground.patches(3_000, 15) > 0.7, "0102"),
    ]


_NO_TOWN: Final = -1


def town_codes(ground: Ground, town: IntArray, layout: Layout) -> CodeArray:
    """Planned use of building plots: a centre, quarters of flats, an industrial side, parks."""
    towns = np.array([(t.x, t.y, t.radius_m) for t in layout.towns])[town]
    east, north = ground.x - towns[:, 0], ground.y - towns[:, 1]
    share = np.hypot(east, north) / towns[:, 2]
    turn = np.arctan2(north, east)
    works_turn = lattice(town, town * 0, layout.seed + 71) * 2 * np.pi - np.pi
    works = np.abs((turn - works_turn + np.pi) % (2 * np.pi) - np.pi) < 0.62
    works &= (share > 0.42) & (towns[:, 2] > 800)
    luck, inland = ground.luck, ground.inland
    seaside = inland < 900
    quarter = ground.patches(520, 41)
    choices: list[_Choice] = [
        (seaside & (luck < 0.22) & works, "1204"),
        (seaside & (inland < 160) & (luck < 0.6), "1401"),
        (seaside & (quarter > 0.25), "090104"),
        ((share < 0.1) & (luck < 0.12), "1403"),
        (works & (luck < 0.62), "1001"),
        (works & (luck < 0.8), "1101"),
        (works & (luck < 0.86), "1402"),
        ((share > 0.9) & (luck < 0.2), "1402"),
        ((share > 0.8) & (luck > 0.9), "16"),
        (quarter > 0.72, "1401"),
        ((share < 0.3) & (quarter < -0.25), "0901"),
        ((share < 0.24) & (luck < 0.16), "0902"),
        (luck < 0.035, "0806"),
        (luck < 0.125, "0804"),
        (luck < 0.15, "0805"),
        ((share < 0.5) & (luck < 0.21), "0801"),
        (luck < 0.235, "0803"),
        (luck < 0.25, "0802"),
        (luck < 0.262, "0807"),
        (luck < 0.345, "1401"),
        (luck < 0.36, "1303"),
        (luck < 0.37, "1301"),
        (luck < 0.378, "1309"),
        (luck < 0.39, "1208"),
        (luck < 0.49, "0901"),
        (luck < 0.53, "0702"),
    ]
    return _first(choices, "0701", len(ground.x))


def current_codes(parcels: Tessellation, layout: Layout) -> CodeArray:
    """What the survey found."""
    ground = Ground.at(parcels, layout.terrain, 0)
    codes = country_codes(ground)
    codes[parcels.kind == RURAL_ROAD] = "060102"
    codes[parcels.kind == STREET] = "1207"
    plots = np.flatnonzero(parcels.kind == PLOT)
    codes[plots] = _of_town(ground, plots, parcels.town, layout)
    # Reserved land and new quarters are not built; some plots stand empty.
    codes[plots[np.isin(codes[plots], ["16"])]] = "2301"
    fallow = (parcels.town != _NO_TOWN) & (parcels.kind == 0) & (ground.luck < 0.12)
    codes[fallow] = "2301"
    return _set_by_hand(codes, ground, layout, "current")


def planned_codes(parcels: Tessellation, layout: Layout) -> CodeArray:
    """What the overall plan gives: mostly the present use, with towns grown and projects added."""
    ground = Ground.at(parcels, layout.terrain, 1)
    codes = country_codes(ground)
    codes[(ground.village > -0.18) & (ground.luck < 0.9) & (ground.area_m2 < 3e5)] = "0703"
    for project in layout.projects:
        codes[in_area(ground, project.shape)] = project.code
    back_to_fields = (codes == "0201") & (ground.patches(2_500, 32) > 0.45)
    codes[back_to_fields] = "0103"
    codes[np.isin(codes, ["060201", "060203", "1506"])] = "0103"
    codes[parcels.kind == RURAL_ROAD] = "060102"
    codes[parcels.kind == STREET] = "1207"
    plots = np.flatnonzero(parcels.kind == PLOT)
    codes[plots] = _of_town(ground, plots, parcels.town, layout)
    return _set_by_hand(codes, ground, layout, "planned")


def detailed_codes(parcels: Tessellation, layout: Layout) -> CodeArray:
    """Third-level codes of the building plots; a few contradict the overall plan."""
    ground = Ground.at(parcels, layout.terrain, 1)
    every = np.arange(len(parcels))
    codes = _of_town(ground, every, parcels.town, layout)
    fine = luck_at(parcels.x, parcels.y, layout.terrain, 2)
    codes[(codes == "0701") & (fine < 0.18)] = "070101"
    codes[(codes == "0701") & (fine < 0.86)] = "070102"
    codes[(codes == "0804") & (fine < 0.5)] = "080403"
    codes[(codes == "0804") & (fine < 0.8)] = "080404"
    codes[(codes == "1001") & (fine < 0.4)] = "100101"
    codes[(codes == "1401") & (fine > 0.93)] = "0901"
    return codes


def _of_town(ground: Ground, which: IntArray, town: IntArray, layout: Layout) -> CodeArray:
    """Uses of plots; luck is drawn for a whole block, so that neighbours mostly agree."""
    x, y = ground.x[which], ground.y[which]
    block = lattice(
        np.floor(x / 260).astype(np.int64), np.floor(y / 260).astype(np.int64), layout.seed + 72
    )
    part = Ground(
        x,
        y,
        ground.height[which],
        ground.inland[which],
        ground.moisture[which],
        ground.village[which],
        block,
        ground.area_m2[which],
        ground.terrain,
    )
    return town_codes(part, town[which], layout)


def _set_by_hand(codes: CodeArray, ground: Ground, layout: Layout, which: str) -> CodeArray:
    """Villages that are drawn, and the surroundings of the sample sites, have a given use."""
    if len(layout.villages):
        point = shapely.STRtree(layout.villages).query(
            shapely.points(ground.x, ground.y), predicate="intersects"
        )[0]
        codes[point[ground.area_m2[point] < 4e5]] = "0703"
    for place in layout.fixed:
        if place.kind == COUNTRY:
            codes[in_area(ground, place.shape)] = code_of(place, which)
    return codes


def in_area(ground: Ground, shape: BaseGeometry) -> BoolArray:
    """Which middles lie in a shape; quick for a shape far smaller than the county."""
    west, south, east, north = shape.bounds
    near = (ground.x > west) & (ground.x < east) & (ground.y > south) & (ground.y < north)
    near[near] = shapely.contains_xy(shape, ground.x[near], ground.y[near])
    return near


def code_of(place: FixedPlace, which: str) -> str:
    """The use of a fixed place in the survey or in the plan."""
    return place.current_code if which == "current" else place.planned_code
