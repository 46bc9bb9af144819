"""The only place that measures areas and lengths.

Every area that the service stores, judges or prints is the area on the CGCS2000 ellipsoid of a
polygon whose edges are straight in longitude and latitude, because that is what is stored
(EPSG:4490) and what the overlay treats as straight. A plane area in a 3-degree zone differs from
it by parts in ten thousand (+620 ppm on the zone edge through Sanya) and is never used.

Method: Green's theorem on the ellipsoid. The strip between the equator and latitude B has the
area ``b^2 * q(B)`` for each radian of longitude, with the closed form ``q`` below (Snyder 1987,
Map Projections: A Working Manual, eq. 3-12 times one half, written with b). An edge adds the
integral of ``q`` along it, taken by three-point Gauss-Legendre quadrature; edges longer than
0.05 degrees are cut first. This is the limit that both pyproj's ``Geod`` and the official
trapezoid formula of the third land survey (图斑椭球面积) reach when their edges are densified;
the tests hold it against both. It needs no densification, so it measures a layer of half a
million polygons in seconds where a densified ``Geod`` takes minutes.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

FloatArray = npt.NDArray[np.float64]

SEMI_MAJOR_M: Final = 6378137.0
INVERSE_FLATTENING: Final = 298.257222101
"""CGCS2000 (GB 22021-2008): a and 1/f."""

_F: Final = 1 / INVERSE_FLATTENING
_E2: Final = _F * (2 - _F)
_E: Final = math.sqrt(_E2)
_B2: Final = (SEMI_MAJOR_M * (1 - _F)) ** 2

MU_M2: Final = 2000 / 3
"""One mu (亩) in square metres."""

HECTARE_M2: Final = 10_000.0

_GEOD: Final = pyproj.Geod(a=SEMI_MAJOR_M, rf=INVERSE_FLATTENING)

_NODES: Final = (0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15))
_WEIGHTS: Final = (5 / 18, 8 / 18, 5 / 18)
_LONGEST_EDGE_DEG: Final = 0.05


def _zone_area(latitude_rad: FloatArray) -> FloatArray:
    """Area between the equator and a latitude, for one radian of longitude, in square metres."""
    sine = np.sin(latitude_rad)
    result: FloatArray = _B2 / 2 * (sine / (1 - _E2 * sine * sine) + np.arctanh(_E * sine) / _E)
    return result


def _edge_sums(coordinates: FloatArray) -> FloatArray:
    """Signed contribution of each edge of a run of coordinates (lon, lat in degrees)."""
    radians = np.radians(coordinates)
    start, step = radians[:-1], np.diff(radians, axis=0)
    total = np.zeros(len(step))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        total += weight * _zone_area(start[:, 1] + node * step[:, 1])
    return total * step[:, 0]


def areas_m2(polygons: Sequence[BaseGeometry] | npt.NDArray[np.object_]) -> FloatArray:
    """Areas of many geometries on the CGCS2000 ellipsoid, in square metres.

    Coordinates are longitude, latitude in degrees (EPSG:4490). Holes are subtracted, ring
    direction does not matter, lines and points measure 0. Rings must be simple (a valid
    geometry); the parts of a multipolygon are added.
    """
    geometries = np.asarray(polygons, dtype=object)
    if len(geometries) == 0:
        return np.zeros(0)
    boxes = shapely.bounds(geometries)
    # No edge is longer than the diagonal of its geometry's box.
    wide = np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) > _LONGEST_EDGE_DEG
    if wide.any():
        geometries = geometries.copy()
        geometries[wide] = shapely.segmentize(geometries[wide], _LONGEST_EDGE_DEG)
    rings, ring_owner, is_shell = _rings(geometries)
    result = np.zeros(len(geometries))
    if len(rings) == 0:
        return result
    coordinates, coordinate_ring = shapely.get_coordinates(rings, return_index=True)
    inside_ring = coordinate_ring[:-1] == coordinate_ring[1:]
    edges = np.where(inside_ring, _edge_sums(coordinates), 0.0)
    ring_areas = np.abs(np.bincount(coordinate_ring[:-1], edges, minlength=len(rings)))
    signed = np.where(is_shell, ring_areas, -ring_areas)
    np.add.at(result, ring_owner, signed)
    return result


def _rings(
    geometries: npt.NDArray[np.object_],
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """All rings of polygons, whose they are, and which of them are shells."""
    plain = shapely.get_type_id(geometries) == shapely.GeometryType.POLYGON
    if plain.all() and not shapely.get_num_interior_rings(geometries).any():
        # Nearly all: each stands for its one ring, and no part of it is copied.
        every = np.arange(len(geometries))
        return geometries, every, np.ones(len(geometries), dtype=bool)
    parts, part_owner = shapely.get_parts(geometries, return_index=True)
    # A collection (an overlay can give one) holds multipolygons one level further down.
    parts, inner = shapely.get_parts(parts, return_index=True)
    part_owner = part_owner[inner]
    surfaces = shapely.get_dimensions(parts) == 2
    parts, part_owner = parts[surfaces], part_owner[surfaces]
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    is_shell = np.ones(len(rings), dtype=bool)
    is_shell[1:] = ring_part[1:] != ring_part[:-1]
    return rings, part_owner[ring_part], is_shell


def area_m2(polygon: BaseGeometry) -> float:
    """Area of one geometry on the CGCS2000 ellipsoid, in square metres (see ``areas_m2``)."""
    return float(areas_m2([polygon])[0])


def length_m(lines: BaseGeometry) -> float:
    """Geodesic length of lon/lat lines on the CGCS2000 ellipsoid, in metres."""
    return float(_GEOD.geometry_length(lines))


def total_m2(areas: Iterable[float]) -> float:
    """Sum that does not depend on the order: 5,000 areas in 50 orders gave 25 sums without it."""
    return math.fsum(areas)


def close_to_cent(parts_m2: Sequence[float], whole_m2: float) -> list[float]:
    """Round parts to 0.01 m2 so that they add up to the rounded whole exactly (平差).

    Largest remainder: every part is cut to the cent, and the missing cents go to the parts with
    the largest remainders, ties to the earlier one. The parts may differ from the whole by what
    the overlay lost, so more cents than parts are dealt in turns.
    """
    if not parts_m2:
        return []
    cents = [math.floor(part * 100) for part in parts_m2]
    missing = round(whole_m2 * 100) - sum(cents)
    order = sorted(range(len(parts_m2)), key=lambda i: (cents[i] - parts_m2[i] * 100, i))
    if missing < 0:
        # Cents are taken back from the largest parts only, so that no part turns negative.
        order = sorted(range(len(parts_m2)), key=lambda i: (-parts_m2[i], i))
    step = 1 if missing > 0 else -1
    for turn in range(abs(missing)):
        cents[order[turn % len(order)]] += step
    return [cent / 100 for cent in cents]
