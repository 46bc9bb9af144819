"""Geometries as PostGIS takes them: two-dimensional little-endian EWKB with an SRID.

Polygons of one ring, nearly all, are written from one array of coordinates: a head and a slice of
its bytes each. That takes a fifth of the time of one geometry after the other.
"""

from typing import Final, cast

import numpy as np
import shapely

from layers.crs import GeometryArray

_HEAD: Final = np.dtype(
    [("order", "u1"), ("kind", "<u4"), ("srid", "<u4"), ("rings", "<u4"), ("points", "<u4")]
)
_POLYGON_WITH_SRID: Final = 3 | 0x20000000
_POINT_BYTES: Final = 16


def to_ewkb(geometries: GeometryArray, srid: int) -> list[bytes]:
    """The EWKB of each; none of them may be missing."""
    plain = shapely.get_type_id(geometries) == shapely.GeometryType.POLYGON
    if not (plain.all() and len(geometries)) or shapely.get_num_interior_rings(geometries).any():
        stamped = shapely.set_srid(geometries, srid)
        encoded = shapely.to_wkb(stamped, include_srid=True, output_dimension=2, byte_order=1)
        return cast(list[bytes], encoded.tolist())
    points, owner = shapely.get_coordinates(geometries, return_index=True)
    count = np.bincount(owner, minlength=len(geometries))
    heads = np.empty(len(geometries), dtype=_HEAD)
    heads["order"], heads["kind"], heads["srid"] = 1, _POLYGON_WITH_SRID, srid
    heads["rings"], heads["points"] = count > 0, count
    body = points.astype("<f8", copy=False).tobytes()
    ends = np.cumsum(count) * _POINT_BYTES
    raw = heads.tobytes()
    width = _HEAD.itemsize
    starts = (ends - count * _POINT_BYTES).tolist()
    return [
        raw[n * width : n * width + (width if end > start else width - 4)] + body[start:end]
        for n, (start, end) in enumerate(zip(starts, ends.tolist(), strict=True))
    ]
