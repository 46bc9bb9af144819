"""Widths and exact parts of what an overlay gives."""

from typing import Any

import numpy as np
import shapely
from shapely.errors import GEOSException
from shapely.geometry.base import BaseGeometry

from layers.crs import GRID_DEG, GeometryArray, LocalPlane


def polygons_of(geometries: BaseGeometry | GeometryArray) -> GeometryArray:
    """The polygons in geometries and collections; lines and points of contact are left out."""
    parts: GeometryArray = shapely.get_parts(shapely.get_parts(geometries))
    kept: GeometryArray = parts[(shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)]
    return kept


def intersection(one: GeometryArray | BaseGeometry, other: GeometryArray | BaseGeometry) -> Any:
    """Intersection in floating precision; on the storage grid where GEOS fails."""
    try:
        return shapely.intersection(one, other)
    except GEOSException:
        return shapely.intersection(one, other, grid_size=GRID_DEG)


def union(geometries: GeometryArray) -> BaseGeometry:
    """Union of polygons; those that share their edges exactly are joined without an overlay.

    That is many times faster. It is right only where nothing overlaps and all edges match; then
    the areas (square degrees, compared with each other only) add up.
    """
    try:
        joined = shapely.coverage_union_all(geometries)
        total = float(shapely.area(geometries).sum())
        if joined.is_valid and abs(joined.area - total) <= 1e-12 * total:
            return joined
    except GEOSException:
        pass
    try:
        return shapely.union_all(geometries)
    except GEOSException:
        return shapely.union_all(geometries, grid_size=GRID_DEG)


def width_m(polygon: BaseGeometry) -> float:
    """Diameter of the largest circle inside a lon/lat polygon, in metres, to about 2 %.

    A polygon of area A and perimeter P holds a circle of diameter 2A/P at least.
    """
    shape = LocalPlane.around(polygon).to_metres(polygon)
    if shape.area <= 0:
        return 0.0
    about = 2 * shape.area / shape.length
    circle = shapely.maximum_inscribed_circle(shape, tolerance=max(about / 50, 1e-5))
    return max(float(about), 2 * float(shapely.length(circle)))


def place_in(geometry: BaseGeometry) -> tuple[float, float] | None:
    """A point of the geometry, longitude and latitude to the storage grid; None if it is empty."""
    if geometry.is_empty:
        return None
    point = shapely.point_on_surface(geometry)
    return round(point.x, 8), round(point.y, 8)


def wkb_of(geometries: GeometryArray) -> bytes:
    """Polygons as one WKB: a polygon, or a multipolygon of several."""
    whole = geometries[0] if len(geometries) == 1 else shapely.multipolygons(geometries)
    return bytes(shapely.to_wkb(whole))


def empty_shapes() -> GeometryArray:
    """No shapes."""
    return np.array([], dtype=object)
