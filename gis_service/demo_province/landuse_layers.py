"""Land use as surveyed (now, and before the change of scheme) and as planned."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
import shapely

from gis_service.demo_province.drawing_plane import (
    FloatArray,
    GeometryArray,
    IntArray,
    to_lonlat,
    to_plane,
)
from gis_service.demo_province.edition import Chunk, DemoLayer
from gis_service.demo_province.land_codes import (
    SCHEME_2023,
    SCHEME_SURVEY,
    TO_SURVEY,
    CodeArray,
    names_of,
)
from gis_service.demo_province.landuse import (
    Ground,
    country_codes,
    current_codes,
    detailed_codes,
    planned_codes,
)
from gis_service.demo_province.noise import generator
from gis_service.demo_province.parcels import CountyParcels
from gis_service.demo_province.places import COUNTIES
from gis_service.demo_province.province import (
    Province,
    by_place,
    counties_with_parcels,
    drifted,
    in_areas,
    numbered,
    sound,
)

OLD_SURVEY_COUNTIES: Final = ("460100", "469002", "469005", "469021", "469022", "469023")
"""The north-east: the only part whose survey before the change of scheme is at hand."""

NO_DETAILED_PLAN_EVERY: Final = 3
"""Of the townships, two out of three have no detailed plan."""


def current_landuse(province: Province) -> DemoLayer:
    """The survey in force, 2023 scheme; covers all land."""
    return DemoLayer("current_landuse", province.layout.ashore, partial(_current, province))


def old_landuse(province: Province) -> DemoLayer:
    """The survey before: GB/T 21010-2017, coarser, astray by some metres, one part only."""
    chosen = [i for i, c in enumerate(COUNTIES) if c.code in OLD_SURVEY_COUNTIES]
    coverage = shapely.coverage_union_all(province.layout.counties[chosen])
    return DemoLayer("current_landuse", coverage, partial(_old, province))


def planned_landuse(province: Province) -> DemoLayer:
    """The use that the overall plan gives; covers all land."""
    return DemoLayer("planned_landuse", province.layout.ashore, partial(_planned, province))


def detailed_plan_parcel(province: Province) -> DemoLayer:
    """Building plots with their limits, in the towns that have a detailed plan."""
    layout = province.layout
    areas = shapely.transform(layout.town_areas[planned_towns(province)], to_lonlat)
    towns = shapely.intersection(shapely.union_all(areas), layout.ashore)
    coverage = shapely.set_precision(towns, 1e-8)
    return DemoLayer("detailed_plan_parcel", coverage, partial(_detailed, province))


def planned_towns(province: Province) -> IntArray:
    """Towns that have a detailed plan: all seats, some townships."""
    return np.array(
        [
            number
            for number in range(len(province.layout.towns))
            if number < len(COUNTIES) or number % NO_DETAILED_PLAN_EVERY == 0
        ]
    )


def _chunk(
    geometries: GeometryArray, codes: CodeArray, prefix: str, scheme: str = SCHEME_2023
) -> Chunk:
    order = by_place(geometries)
    codes = codes[order]
    count = len(codes)
    return Chunk(
        geometries[order],
        {
            "parcel_id": numbered(prefix, 1, count),
            "landuse_code": codes.tolist(),
            "code_scheme": [scheme] * count,
            "name": names_of(codes) if scheme == SCHEME_2023 else [_OLD_NAME] * count,
        },
    )


_OLD_NAME: Final = "二调地类图斑（演示）"


def _current(province: Province) -> Iterator[Chunk]:
    for number, parcels, standing in counties_with_parcels(province):
        cells = parcels.current
        geometries = cells.geometries(to_lonlat(parcels.xy), np.arange(len(cells)))
        codes = np.concatenate([current_codes(cells, province.layout), standing.current])
        yield _chunk(
            np.concatenate([geometries, standing.geometries]), codes, f"{COUNTIES[number].code}-C"
        )


def _planned(province: Province) -> Iterator[Chunk]:
    for number, parcels, standing in counties_with_parcels(province):
        cells = parcels.planned
        geometries = cells.geometries(to_lonlat(parcels.xy), np.arange(len(cells)))
        codes = np.concatenate([planned_codes(cells, province.layout), standing.planned])
        yield _chunk(
            np.concatenate([geometries, standing.geometries]), codes, f"{COUNTIES[number].code}-P"
        )


def _old(province: Province) -> Iterator[Chunk]:
    """Towns were smaller, some land had another use, and the digitising was another's."""
    for number, parcels, standing in counties_with_parcels(province):
        if COUNTIES[number].code not in OLD_SURVEY_COUNTIES:
            continue
        cells = parcels.planned
        shifted = drifted(parcels.xy, province.terrain, 9.0, 1)
        geometries = cells.geometries(shifted, np.arange(len(cells)))
        codes = planned_codes(cells, province.layout)
        ground = Ground.at(cells, province.terrain, 5)
        towns = np.array([(t.x, t.y, t.radius_m) for t in province.layout.towns])[cells.town]
        share = np.hypot(ground.x - towns[:, 0], ground.y - towns[:, 1]) / towns[:, 2]
        before = (cells.town < 0) | (share > 0.5)
        codes[before] = country_codes(ground)[before]
        between = shapely.transform(standing.geometries, partial(_drift_lonlat, province))
        old = np.array(
            [TO_SURVEY[code] for code in np.concatenate([codes, standing.current]).tolist()], "U6"
        )
        everything = np.concatenate([geometries, between])
        kept = sound(everything)
        yield _chunk(everything[kept], old[kept], f"{COUNTIES[number].code}-S", SCHEME_SURVEY)


