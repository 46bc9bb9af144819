"""The plane of metres in which the demo province is drawn.

One plain scaling of longitude and latitude about the middle of the island: enough for drawing
field patterns and winding roads, never for measuring. It knows no datum and no axis order of an
authority; what leaves the package is lon/lat on the storage grid of 1e-8 degrees.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
GeometryArray = npt.NDArray[np.object_]

MIDDLE_LON: Final = 109.75
MIDDLE_LAT: Final = 19.2
METRES_PER_DEG_X: Final = 111_320 * math.cos(math.radians(MIDDLE_LAT))
METRES_PER_DEG_Y: Final = 110_650.0


def to_lonlat(xy: FloatArray) -> FloatArray:
    """Metres of the plane to lon/lat, rounded to the storage grid."""
    lonlat = xy / (METRES_PER_DEG_X, METRES_PER_DEG_Y) + (MIDDLE_LON, MIDDLE_LAT)
    rounded: FloatArray = np.round(lonlat, 8)
    return rounded


def to_plane(lonlat: FloatArray) -> FloatArray:
    """Lon/lat to metres of the plane; a grid point comes back to itself through ``to_lonlat``."""
    plane: FloatArray = (lonlat - (MIDDLE_LON, MIDDLE_LAT)) * (METRES_PER_DEG_X, METRES_PER_DEG_Y)
    return plane


def geometry_to_lonlat(geometry: Any) -> Any:
    """A geometry, or an array of them, from the plane to the storage grid."""
    return shapely.transform(geometry, to_lonlat)


def geometry_to_plane(geometry: Any) -> Any:
    """A geometry, or an array of them, from lon/lat to the plane."""
    return shapely.transform(geometry, to_plane)
