"""Where an imported layer has data at all: no data is never "no conflict"."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import shapely

from layers.catalog import Layer
from layers.crs import Box, GeometryArray, LocalPlane
from layers.errors import BadParameter

CoverageChoice = Literal["region", "features"]
CoverageKind = Literal["region", "features", "given"]

_LEAST_MARGIN_M: Final = 1.0
_SLIVER_DEG2: Final = 1e-12
"""About 0.01 m2: what the overlay leaves between equal edges; a refused row's box has 4 m2."""
_OVERLAID_AT_ONCE: Final = 2_000
_JOINED_VERTICES: Final = 600_000
"""Polygons that wait to be joined; bounds the memory."""
_LAST_LATITUDE: Final = 89.0
"""Towards the poles a metre is ever more degrees; boxes are not grown by more than here."""


def union_of(geometries: Sequence[shapely.Geometry] | GeometryArray) -> shapely.Geometry:
    """Union of polygons; parcels that share their edges exactly are joined without an overlay.

    That is many times faster; where polygons overlap or edges differ, the areas do not add up
    (compared in square degrees, it is a test of identity only) and the overlay does it, for the
    part of them that it takes.
    """
    shapes = np.asarray(geometries, dtype=object)
    joined = _joined(shapes)
    if joined is not None:
        return joined
    if len(shapes) <= _OVERLAID_AT_ONCE:
        return shapely.union_all(shapes)
    half = len(shapes) // 2
    return shapely.union(union_of(shapes[:half]), union_of(shapes[half:]))


class GrowingUnion:
    """The union of polygons that come batch by batch.

    Neighbours lie near each other in a file: joined many at a time they leave few seams, and
    seams are what a union costs (2,000 at a time took twice as long as 30,000, and then the join
    of the parts as long again).
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._waiting: list[GeometryArray] = []
        self._vertices = 0
        self._parts: list[shapely.Geometry] = []

    def add(self, polygons: GeometryArray) -> None:
        """Take some more."""
        self._waiting.append(polygons)
        self._vertices += int(shapely.get_num_coordinates(polygons).sum())
        if self._vertices >= _JOINED_VERTICES:
            self._join()

    def wkb(self) -> bytes | None:
        """The union of all; None of none."""
        self._join()
        return shapely.to_wkb(union_of(self._parts)) if self._parts else None

    def _join(self) -> None:
        if self._waiting:
            self._parts.append(union_of(np.concatenate(self._waiting)))
            self._waiting, self._vertices = [], 0


def _joined(shapes: GeometryArray) -> shapely.Geometry | None:
    """The union of polygons that do not overlap and share their edges; None of others."""
    try:
        joined = shapely.coverage_union_all(shapes)
    except shapely.errors.GEOSException:
        return None
    total = float(shapely.area(shapes).sum())
    return joined if joined.is_valid and abs(joined.area - total) <= 1e-9 * total else None


def coverage_kind(
    layer: Layer, coverage: CoverageChoice | shapely.Geometry | None, region: Box | None
) -> CoverageKind:
    """What the coverage is made from; ``BadParameter`` where the catalogue wants it declared."""
    if isinstance(coverage, shapely.Geometry):
        return "given"
    kind = coverage or layer.coverage
    if kind == "declared":
        raise BadParameter(
            f"Layer {layer.id} needs to be told where it has data (--coverage region or a file).",
            f"图层 {layer.id} 须说明数据覆盖范围（--coverage region 或文件）。",
            code="coverage-missing",
        )
    if kind == "region" and region is None:
        return "features"
    return kind


def coverage_of(
    kind: CoverageKind,
    coverage: CoverageChoice | shapely.Geometry | None,
    region: Box | None,
    features_union: bytes | None,
    refused_boxes: Sequence[Box],
    *,
    accuracy_m: float,
    unplaced: int,
) -> shapely.Geometry | None:
    """Where the layer has data: what is declared minus the boxes of refused rows; None = nowhere.

    Boxes are grown by ``accuracy_m`` (at least 1 m): a refused point or a line along an axis has a
    box without area, which would take nothing away. Where ``unplaced`` rows were refused, they may
    lie anywhere, so nothing is known unless the caller stated the coverage himself.
    """
    if unplaced and coverage is None:
        return None
    if kind == "given" and isinstance(coverage, shapely.Geometry):
        whole: shapely.Geometry | None = coverage
    elif kind == "region" and region is not None:
        whole = shapely.box(*region)
    else:
        whole = shapely.from_wkb(features_union) if features_union else None
    return whole if whole is None else without_boxes(whole, refused_boxes, accuracy_m=accuracy_m)


def without_boxes(
    whole: shapely.Geometry, refused_boxes: Sequence[Box], *, accuracy_m: float
) -> shapely.Geometry:
    """A coverage without the places of refused rows, with a margin around each."""
    if not refused_boxes:
        return whole
    # A broken file puts rows beyond the globe; there is nothing to take away there.
    on_earth = np.clip(np.array(refused_boxes, dtype=float), (-180, -90) * 2, (180, 90) * 2)
    boxes = _grown([tuple(box) for box in on_earth.tolist()], max(accuracy_m, _LEAST_MARGIN_M))
    return shapely.difference(whole, shapely.union_all(boxes))


def without_slivers(holes: shapely.Geometry) -> shapely.Geometry:
    """Those polygons of a difference that are no rests of the overlay."""
    parts = shapely.get_parts(holes)
    return shapely.union_all(parts[shapely.area(parts) > _SLIVER_DEG2])


def _grown(boxes: Sequence[Box], margin_m: float) -> GeometryArray:
    """The lon/lat boxes, wider by a margin on each side."""
    return np.array([_grown_box(box, margin_m) for box in boxes], dtype=object)


def _grown_box(box: Box, margin_m: float) -> shapely.Geometry:
    west, south, east, north = box
    # At the end nearer to a pole, where a metre is most degrees of longitude.
    latitude = min(max(abs(south), abs(north)), _LAST_LATITUDE)
    plane = LocalPlane.at((west + east) / 2, latitude)
    # A degree of latitude is shortest (110.57 km) at the equator.
    x = margin_m / plane.metres_per_deg_x
    y = margin_m / LocalPlane.at(0.0, 0.0).metres_per_deg_y
    return shapely.box(west - x, south - y, east + x, north + y)