def _drift_lonlat(province: Province, lonlat: FloatArray) -> FloatArray:
    return drifted(to_plane(lonlat), province.terrain, 9.0, 1)


def _detailed(province: Province) -> Iterator[Chunk]:
    yield _plots_by_hand(province)
    towns = planned_towns(province)
    for number, parcels, _ in counties_with_parcels(province):
        cells = parcels.detailed
        which = np.flatnonzero(np.isin(cells.town, towns))
        # The detailed plan's surveyor was another one too, if a careful one.
        shifted = drifted(parcels.xy, province.terrain, 1.5, 2)
        geometries = cells.geometries(shifted, which)
        codes = detailed_codes(cells, province.layout)[which]
        kept = sound(geometries)
        chunk = _chunk(geometries[kept], codes[kept], f"{COUNTIES[number].code}-D")
        chance = generator(province.seed, 91, number)
        limits = _limits(chunk.attributes["landuse_code"], chance)  # type: ignore[arg-type]
        yield Chunk(chunk.geometries, {**chunk.attributes, **limits})


_LIMITS: Final = {
    # code prefix: FAR, density %, height m, green % (demo values)
    "07": ((1.2, 1.8, 2.2, 2.8), 25.0, (24.0, 36.0, 54.0, 80.0), 35.0),
    "08": ((0.8, 1.2, 1.6, 2.0), 30.0, (18.0, 24.0, 36.0, 45.0), 35.0),
    "09": ((1.5, 2.0, 3.0, 4.0), 45.0, (24.0, 45.0, 60.0, 100.0), 20.0),
    "10": ((1.0, 1.5, 2.0, 2.5), 50.0, (18.0, 24.0, 24.0, 36.0), 20.0),
    "11": ((0.8, 1.2, 1.5, 1.8), 50.0, (15.0, 18.0, 24.0, 24.0), 15.0),
    "12": ((0.3, 0.5, 0.8, 1.0), 30.0, (12.0, 12.0, 18.0, 24.0), 15.0),
    "13": ((0.4, 0.6, 0.8, 1.0), 35.0, (12.0, 15.0, 18.0, 24.0), 30.0),
    "14": ((0.05, 0.05, 0.1, 0.1), 5.0, (8.0, 8.0, 10.0, 12.0), 70.0),
    "16": ((0.0, 0.0, 0.0, 0.0), 0.0, (0.0, 0.0, 0.0, 0.0), 0.0),
}


def _limits(codes: list[str], chance: np.random.Generator) -> dict[str, list[float]]:
    far, density, height, green = [], [], [], []
    for code, pick in zip(codes, chance.integers(0, 4, len(codes)).tolist(), strict=True):
        fars, most, heights, least = _LIMITS[code[:2]]
        far.append(fars[pick])
        density.append(most)
        height.append(heights[pick])
        green.append(least)
    return {"far_max": far, "density_max": density, "height_max": height, "green_min": green}


BY_HAND: Final = {
    "industry": ("1001", 2.0, 50.0, 36.0, 20.0),
    "old-town": ("0901", 2.5, 50.0, 24.0, 20.0),
    "housing": ("0701", 2.0, 28.0, 54.0, 35.0),
}
"""Plan parcels of the sample sites: code, FAR, density %, height m, green %."""


def _plots_by_hand(province: Province) -> Chunk:
    places = [place for place in province.layout.fixed if place.id in BY_HAND]
    rows = [BY_HAND[place.id] for place in places]
    geometries = shapely.transform(np.array([p.shape for p in places], dtype=object), to_lonlat)
    return Chunk(
        geometries,
        {
            "parcel_id": [f"DEMO-{place.id}" for place in places],
            "landuse_code": [row[0] for row in rows],
            "code_scheme": [SCHEME_2023] * len(rows),
            "name": names_of(np.array([row[0] for row in rows], "U6")),
            "far_max": [row[1] for row in rows],
            "density_max": [row[2] for row in rows],
            "height_max": [row[3] for row in rows],
            "green_min": [row[4] for row in rows],
        },
    )


def farmland_cells(province: Province, parcels: CountyParcels) -> tuple[IntArray, CodeArray]:
    """Surveyed parcels that the farmland plan protects, and their codes.

    Grounds of real contradictions: the choice follows soil, not the town plan, so fields that a
    town will be built on and fields that a project stands on are protected too.
    """
    cells = parcels.current
    ground = Ground.at(cells, province.terrain, 6)
    codes = current_codes(cells, province.layout)
    farmland = np.char.startswith(codes, "01")
    good = ground.patches(5_000, 20) > -0.3
    outside = (cells.town < 0) | (ground.luck < 0.3)
    farm = next(place for place in province.layout.fixed if place.id == "farmland")
    by_hand = in_areas(cells.x, cells.y, np.array([farm.shape], dtype=object))
    which = np.flatnonzero(farmland & ((good & outside) | by_hand))
    return which, codes[which]
