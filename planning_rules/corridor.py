"""A centreline with its width becomes the strip of land that it takes.

The strip has flat ends and rounded bends. It is drawn in the 3-degree Gauss-Krueger zone of its
middle, where a metre on the grid is a little less than a metre on the ground off the central
meridian: the half width is enlarged by the largest scale along the line (0.06 % at the edge of a
zone), so the strip is never narrower than stated.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from layers.area import SEMI_MAJOR_M
from layers.crs import from_storage, gauss_kruger_code, parse_crs, to_storage
from layers.errors import BadParameter, Place
from layers.text import Text

ATTRIBUTE: Final = "line_width_m"
MOST_M: Final = 1_000.0
"""Wider strips are no centreline projects; they come as areas."""

_BEND_SEGMENTS: Final = 16
_LONGEST_EDGE_DEG: Final = 0.003
"""An edge is straight in degrees: uncut, one of 50 km would lie 20 m off on the grid."""


def stated_width_m(attributes: Mapping[str, Any]) -> float | None:
    """The width that the applicant states, None without one; ``BadParameter`` for a wrong one."""
    value = attributes.get(ATTRIBUTE)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST_M:
        place = Place(
            f"/properties/{ATTRIBUTE}",
            Text(zh=f"应为 0～{MOST_M:g} 米的数值", en=f"a number up to {MOST_M:g} metres"),
        )
        raise BadParameter(
            f"{ATTRIBUTE} must be a number of metres, above 0 and at most {MOST_M:g}.",
            f"{ATTRIBUTE}（线宽）应为大于 0、不超过 {MOST_M:g} 的米数。",
            places=(place,),
        )
    return float(value)


def strip_of(line: BaseGeometry, width_m: float) -> BaseGeometry:
    """The strip (lon/lat) that a lon/lat line of that width takes."""
    west, _, east, _ = line.bounds
    zone = parse_crs(gauss_kruger_code((west + east) / 2))
    cut = shapely.segmentize(line, _LONGEST_EDGE_DEG)
    grid = from_storage(np.array([cut], dtype=object), zone)[0]
    half_m = width_m / 2 * _largest_scale(grid)
    strip = shapely.buffer(
        grid, half_m, quad_segs=_BEND_SEGMENTS, cap_style="flat", join_style="round"
    )
    located: BaseGeometry = to_storage(np.array([strip], dtype=object), zone)[0]
    return located


def _largest_scale(grid: BaseGeometry) -> float:
    """1 + y^2 / 2R^2 at the place farthest from the central meridian (false easting 500 km)."""
    west, _, east, _ = grid.bounds
    offset_m = max(abs(west % 1_000_000 - 500_000), abs(east % 1_000_000 - 500_000))
    scale: float = 1 + offset_m**2 / (2 * (SEMI_MAJOR_M * 0.993) ** 2)
    return scale
