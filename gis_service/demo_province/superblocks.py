"""The first division of the land: by roads, waters, town edges, county borders.

All lines are noded together on the storage grid and closed into faces, so neighbours share every
vertex. Everything finer is drawn inside one face at a time (``parcels``), which keeps the whole a
clean tessellation without any further overlay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.drawing_plane import (
    METRES_PER_DEG_Y,
    BoolArray,
    FloatArray,
    GeometryArray,
    IntArray,
    geometry_to_lonlat,
    geometry_to_plane,
)

GRID_DEG: Final = 1e-8

COUNTRY: Final = 0
TOWN: Final = 1
WATER: Final = 2
ROAD: Final = 3
FIXED: Final = 4
RING: Final = 5
"""Kinds of a face; FIXED: airports, plots of the sample sites; RING: a town's ring road."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A polygon that cuts the land and gives its faces a kind; later figures win."""

    shape: BaseGeometry
    kind: int
    reference: int
    """Index of the town, route, water or fixed place it stands for."""


@dataclass(frozen=True, slots=True)
class Superblocks:
    """Faces in metres of the plane whose vertices lie on the storage grid."""

    faces: GeometryArray
    kind: IntArray
    reference: IntArray
    county: IntArray


def superblocks(
    land: BaseGeometry,
    borders: Sequence[BaseGeometry],
    county_points: tuple[GeometryArray, IntArray],
    figures: Sequence[Figure],
    spacing_m: float,
) -> Superblocks:
    """Divide the land; edges get a vertex at least every ``spacing_m`` for later cuts to end on."""
    rings = [figure.shape.boundary for figure in figures]
    lines = geometry_to_lonlat(
        shapely.segmentize(np.array([land.boundary, *borders, *rings], dtype=object), spacing_m)
    )
    grid_land = geometry_to_lonlat(land)
    shapely.prepare(grid_land)
    faces = _without_holes(_faces(lines, grid_land), figures, spacing_m)
    county = _counties(faces, geometry_to_lonlat(land), borders, county_points)
    plane = geometry_to_plane(faces)
    kind, reference = _kinds(plane, figures)
    return Superblocks(plane, kind, reference, county)


def _faces(lines: GeometryArray, land: BaseGeometry) -> GeometryArray:
    """Closed faces on land, in a fixed order."""
    noded = shapely.union_all(lines, grid_size=GRID_DEG)
    faces = _rounded(shapely.get_parts(shapely.polygonize(shapely.get_parts(noded))))
    return _ordered(faces[shapely.intersects(land, shapely.point_on_surface(faces))])


def _rounded(faces: GeometryArray) -> GeometryArray:
    rounded: GeometryArray = shapely.transform(faces, lambda points: np.round(points, 8))
    return rounded


def _ordered(faces: GeometryArray) -> GeometryArray:
    """One fixed form and order, whatever the overlay engine returned."""
    faces = shapely.orient_polygons(shapely.normalize(faces), exterior_cw=False)
    box = shapely.bounds(faces)
    ordered: GeometryArray = faces[np.lexsort((box[:, 3], box[:, 2], box[:, 1], box[:, 0]))]
    return ordered


def _kinds(faces: GeometryArray, figures: Sequence[Figure]) -> tuple[IntArray, IntArray]:
    """The last figure that holds a point of the face names its kind."""
    shapes = np.array([figure.shape for figure in figures], dtype=object)
    # Asked this way round, each figure is prepared once and not each point.
    figure, face = shapely.STRtree(shapely.point_on_surface(faces)).query(
        shapes, predicate="contains"
    )
    last = np.full(len(faces), -1)
    np.maximum.at(last, face, figure)
    kinds = np.array([f.kind for f in figures] + [COUNTRY])
    references = np.array([f.reference for f in figures] + [-1])
    return kinds[last], references[last]


def _without_holes(
    faces: GeometryArray, figures: Sequence[Figure], spacing_m: float
) -> GeometryArray:
    """Open every hole of a face that will be divided further, by cuts between its vertices."""
    for _ in range(8):
        kind, _ = _kinds(geometry_to_plane(faces), figures)
        holed: BoolArray = (shapely.get_num_interior_rings(faces) > 0) & (kind < WATER)
        if not holed.any():
            break
        opened = [_opened(face, spacing_m / METRES_PER_DEG_Y) for face in faces[holed]]
        faces = _ordered(np.concatenate([faces[~holed], *opened]))
    return faces


def _opened(face: Polygon, spacing_deg: float) -> GeometryArray:
    """The face cut from each hole to a ring west and to one east of it.

    The cuts run between vertices that are there already, so the neighbours need not know.
    """
    shapely.prepare(face)
    rings = [face.exterior, *face.interiors]
    points = [shapely.get_coordinates(ring)[:-1] for ring in rings]
    cuts = []
    for number in range(1, len(rings)):
        others = np.concatenate([p for k, p in enumerate(points) if k != number])
        for side in (-1.0, 1.0):
            start = points[number][int(np.argmax(points[number][:, 0] * side))]
            cut = _cut(face, start, others[(others[:, 0] - start[0]) * side > 0])
            if cut is not None:
                cuts.append(shapely.segmentize(cut, spacing_deg))
    lines = shapely.union_all([face.boundary, *cuts], grid_size=GRID_DEG)
    pieces = _rounded(shapely.get_parts(shapely.polygonize(shapely.get_parts(lines))))
    return pieces[shapely.contains(face, shapely.point_on_surface(pieces))]


def _cut(face: Polygon, start: FloatArray, ends: FloatArray) -> LineString | None:
    """The shortest straight line inside the face to one of the ends."""
    order = np.argsort(np.hypot(*(ends - start).T), kind="stable")
    for end in ends[order[:400]]:
        line = LineString([start, end])
        if face.covers(line):
            return line
    return None


def _counties(
    faces: GeometryArray,
    land: BaseGeometry,
    borders: Sequence[BaseGeometry],
    county_points: tuple[GeometryArray, IntArray],
) -> IntArray:
    """The county of each face: that of the named points within the same bordered area."""
    lines = shapely.union_all([land.boundary, *geometry_to_lonlat(np.array(borders))])
    areas = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    points, owner = county_points
    tree = shapely.STRtree(areas)
    point, area = tree.query(geometry_to_lonlat(points), predicate="within")
    owner_of_area = np.full(len(areas), -1)
    owner_of_area[area] = owner[point]
    # Areas without a named point (islets, scraps off the coast) go to the nearest point.
    for lost in np.flatnonzero(owner_of_area < 0):
        near = shapely.distance(geometry_to_lonlat(points), areas[lost])
        owner_of_area[lost] = owner[int(np.argmin(near))]
    face, area = tree.query(shapely.point_on_surface(faces), predicate="within")
    county = np.full(len(faces), -1)
    county[face] = owner_of_area[area]
    return county
