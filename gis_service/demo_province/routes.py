"""The road network: a ring expressway, two that cross it, and roads of four classes below it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from shapely import LineString, Polygon

from gis_service.demo_province.curves import even, smooth, winding
from gis_service.demo_province.drawing_plane import FloatArray
from gis_service.demo_province.places import COUNTIES, Town
from gis_service.demo_province.terrain import Terrain

WIDTH_M: Final = {
    "expressway": 46.0,
    "national": 30.0,
    "provincial": 24.0,
    "county": 16.0,
    "township": 10.0,
}
"""Width of the road land by class: demo values."""

RANK: Final = tuple(WIDTH_M)

_RING: Final = (
    "460100",
    "469005",
    "469002",
    "469006",
    "469028",
    "460200",
    "469027",
    "469007",
    "469026",
    "460400",
    "469024",
    "469023",
)
_MIDDLE: Final = ("460100", "469021", "469022", "469030", "469001", "469029", "460200")
_ACROSS: Final = ("460400", "469025", "469030", "469006")
_EXPRESSWAYS: Final = (
    ("G9", (*_RING, _RING[0])),
    ("G9M", _MIDDLE),
    ("G9A", _ACROSS),
)


@dataclass(frozen=True, slots=True)
class Route:
    """One road from end to end."""

    number: str
    road_class: str
    line: FloatArray

    @property
    def width_m(self) -> float:
        """Width of its land."""
        return WIDTH_M[self.road_class]

    def land(self) -> Polygon:
        """The road land: the winding centreline with its width."""
        line = LineString(self.line)
        return line.buffer(self.width_m / 2, cap_style="flat", join_style="round", quad_segs=2)


@dataclass(frozen=True, slots=True)
class _Ground:
    terrain: Terrain
    clear: FloatArray
    seed: int


def routes(
    towns: tuple[Town, ...], terrain: Terrain, clear: FloatArray, seed: int
) -> tuple[Route, ...]:
    """All roads, the highest class first; they go around the circles ``clear`` (x, y, radius)."""
    ground = _Ground(terrain, clear, seed)
    middle = np.array([(town.x, town.y) for town in towns])
    found = [_expressway(number, codes, towns, ground) for number, codes in _EXPRESSWAYS]
    seats = len(COUNTIES)
    done: set[tuple[int, int]] = set()
    for group, reach in ((np.arange(seats), 1.0), (np.arange(len(towns)), 0.92)):
        for first, second in _neighbours(middle[group], reach):
            pair = (int(group[first]), int(group[second]))
            if pair in done:
                continue
            done.add(pair)
            found.append(_road(pair, towns, ground, len(done)))
    return tuple(sorted(found, key=lambda route: (RANK.index(route.road_class), route.number)))


def _neighbours(points: FloatArray, reach: float) -> list[tuple[int, int]]:
    """Pairs with nobody else inside the circle between them (Gabriel graph, a little pruned)."""
    pairs = []
    apart = np.hypot(*(points[:, None, :] - points[None, :, :]).transpose(2, 0, 1))
    for first in range(len(points)):
        for second in range(first + 1, len(points)):
            middle = (points[first] + points[second]) / 2
            distance = np.hypot(*(points - middle).T)
            distance[[first, second]] = np.inf
            if distance.min() >= apart[first, second] / 2 * reach * 1.12:
                pairs.append((first, second))
    return pairs


def _expressway(
    number: str, codes: tuple[str, ...], towns: tuple[Town, ...], ground: _Ground
) -> Route:
    """Past the towns, on their inland side; interchanges are not drawn."""
    terrain = ground.terrain
    by_code = {county.code: town for county, town in zip(COUNTIES, towns, strict=False)}
    ring = codes[0] == codes[-1]
    stops = []
    for place, code in enumerate(codes[:-1] if ring else codes):
        town = by_code[code]
        at = np.array([[town.x, town.y]])
        side = terrain.inland_direction(at[:, 0], at[:, 1])[0]
        if terrain.inland_m(at[:, 0], at[:, 1])[0] > 22_000:
            side = np.array([1.0, 0.35]) / 1.06
        # The ends of the crossing lines reach past the ring to the towns.
        end = not ring and place in (0, len(codes) - 1)
        away = town.radius_m * 0.9 if end else town.radius_m * 1.2 + 1_400 + 300 * (place % 2)
        stops.append(at[0] + side * away)
    line = np.array(stops)
    if ring:
        # Closed half-way between two towns, where the smoothed line is straight.
        middle = (line[:1] + line[1:2]) / 2
        line = np.concatenate([middle, line[1:], line[:1], middle])
    line = smooth(line, 4)
    return Route(number, "expressway", _laid(line, ground, 2_300.0, 1_500.0, 9_000.0, 51))


def _road(pair: tuple[int, int], towns: tuple[Town, ...], ground: _Ground, number: int) -> Route:
    first, second = (towns[index] for index in pair)
    seats = len(COUNTIES)
    if pair[1] < seats:
        road_class = "national" if number % 3 else "provincial"
        prefix = "G" if road_class == "national" else "S"
    elif pair[0] < seats:
        road_class, prefix = ("provincial", "S") if number % 4 == 0 else ("county", "X")
    else:
        road_class, prefix = ("county", "X") if number % 3 == 0 else ("township", "Y")
    ends = np.array([(first.x, first.y), (second.x, second.y)])
    length = float(np.hypot(*(ends[1] - ends[0])))
    height = float(ground.terrain.height_m(*ends.mean(axis=0)[:, None])[0])
    reach = min(350 + height * 2.2, 1_500) * min(length / 12_000, 1.4)
    line = _laid(ends, ground, 500.0, reach, min(length / 3, 4_500), 60 + number % 7)
    return Route(f"{prefix}{900 + number}", road_class, line)


def _laid(
    line: FloatArray, ground: _Ground, shore_m: float, reach_m: float, wave_m: float, key: int
) -> FloatArray:
    """Wind the line through the terrain, ``shore_m`` from the sea and around what is kept clear."""
    terrain = ground.terrain
    line = winding(even(line, 400.0), 400.0, reach_m, wave_m, ground.seed + key)
    for _ in range(40):
        lack = shore_m - terrain.inland_m(line[:, 0], line[:, 1])
        lack[[0, -1]] = 0
        around = _around(line, ground.clear)
        if lack.max() <= 0 and not around.any():
            break
        push = np.clip(lack, 0, 600)[:, None]
        line = line + terrain.inland_direction(line[:, 0], line[:, 1]) * push + around
        line[1:-1] = (line[:-2] + 2 * line[1:-1] + line[2:]) / 4
    line = even(line, 150.0)
    line = line + _around(line, ground.clear)
    line = smooth(line[::3] if len(line) % 3 == 1 else np.append(line[::3], line[-1:], axis=0), 2)
    return shapely.get_coordinates(shapely.simplify(shapely.linestrings(line), 2.0))


def _around(line: FloatArray, clear: FloatArray) -> FloatArray:
    """The step out of each circle for vertices inside it; ends never move."""
    step = np.zeros_like(line)
    for x, y, radius in clear:
        off = line - (x, y)
        distance = np.maximum(np.hypot(off[:, 0], off[:, 1]), 1.0)
        lack = np.clip(radius - distance, 0, None)
        step += off / distance[:, None] * lack[:, None]
    step[[0, -1]] = 0
    return step
