"""What features cover after a few of them changed, by looking at the changed places only."""

from collections.abc import Callable
from typing import Any

import numpy as np
import shapely

from layers.crs import GeometryArray
from layers.import_coverage import without_slivers

Near = Callable[[GeometryArray], GeometryArray]
"""Gives the features that stay and whose boxes meet those of the given places."""


def covered_after(
    whole: shapely.Geometry, gone: GeometryArray, come: GeometryArray, near: Near
) -> shapely.Geometry:
    """A coverage (EPSG:4490) after features went and others came.

    Where something went and came again, all stays as it was. What is lost for good is taken out;
    neighbours that overlapped it still cover their own part. Where features of the base lay and it
    had no data all the same, it had refused a row: that stays so.
    """
    went, came = shapely.union_all(gone), shapely.union_all(come)
    lost = _polygons(shapely.difference(went, came))
    gained = _polygons(shapely.difference(came, went))
    places = np.concatenate((lost, gained))
    if not len(places):
        return whole
    stays = near(places)
    kept = _shared(stays, lost)
    filled = shapely.union_all(np.concatenate((kept, gained)))
    lay = shapely.union_all(np.concatenate((kept, _shared(stays, gained))))
    holes = without_slivers(shapely.difference(lay, whole))
    rest = shapely.difference(whole, shapely.union_all(lost))
    covered: shapely.Geometry = shapely.union(rest, shapely.difference(filled, holes))
    return covered


def _shared(stays: GeometryArray, places: GeometryArray) -> GeometryArray:
    """What the features that stay have of the places."""
    place, feature = shapely.STRtree(stays).query(places, predicate="intersects")
    return _polygons(shapely.intersection(places[place], stays[feature]))


def _polygons(geometry: Any) -> GeometryArray:
    parts = shapely.get_parts(shapely.get_parts(geometry))
    found: GeometryArray = parts[shapely.area(parts) > 0]
    return found
