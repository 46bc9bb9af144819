"""Shapes one by one: validity with position, spikes, sliver polygons, repeats, the region's box.

Runs in the child. Everything is measured in a local plane of metres around the cell.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from layers.area import area_m2
from layers.crs import Box, GeometryArray, LocalPlane
from layers.geometry_faults import FAULTS_ZH
from layers.quality.findings import CheckedLayer, Finding, found
from layers.quality.widths import place_in
from layers.text import Text

_POSITION: Final = re.compile(r"^(.*?)\[(\S+) (\S+)\]")
_SPIKES_PER_FEATURE: Final = 20


def check_shapes(
    layer: CheckedLayer, ids: Sequence[str], shapes: GeometryArray, region: Box | None
) -> list[Finding]:
    """Findings of features by themselves, in the order of the features."""
    findings = list(_invalid(layer, ids, shapes))
    if len(shapes) == 0:
        return findings
    if layer.levels.asks("duplicate-geometry"):
        findings += _repeats(layer, ids, shapes)
    if region is not None and layer.levels.asks("outside-region"):
        findings += _outside(layer, ids, shapes, region)
    if layer.kind == "polygon":
        plane = LocalPlane.around(shapely.box(*shapely.total_bounds(shapes)))
        metres = plane.to_metres(shapes)
        if layer.levels.asks("spike"):
            findings += _spikes(layer, ids, metres, plane)
        if layer.levels.asks("sliver-polygon"):
            findings += _slivers(layer, ids, shapes, metres)
    return findings


def _invalid(layer: CheckedLayer, ids: Sequence[str], shapes: GeometryArray) -> Iterator[Finding]:
    for index in np.flatnonzero(~shapely.is_valid(shapes)).tolist():
        words = str(shapely.is_valid_reason(shapes[index]))
        match = _POSITION.match(words)
        kind = match.group(1).strip() if match else words
        place = (float(match.group(2)), float(match.group(3))) if match else None
        where = f" {place[0]:.8f}, {place[1]:.8f}" if place else ""
        yield from found(
            layer,
            "invalid-geometry",
            Text(
                zh=f"图形无效：{FAULTS_ZH.get(kind, kind)}{where}。",
                en=f"Invalid geometry: {kind}{' at' if where else ''}{where}.",
            ),
            feature_ids=(ids[index],),
            geometry=_wkb_of_point(place),
            place=place,
        )


def _wkb_of_point(place: tuple[float, float] | None) -> bytes | None:
    if place is None or not all(map(math.isfinite, place)):
        return None
    return bytes(shapely.to_wkb(shapely.Point(place)))


def _repeats(layer: CheckedLayer, ids: Sequence[str], shapes: GeometryArray) -> Iterator[Finding]:
    """Equal shapes, whatever vertex they begin with; they have one centre, so they share a cell."""
    first: dict[bytes, int] = {}
    for index, wkb in enumerate(shapely.to_wkb(shapely.normalize(shapes)).tolist()):
        before = first.setdefault(wkb, index)
        if before == index:
            continue
        yield from found(
            layer,
            "duplicate-geometry",
            Text(
                zh=f"与要素 {ids[before]} 的图形完全相同。",
                en=f"The geometry is exactly that of feature {ids[before]}.",
            ),
            feature_ids=(ids[before], ids[index]),
            geometry=bytes(wkb),
            place=place_in(shapes[index]),
        )


def _outside(
    layer: CheckedLayer, ids: Sequence[str], shapes: GeometryArray, region: Box
) -> Iterator[Finding]:
    west, south, east, north = region
    boxes = shapely.bounds(shapes)
    inside = (
        (boxes[:, 0] >= west) & (boxes[:, 1] >= south)
        & (boxes[:, 2] <= east) & (boxes[:, 3] <= north)
    )  # fmt: skip
    for index in np.flatnonzero(~inside).tolist():
        out = _beyond(shapes[index], region)
        yield from found(
            layer,
            "outside-region",
            Text(
                zh="要素（部分）位于行政区域范围之外。",
                en="The feature lies (partly) outside the region.",
            ),
            feature_ids=(ids[index],),
            measured=area_m2(out) if layer.kind == "polygon" else None,
            unit="m2" if layer.kind == "polygon" else None,
            geometry=bytes(shapely.to_wkb(out)),
            place=place_in(out),
        )


def _beyond(shape: BaseGeometry, region: Box) -> BaseGeometry:
    """The part outside the region; the whole shape where it is invalid or only touches."""
    if not shape.is_valid:
        return shape
    out = shapely.difference(shape, shapely.box(*region))
    return shape if out.is_empty else out


def _spikes(
    layer: CheckedLayer, ids: Sequence[str], metres: GeometryArray, plane: LocalPlane
) -> Iterator[Finding]:
    limits = layer.levels.thresholds
    corners, owners, angles = sharp_corners(metres, limits.spike_angle_deg, limits.spike_length_m)
    shown: dict[int, int] = {}
    for number in np.lexsort((angles, owners)).tolist():
        owner, angle = int(owners[number]), float(angles[number])
        shown[owner] = shown.get(owner, 0) + 1
        if shown[owner] > _SPIKES_PER_FEATURE:
            continue
        line = plane.to_degrees(shapely.LineString(corners[number]))
        lon, lat = shapely.get_coordinates(line)[1].tolist()
        yield from found(
            layer,
            "spike",
            Text(
                zh=f"两条边之间的夹角只有 {angle:.2f} 度。",
                en=f"The angle between two edges is only {angle:.2f} degrees.",
            ),
            feature_ids=(ids[owner],),
            measured=angle,
            unit="deg",
            geometry=bytes(shapely.to_wkb(line)),
            place=(round(lon, 8), round(lat, 8)),
        )


def sharp_corners(
    metres: GeometryArray, angle_deg: float, length_m: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Corners (three points each) sharper than an angle between edges of a least length.

    Also gives the index of the geometry and the angle in degrees of each. Sharp means from
    inside or outside: a spike and a notch look alike to the ring.
    """
    rings, owner = shapely.get_rings(metres, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    if len(points) == 0:
        return np.empty((0, 3, 2)), np.empty(0, np.intp), np.empty(0)
    start = np.r_[0, np.flatnonzero(np.diff(ring)) + 1]
    end = np.r_[start[1:], len(ring)]
    # The first point of a ring stands at its end again: each corner once, before = last but one.
    closing = np.zeros(len(ring), dtype=bool)
    closing[end - 1] = True
    before = np.arange(len(ring)) - 1
    before[start] = end - 2
    here = np.flatnonzero(~closing)
    back = points[before[here]] - points[here]
    ahead = points[here + 1] - points[here]
    lengths = np.hypot(*back.T), np.hypot(*ahead.T)
    cross = np.abs(back[:, 0] * ahead[:, 1] - back[:, 1] * ahead[:, 0])
    angles = np.degrees(np.arctan2(cross, (back * ahead).sum(axis=1)))
    sharp = (angles < angle_deg) & (lengths[0] >= length_m) & (lengths[1] >= length_m)
    chosen = here[sharp]
    corners = np.stack((points[before[chosen]], points[chosen], points[chosen + 1]), axis=1)
    return corners, owner[ring[chosen]], angles[sharp]


def _slivers(
    layer: CheckedLayer, ids: Sequence[str], shapes: GeometryArray, metres: GeometryArray
) -> Iterator[Finding]:
    """Narrow and thin at once: a road of 10 m is thin and meant, a tiny square is no sliver."""
    limits = layer.levels.thresholds
    areas, lengths = shapely.area(metres), np.maximum(shapely.length(metres), 1e-9)
    width = 2 * areas / lengths
    thinness = 4 * math.pi * areas / lengths**2
    narrow = (width < limits.sliver_width_m) & (thinness < limits.sliver_thinness)
    for index in np.flatnonzero(narrow).tolist():
        yield from found(
            layer,
            "sliver-polygon",
            Text(
                zh=f"图斑平均宽度 {width[index]:.3f} 米，细长度 {thinness[index]:.4f}。",
                en=f"The polygon is {width[index]:.3f} m wide on average, "
                f"thinness {thinness[index]:.4f}.",
            ),
            feature_ids=(ids[index],),
            measured=float(width[index]),
            unit="m",
            geometry=bytes(shapely.to_wkb(shapes[index])),
            place=place_in(shapes[index]),
        )
