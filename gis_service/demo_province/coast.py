"""The land of the demo province: a real outline where there is one, else a synthetic island.

The real outline is Hainan in Natural Earth 1:10 million (public domain) as the npm package
``world-atlas`` carries it (``land-10m.json``, TopoJSON): land only, no boundaries. Its 670
vertices are roughened to a vertex every hundred metres or so; the detail is invented.
"""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.drawing_plane import FloatArray, to_plane
from gis_service.demo_province.noise import generator

_BOX: Final = (108.3, 17.9, 111.5, 20.35)
"""Lon/lat box of the island and its islets; the mainland's coast lies north of it."""

_SMALLEST_ISLET_M2: Final = 2e5


def land(seed: int, coast_file: Path | None) -> BaseGeometry:
    """The land in metres of the drawing plane: a multipolygon, the main island first."""
    rings = None
    if coast_file is not None and coast_file.exists():
        rings = _natural_earth_rings(json.loads(coast_file.read_text("utf-8")))
    if not rings:
        rings = [_synthetic_ring(seed)]
    islands = []
    for number, ring in enumerate(rings):
        islands.append(_roughened_island(ring, seed, number))
    islands.sort(key=lambda island: -island.area)
    main = islands[0]
    apart = [i for i in islands[1:] if i.area > _SMALLEST_ISLET_M2 and i.distance(main) > 300]
    return MultiPolygon([main, *apart])


def _roughened_island(ring: FloatArray, seed: int, number: int) -> Polygon:
    """A valid island; the roughness is lowered until the coast does not cross itself."""
    for amplitude in (0.2, 0.16, 0.12, 0.08, 0.04, 0.0):
        rough = roughen(ring, seed, number, longest_m=110.0, amplitude=amplitude, closed=True)
        island = Polygon(rough)
        if island.is_valid:
            return island
    return largest_part(shapely.make_valid(island))


def largest_part(geometry: BaseGeometry) -> Polygon:
    """The part of the largest area."""
    parts: list[Polygon] = list(shapely.get_parts(geometry))
    return max(parts, key=lambda part: part.area)


def roughen(
    points: FloatArray,
    seed: int,
    key: int,
    *,
    longest_m: float,
    amplitude: float,
    closed: bool = False,
) -> FloatArray:
    """Midpoint displacement until no segment is longer; the given points stay where they are."""
    chance = generator(seed, 7, key)
    line = np.concatenate([points, points[:1]]) if closed else points
    # The last levels are short segments, where a large share of the length looks like noise.
    for _ in range(24):
        step = np.diff(line, axis=0)
        length = np.hypot(step[:, 0], step[:, 1])
        long = np.flatnonzero(length > longest_m)
        if len(long) == 0:
            break
        normal = np.stack([-step[long, 1], step[long, 0]], axis=1)
        shift = np.clip(chance.standard_normal(len(long)), -1.8, 1.8) * amplitude
        middle = (line[long] + line[long + 1]) / 2 + normal * shift[:, None]
        line = np.insert(line, long + 1, middle, axis=0)
    return line[:-1] if closed else line


def _natural_earth_rings(topology: dict[str, Any]) -> list[FloatArray]:
    """Outer rings of the polygons inside the box, largest first, in metres of the plane."""
    scale, translate = (np.array(topology["transform"][key]) for key in ("scale", "translate"))
    polygons = topology["objects"]["land"]["geometries"][0]["arcs"]
    rings = []
    for polygon in polygons:
        lonlat = _ring(topology["arcs"], polygon[0]) * scale + translate
        west, south = lonlat.min(axis=0)
        east, north = lonlat.max(axis=0)
        if west > _BOX[0] and south > _BOX[1] and east < _BOX[2] and north < _BOX[3]:
            rings.append(to_plane(lonlat))
    rings.sort(key=lambda ring: -float(np.ptp(ring[:, 0]) * np.ptp(ring[:, 1])))
    return rings


def _ring(arcs: list[list[list[int]]], numbers: list[int]) -> FloatArray:
    """Join the arcs of a ring; a negative number is the arc ``~number`` backwards."""
    parts = []
    for number in numbers:
        arc = np.cumsum(np.array(arcs[~number if number < 0 else number], dtype=float), axis=0)
        parts.append((arc[::-1] if number < 0 else arc)[:-1])
    return np.concatenate(parts)


def _synthetic_ring(seed: int) -> FloatArray:
    """An island of the size and the lie of Hainan, without any source."""
    turn = np.linspace(0, 2 * np.pi, 220, endpoint=False)
    chance = generator(seed, 8)
    radius = np.ones_like(turn)
    for wave in range(2, 14):
        phase = chance.uniform(0, 2 * np.pi)
        radius += 0.09 / wave**0.9 * chance.standard_normal() * np.sin(wave * turn + phase)
    along, across = 132_000 * radius * np.cos(turn), 84_000 * radius * np.sin(turn)
    lie = np.radians(38)
    x = along * np.cos(lie) - across * np.sin(lie) + 3_000
    y = along * np.sin(lie) + across * np.cos(lie) - 2_000
    return np.stack([x, y], axis=1)
