"""Cells: rectangles that share a layer out, so that no more than so many vertices meet at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from layers.crs import Box

FloatArray = npt.NDArray[np.float64]

_SMALLEST_DEG: Final = 1e-5


@dataclass(frozen=True, slots=True)
class FeatureBoxes:
    """Boxes (lon/lat, one row each) and numbers of vertices of the features of a content."""

    fids: npt.NDArray[np.int64]
    boxes: FloatArray
    vertices: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """How many features."""
        return len(self.fids)

    @property
    def bounds(self) -> Box:
        """The box around all of them."""
        low, high = self.boxes[:, :2].min(axis=0), self.boxes[:, 2:].max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def meeting(self, box: Box) -> "FeatureBoxes":
        """Those whose box meets another one."""
        west, south, east, north = box
        meets = (
            (self.boxes[:, 0] <= east) & (self.boxes[:, 2] >= west)
            & (self.boxes[:, 1] <= north) & (self.boxes[:, 3] >= south)
        )  # fmt: skip
        return FeatureBoxes(self.fids[meets], self.boxes[meets], self.vertices[meets])


@dataclass(frozen=True, slots=True)
class Cell:
    """One rectangle and the features whose centres lie in it."""

    box: Box
    home: npt.NDArray[np.int64]
    vertices: int


def cells_of(features: FeatureBoxes, most_vertices: int, bounds: Box | None = None) -> list[Cell]:
    """Disjoint rectangles that fill the box around all features.

    Each is halved at the median until its own features have at most ``most_vertices`` together;
    one feature is never cut. Neighbours come near each other in the list.
    """
    if len(features) == 0:
        return []
    centres = (features.boxes[:, :2] + features.boxes[:, 2:]) / 2
    whole = bounds or features.bounds
    return list(_split(features, centres, np.arange(len(features)), whole, most_vertices))


def _split(
    features: FeatureBoxes,
    centres: FloatArray,
    chosen: npt.NDArray[np.intp],
    box: Box,
    most_vertices: int,
) -> Iterator[Cell]:
    weight = int(features.vertices[chosen].sum())
    cut = _median(centres[chosen], box) if weight > most_vertices and len(chosen) > 1 else None
    if cut is None:
        yield Cell(box, features.fids[chosen], weight)
        return
    axis, at = cut
    low, high = list(box), list(box)
    low[axis + 2] = high[axis] = at
    left = centres[chosen, axis] < at
    for side, part in ((low, chosen[left]), (high, chosen[~left])):
        yield from _split(
            features, centres, part, (side[0], side[1], side[2], side[3]), most_vertices
        )


def _median(centres: FloatArray, box: Box) -> tuple[int, float] | None:
    """Axis and place of a cut with centres on both sides, along the longer side first."""
    wide = (box[2] - box[0]) >= (box[3] - box[1])
    for axis in (0, 1) if wide else (1, 0):
        values = centres[:, axis]
        at = float(np.median(values))
        if at <= values.min():
            above = values[values > at]
            at = float(above.min()) if len(above) else at
        if values.min() < at and values.max() - values.min() > _SMALLEST_DEG:
            return axis, at
    return None
