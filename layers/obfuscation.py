"""GCJ-02 and BD-09: the obfuscations of Chinese internet maps, undone by iteration.

Neither has a CRS code, and neither can be recognised from the numbers. The forward formulas are
public (WGS 84 to GCJ-02 on the Krasovsky ellipsoid, GCJ-02 to BD-09 by a polar twist); GCJ-02 has
no closed inverse, so the forward formula is applied until it gives the input back. What comes out
is good for a view, not for a boundary: the published formula itself is known to some metres only.
"""

from collections.abc import Callable
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Obfuscation = Literal["gcj02", "bd09"]

ACCURACY_M: Final = 5.0
"""The upper end of the 1-5 m that the public formula is good for."""
AREA: Final = (72.004, 0.8293, 137.8347, 55.8271)
"""West, south, east, north in degrees: maps of other places are not obfuscated."""
MARK: Final = "not for statutory use"
"""What the source of a content that was converted from an obfuscation says of it."""

_KRASOVSKY_A_M: Final = 6378245.0
_KRASOVSKY_E2: Final = 0.00669342162296594323
_TWIST: Final = np.pi * 3000.0 / 180.0
_ENOUGH_DEG: Final = 1e-11
_MOST_STEPS: Final = 30


def undo(points: FloatArray, kind: Obfuscation) -> FloatArray:
    """WGS 84 longitude and latitude in degrees of obfuscated ones (n x 2)."""
    plain = _inverse(points, bd09_of_gcj02) if kind == "bd09" else points
    return _inverse(plain, gcj02_of_wgs84)


def _inverse(points: FloatArray, forward: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Solve forward(x) = points: both obfuscations are close to identity, so steps shrink fast."""
    guess = points.copy()
    for _ in range(_MOST_STEPS):
        missed = points - forward(guess)
        guess += missed
        # Coordinates that are no numbers never converge; they stay what they are.
        if not (np.abs(missed) > _ENOUGH_DEG).any():
            break
    return guess


def gcj02_of_wgs84(points: FloatArray) -> FloatArray:
    """GCJ-02 of WGS 84 longitude and latitude, both in degrees (n x 2)."""
    x, y = points[:, 0] - 105.0, points[:, 1] - 35.0
    waves = 20.0 * np.sin(6.0 * np.pi * x) + 20.0 * np.sin(2.0 * np.pi * x)
    north = (
        -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * np.sqrt(np.abs(x))
        + (waves + _swell(y, 12.0, 160.0, 30.0, 320.0)) * 2.0 / 3.0
    )  # fmt: skip
    east = (
        300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * np.sqrt(np.abs(x))
        + (waves + _swell(x, 12.0, 150.0, 30.0, 300.0)) * 2.0 / 3.0
    )  # fmt: skip
    latitude = np.radians(points[:, 1])
    w2 = 1.0 - _KRASOVSKY_E2 * np.sin(latitude) ** 2
    meridian = _KRASOVSKY_A_M * (1.0 - _KRASOVSKY_E2) / (w2 * np.sqrt(w2))
    parallel = _KRASOVSKY_A_M / np.sqrt(w2) * np.cos(latitude)
    return points + np.degrees(np.column_stack((east / parallel, north / meridian)))


def _swell(
    t: FloatArray, first: float, first_m: float, second: float, second_m: float
) -> FloatArray:
    """The long waves of one axis, in metres before the common factor of two thirds."""
    result: FloatArray = (
        20.0 * np.sin(np.pi * t) + 40.0 * np.sin(np.pi * t / 3.0)
        + first_m * np.sin(np.pi * t / first) + second_m * np.sin(np.pi * t / second)
    )  # fmt: skip
    return result


def bd09_of_gcj02(points: FloatArray) -> FloatArray:
    """BD-09 of GCJ-02 longitude and latitude, both in degrees (n x 2)."""
    x, y = points[:, 0], points[:, 1]
    radius = np.hypot(x, y) + 0.00002 * np.sin(y * _TWIST)
    angle = np.arctan2(y, x) + 0.000003 * np.cos(x * _TWIST)
    return np.column_stack((radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006))
