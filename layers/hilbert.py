"""The order of places along a Hilbert curve: neighbours in the list lie near each other."""

from typing import Final

import numpy as np
import numpy.typing as npt

from layers.crs import Box

_LEVELS: Final = 16


def hilbert_index(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], bounds: Box
) -> npt.NDArray[np.int64]:
    """Places (lon/lat) as numbers along the curve that fills the bounds.

    >>> hilbert_index(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0]),
    ...               (0.0, 0.0, 1.0, 1.0)).argsort().tolist()
    [0, 1, 2, 3]
    """
    west, south, east, north = bounds
    side = 1 << _LEVELS
    column = _steps(x, west, east, side)
    row = _steps(y, south, north, side)
    index = np.zeros(len(column), dtype=np.int64)
    step = side >> 1
    while step:
        right, upper = (column & step) > 0, (row & step) > 0
        index += step * step * ((3 * right) ^ upper)
        # The quarter is turned so that the curve leaves where the next one begins.
        turned = ~upper & right
        column[turned], row[turned] = side - 1 - column[turned], side - 1 - row[turned]
        column[~upper], row[~upper] = row[~upper], column[~upper]
        step >>= 1
    return index


def _steps(
    values: npt.NDArray[np.float64], low: float, high: float, side: int
) -> npt.NDArray[np.int64]:
    scale = (side - 1) / (high - low) if high > low else 0.0
    steps = np.clip((values - low) * scale, 0, side - 1)
    result: npt.NDArray[np.int64] = np.round(steps).astype(np.int64)
    return result
