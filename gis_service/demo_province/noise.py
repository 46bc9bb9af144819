"""Repeatable chance: value noise over the plane and numbers drawn from keys.

Nothing here depends on Python's string hash or on the order of sets, so one seed gives the same
province in every process and on every machine.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from gis_service.demo_province.drawing_plane import FloatArray

_UintArray = npt.NDArray[np.uint64]

_MIX_A: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B: Final = np.uint64(0x94D049BB133111EB)
_SPREAD: Final = 0x94D049BB133111EB
_STEP_X: Final = np.uint64(0x9E3779B97F4A7C15)
_STEP_Y: Final = np.uint64(0xC2B2AE3D27D4EB4F)


def generator(seed: int, *keys: int) -> np.random.Generator:
    """A stream of its own for each purpose and place."""
    return np.random.Generator(np.random.PCG64([seed, *keys]))


def _mix(values: _UintArray) -> _UintArray:
    """SplitMix64: spreads neighbouring integers over all of 64 bits."""
    values = (values ^ (values >> np.uint64(30))) * _MIX_A
    values = (values ^ (values >> np.uint64(27))) * _MIX_B
    return values ^ (values >> np.uint64(31))


def lattice(column: npt.NDArray[np.int64], row: npt.NDArray[np.int64], seed: int) -> FloatArray:
    """One number in [0, 1) for each cell of an endless lattice."""
    keys = column.view(np.uint64) * _STEP_X + row.view(np.uint64) * _STEP_Y
    mixed = _mix(keys + np.uint64(seed * _SPREAD % 2**64))
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


def value_noise(x: FloatArray, y: FloatArray, size_m: float, seed: int) -> FloatArray:
    """Smooth noise in [0, 1) whose hills are about ``size_m`` wide."""
    u, v = x / size_m, y / size_m
    column, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    s, t = u - column, v - row
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    # The four corners in one call: most callers have short arrays.
    columns, rows = np.stack([column, column, column + 1, column + 1]), np.stack([row, row + 1] * 2)
    corner = lattice(columns, rows, seed)
    low = corner[0] + (corner[2] - corner[0]) * s
    high = corner[1] + (corner[3] - corner[1]) * s
    mixed: FloatArray = low + (high - low) * t
    return mixed


def fractal_noise(
    x: FloatArray, y: FloatArray, size_m: float, seed: int, octaves: int = 4
) -> FloatArray:
    """Octaves of value noise, scaled to mean 0 and a spread of about -1 to 1."""
    total = np.zeros_like(x)
    weight, weights = 1.0, 0.0
    for octave in range(octaves):
        # Turned lattices: the octaves' grid lines never fall together and never show.
        cosine, sine = np.cos(octave * 0.7 + 0.3), np.sin(octave * 0.7 + 0.3)
        turned_x, turned_y = x * cosine - y * sine, x * sine + y * cosine
        layer = value_noise(turned_x, turned_y, size_m / 2**octave, seed + 101 * octave)
        total += weight * layer
        weights += weight
        weight *= 0.5
    return (total / weights - 0.5) * 3.0
