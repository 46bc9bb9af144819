"""River management ranges, corridors of power lines, and areas prone to landslides."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.curves import blob
from gis_service.demo_province.drawing_plane import GeometryArray, geometry_to_lonlat
from gis_service.demo_province.edition import Chunk, DemoLayer
from gis_service.demo_province.noise import generator
from gis_service.demo_province.places import COUNTIES, MARK_ZH, invented_name
from gis_service.demo_province.protection import polygon_parts
from gis_service.demo_province.province import Province, numbered

_BANK_M: Final = 30.0
_AREAS: Final = 90
_HALF_M: Final = {"500kV": 32.0, "220kV": 20.0, "110kV": 14.0}
"""Half of the wires' spread and the strip beside them; demo values."""


def river_management_range(province: Province) -> DemoLayer:
    """Each river with a strip on both banks."""
    return DemoLayer("river_management_range", None, partial(_ranges, province))


def power_line_corridor(province: Province) -> DemoLayer:
    """Straight lines between substations outside the seats of the counties."""
    return DemoLayer("power_line_corridor", None, partial(_corridors, province))


def geohazard_prone_area(province: Province) -> DemoLayer:
    """Slopes above 180 m; the steeper the country, the higher the grade."""
    return DemoLayer("geohazard_prone_area", None, partial(_prone, province))


def _parts(
    province: Province, shapes: Sequence[BaseGeometry], clear_m: float
) -> tuple[GeometryArray, list[int]]:
    """On land, clear of the places set by hand, none over another; and the shape each is from."""
    taken = shapely.union_all([p.shape.centroid.buffer(clear_m) for p in province.layout.fixed])
    kept: list[BaseGeometry] = []
    for shape in shapes:
        kept.append(shapely.difference(shape, taken))
        taken = shapely.union(taken, shape)
    lonlat = geometry_to_lonlat(np.array(kept, dtype=object))
    land = geometry_to_lonlat(province.layout.land)
    return polygon_parts(shapely.set_precision(shapely.intersection(lonlat, land), 1e-8))


def _ranges(province: Province) -> Iterator[Chunk]:
    shapes = [
        shapely.simplify(shapely.buffer(river.water(), _BANK_M, quad_segs=3), 4.0)
        for river in province.layout.rivers
    ]
    parts, owner = _parts(province, shapes, 900.0)
    names = [invented_name(200 + 3 * number, "河", " River").zh for number in range(len(shapes))]
    yield Chunk(
        parts,
        {"range_id": numbered("R", 1, len(parts)), "name": [names[i] for i in owner]},
    )


def _corridors(province: Province) -> Iterator[Chunk]:
    seats = province.layout.towns[: len(COUNTIES)]
    turns = generator(province.seed, 131).uniform(0, 2 * np.pi, len(seats))
    away = np.array([seat.radius_m + 1_800.0 for seat in seats])
    x = np.array([seat.x for seat in seats]) + away * np.cos(turns)
    y = np.array([seat.y for seat in seats]) + away * np.sin(turns)
    shapes: list[BaseGeometry] = []
    voltages = []
    for number in range(1, len(seats)):
        # Each new station is joined to the nearest of those before it.
        nearest = int(np.argmin(np.hypot(x[:number] - x[number], y[:number] - y[number])))
        voltage = tuple(_HALF_M)[number % len(_HALF_M)]
        line = shapely.LineString([(x[nearest], y[nearest]), (x[number], y[number])])
        shapes.append(line.buffer(_HALF_M[voltage], cap_style="flat"))
        voltages.append(voltage)
    parts, owner = _parts(province, shapes, 900.0)
    yield Chunk(
        parts,
        {
            "line_id": numbered("P", 1, len(parts)),
            "voltage": [voltages[i] for i in owner],
            "name": [f"{voltages[i]} 演示{i + 1}线{MARK_ZH}" for i in owner],
        },
    )


def _prone(province: Province) -> Iterator[Chunk]:
    chance = generator(province.seed, 132)
    tries = chance.uniform((-140_000, -120_000), (150_000, 110_000), (_AREAS * 40, 2))
    terrain = province.terrain
    height = terrain.height_m(tries[:, 0], tries[:, 1])
    found = (terrain.inland_m(tries[:, 0], tries[:, 1]) > 1_500) & (height > 180)
    shapes: list[BaseGeometry] = []
    grades = []
    for key in np.flatnonzero(found)[:_AREAS].tolist():
        x, y = tries[key].tolist()
        shapes.append(blob(x, y, float(chance.uniform(250, 900)), province.seed, 3_000 + key))
        grades.append("high" if height[key] > 600 else "medium" if height[key] > 350 else "low")
    parts, owner = _parts(province, shapes, 1_200.0)
    yield Chunk(
        parts,
        {
            "area_id": numbered("G", 1, len(parts)),
            "susceptibility": [grades[i] for i in owner],
            "name": [f"易发区{i + 1}{MARK_ZH}" for i in owner],
        },
    )
