"""How much of its place a feature changed: the symmetric difference of its two shapes.

Overlays of stored geometries are still overlays: two valid rings of 2,800 vertices kept one busy
for 50 s. So they run in the killable child, in batches; a batch that does not end in time is
tried pair by pair, and a pair that does not end is said to be not measured, never to be zero.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import shapely

from layers.area import areas_m2, total_m2
from layers.errors import GaveUp
from layers.sandbox import Sandbox

_BATCH_DEADLINE_S: Final = 20.0
_PAIR_DEADLINE_S: Final = 2.0

Pair = tuple[bytes, bytes]
"""WKB of the shape before and of the one after (EPSG:4490, lon/lat)."""


@dataclass(slots=True)
class Measured:
    """Sum over pairs, square metres; ``not_measured`` pairs are not in it."""

    pairs: int = 0
    not_measured: int = 0
    areas_m2: list[float] = field(default_factory=list)

    @property
    def total_m2(self) -> float | None:
        """The sum; None while a pair could not be measured, for then it would be too small."""
        return None if self.not_measured else total_m2(self.areas_m2)


def difference_areas(pairs: Sequence[Pair]) -> list[float]:
    """Areas of the symmetric differences, square metres; runs in the child.

    Lines and points have none: 0. NaN where GEOS gave no answer.
    """
    before = shapely.from_wkb([pair[0] for pair in pairs])
    after = shapely.from_wkb([pair[1] for pair in pairs])
    surfaces = (shapely.get_dimensions(before) == 2) & (shapely.get_dimensions(after) == 2)
    result = np.zeros(len(pairs))
    result[surfaces] = _areas(before[surfaces], after[surfaces])
    areas: list[float] = result.tolist()
    return areas


def _areas(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    try:
        return areas_m2(shapely.symmetric_difference(before, after))
    except shapely.GEOSException:
        return np.array([_area(one, other) for one, other in zip(before, after, strict=True)])


def _area(before: shapely.Geometry, after: shapely.Geometry) -> float:
    try:
        return float(areas_m2([shapely.symmetric_difference(before, after)])[0])
    except shapely.GEOSException:
        return math.nan


def measure(
    sandbox: Sandbox, pairs: Sequence[Pair], *, until: float = math.inf
) -> list[float | None]:
    """Areas of the symmetric differences of a batch, m2; None where it could not be measured.

    Nothing is begun once ``time.monotonic()`` is past ``until``.
    """
    if not pairs:
        return []
    try:
        areas = _in_child(sandbox, pairs, _BATCH_DEADLINE_S, until)
    except GaveUp:
        areas = [_alone(sandbox, pair, until) for pair in pairs]
    return [None if math.isnan(area) else area for area in areas]


def _in_child(
    sandbox: Sandbox, pairs: Sequence[Pair], deadline_s: float, until: float
) -> list[float]:
    left_s = min(deadline_s, until - time.monotonic())
    if left_s <= 0:
        return [math.nan] * len(pairs)
    return sandbox.run(difference_areas, pairs, deadline_s=left_s)


def _alone(sandbox: Sandbox, pair: Pair, until: float) -> float:
    try:
        return _in_child(sandbox, [pair], _PAIR_DEADLINE_S, until)[0]
    except GaveUp:
        return math.nan


def measure_all(
    sandbox: Sandbox, batches: Iterable[Sequence[Pair]], *, budget_s: float = math.inf
) -> Measured:
    """The sum over a stream of batches; what ``budget_s`` does not suffice for is not measured."""
    result = Measured()
    until = time.monotonic() + budget_s
    for batch in batches:
        areas = measure(sandbox, batch, until=until)
        result.pairs += len(areas)
        result.not_measured += sum(area is None for area in areas)
        # One number a batch: a sum of sums in stream order, rounded far below the cent.
        result.areas_m2.append(total_m2([area for area in areas if area is not None]))
    return result
