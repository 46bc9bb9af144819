"""The three control lines: farmland, ecological redline, urban development boundary."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
import shapely

from gis_service.demo_province.curves import blob
from gis_service.demo_province.drawing_plane import (
    GeometryArray,
    IntArray,
    geometry_to_lonlat,
    geometry_to_plane,
)
from gis_service.demo_province.edition import Chunk, DemoLayer
from gis_service.demo_province.landuse import Ground, country_codes
from gis_service.demo_province.landuse_layers import farmland_cells
from gis_service.demo_province.noise import generator
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

REDLINE_TYPES: Final = ("生物多样性维护", "水源涵养", "水土保持", "海岸防护")


def permanent_basic_farmland(province: Province) -> DemoLayer:
    """Protected fields, parcel by parcel."""
    return DemoLayer("permanent_basic_farmland", None, partial(_farmland, province))


def ecological_redline(province: Province) -> DemoLayer:
    """Large areas in the hills and pieces of the coast."""
    return DemoLayer("ecological_redline", None, partial(_redline, province))


def urban_development_boundary(province: Province) -> DemoLayer:
    """One area around each town; large towns have flexible ones, the coast special ones."""
    return DemoLayer("urban_development_boundary", None, partial(_boundaries, province))


def _farmland(province: Province) -> Iterator[Chunk]:
    for number, parcels, _ in counties_with_parcels(province):
        which, codes = farmland_cells(province, parcels)
        # Every second county drew the fields anew instead of taking the survey's.
        reach_m = 5.0 if number % 2 else 0.0
        xy = drifted(parcels.xy, province.terrain, reach_m, 10 + number)
        geometries = parcels.current.geometries(xy, which)
        kept = sound(geometries)
        geometries, which, codes = geometries[kept], which[kept], codes[kept]
        order = by_place(geometries) if len(which) else which
        chance = generator(province.seed, 92, number)
        count = len(which)
        yield Chunk(
            geometries[order],
            {
                "farmland_id": numbered(f"{COUNTIES[number].code}-F", 1, count),
                "name": [f"基本农田地块{MARK_ZH}"] * count,
                "landuse_code": codes[order].tolist(),
                "quality_grade": chance.integers(4, 12, count).tolist(),
            },
        )


def _redline(province: Province) -> Iterator[Chunk]:
    cores = province.reserves.cores
    least_m2 = 60_000 if province.layout.scale.coarse == 1 else 400_000
    for number, parcels, _ in counties_with_parcels(province):
        cells = parcels.planned
        ground = Ground.at(cells, province.terrain, 7)
        codes = country_codes(ground)
        hills = ground.height + 190 * ground.patches(8_000, 21) > 330
        coast = np.isin(codes, ["0507", "0505"]) | (
            (ground.inland < 1_600) & (ground.patches(7_000, 22) > 0.5)
        )
        chosen = (hills | coast | in_areas(cells.x, cells.y, cores)) & (cells.kind == FIELD)
        chosen &= cells.town < 0
        farm = [place.shape for place in province.layout.fixed if place.id == "farmland"]
        chosen &= ~in_areas(cells.x, cells.y, np.array(farm, dtype=object))
        kind: IntArray = np.where(ground.patches(15_000, 23) > 0.15, 0, 1)
        kind[(ground.height < 260) & ~coast] = 2
        kind[coast & ~hills] = 3
        xy = drifted(parcels.xy, province.terrain, 14.0, 3)
        yield from _joined_redline(
            number, cells.geometries(xy, np.flatnonzero(chosen)), kind[chosen], least_m2
        )


def _joined_redline(
    county: int, cells: GeometryArray, kind: IntArray, least_m2: float
) -> Iterator[Chunk]:
    first = 1
    for number, title in enumerate(REDLINE_TYPES):
        if not (kind == number).any():
            continue
        areas = shapely.get_parts(shapely.coverage_union_all(cells[kind == number]))
        areas = areas[sound(areas)]
        areas = areas[shapely.area(geometry_to_plane(areas)) > least_m2]
        yield Chunk(
            areas,
            {
                "redline_id": numbered(f"{COUNTIES[county].code}-R", first, len(areas)),
                "name": [f"{title}生态保护红线{MARK_ZH}"] * len(areas),
                "redline_type": [title] * len(areas),
            },
        )
        first += len(areas)


def _boundaries(province: Province) -> Iterator[Chunk]:
    layout = province.layout
    land = layout.ashore
    shapes: list[object] = []
    kinds: list[str] = []
    names: list[str] = []
    drawn = []
    for number, town in enumerate(layout.towns):
        area = layout.town_areas[number]
        xy = shapely.segmentize(area, 60.0)
        drawn.append(shapely.transform(xy, lambda p: drifted(p, province.terrain, 12.0, 4)))
        shapes.append(drawn[-1])
        kinds.append("concentrated")
        names.append(f"{town.name.zh.removesuffix(MARK_ZH)}城镇开发边界{MARK_ZH}")
    inside = shapely.union_all(np.array(drawn, dtype=object))
    for number, town in enumerate(layout.towns[: len(COUNTIES)]):
        turn = generator(province.seed, 93, number).uniform(0, 2 * np.pi)
        x, y = town.x + np.cos(turn) * town.radius_m, town.y + np.sin(turn) * town.radius_m
        extra = geometry_to_lonlat(blob(x, y, town.radius_m * 0.42, province.seed, 300 + number))
        shapes.append(shapely.difference(extra, inside))
        kinds.append("flexible")
        names.append(f"{town.name.zh.removesuffix(MARK_ZH)}弹性发展区{MARK_ZH}")
    special = _special_areas(province)
    for number, area in enumerate(special):
        shapes.append(shapely.difference(geometry_to_lonlat(area), inside))
        kinds.append("special")
        names.append(f"特别用途区{number + 1:02d}{MARK_ZH}")
    cut = shapely.set_precision(shapely.intersection(np.array(shapes, dtype=object), land), 1e-8)
    parts, owner = shapely.get_parts(cut, return_index=True)
    large = (shapely.get_dimensions(parts) == 2) & (shapely.area(geometry_to_plane(parts)) > 10_000)
    parts, owner = parts[large], owner[large]
    yield Chunk(
        parts,
        {
            "boundary_id": numbered("U", 1, len(parts)),
            "name": [names[i] for i in owner],
            "boundary_type": [kinds[i] for i in owner],
        },
    )


def _special_areas(province: Province) -> GeometryArray:
    """Resorts and parks by the sea, where there is room."""
    chance = generator(province.seed, 94)
    terrain = province.terrain
    x, y = chance.uniform(-130_000, 135_000, 900), chance.uniform(-110_000, 105_000, 900)
    inland = terrain.inland_m(x, y)
    good = np.flatnonzero((inland > 700) & (inland < 3_000))[:26]
    kept: list[tuple[float, float]] = []
    areas = []
    for place in good:
        here = (float(x[place]), float(y[place]))
        if all(np.hypot(here[0] - a, here[1] - b) > 6_000 for a, b in kept):
            kept.append(here)
            areas.append(blob(*here, float(chance.uniform(500, 1_100)), province.seed, 400 + place))
    return np.array(areas, dtype=object)
