"""Villages, and projects that the overall plan puts into open country."""

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.curves import blob, turned_box
from gis_service.demo_province.drawing_plane import GeometryArray
from gis_service.demo_province.noise import generator
from gis_service.demo_province.terrain import Terrain

_VILLAGES = 330
_PROJECTS = 64


@dataclass(frozen=True, slots=True)
class Project:
    """A site planned for construction on land that is not built on, often on good fields."""

    shape: BaseGeometry
    code: str


def villages(terrain: Terrain, seed: int, taken: BaseGeometry) -> GeometryArray:
    """Outlines of villages for the small scale, where fields are too large to show any."""
    chance = generator(seed, 22)
    places = _places(terrain, chance, _VILLAGES, 2_600.0, 300.0, taken)
    return np.array(
        [
            blob(
                x, y, float(chance.uniform(130, 320)), seed, 2_000 + key, unevenness=0.3, points=15
            )
            for key, (x, y) in enumerate(places)
        ],
        dtype=object,
    )


def projects(terrain: Terrain, seed: int, taken: BaseGeometry) -> tuple[Project, ...]:
    """Works, resorts and the like; those near the sea are resorts."""
    chance = generator(seed, 23)
    found = []
    for key, (x, y) in enumerate(_places(terrain, chance, _PROJECTS, 6_500.0, 110.0, taken)):
        near_sea = float(terrain.inland_m(np.array([x]), np.array([y]))[0]) < 2_600
        code = "090104" if near_sea else ("1001", "1101", "0901", "1001")[key % 4]
        length, width = float(chance.uniform(380, 1_100)), float(chance.uniform(260, 620))
        if near_sea or key % 3 == 0:
            shape = blob(x, y, width * 0.75, seed, 2_500 + key, unevenness=0.3, points=22)
        else:
            shape = turned_box(x, y, length, width, float(chance.uniform(0, 180)))
        found.append(Project(shape, code))
    return tuple(found)


def _places(
    terrain: Terrain,
    chance: np.random.Generator,
    count: int,
    apart_m: float,
    highest_m: float,
    taken: BaseGeometry,
) -> list[tuple[float, float]]:
    """Places on low land, apart from each other and from what is there already."""
    tries = np.stack(
        [
            chance.uniform(-140_000, 150_000, 12 * count),
            chance.uniform(-120_000, 110_000, 12 * count),
        ],
        axis=1,
    )
    inland = terrain.inland_m(tries[:, 0], tries[:, 1])
    height = terrain.height_m(tries[:, 0], tries[:, 1])
    shapely.prepare(taken)
    free = (inland > 800) & (height < highest_m)
    free &= ~shapely.intersects(taken, shapely.points(tries))
    kept = np.zeros((0, 2))
    for place in tries[free]:
        if len(kept) >= count:
            break
        if not len(kept) or np.hypot(*(kept - place).T).min() > apart_m:
            kept = np.concatenate([kept, place[None]])
    return [(float(x), float(y)) for x, y in kept]
