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
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.drawing_plane import (
    BoolArray,
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
"""Kinds of a face; FIXED faces are airports and the surroundings of the sample sites."""


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
    faces = _faces(lines, grid_land)
    for _ in range(6):
        bridges = _bridges(geometry_to_plane(faces), figures, spacing_m)
        if not len(bridges):
            break
        lines = np.concatenate([lines, geometry_to_lonlat(bridges)])
        faces = _faces(lines, grid_land)
    county = _counties(faces, geometry_to_lonlat(land), borders, county_points)
    plane = geometry_to_plane(faces)
    kind, reference = _kinds(plane, figures)
    return Superblocks(plane, kind, reference, county)


def _faces(lines: GeometryArray, land: BaseGeometry) -> GeometryArray:
    """Closed faces on land, in a fixed order."""
    noded = shapely.union_all(lines, grid_size=GRID_DEG)
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(noded)))
    faces = shapely.transform(faces, lambda points: np.round(points, 8))
    faces = faces[shapely.intersects(land, shapely.point_on_surface(faces))]
    faces = shapely.orient_polygons(shapely.normalize(faces), exterior_cw=False)
    box = shapely.bounds(faces)
    ordered: GeometryArray = faces[np.lexsort((box[:, 2], box[:, 1], box[:, 0]))]
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


def _bridges(faces: GeometryArray, figures: Sequence[Figure], spacing_m: float) -> GeometryArray:
    """Cuts from each hole of a face that will be divided further to the face's other edges."""
    kind, _ = _kinds(faces, figures)
    holed: BoolArray = (shapely.get_num_interior_rings(faces) > 0) & (kind < WATER)
    bridges = []
    for face in faces[holed]:
        west, _, east, _ = face.bounds
        holes = shapely.polygons(np.array(face.interiors, dtype=object))
        for hole in holes:
            y = hole.centroid.y + 0.001
            cut = shapely.intersection(face, shapely.linestrings([(west - 9, y), (east + 9, y)]))
            parts = shapely.get_parts(cut)
            parts = parts[shapely.get_dimensions(parts) == 1]
            bridges.extend(parts[shapely.distance(parts, hole) < 1e-6])
    return shapely.segmentize(np.array(bridges, dtype=object), spacing_m)


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
