"""Drinking-water sources and heritage."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.curves import blob
from gis_service.demo_province.drawing_plane import (
    FloatArray,
    GeometryArray,
    geometry_to_lonlat,
)
from gis_service.demo_province.edition import Chunk, DemoLayer
from gis_service.demo_province.fixed_places import monument
from gis_service.demo_province.noise import generator
from gis_service.demo_province.places import COUNTIES, MARK_ZH, NO_HERITAGE_SURVEY, invented_name
from gis_service.demo_province.province import Province, in_areas, numbered

_LEVELS = ("national", "provincial", "county", "county")
_KINDS = ("古村落", "祠堂", "古墓葬", "遗址", "古塔", "书院", "炮台", "牌坊")


def drinking_water_protection_zone(province: Province) -> DemoLayer:
    """Grades 1 to 3 around reservoirs and river intakes, one inside the other without overlap."""
    return DemoLayer("drinking_water_protection_zone", None, partial(_zones, province))


def heritage_layers(province: Province) -> tuple[DemoLayer, DemoLayer]:
    """Protection scopes and control zones; one county has not been surveyed."""
    counties = province.layout.counties
    surveyed = [i for i, c in enumerate(COUNTIES) if c.code != NO_HERITAGE_SURVEY]
    coverage = shapely.coverage_union_all(counties[surveyed])
    return (
        DemoLayer("heritage_protection_scope", coverage, partial(_heritage, province, True)),
        DemoLayer(
            "heritage_construction_control_zone", coverage, partial(_heritage, province, False)
        ),
    )


def _zones(province: Province) -> Iterator[Chunk]:
    layout = province.layout
    clear = shapely.union_all([shapely.buffer(p.shape.centroid, 900) for p in layout.fixed])
    sources: list[tuple[str, BaseGeometry, tuple[float, float, float]]] = []
    for number, lake in enumerate(layout.reservoirs):
        name = invented_name(40 + 5 * number, "水库", " Reservoir").zh
        sources.append((name, lake.water, (200.0, 1_300.0, 2_800.0 if number < 8 else 0.0)))
    for number, river in enumerate(layout.rivers[:14]):
        at = river.course[int(len(river.course) * 0.55)]
        name = invented_name(200 + 3 * number, "河取水口", " Intake").zh
        intake = blob(float(at[0]), float(at[1]), 260.0, province.seed, 600 + number)
        sources.append((name, intake, (100.0, 700.0, 0.0)))
    taken: BaseGeometry = clear
    shapes: list[BaseGeometry] = []
    grades: list[int] = []
    names: list[str] = []
    land = geometry_to_lonlat(layout.land)
    for name, water, widths in sources:
        inner = None
        for grade, width in enumerate(widths, start=1):
            if width == 0:
                continue
            outer = shapely.simplify(shapely.buffer(water, width, quad_segs=6), 8.0)
            ring = shapely.difference(outer, taken if inner is None else inner.union(taken))
            inner = outer
            shapes.append(ring)
            grades.append(grade)
            names.append(name)
        taken = shapely.union(taken, inner) if inner is not None else taken
    cut = geometry_to_lonlat(np.array(shapes, dtype=object))
    cut = shapely.set_precision(shapely.intersection(cut, land), 1e-8)
    parts, owner = polygon_parts(cut)
    yield Chunk(
        parts,
        {
            "zone_id": numbered("W", 1, len(parts)),
            "zone_grade": [grades[i] for i in owner],
            "source_name": [names[i] for i in owner],
        },
    )


def polygon_parts(shapes: GeometryArray) -> tuple[GeometryArray, list[int]]:
    """Polygon parts of any size that matters, and the shape each is from."""
    parts, owner = shapely.get_parts(shapes, return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)
    owner = owner[inner]
    surface = (shapely.get_dimensions(parts) == 2) & (shapely.area(parts) > 1e-9)
    return parts[surface], owner[surface].tolist()


def _monuments(province: Province) -> tuple[FloatArray, list[str], list[str]]:
    """Middle and radius of each, level, name; the first stands beside a sample site."""
    chance = generator(province.seed, 95)
    layout = province.layout
    rows = [(*monument(), 52.0)]
    many = 3 if layout.scale.coarse == 1 else 1
    for number, town in enumerate(layout.towns):
        wanted = (5 if number < len(COUNTIES) else 1) * many
        for _ in range(wanted):
            turn, away = chance.uniform(0, 2 * np.pi), chance.uniform(0.05, 2.6)
            rows.append(
                (
                    town.x + np.cos(turn) * away * town.radius_m,
                    town.y + np.sin(turn) * away * town.radius_m,
                    float(chance.uniform(28, 95)),
                )
            )
    found = np.array(rows)
    inside = layout.terrain.inland_m(found[:, 0], found[:, 1]) > 250
    unsurveyed = next(i for i, c in enumerate(COUNTIES) if c.code == NO_HERITAGE_SURVEY)
    near = geometry_to_lonlat(shapely.buffer(shapely.points(found[:, :2]), 320.0, quad_segs=2))
    inside &= ~shapely.intersects(layout.counties[unsurveyed], near)
    fixed = np.array([shapely.buffer(p.shape, 420.0) for p in layout.fixed], dtype=object)
    inside &= ~in_areas(found[:, 0], found[:, 1], fixed)
    inside[0] = True
    apart = shapely.STRtree(np.asarray(shapely.points(found[:, :2])))
    for first, second in apart.query(
        shapely.points(found[:, :2]), predicate="dwithin", distance=620.0
    ).T.tolist():
        if first < second and inside[first]:
            inside[second] = False
    kept = found[inside]
    levels = [_LEVELS[number % len(_LEVELS)] for number in range(len(kept))]
    names = [
        invented_name(11 * number + 1).zh.removesuffix(MARK_ZH)
        + _KINDS[number % len(_KINDS)]
        + MARK_ZH
        for number in range(len(kept))
    ]
    return kept, levels, names


def _heritage(province: Province, scope: bool) -> Iterator[Chunk]:
    found, levels, names = _monuments(province)
    shapes = []
    for key, (x, y, radius_m) in enumerate(found.tolist()):
        core = blob(x, y, radius_m, province.seed, 700 + key, unevenness=0.3, points=14)
        wide = shapely.buffer(core, 90.0 + 60.0 * (key % 3), join_style="mitre", mitre_limit=1.5)
        shapes.append(core if scope else shapely.difference(wide, core))
    geometries = geometry_to_lonlat(np.array(shapes, dtype=object))
    yield Chunk(
        geometries,
        {
            "heritage_id": numbered("H" if scope else "HC", 1, len(shapes)),
            "name": names,
            "level": levels,
        },
    )
