"""What an area or a storm's track meets: shares of features in one cell of the area.

Pure: a clip of the site and the features near it come in, areas go out. Cells are disjoint, so
the sums over cells are the areas of the whole site.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from layers.area import areas_m2, length_m


@dataclass(frozen=True, slots=True)
class NearFeature:
    """A feature near a cell: its number, and its pieces as WKB in lon/lat."""

    fid: int
    pieces: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """What of a feature lies in the cell; ``area_m2`` of areas, ``length_m`` of lines."""

    fid: int
    area_m2: float = 0.0
    length_m: float = 0.0


@dataclass(frozen=True, slots=True)
class CellImpact:
    """The shares of a layer in a cell, and the area of the cell where the layer has no data."""

    shares: tuple[Share, ...]
    uncovered_m2: float


def cell_impact(clip: bytes, features: Sequence[NearFeature], coverage: bytes) -> CellImpact:
    """Measure features against the part of a site in a cell (WKB, lon/lat).

    A feature that only touches the site is not met by it; a point on its edge is.
    """
    site = shapely.from_wkb(clip)
    shapely.prepare(site)
    found = (_share(site, one) for one in features)
    without = shapely.difference(site, shapely.from_wkb(coverage))
    return CellImpact(
        tuple(share for share in found if share is not None), float(areas_m2([without])[0])
    )


def _share(site: shapely.Geometry, feature: NearFeature) -> Share | None:
    pieces = shapely.from_wkb(np.array(feature.pieces, dtype=object))
    dimension = int(shapely.get_dimensions(pieces).max())
    if dimension == 0:
        return Share(feature.fid) if shapely.intersects(site, pieces).any() else None
    shared = shapely.intersection(pieces, site)
    if dimension == 1:
        lines = shapely.union_all(shared)
        length = length_m(lines) if not shapely.is_empty(lines) else 0.0
        return Share(feature.fid, length_m=length) if length > 0 else None
    area = float(areas_m2(shared).sum())
    return Share(feature.fid, area_m2=area) if area > 0 else None


def quarters(clip: bytes) -> tuple[bytes, ...]:
    """The parts of a clip in the four quarters of its box, as WKB; only areas are kept."""
    site = shapely.from_wkb(clip)
    west, south, east, north = site.bounds
    middle, centre = (west + east) / 2, (south + north) / 2
    boxes = (
        shapely.box(west, south, middle, centre), shapely.box(middle, south, east, centre),
        shapely.box(west, centre, middle, north), shapely.box(middle, centre, east, north),
    )  # fmt: skip
    parts = shapely.intersection(site, np.array(boxes, dtype=object))
    areas = [_areas_only(part) for part in parts]
    return tuple(shapely.to_wkb(part) for part in areas if not shapely.is_empty(part))


def _areas_only(geometry: shapely.Geometry) -> shapely.Geometry:
    """Without the lines and points that a cut along an edge leaves."""
    parts = [
        part
        for part in shapely.get_parts(geometry, return_index=False)
        if shapely.get_dimensions(part) == 2
    ]
    return shapely.MultiPolygon(parts) if len(parts) != 1 else parts[0]
