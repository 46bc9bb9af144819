"""Forest land as the forest department draws it, and nature reserves."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
import shapely

from gis_service.demo_province.drawing_plane import (
    BoolArray,
    FloatArray,
    geometry_to_lonlat,
)
from gis_service.demo_province.edition import Chunk, DemoLayer
from gis_service.demo_province.landuse import Ground, forest_score, planned_codes
from gis_service.demo_province.parcels import FIELD
from gis_service.demo_province.places import COUNTIES, MARK_ZH
from gis_service.demo_province.province import (
    Province,
    by_place,
    counties_with_parcels,
    drifted,
    in_areas,
    numbered,
    sound,
)
from gis_service.demo_province.reserves import RESERVES

DATUM_SHIFT_M: Final = (86.0, -64.0)
"""East and north: by how much the forest draft lies off, the size of an old local datum's shift."""

FOREST_TYPES: Final = ("乔木林", "灌木林", "竹林", "其他林地", "经济林")


def forest_land(province: Province) -> DemoLayer:
    """Forest compartments in force, astray by up to some tens of metres."""
    return DemoLayer("forest_land", None, partial(_forest, province, (0.0, 0.0)))


def forest_land_shifted(province: Province) -> DemoLayer:
    """The same compartments as delivered by a contractor who missed a datum transformation."""
    return DemoLayer("forest_land", None, partial(_forest, province, DATUM_SHIFT_M))


def nature_reserve(province: Province) -> DemoLayer:
    """Core and general zones."""
    return DemoLayer("nature_reserve", None, partial(_reserves, province))


def _reserves(province: Province) -> Iterator[Chunk]:
    reserves = province.reserves
    whole, cores = geometry_to_lonlat(reserves.whole), geometry_to_lonlat(reserves.cores)
    general = shapely.set_precision(shapely.difference(whole, cores), 1e-8)
    names = [f"{name}自然保护区{MARK_ZH}" for *_, name in RESERVES]
    levels = [level for *_, level, _ in RESERVES]
    count = len(RESERVES)
    yield Chunk(
        np.concatenate([cores, general]),
        {
            "reserve_id": numbered("N", 1, 2 * count),
            "name": names * 2,
            "zone": ["core"] * count + ["general"] * count,
            "level": levels * 2,
        },
    )


def _forest(province: Province, shift_m: tuple[float, float]) -> Iterator[Chunk]:
    whole, cores = province.reserves.whole, province.reserves.cores
    by_hand = np.array([place.shape for place in province.layout.fixed], dtype=object)
    for number, parcels, _ in counties_with_parcels(province):
        cells = parcels.planned
        ground = Ground.at(cells, province.terrain, 8)
        codes = planned_codes(cells, province.layout)
        # The department counts rubber as forest and draws its own line through the fields.
        own_line = forest_score(ground) + ground.patches(2_400, 24) * 0.75 > 0.1
        rubber = (codes == "0203") & (ground.patches(4_000, 25) > -0.1)
        wood = np.char.startswith(codes, "03") & (ground.luck < 0.94)
        chosen = (own_line | rubber | wood) & (cells.kind == FIELD) & (cells.town < 0)
        chosen &= ~in_areas(cells.x, cells.y, by_hand)
        which = np.flatnonzero(chosen)
        if not len(which):
            continue
        xy = drifted(parcels.xy + np.array(shift_m), province.terrain, 24.0, 5)
        geometries = cells.geometries(xy, which)
        kept = sound(geometries)
        geometries, which = geometries[kept], which[kept]
        order = by_place(geometries)
        which = which[order]
        inside = in_areas(cells.x[which], cells.y[which], whole)
        core = in_areas(cells.x[which], cells.y[which], cores)
        yield Chunk(
            geometries[order],
            {
                "forest_id": numbered(f"{COUNTIES[number].code}-L", 1, len(which)),
                "protection_grade": _grades(ground.height[which], ground.luck[which], inside, core),
                "forest_type": [_forest_type(code) for code in codes[which].tolist()],
                "name": [f"林地小班{MARK_ZH}"] * len(which),
            },
        )


def _grades(height: FloatArray, luck: FloatArray, inside: BoolArray, core: BoolArray) -> list[str]:
    grade = np.where(height > 420, "II", np.where((height > 150) | (luck < 0.2), "III", "IV"))
    grade = np.where(inside, "II", grade)
    return np.where(core, "I", grade).tolist()  # type: ignore[no-any-return]


def _forest_type(code: str) -> str:
    if code == "0303":
        return FOREST_TYPES[1]
    if code == "0302":
        return FOREST_TYPES[2]
    if code.startswith("03"):
        return FOREST_TYPES[0]
    return FOREST_TYPES[4] if code.startswith("02") else FOREST_TYPES[3]
