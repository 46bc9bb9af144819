"""Where an imported layer has data at all: no data is never "no conflict"."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import shapely

from layers.catalog import Layer
from layers.crs import Box, GeometryArray
from layers.errors import BadParameter

CoverageChoice = Literal["region", "features"]
CoverageKind = Literal["region", "features", "given"]


def union_of(geometries: Sequence[shapely.Geometry] | GeometryArray) -> shapely.Geometry:
    """Union of polygons; parcels that share their edges exactly are joined without an overlay.

    That is many times faster; where polygons overlap or edges differ, the areas do not add up
    (compared in square degrees, it is a test of identity only) and the overlay does it.
    """
    shapes = np.asarray(geometries, dtype=object)
    try:
        joined = shapely.coverage_union_all(shapes)
    except shapely.errors.GEOSException:
        return shapely.union_all(shapes)
    total = float(shapely.area(shapes).sum())
    if joined.is_valid and abs(joined.area - total) <= 1e-9 * total:
        return joined
    return shapely.union_all(shapes)


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
) -> shapely.Geometry | None:
    """Where the layer has data: what is declared minus the boxes of refused rows."""
    if kind == "given" and isinstance(coverage, shapely.Geometry):
        whole: shapely.Geometry | None = coverage
    elif kind == "region" and region is not None:
        whole = shapely.box(*region)
    else:
        whole = shapely.from_wkb(features_union) if features_union else None
    if whole is None or not refused_boxes:
        return whole
    boxes = np.array(refused_boxes)
    return shapely.difference(whole, shapely.union_all(shapely.box(*boxes.T)))
