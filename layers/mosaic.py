"""A mosaic of many small polygons, drawn as a grid of classes for low zooms.

At zoom 7 half a million parcels are smaller than a pixel each. A union of them by class takes
minutes and keeps every vertex (6 million for one layer, measured), simplifying them one by one
tears holes. So each cell of a grid as wide as a pixel takes the class of the polygon under its
centre, patches of a few cells join their largest neighbour, and the patches become polygons. The
cost is bounded by the number of cells, whatever the number of polygons. For drawing only.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import sieve

from layers.crs import Box, GeometryArray
from layers.mosaic_outlines import outlines

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BlockArray = npt.NDArray[np.bool_]
CellArray = npt.NDArray[np.uint16]

_MOST_CELLS: Final = 40_000_000
_SMALLEST_PATCH_CELLS: Final = 4
_BLOCK_CELLS: Final = 256


@dataclass(frozen=True, slots=True)
class Patches:
    """Polygons of equal class within blocks, each with the number of its class."""

    geometries: GeometryArray
    classes: IntArray


class Mosaic:
    """The grid; classes are numbered from 1, 0 is no data. Coordinates are metres (EPSG:3857)."""

    def __init__(self, extent: Box, cell_m: float) -> None:
        """Lay the grid over an extent; wider cells where there would be too many."""
        west, south, east, north = extent
        cells = max(1.0, (east - west) / cell_m) * max(1.0, (north - south) / cell_m)
        self.cell_m = cell_m * max(1.0, (cells / _MOST_CELLS) ** 0.5)
        self.west, self.north = west, north
        width = int((east - west) / self.cell_m) + 1
        height = int((north - south) / self.cell_m) + 1
        self.cells: CellArray = np.zeros((height, width), dtype=np.uint16)

    @classmethod
    def framed(cls, west: float, north: float, cell_m: float, cells: CellArray) -> "Mosaic":
        """A grid that is there already; ``west`` and ``north`` are its corner."""
        made = cls.__new__(cls)
        made.west, made.north, made.cell_m, made.cells = west, north, cell_m, cells
        return made

    def blank(self) -> "Mosaic":
        """A grid of the same frame without data."""
        return Mosaic.framed(self.west, self.north, self.cell_m, np.zeros_like(self.cells))

    def reach(self, extent: Box) -> None:
        """Grow by whole cells until the grid holds an extent; not beyond all measure."""
        west, south, east, north = extent
        height, width = self.cells.shape
        left = max(0, math.ceil((self.west - west) / self.cell_m))
        above = max(0, math.ceil((north - self.north) / self.cell_m))
        right = max(0, int((east - self.west) / self.cell_m) + 1 - width)
        below = max(0, int((self.north - south) / self.cell_m) + 1 - height)
        if (height + above + below) * (width + left + right) <= 2 * _MOST_CELLS:
            self.cells = np.pad(self.cells, ((above, below), (left, right)))
            self.west -= left * self.cell_m
            self.north += above * self.cell_m

    def make_room(self, extent: Box) -> None:
        """Hold a further extent, with a quarter to spare; wider cells where there are too many."""
        west, south, east, north = extent
        height_m, width_m = (count * self.cell_m for count in self.cells.shape)
        right, bottom = self.west + width_m, self.north - height_m
        wanted = (
            self.west if west >= self.west else west - width_m / 4,
            bottom if south >= bottom else south - height_m / 4,
            right if east <= right else east + width_m / 4,
            self.north if north <= self.north else north + height_m / 4,
        )
        if wanted == (self.west, bottom, right, self.north):
            return
        area_m2 = (wanted[2] - wanted[0]) * (wanted[3] - wanted[1])
        while area_m2 > 1.5 * _MOST_CELLS * self.cell_m**2:
            self.cells, self.cell_m = self.cells[::2, ::2].copy(), 2 * self.cell_m
        self.reach(wanted)

    def centres(self, lines: IntArray, columns: IntArray) -> tuple[FloatArray, FloatArray]:
        """Where the centres of cells are: x and y in metres."""
        return (
            self.west + (columns + 0.5) * self.cell_m,
            self.north - (lines + 0.5) * self.cell_m,
        )

    def add(self, polygons: GeometryArray, classes: IntArray) -> None:
        """Give the cells under the polygons their classes; the last one that covers a cell wins.

        Even-odd scan lines through the centres of the cells, over all edges of all rings at once.
        """
        rings, owner = _rings(polygons)
        xy, ring = shapely.get_coordinates(rings, return_index=True)
        line = (self.north - xy[:, 1]) / self.cell_m - 0.5
        above = np.ceil(line)
        # Half open: a vertex on a line counts once. Few edges of small polygons cross a line.
        edge = np.flatnonzero((above[:-1] != above[1:]) & (ring[:-1] == ring[1:]))
        column = (xy[:, 0] - self.west) / self.cell_m - 0.5
        crossings = _crossings(column, line, edge)
        self._fill(*crossings, owner[ring[edge]], classes)

    def take_empty_from(self, finer: "Mosaic") -> None:
        """Give cells without a class the one that a finer mosaic has under their centres.

        So the many small polygons are drawn on one grid only; it is off by half a fine cell.
        """
        height, width = self.cells.shape
        x = self.west + (np.arange(width) + 0.5) * self.cell_m
        y = self.north - (np.arange(height) + 0.5) * self.cell_m
        column = np.floor((x - finer.west) / finer.cell_m).astype(np.int64)
        line = np.floor((finer.north - y) / finer.cell_m).astype(np.int64)
        lines = np.flatnonzero((line >= 0) & (line < finer.cells.shape[0]))
        columns = np.flatnonzero((column >= 0) & (column < finer.cells.shape[1]))
        here, there = np.ix_(lines, columns), np.ix_(line[lines], column[columns])
        self.cells[here] = np.where(self.cells[here] > 0, self.cells[here], finer.cells[there])

    def _fill(
        self,
        edge_of: IntArray,
        row: IntArray,
        at: FloatArray,
        owner_of_edge: IntArray,
        classes: IntArray,
    ) -> None:
        polygon = owner_of_edge[edge_of]
        order = np.lexsort((at, row, polygon))
        polygon, row, at = polygon[order], row[order], at[order]
        # Crossings of one polygon with one line come in pairs: in, out, in, out.
        start = np.ceil(at[0::2]).astype(np.int64)
        end = np.ceil(at[1::2]).astype(np.int64)
        height, width = self.cells.shape
        start, end = np.clip(start, 0, width), np.clip(end, 0, width)
        row, polygon = row[0::2], polygon[0::2]
        fits = (end > start) & (row >= 0) & (row < height)
        start, length = start[fits], (end - start)[fits]
        row, polygon = row[fits], polygon[fits]
        steps = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        self.cells[np.repeat(row, length), np.repeat(start, length) + steps] = np.repeat(
            classes[polygon], length
        )

    def patches(self, wanted: BlockArray | None = None) -> Iterable[Patches]:
        """The grid as polygons, block by block; small patches have joined their neighbours.

        ``wanted`` tells which blocks (line, column); None = all.
        """
        merged = self._merged()
        for line, column in np.argwhere(_blocks_of(merged > 0)).tolist():
            if wanted is None or wanted[line, column]:
                top, left = line * _BLOCK_CELLS, column * _BLOCK_CELLS
                block = merged[top : top + _BLOCK_CELLS, left : left + _BLOCK_CELLS]
                yield self._polygons(block, top, left)

    def changed_blocks(self, before: "Mosaic") -> BlockArray | None:
        """Blocks that are drawn otherwise than those of an earlier grid; None for another frame."""
        frames = [(one.west, one.north, one.cell_m, one.cells.shape) for one in (self, before)]
        if frames[0] != frames[1]:
            return None
        return _blocks_of(self._merged() != before._merged())

    @property
    def block_m(self) -> float:
        """Width of a block, metres."""
        return float(_BLOCK_CELLS * self.cell_m)

    def _merged(self) -> npt.NDArray[Any]:
        if self.cells.size <= _SMALLEST_PATCH_CELLS:  # GDAL refuses to sieve so small a grid
            return self.cells
        found: npt.NDArray[Any] = sieve(
            self.cells, _SMALLEST_PATCH_CELLS, mask=self.cells > 0, connectivity=4
        )
        return found

    def _polygons(self, block: npt.NDArray[Any], top: int, left: int) -> Patches:
        west, north = self.west + left * self.cell_m, self.north - top * self.cell_m
        found = outlines(block)
        present, number = np.unique(found.classes, return_inverse=True)
        order = np.argsort(number, kind="stable")
        joined: Any = shapely.multipolygons(found.polygons[order], indices=number[order])
        steps = np.array([self.cell_m, -self.cell_m])
        placed: Any = shapely.transform(joined, lambda cells: (west, north) + cells * steps)
        return Patches(np.asarray(placed), present)


def _blocks_of(cells: npt.NDArray[np.bool_]) -> BlockArray:
    """Which blocks have a cell that is true."""
    height, width = (-(-count // _BLOCK_CELLS) for count in cells.shape)
    whole = np.zeros((height * _BLOCK_CELLS, width * _BLOCK_CELLS), dtype=bool)
    whole[: cells.shape[0], : cells.shape[1]] = cells
    blocks: BlockArray = whole.reshape(height, _BLOCK_CELLS, width, _BLOCK_CELLS).any(axis=(1, 3))
    return blocks


def _rings(polygons: GeometryArray) -> tuple[GeometryArray, IntArray]:
    plain = shapely.get_type_id(polygons) == shapely.GeometryType.POLYGON
    if plain.all() and not shapely.get_num_interior_rings(polygons).any():
        return polygons, np.arange(len(polygons))
    parts, part_owner = shapely.get_parts(polygons, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    return rings, part_owner[ring_part]


def _crossings(
    column: FloatArray, line: FloatArray, edge: IntArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Where edges cross the lines of cell centres: number of the edge, row, column (a float)."""
    x0, x1, y0, y1 = column[edge], column[edge + 1], line[edge], line[edge + 1]
    first = np.ceil(np.minimum(y0, y1)).astype(np.int64)
    last = np.ceil(np.maximum(y0, y1)).astype(np.int64)
    count = last - first
    number = np.repeat(np.arange(len(edge)), count)
    row = np.repeat(first, count) + (
        np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    )
    rise = (y1 - y0)[number]
    at = x0[number] + (row - y0[number]) * (x1 - x0)[number] / rise
    return number, row, at
