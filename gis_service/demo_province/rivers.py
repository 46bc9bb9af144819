"""Rivers and reservoirs, from water running down the invented terrain."""

import heapq
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.coast import largest_part
from gis_service.demo_province.curves import smooth, winding
from gis_service.demo_province.drawing_plane import BoolArray, FloatArray, IntArray
from gis_service.demo_province.noise import generator, lattice
from gis_service.demo_province.terrain import Terrain

_STEP_M: Final = 1_600.0
_RIVER_FROM_KM2: Final = 110.0
_NEIGHBOURS: Final = tuple(
    (row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column
)


@dataclass(frozen=True, slots=True)
class River:
    """One course from its source, or from where it is first a river, to sea or confluence."""

    course: FloatArray
    width_m: FloatArray
    """At each vertex of the course."""
    basin_km2: float
    """Drained at the lower end."""

    def water(self) -> BaseGeometry:
        """The water surface: the course with its growing width."""
        pieces = shapely.linestrings(np.stack([self.course[:-1], self.course[1:]], axis=1))
        half = (self.width_m[:-1] + self.width_m[1:]) / 4
        return shapely.union_all(shapely.buffer(pieces, half, quad_segs=3))


@dataclass(frozen=True, slots=True)
class Reservoir:
    """A dammed stretch of a river."""

    water: BaseGeometry
    x: float
    y: float


def rivers(terrain: Terrain, seed: int) -> tuple[River, ...]:
    """All rivers, the largest basin first."""
    rows, columns = (int(n * 1_000 / _STEP_M) for n in terrain.inland.shape)
    column, row = np.meshgrid(np.arange(columns), np.arange(rows))
    x = np.asarray((terrain.west + column * _STEP_M).ravel(), dtype=np.float64)
    y = np.asarray((terrain.south + row * _STEP_M).ravel(), dtype=np.float64)
    # A little roughness keeps rivers on flat ground from running along the raster.
    height = terrain.height_m(x, y) + 14 * lattice(column.ravel(), row.ravel(), seed)
    sea = terrain.inland_m(x, y) < 0
    down, order = _drainage(height, sea, columns)
    basin = np.full(height.size, _STEP_M**2 / 1e6)
    for cell in order[::-1]:
        if down[cell] >= 0:
            basin[down[cell]] += basin[cell]
    courses = _courses(down, order, basin, sea)
    found = []
    for course in courses:
        cells = np.array(course)
        found.append(_river(np.stack([x[cells], y[cells]], axis=1), basin[cells], seed))
    return tuple(sorted(found, key=lambda river: -river.basin_km2))


def _drainage(height: FloatArray, sea: BoolArray, columns: int) -> tuple[list[int], list[int]]:
    """Priority flood from the sea: the next cell down for each, and all cells from low to high."""
    flat, at_sea = height.tolist(), sea.tolist()
    rows = len(flat) // columns
    down = [-1] * len(flat)
    seen = list(at_sea)
    queue = [(flat[cell], cell) for cell in range(len(flat)) if at_sea[cell]]
    heapq.heapify(queue)
    order: list[int] = []
    while queue:
        level, cell = heapq.heappop(queue)
        if not at_sea[cell]:
            order.append(cell)
        row, column = divmod(cell, columns)
        for step_row, step_column in _NEIGHBOURS:
            r, c = row + step_row, column + step_column
            if not (0 <= r < rows and 0 <= c < columns):
                continue
            near = r * columns + c
            if not seen[near]:
                seen[near] = True
                down[near] = cell
                heapq.heappush(queue, (max(flat[near], level), near))
    return down, order


def _courses(
    down: list[int], order: list[int], basin: FloatArray, sea: BoolArray
) -> list[list[int]]:
    """Cells of each river, upstream first; a course ends in the sea or in a larger river."""
    is_river = (basin >= _RIVER_FROM_KM2) & ~sea
    fed = {down[cell] for cell in order if is_river[cell]}
    heads = [cell for cell in order if is_river[cell] and cell not in fed]
    heads.sort(key=lambda cell: (-_length(cell, down), cell))
    taken: set[int] = set()
    courses = []
    for head in heads:
        cells = [head]
        while cells[-1] not in taken and down[cells[-1]] >= 0 and not sea[cells[-1]]:
            taken.add(cells[-1])
            cells.append(down[cells[-1]])
        if len(cells) > 4:
            courses.append(cells)
    return courses


def _length(cell: int, down: list[int]) -> int:
    steps = 0
    while down[cell] >= 0:
        cell = down[cell]
        steps += 1
    return steps


def _river(points: FloatArray, basin_km2: FloatArray, seed: int) -> River:
    # The last cell lies in the sea or in the larger river, whose basin it would borrow.
    own = np.minimum(basin_km2, basin_km2[-2])
    course = winding(smooth(points, 3), 220.0, 650.0, 3_800.0, seed + 41)
    share = np.linspace(0, 1, len(course))
    basin = np.interp(share, np.linspace(0, 1, len(points)), own)
    width = np.clip(2.6 * np.sqrt(basin) + 2, 22, 320)
    return River(course, width, float(own[-1]))


def reservoirs(
    found: tuple[River, ...], terrain: Terrain, seed: int, clear: BaseGeometry
) -> tuple[Reservoir, ...]:
    """Lakes with arms behind dams, in the hills and away from ``clear`` (towns)."""
    chance = generator(seed, 43)
    kept: list[Reservoir] = []
    for river in found:
        height = terrain.height_m(river.course[:, 0], river.course[:, 1])
        places = np.flatnonzero((height > 45) & (height < 420))
        if len(places) < 20:
            continue
        for share in (0.75, 0.3):
            dam = int(places[int(share * (len(places) - 1))])
            size = 900.0 if not kept else float(chance.uniform(260, 560))
            lake = _lake(river.course, dam, size, chance)
            x, y = (float(v) for v in river.course[dam])
            free = all(np.hypot(x - r.x, y - r.y) > 12_000 for r in kept)
            if free and not shapely.intersects(lake, clear):
                kept.append(Reservoir(lake, x, y))
        if len(kept) >= 24:
            break
    return tuple(kept)


def _lake(course: FloatArray, dam: int, size_m: float, chance: np.random.Generator) -> BaseGeometry:
    """The drowned valley: the course above the dam, wide and uneven, with a few side arms."""
    length = int(size_m * chance.uniform(9, 13) / 220)
    valley: IntArray = np.arange(max(dam - length, 0), dam)
    if len(valley) < 4:
        valley = np.arange(dam, min(dam + 4, len(course)))
    swelling = np.linspace(0, 1, len(valley)) * chance.uniform(0.6, 1.2, len(valley))
    arms: list[tuple[FloatArray, FloatArray]] = [(course[valley], 0.25 + 0.75 * swelling)]
    for start in valley[:: max(len(valley) // 5, 1)].tolist():
        angle = chance.uniform(0, 2 * np.pi)
        reach = size_m * chance.uniform(1.2, 2.6) * np.linspace(0.2, 1, 6)
        bend = angle + np.linspace(0, chance.uniform(-0.7, 0.7), 6)
        arm = course[start] + np.stack([np.cos(bend) * reach, np.sin(bend) * reach], axis=1)
        arms.append((arm, np.linspace(0.5, 0.16, 6)))
    pools = [
        shapely.buffer(np.asarray(shapely.points(line)), size_m * half, quad_segs=4)
        for line, half in arms
    ]
    channels = [np.array([LineString(line).buffer(size_m * 0.12)]) for line, _ in arms]
    water = largest_part(shapely.union_all(np.concatenate(pools + channels)))
    return shapely.simplify(Polygon(shapely.get_coordinates(water.exterior)), 25.0)
