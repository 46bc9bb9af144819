"""The measuring kernel: one site against the features of one layer.

Inputs lie on the storage grid (1e-8 degrees) already, so the overlay runs in floating precision;
a grid is used only where GEOS fails without one. Features arrive as pieces of at most 128
vertices near the site; the pieces of a feature are joined before anything is measured, and the
features of a layer before anything is decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely import Point
from shapely.errors import GEOSException
from shapely.geometry.base import BaseGeometry

from layers.area import areas_m2
from layers.crs import GRID_DEG, LocalPlane
from layers.text import Text
from planning_rules.width import narrower_than

GeometryArray = npt.NDArray[np.object_]

_WHOLE_SITE_VERTICES: Final = 500


@dataclass(frozen=True, slots=True)
class TargetFeature:
    """One feature of a plan layer: its pieces (WKB, EPSG:4490 lon/lat) near the site."""

    fid: int
    feature_id: str
    attributes: Mapping[str, Any]
    pieces: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TargetLayer:
    """One layer as it is in force, cut down to what lies near the site.

    ``coverage`` (WKB, lon/lat) is where the layer speaks at all; None means that no edition is in
    force. ``accuracy_m`` is the stated positional accuracy of the data set. ``region`` (west,
    south, east, north in degrees) bounds where data can be expected at all.
    """

    layer: str
    edition: int | None
    content_sha256: str | None
    accuracy_m: float
    coverage: bytes | None
    features: tuple[TargetFeature, ...] = ()
    plan: str | None = None
    synthetic: bool = False
    region: tuple[float, float, float, float] | None = None
    kept_by: Text | None = None
    """The authority that keeps a layer which is not open; who has no data must ask there."""


@dataclass(frozen=True, slots=True)
class Site:
    """The geometry of a submission, prepared for many overlays."""

    geometry: BaseGeometry
    dimension: int
    plane: LocalPlane
    accuracy_m: float

    @classmethod
    def of(cls, geometry: BaseGeometry, accuracy_m: float = 0.0) -> "Site":
        """Prepare a lon/lat geometry."""
        shapely.prepare(geometry)
        dimension = int(shapely.get_dimensions(geometry))
        return cls(geometry, dimension, LocalPlane.around(geometry), accuracy_m)


@dataclass(frozen=True, slots=True)
class SharedPart:
    """What the site and one feature have in common.

    ``body`` has the full dimension (area of an area; the crossings of two lines are points);
    ``contact`` is all that is lower (a shared edge or corner), or the run of a line along the
    boundary of an area. ``area_m2`` is the area of the body.
    """

    feature: TargetFeature
    body: BaseGeometry | None
    contact: BaseGeometry | None
    area_m2: float = 0.0


@dataclass(frozen=True, slots=True)
class LayerOverlay:
    """The site against one layer, measured once for all rules.

    ``nearby`` are the pieces of each feature as they came; ``uncovered`` is the part of the site
    the layer does not speak for (None when there is none).
    """

    target: TargetLayer
    shared: tuple[SharedPart, ...]
    pieces: GeometryArray
    owners: npt.NDArray[np.intp]
    features: tuple[TargetFeature, ...]
    uncovered: BaseGeometry | None
    has_data: bool = True
    memory: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)


def overlay_layer(site: Site, target: TargetLayer, min_width_m: float = 0.02) -> LayerOverlay:
    """Cut all features of a layer with the site; features in the order of their ids."""
    uncovered = _uncovered(site, target, min_width_m)
    if target.coverage is None:
        none = np.array([], dtype=object)
        return LayerOverlay(target, (), none, np.array([], np.intp), (), uncovered, has_data=False)
    features = tuple(sorted(target.features, key=lambda f: (f.feature_id, f.fid)))
    # Sorted pieces: the database may hand them over in any order.
    blobs = [blob for feature in features for blob in sorted(feature.pieces)]
    owners = np.repeat(np.arange(len(features)), [len(f.pieces) for f in features])
    pieces = shapely.from_wkb(np.array(blobs, dtype=object))
    shared = with_areas(_shared_parts(site, features, pieces, owners))
    return LayerOverlay(target, shared, pieces, owners, features, uncovered)


def with_areas(parts: Sequence[SharedPart]) -> tuple[SharedPart, ...]:
    """The parts with their areas, measured in one go."""
    measured = areas_m2([part.body if part.body is not None else Point() for part in parts])
    return tuple(
        SharedPart(part.feature, part.body, part.contact, area)
        for part, area in zip(parts, measured.tolist(), strict=True)
    )


def _uncovered(site: Site, target: TargetLayer, min_width_m: float) -> BaseGeometry | None:
    """The part of the site without data, or None; strips below the width tolerance do not count."""
    if target.coverage is None:
        return site.geometry
    coverage = shapely.from_wkb(target.coverage)
    if shapely.covers(coverage, site.geometry):
        return None
    rest = difference(site.geometry, coverage)
    if site.dimension < 2:
        return None if rest.is_empty else rest
    parts = polygon_parts(rest)
    if len(parts) == 0:
        return None
    wide = parts[~narrower_than(site.plane.to_metres(parts), min_width_m)]
    return shapely.union_all(wide) if len(wide) else None


def _shared_parts(
    site: Site, features: tuple[TargetFeature, ...], pieces: GeometryArray,
    owners: npt.NDArray[np.intp],
) -> tuple[SharedPart, ...]:  # fmt: skip
    if len(pieces) == 0:
        return ()
    meets = shapely.intersects(site.geometry, pieces)
    pieces, owners = pieces[meets], owners[meets]
    cut = pieces.copy()
    todo = ~shapely.covers(site.geometry, pieces)
    if todo.any():
        cut[todo] = _cut(site, pieces[todo])
    result = []
    for index in np.unique(owners):
        mine = owners == index
        dimension = min(site.dimension, int(shapely.get_dimensions(pieces[mine]).max()))
        body, contact = _body_and_contact(cut[mine], dimension)
        if body is not None and dimension < 2:
            body, contact = _without_boundary(site, body, pieces[mine])
        elif contact is not None and site.dimension == 1:
            body, contact = _crossing(site, contact, pieces[mine])
        result.append(SharedPart(features[index], body, contact))
    return tuple(result)


def _cut(site: Site, pieces: GeometryArray) -> GeometryArray:
    if shapely.get_num_coordinates(site.geometry) <= _WHOLE_SITE_VERTICES or site.dimension < 2:
        whole: GeometryArray = intersection(site.geometry, pieces)
        return whole
    # A large site is cut down to the box of each piece first; each overlay then stays small.
    boxes = shapely.envelope(pieces)
    west, south, east, north = shapely.total_bounds(boxes)
    near = intersection(site.geometry, shapely.box(west, south, east, north))
    cut: GeometryArray = intersection(intersection(near, boxes), pieces)
    return cut


def _body_and_contact(
    cut: GeometryArray, dimension: int
) -> tuple[BaseGeometry | None, BaseGeometry | None]:
    parts = shapely.get_parts(shapely.get_parts(cut))
    parts = parts[~shapely.is_empty(parts)]
    dimensions = shapely.get_dimensions(parts)
    full = parts[dimensions == dimension]
    if len(full):
        return (full[0] if len(full) == 1 else shapely.union_all(full)), None
    lower = parts[dimensions < dimension]
    return None, (shapely.union_all(lower) if len(lower) else None)


def _without_boundary(
    site: Site, body: BaseGeometry, pieces: GeometryArray
) -> tuple[BaseGeometry | None, BaseGeometry | None]:
    """A line or point on the edge of a polygon touches it; only what runs inside overlaps."""
    areas = pieces[shapely.get_dimensions(pieces) == 2]
    if len(areas) == 0:
        return body, None
    inside = difference(body, shapely.boundary(shapely.union_all(areas)))
    parts = shapely.get_parts(inside)
    parts = parts[shapely.get_dimensions(parts) == site.dimension]
    if len(parts) == 0 or bool(shapely.is_empty(parts).all()):
        return None, body
    through = shapely.union_all(parts)
    along = shapely.get_parts(difference(body, through))
    along = along[shapely.get_dimensions(along) == site.dimension]
    along = along[~shapely.is_empty(along)]
    return through, (shapely.union_all(along) if len(along) else None)


def _crossing(
    site: Site, contact: BaseGeometry, pieces: GeometryArray
) -> tuple[BaseGeometry | None, BaseGeometry | None]:
    """A line that crosses a line meets it; where either only ends on the other it touches."""
    lines = pieces[shapely.get_dimensions(pieces) == 1]
    if len(lines) == 0:
        return None, contact
    points = interior_crossings(site, contact, dangling_ends(lines))
    if len(points) == 0:
        return None, contact
    return shapely.union_all(points), None


def interior_crossings(
    site: Site, contact: BaseGeometry, ends: npt.NDArray[np.float64]
) -> GeometryArray:
    """The points of a contact that are no end of the site's lines nor one of ``ends``."""
    parts: GeometryArray = shapely.get_parts(contact)
    parts = parts[(shapely.get_dimensions(parts) == 0) & ~shapely.is_empty(parts)]
    all_ends = np.vstack([ends, dangling_ends(np.array([site.geometry], dtype=object))])
    if len(parts) == 0 or len(all_ends) == 0:
        return parts
    distances = shapely.distance(parts, shapely.union_all(shapely.points(all_ends)))
    inner: GeometryArray = parts[distances > GRID_DEG]
    return inner


