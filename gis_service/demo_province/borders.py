"""Schematic county borders: winding lines between the counties' points, agreed by both sides."""

from collections import defaultdict
from typing import Final

import numpy as np
import shapely
from shapely import Point

from gis_service.demo_province.coast import roughen
from gis_service.demo_province.curves import smooth
from gis_service.demo_province.drawing_plane import FloatArray, to_plane
from gis_service.demo_province.places import COUNTIES

_FRAME_M: Final = 400_000.0


def county_borders(seed: int) -> list[FloatArray]:
    """Border lines in metres of the plane, each drawn once; they run on over the sea."""
    points = np.concatenate([to_plane(np.array(county.points)) for county in COUNTIES])
    owner = np.repeat(np.arange(len(COUNTIES)), [len(county.points) for county in COUNTIES])
    cells = shapely.get_parts(
        shapely.voronoi_polygons(
            shapely.multipoints(points),
            extend_to=Point(0, 0).buffer(_FRAME_M),
        )
    )
    place, cell = shapely.STRtree(cells).query(shapely.points(points), predicate="within")
    sides: dict[tuple[float, float, float, float], list[int]] = defaultdict(list)
    for point, polygon in zip(place, cell, strict=True):
        ring = np.round(shapely.get_coordinates(cells[polygon]), 3)
        for start, end in zip(ring[:-1].tolist(), ring[1:].tolist(), strict=True):
            first, second = sorted((tuple(start), tuple(end)))
            sides[(*first, *second)].append(int(owner[point]))
    borders = [
        [edge[:2], edge[2:]]
        for edge, owners in sorted(sides.items())
        if len(owners) == 2 and owners[0] != owners[1]
    ]
    merged = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(borders)))
    lines = [shapely.get_coordinates(line) for line in merged]
    lines.sort(key=lambda line: (float(line[0, 0]), float(line[0, 1])))
    return [
        roughen(smooth(line, 3), seed, 1_000 + number, longest_m=320.0, amplitude=0.14)
        for number, line in enumerate(lines)
    ]
