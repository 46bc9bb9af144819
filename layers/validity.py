"""Whether geometries are valid, asked of GEOS only where a glance does not tell.

Most parcels can be seen whole from the mean of their corners. A closed ring that runs round a point
by strictly growing angles, and once, can neither cross nor touch itself, so it is valid. That test
takes a quarter of the time of GEOS, which is asked about all others: the answer is the same.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

BoolArray = npt.NDArray[np.bool_]

_SURE: Final = 1e-12
"""A turn counts from this share of the square of the geometry's size on: thousands of times what
is lost by rounding."""


def are_valid(geometries: npt.NDArray[np.object_]) -> BoolArray:
    """Whether each geometry is valid (as ``shapely.is_valid`` says); a missing one is not."""
    result = _plain_rings(geometries)
    others = np.flatnonzero(~result)
    result[others] = shapely.is_valid(geometries[others])
    return result


def _plain_rings(geometries: npt.NDArray[np.object_]) -> BoolArray:
    """Polygons of one ring that winds strictly and once round the mean of its corners.

    Coordinates of several rings are looked at as if they were one: whatever follows the first,
    closed ring makes a second turn or a turn back, and such a polygon is not among them.
    """
    result = np.zeros(len(geometries), dtype=bool)
    surfaces = np.flatnonzero(np.isin(shapely.get_type_id(geometries), (3, 6)))
    points, ring = shapely.get_coordinates(geometries[surfaces], return_index=True)
    if not len(points) or not np.isfinite(points).all():
        return result
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    last = np.append(first[1:], len(points)) - 1
    x, y = (_from_mean(points[:, axis], ring, first, last) for axis in (0, 1))
    turns, rises = np.zeros(len(points)), np.zeros(len(points), dtype=np.int64)
    turns[:-1] = x[:-1] * y[1:] - y[:-1] * x[1:]
    rises[:-1] = (y[:-1] < 0) != (y[1:] < 0)
    turns *= np.sign(turns[first])[ring]
    turns[last], rises[last] = np.inf, 0  # from one geometry to the next
    size = np.maximum.reduceat(np.abs(x), first) + np.maximum.reduceat(np.abs(y), first)
    plain = np.minimum.reduceat(turns, first) > _SURE * size * size
    plain &= np.add.reduceat(rises, first) == 2
    plain &= (points[first] == points[last]).all(axis=1) & (last - first >= 3)
    result[surfaces[ring[first]]] = plain
    return result


def _from_mean(
    values: npt.NDArray[np.float64],
    ring: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """One coordinate of all points, from the mean of their geometry."""
    own = np.ascontiguousarray(values)
    result: npt.NDArray[np.float64] = own - (np.add.reduceat(own, first) / (last + 1 - first))[ring]
    return result
