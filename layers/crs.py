"""The only place that knows CRS numbers, axis order and datum policy.

Inside the project every geometry is EPSG:4490 (CGCS2000) with x = longitude and y = latitude in
degrees; projected coordinates are x = easting, y = northing. The authority's order (latitude
first for EPSG:4490, northing first for the Gauss-Krueger codes) exists at the edge only:
``Crs.swapped`` says so and ``swap_axes`` does it.

Datum policy:

1. CGCS2000 and WGS 84 are declared equivalent (identity; they agree within some centimetres to
   decimetres). PROJ knows the pair only as a "ballpark" null shift, so it is not left to PROJ.
2. A projection inside one datum is exact and admitted, custom ones by WKT too.
3. Every other datum (Xi'an 1980, Beijing 1954, local systems) needs a stated transformation
   (``layers.datum``): PROJ would return such coordinates unchanged and silently.
4. GCJ-02 and BD-09 are obfuscations without a CRS code, 430-1,230 m off in Hainan: refused, or
   converted (``layers.obfuscation``) where the caller says so explicitly, and marked.
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from layers import obfuscation
from layers.crs_families import ellipsoid_of, zone_code
from layers.crs_policy import (
    STORAGE_SRID,
    Box,
    Crs,
    check_transformation,
    parse_crs,
    transformation_mismatch,
)
from layers.datum import Plane4, geocentric_shift, plane_shift
from layers.errors import CrsRefused
from layers.local_plane import LocalPlane, distance_m
from layers.validity import are_valid

__all__ = [
    "GRID_DEG",
    "STORAGE_SRID",
    "WEB_MERCATOR_SRID",
    "Box",
    "Crs",
    "GeometryArray",
    "LocalPlane",
    "check_transformation",
    "distance_m",
    "from_storage",
    "gauss_kruger_code",
    "parse_crs",
    "snap",
    "swap_axes",
    "to_storage",
    "transform_box",
    "zone_code",
]

GeometryArray = npt.NDArray[np.object_]
FloatArray = npt.NDArray[np.float64]

WEB_MERCATOR_SRID: Final = 3857
GRID_DEG: Final = 1e-8
"""The snapping grid: 1.1 mm of latitude. Everything that is stored lies on it."""

_LONGEST_EDGE_M: Final = 300.0
"""Edges are cut to this before a projection is undone: a straight edge of 1 km in a 3-degree
zone lies 8 mm off the same edge in longitude/latitude (measured), and the error grows with the
square of the length; 300 m keeps it under 1 mm, below the snapping grid."""
_LONGEST_EDGE_DEG: Final = 0.003
"""The same for obfuscated longitude/latitude: GCJ-02 bends a kilometre by about 5 cm."""


@lru_cache(maxsize=64)
def _transformer(wkt: str, *, to_projected: bool) -> pyproj.Transformer:
    crs = pyproj.CRS.from_user_input(wkt)
    base = crs.geodetic_crs
    if base is None:
        raise CrsRefused("CRS without a geodetic base.", "坐标系缺少大地基准。", code="unknown-crs")
    start, end = (base, crs) if to_projected else (crs, base)
    # Inside one datum: exact, never a ballpark.
    return pyproj.Transformer.from_crs(start, end, always_xy=True, allow_ballpark=False)


def _project(points: FloatArray, wkt: str, *, to_projected: bool) -> FloatArray:
    x, y = _transformer(wkt, to_projected=to_projected).transform(points[:, 0], points[:, 1])
    return np.column_stack((x, y))


def to_storage(geometries: GeometryArray, source: Crs) -> GeometryArray:
    """Bring geometries from a source CRS to EPSG:4490, longitude and latitude in degrees.

    Input coordinates are x = east, y = north whatever the authority says; long edges of
    projected sources are cut first so that straight stays straight within 1 mm. A change of
    datum is the one that the CRS carries as stated.
    """
    if source.is_storage:
        return geometries
    cut = geometries
    if source.kind == "projected":
        cut = shapely.segmentize(geometries, _LONGEST_EDGE_M)
    elif source.datum in ("gcj02", "bd09"):
        cut = shapely.segmentize(geometries, _LONGEST_EDGE_DEG)
    moved: GeometryArray = shapely.transform(cut, lambda points: _to_lon_lat(points, source))
    return moved


def _to_lon_lat(points: FloatArray, source: Crs) -> FloatArray:
    """CGCS2000 longitude and latitude of coordinates in a source CRS (n x 2)."""
    if source.datum == "gcj02" or source.datum == "bd09":
        return obfuscation.undo(points, source.datum)
    stated = source.transformation
    if stated is not None and isinstance(stated.method, Plane4):
        plane = _in_source_plane(points, source, stated.method)
        return _project(
            plane_shift(plane, stated.method), stated.method.target_plane, to_projected=False
        )
    own = points
    if source.kind == "projected":
        own = _project(points, source.wkt, to_projected=False)
    if stated is None:
        return own
    ellipsoid = ellipsoid_of(pyproj.CRS.from_wkt(source.wkt))
    if ellipsoid is None or isinstance(stated.method, Plane4):
        raise transformation_mismatch(stated, source.title)
    return geocentric_shift(own, stated.method, ellipsoid)


def _in_source_plane(points: FloatArray, source: Crs, method: Plane4) -> FloatArray:
    """The coordinates in the plane for which the parameters hold; inside one datum, exact."""
    if method.source_plane is None or _same_plane(source.code, method.source_plane):
        return points
    own = points
    if source.kind == "projected":
        own = _project(points, source.wkt, to_projected=False)
    return _project(own, method.source_plane, to_projected=True)


def _same_plane(code: str, plane: str) -> bool:
    return code == plane.strip().upper()


def from_storage(geometries: GeometryArray, target: Crs) -> GeometryArray:
    """Bring EPSG:4490 geometries to a target CRS, x = east and y = north.

    Vertices are transformed, edges are not cut: this is for answers to clients. Given out is
    CGCS2000 (and WGS 84) only; ``CrsRefused`` for a target on another datum.
    """
    if target.is_storage:
        return geometries
    if target.datum not in ("cgcs2000", "wgs84"):
        raise CrsRefused(
            f"Coordinates are given out on CGCS2000 only, not in {target.code}.",
            f"只提供 CGCS2000 坐标，不提供 {target.code}。",
            code="crs-not-offered",
        )
    moved: GeometryArray = shapely.transform(
        geometries, lambda points: _project(points, target.wkt, to_projected=True)
    )
    return moved


def transform_box(box: Box, source: Crs) -> Box:
    """The lon/lat box around a box of a source CRS; edges are followed, not two corners only."""
    if source.is_storage:
        return box
    outline = shapely.segmentize(shapely.box(*box), max((box[2] - box[0]) / 32, 1e-9))
    moved = shapely.transform(outline, lambda points: _to_lon_lat(points, source))
    west, south, east, north = moved.bounds
    return west, south, east, north


def swap_axes(geometries: GeometryArray) -> GeometryArray:
    """Exchange x and y; the one way from our order to the authority's and back."""
    swapped: GeometryArray = shapely.transform(geometries, lambda points: points[:, ::-1])
    return swapped


def snap(geometries: GeometryArray) -> GeometryArray:
    """Put lon/lat geometries on the storage grid once, at import; valid ones stay valid.

    Every vertex is rounded by itself, so edges shared by neighbours stay shared. Where that
    makes a valid geometry invalid, the overlay engine's precision model mends that geometry
    (one thinner than the grid, or beyond mending, becomes empty; the caller refuses it).
    """
    rounded: GeometryArray = shapely.transform(geometries, lambda points: np.round(points, 8))
    broken = np.flatnonzero(~are_valid(rounded))
    broken = broken[shapely.is_valid(geometries[broken])]
    if len(broken):
        mended = shapely.set_precision(geometries[broken], GRID_DEG)
        mended[~shapely.is_valid(mended)] = shapely.Polygon()
        rounded[broken] = mended
    return rounded


def gauss_kruger_code(lon: float) -> str:
    """The CGCS2000 3-degree zone with prefix that a longitude lies in, as ``EPSG:4488+zone``."""
    return f"EPSG:{4488 + math.floor((lon + 1.5) / 3)}"
