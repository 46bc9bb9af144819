"""Lines and points on inner boundaries: what one parcel only touches, several may enclose.

A line along the edge that two parcels share touches each of them and still runs through the
middle of both together. So the boundary that excuses is the one of the union of the features that
are asked for: how a plan is split into features changes nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from planning_rules.overlay import (
    GeometryArray,
    LayerOverlay,
    SharedPart,
    Site,
    dangling_ends,
    interior_crossings,
    union,
)
from planning_rules.width import CLOSING_M, close_gaps

_NEAR_M: Final = 2 * CLOSING_M
"""Nearer to the outer boundary than this counts as on it: the storage grid is 1 mm."""


def joined(site: Site, overlay: LayerOverlay, parts: Sequence[SharedPart]) -> list[SharedPart]:
    """The parts with contacts made bodies where they run inside the union of all parts."""
    if site.dimension == 2 or not any(part.contact is not None for part in parts):
        return list(parts)
    chosen = {part.feature.fid for part in parts}
    wanted = np.array([feature.fid in chosen for feature in overlay.features], dtype=bool)
    pieces = overlay.pieces[wanted[overlay.owners]]
    pieces = pieces[shapely.intersects(site.geometry, pieces)]
    dimensions = shapely.get_dimensions(pieces)
    inner = _inner(site, pieces[dimensions == 2])
    lines = pieces[dimensions == 1]
    return [_promoted(site, part, inner, lines) for part in parts]


def _inner(site: Site, areas: GeometryArray) -> BaseGeometry | None:
    """The inside of the union in metres, without a hair along its outer boundary."""
    if len(areas) == 0:
        return None
    closed = close_gaps(site.plane.to_metres(areas))
    inner: BaseGeometry = shapely.buffer(union(closed), -_NEAR_M, join_style="mitre")
    return inner


def _promoted(
    site: Site, part: SharedPart, inner: BaseGeometry | None, lines: npt.NDArray[np.object_]
) -> SharedPart:
    if part.contact is None:
        return part
    found: list[Any] = [] if part.body is None else list(shapely.get_parts(part.body))
    before = len(found)
    if inner is not None:
        metres = site.plane.to_metres(part.contact)
        inside = shapely.get_parts(shapely.intersection(metres, inner))
        same = shapely.get_dimensions(inside) == site.dimension
        inside = inside[same & ~shapely.is_empty(inside)]
        found.extend(site.plane.to_degrees(inside))
    if len(found) == before and site.dimension == 1 and len(lines):
        ends = dangling_ends(lines)
        found.extend(interior_crossings(site, part.contact, ends))
    if len(found) == before:
        return part
    return replace(part, body=union(np.array(found, dtype=object)), contact=None)