def dangling_ends(lines: GeometryArray) -> npt.NDArray[np.float64]:
    """The ends (lon/lat) where one line alone ends; cuts between pieces are none."""
    parts = shapely.get_parts(lines)
    both = np.vstack(
        [shapely.get_coordinates(shapely.get_point(parts, place)) for place in (0, -1)]
    )
    _, first, counts = np.unique(
        np.round(both / GRID_DEG), axis=0, return_index=True, return_counts=True
    )
    ends: npt.NDArray[np.float64] = both[first[counts == 1]]
    return ends


def intersection(one: Any, other: Any) -> Any:
    """Intersection in floating precision; on the storage grid where GEOS fails."""
    try:
        return shapely.intersection(one, other)
    except GEOSException:
        return shapely.intersection(one, other, grid_size=GRID_DEG)


def difference(one: Any, other: Any) -> Any:
    """Difference in floating precision; on the storage grid where GEOS fails."""
    try:
        return shapely.difference(one, other)
    except GEOSException:
        return shapely.difference(one, other, grid_size=GRID_DEG)


def union(parts: GeometryArray) -> BaseGeometry:
    """Union in floating precision; on the storage grid where GEOS fails."""
    try:
        return shapely.union_all(parts)
    except GEOSException:
        return shapely.union_all(parts, grid_size=GRID_DEG)


def polygon_parts(geometry: BaseGeometry) -> GeometryArray:
    """The polygons of a geometry or collection."""
    parts: GeometryArray = shapely.get_parts(shapely.get_parts(geometry))
    kept: GeometryArray = parts[(shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)]
    return kept
