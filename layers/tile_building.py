"""The tile pieces of a content: one pass over its features, batch by batch.

Features come out of the database by one cursor in fid order, are projected, cut and encoded here
(``layers.tile_cutting``) and go back by COPY. Small polygons of the two lowest base zooms are noted
in a mosaic meanwhile and follow at the end. ``layers.tile_changes`` says which features are drawn
of a content that stands on another one or was changed row by row.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import shapely
from psycopg import sql

from layers.catalog import Layer
from layers.crs import Box, GeometryArray
from layers.database import Connection, statements
from layers.mosaic import BlockArray, Mosaic
from layers.tile_cutting import (
    COLUMNS,
    WORLD_M,
    Drawn,
    Pieces,
    copy_stream,
    cut,
    cut_further,
    encode,
    to_mercator,
)

_SQL: Final = statements("layers", "pieces.sql")
DIMENSION: Final = {"point": 0, "line": 1, "polygon": 2}
LOW_ZOOMS: Final = ((7, 9), (4, 6))
"""The base zooms that generalise, each with the deepest zoom that it serves."""
_SMALL_PIXELS: Final = 8
_TILE_PIXELS: Final = 512
_FETCHED_ROWS: Final = 4_000
_BATCH_VERTICES: Final = 400_000


class Write(Protocol):
    """Takes encoded rows of ``tile_cutting.COLUMNS``."""

    def __call__(self, rows: bytes) -> None:
        """Store them."""


@dataclass(slots=True)
class LowZoom:
    """One of the generalised base zooms."""

    base_zoom: int
    pixel_m: float
    mosaic: Mosaic | None
    seen: set[int] = field(default_factory=set)
    """Hashes of the spots and looks of points that are drawn."""

    @property
    def grid_m(self) -> float:
        """Coordinates of what stays are rounded to this."""
        return self.pixel_m / 2

    @property
    def small_m2(self) -> float:
        """Polygons below this are drawn as cells of the mosaic."""
        return (_SMALL_PIXELS * self.pixel_m) ** 2


class TileBuilder:
    """Takes features batch by batch and writes their pieces."""

    def __init__(
        self, layer: Layer, extent: Box | None, write: Write, *, growing: bool = False
    ) -> None:
        """Prepare for the features of a layer; ``extent`` is lon/lat and holds all of them.

        Where nobody knows it yet the mosaics are ``growing`` with the features.
        """
        self.dimension = DIMENSION[layer.geometry]
        self.write, self.growing = write, growing
        self.classes: dict[bytes, int] = {}
        """Looks of small polygons, numbered from 1 as the cells of the mosaics are."""
        self.first_fids: list[int] = []
        self.low = [
            LowZoom(zoom, pixel_m, _mosaic(extent, pixel_m) if self.dimension == 2 else None)
            for zoom, deepest in LOW_ZOOMS
            if layer.min_zoom < 10 and layer.min_zoom <= deepest
            for pixel_m in (WORLD_M / 2**deepest / _TILE_PIXELS,)
        ]

    def add(self, drawn: Drawn, looks: Sequence[bytes]) -> None:
        """Cut some features; ``looks`` are the JSON texts of what their style depends on."""
        self.add_high(drawn, looks)
        self.add_low(drawn, looks)

    def add_high(self, drawn: Drawn, _looks: Sequence[bytes]) -> None:
        """Cut some features for the base zooms that show each as it is."""
        coarse = cut(drawn, 10, self.dimension)
        self.write(encode(coarse))
        self.write(encode(cut_further(coarse, 13, self.dimension)))

    def add_low(self, drawn: Drawn, looks: Sequence[bytes]) -> None:
        """Cut some features for the base zooms that generalise."""
        if self.dimension == 2:
            if self.growing and len(drawn):
                self._make_room(drawn)
            self._add_polygons(drawn, looks)
            return
        generalise = _straight_lines if self.dimension == 1 else _sparse_points
        for low in self.low:
            kept = generalise(drawn, looks, low)
            # A point stands for others on its spot: it is a piece of the layer, not of a feature.
            self.write(encode(cut(kept, low.base_zoom, self.dimension),
                              by_feature=self.dimension == 1))  # fmt: skip

    def finish(self, before: Mapping[int, Mosaic] | None = None) -> dict[int, BlockArray]:
        """Write the mosaics; a coarse one takes the smallest polygons from the finer one.

        Of blocks that look as in the grids of ``before`` (by base zoom) nothing is written; gives
        which those are.
        """
        finer: LowZoom | None = None
        kept: dict[int, BlockArray] = {}
        for low in self.low:
            changed = self._completed(low, finer, before or {})
            finer = low
            for patches in self._patches(low, changed):
                self.write(encode(patches, by_feature=False))
            if changed is not None:
                kept[low.base_zoom] = ~changed
        return kept

    def _completed(
        self, low: LowZoom, finer: LowZoom | None, before: Mapping[int, Mosaic]
    ) -> BlockArray | None:
        """Fill a mosaic, and the grid before; give the blocks that differ, None = all."""
        if low.mosaic is None:
            return None
        was = before.get(low.base_zoom)
        if finer is not None and finer.mosaic is not None:
            low.mosaic.take_empty_from(finer.mosaic)
            if was is not None and finer.base_zoom in before:
                was.take_empty_from(before[finer.base_zoom])
        return None if was is None else low.mosaic.changed_blocks(was)

    def grids(self) -> list[dict[str, Any]]:
        """The mosaics as ``library.mosaic_grid`` keeps them.

        To be asked before ``finish``, in which the coarse one takes cells from the fine one.
        """
        looks = [
            [text.decode(), fid] for text, fid in zip(self.classes, self.first_fids, strict=True)
        ]
        return [
            {
                "base_zoom": low.base_zoom,
                "west": low.mosaic.west,
                "north": low.mosaic.north,
                "cell_m": low.mosaic.cell_m,
                "height": low.mosaic.cells.shape[0],
                "width": low.mosaic.cells.shape[1],
                "classes": looks,
                "cells": zlib.compress(low.mosaic.cells.astype("<u2").tobytes(), 1),
            }
            for low in self.low
            if low.mosaic is not None
        ]

    def _make_room(self, drawn: Drawn) -> None:
        west, south = drawn.bounds[:, :2].min(axis=0).tolist()
        east, north = drawn.bounds[:, 2:].max(axis=0).tolist()
        extent = (west, south, east, north)
        for low in self.low:
            if low.mosaic is None:
                low.mosaic = Mosaic(extent, low.pixel_m)
            low.mosaic.make_room(extent)

    def _add_polygons(self, drawn: Drawn, looks: Sequence[bytes]) -> None:
        """Large ones one by one on the grid; each small one goes into the finest mosaic."""
        for low, small, large in self.by_size(drawn.geometries):
            if low.mosaic is not None and len(small):
                low.mosaic.add(drawn.geometries[small], self.numbers(drawn, looks, small))
            kept = drawn[large]
            if len(kept):
                reduced = shapely.set_precision(kept.geometries, low.grid_m)
                kept = Drawn.of(kept.fids, kept.properties.tolist(), reduced)
                self.write(encode(cut(kept, low.base_zoom, self.dimension)))

    def by_size(
        self, polygons: GeometryArray
    ) -> Iterator[tuple[LowZoom, npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
        """For each low zoom which polygons its mosaic takes, and which are drawn one by one."""
        areas = shapely.area(polygons)
        noted = np.zeros(len(polygons), dtype=bool)
        for low in self.low:
            large = areas >= low.small_m2
            small = np.flatnonzero(~large & ~noted)
            noted |= ~large
            yield low, small, large

    def numbers(
        self, drawn: Drawn, looks: Sequence[bytes], rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """The classes of some features in the mosaics; new ones are added."""
        chosen = [looks[row] for row in rows.tolist()]
        for look, fid in zip(chosen, drawn.fids[rows].tolist(), strict=True):
            if look not in self.classes:
                self.classes[look] = len(self.classes) + 1
                self.first_fids.append(fid)
        return np.fromiter(map(self.classes.__getitem__, chosen), np.int64, len(chosen))

    def _patches(self, low: LowZoom, wanted: BlockArray | None) -> Iterator[Pieces]:
        if low.mosaic is None or not self.classes:
            return
        texts = list(self.classes)
        for patches in low.mosaic.patches(wanted):
            numbers = patches.classes - 1
            drawn = Drawn.of(
                np.array([self.first_fids[n] for n in numbers]),
                [texts[n] for n in numbers],
                patches.geometries,
            )
            yield cut(drawn, low.base_zoom, self.dimension)


def look_attributes(layer: Layer) -> tuple[str, ...]:
    """Tile attributes that have a code list: what the style of small polygons depends on."""
    coded = {attribute.name for attribute in layer.attributes if attribute.codes}
    return tuple(name for name in layer.tile_attributes if name in coded)


def _straight_lines(drawn: Drawn, _looks: Sequence[bytes], low: LowZoom) -> Drawn:
    simple = shapely.simplify(drawn.geometries, low.grid_m, preserve_topology=False)
    lost = shapely.is_empty(simple) | shapely.is_missing(simple)
    simple[lost] = drawn.geometries[lost]
    return Drawn.of(drawn.fids, drawn.properties.tolist(), _on_grid(simple, low.grid_m / 4))


def _sparse_points(drawn: Drawn, looks: Sequence[bytes], low: LowZoom) -> Drawn:
    """Of points that fall on one spot of the screen and look the same, the first is enough."""
    on_grid = _on_grid(drawn.geometries, low.grid_m)
    kept = []
    for index, spot in enumerate(zip(shapely.to_wkb(on_grid).tolist(), looks, strict=True)):
        if hash(spot) not in low.seen:
            low.seen.add(hash(spot))
            kept.append(index)
    chosen = drawn[kept]
    return Drawn.of(chosen.fids, chosen.properties.tolist(), on_grid[kept])


def _on_grid(geometries: Any, grid_m: float) -> Any:
    return shapely.transform(geometries, lambda points: np.round(points / grid_m) * grid_m)


def _mosaic(extent: Box | None, pixel_m: float) -> Mosaic | None:
    return None if extent is None else Mosaic(mercator_box(extent), pixel_m)


def mercator_box(extent: Box) -> Box:
    """A lon/lat box in metres (EPSG:3857)."""
    west, south, east, north = shapely.bounds(to_mercator(np.array([shapely.box(*extent)])))[0]
    return float(west), float(south), float(east), float(north)


def draw(
    connection: Connection,
    features: sql.Composable,
    expressions: Mapping[str, sql.Composable],
    add: Callable[[Drawn, Sequence[bytes]], None],
    reader: Connection | None = None,
) -> None:
    """Hand the features of a table or subquery to ``add``, in fid order.

    ``expressions`` give properties and class_properties of a feature ``f`` as jsonb. With a
    ``reader`` the next ones are read while ``add`` works.
    """
    source = reader or connection
    with ExitStack() as stack:
        if reader is not None:
            stack.enter_context(reader.transaction())
        cursor = stack.enter_context(source.cursor(name="features_to_draw"))
        cursor.execute(
            sql.SQL(_SQL["features_to_draw"]).format(features=features, **expressions),
            binary=True,
        )
        batches = _projected(cursor)
        if reader is not None:
            batches = _ahead(batches, stack.enter_context(ThreadPoolExecutor(1)))
        for drawn, looks in batches:
            add(drawn, looks)


def _projected(cursor: Any) -> Iterator[tuple[Drawn, Sequence[bytes]]]:
    for fids, properties, looks, encoded in _batches(cursor):
        shapes = shapely.from_wkb(np.array(encoded, dtype=object))
        drawn = Drawn.of(np.array(fids), properties, to_mercator(shapes))
        if len(drawn) < len(fids):
            look_of = dict(zip(fids, looks, strict=True))
            looks = [look_of[fid] for fid in drawn.fids.tolist()]
        yield drawn, looks


def _ahead[T](source: Iterator[T], pool: ThreadPoolExecutor) -> Iterator[T]:
    """The same, each fetched while the one before is worked on."""
    waiting = pool.submit(next, source, None)
    while (found := waiting.result()) is not None:
        waiting = pool.submit(next, source, None)
        yield found


def copy_into(connection: Connection, name: sql.Identifier) -> Write:
    """What stores encoded rows in a table of tile pieces."""
    statement = sql.SQL("COPY {name} {columns} FROM STDIN (FORMAT binary)").format(
        name=name, columns=sql.SQL(COLUMNS)
    )

    def write(rows: bytes) -> None:
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for block in copy_stream([rows]):
                copy.write(block)

    return write


def _batches(cursor: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Columns of some rows at a time: a few thousand, fewer where they are heavy."""
    kept: list[Any] = []
    size = 0
    for row in _rows(cursor):
        kept.append(row)
        size += len(row[3])
        if size >= 16 * _BATCH_VERTICES:
            yield tuple(zip(*kept, strict=True))  # type: ignore[misc]
            kept, size = [], 0
    if kept:
        yield tuple(zip(*kept, strict=True))  # type: ignore[misc]


def _rows(cursor: Any) -> Iterable[Any]:
    while fetched := cursor.fetchmany(_FETCHED_ROWS):
        yield from fetched


def extent_of(connection: Connection, content_id: int) -> Box | None:
    """The lon/lat box around all features of a content; None without any."""
    found = connection.execute(_SQL["extent_of_content"], {"content_id": content_id}).fetchone()
    return None if found is None or found[0] is None else (found[0], found[1], found[2], found[3])
