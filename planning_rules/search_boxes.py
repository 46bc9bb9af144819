"""Small boxes around a site, so that a long corridor does not ask for a whole province."""

import heapq
import math
from typing import Final

import shapely
from shapely.geometry.base import BaseGeometry

from layers.crs import Box, LocalPlane

_MOST_BOXES: Final = 64
_SMALL_M: Final = 1_000.0
_GOOD_FILL: Final = 0.25


def boxes_around(geometry: BaseGeometry, margin_m: float) -> list[Box]:
    """Lon/lat boxes that hold every point within ``margin_m`` metres of the geometry.

    The emptiest large box is halved until all are small or well filled, or there are 64.
    """
    plane = LocalPlane.around(geometry)
    open_boxes = [_entry(geometry, plane, 0)]
    done: list[BaseGeometry] = []
    count = 1
    while open_boxes:
        waste, _, part = heapq.heappop(open_boxes)
        halves = (
            _halves(part) if waste < 0 and len(open_boxes) + len(done) + 2 <= _MOST_BOXES else []
        )
        if not halves:
            done.append(part)
        for half in halves:
            heapq.heappush(open_boxes, _entry(half, plane, count))
            count += 1
    return sorted(_grown(part.bounds, margin_m) for part in done)


def _entry(part: BaseGeometry, plane: LocalPlane, number: int) -> tuple[float, int, BaseGeometry]:
    """Negative waste in square metres (0 when the box is fine), a tie-breaker, the part."""
    west, south, east, north = part.bounds
    width_m = (east - west) * plane.metres_per_deg_x
    height_m = (north - south) * plane.metres_per_deg_y
    box_degrees = (east - west) * (north - south)
    fill = part.area / box_degrees if box_degrees else 1.0
    if max(width_m, height_m) <= _SMALL_M or fill >= _GOOD_FILL:
        return (0.0, number, part)
    return (-(width_m * height_m) * (1 - fill), number, part)


def _halves(part: BaseGeometry) -> list[BaseGeometry]:
    west, south, east, north = part.bounds
    if east - west >= north - south:
        middle = (west + east) / 2
        boxes = [(west, south, middle, north), (middle, south, east, north)]
    else:
        middle = (south + north) / 2
        boxes = [(west, south, east, middle), (west, middle, east, north)]
    try:
        halves = [shapely.intersection(part, shapely.box(*box)) for box in boxes]
    except shapely.errors.GEOSException:
        return []
    return [half for half in halves if not half.is_empty]


def _grown(box: Box, margin_m: float) -> Box:
    """The box with its margin; degrees of longitude are shortest at its poleward edge."""
    west, south, east, north = box
    far = max(abs(south), abs(north))
    plane = LocalPlane.at((west + east) / 2, min(far + margin_m / 110_000, 89.0))
    dx = margin_m / plane.metres_per_deg_x
    dy = margin_m / LocalPlane.at(west, 0.0).metres_per_deg_y
    grown = (west - dx, south - dy, east + dx, north + dy)
    return grown if all(map(math.isfinite, grown)) else box
