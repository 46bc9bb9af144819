"""Batches from rows of text values: for formats whose files hold words, read by our own readers.

Values stay text until ``layers.attribute_values`` reads them by the type the catalogue demands,
so that a code such as 0101 keeps its zero (GDAL guesses numbers and loses it).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import batched
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import shapely
from shapely.geometry.base import BaseGeometry

from layers.errors import LimitExceeded
from layers.readers.source import BATCH_ROWS, Batch

MOST_FIELDS: Final = 1_000
_FEWEST_RING_POINTS: Final = 4


@dataclass(frozen=True, slots=True)
class TextRow:
    """One row: a geometry or the code of its fault, and the values that are there."""

    geometry: BaseGeometry | None
    values: Mapping[str, str]
    fault: str | None = None
    linearised: bool = False


def text_batches(rows: Iterable[TextRow], fields: tuple[str, ...]) -> Iterator[Batch]:
    """Rows in file order as batches; a value that a row does not have is null."""
    first_row = 1
    for chunk in batched(rows, BATCH_ROWS):
        geometries = np.full(len(chunk), None, dtype=object)
        faults: dict[int, str] = {}
        for index, row in enumerate(chunk):
            geometries[index] = row.geometry
            if row.geometry is None:
                faults[index] = row.fault or "geometry-missing"
        yield Batch(
            first_row=first_row,
            geometries=geometries,
            columns={
                name: pa.array([row.values.get(name) for row in chunk], pa.string())
                for name in fields
            },
            faults=faults,
            linearised=tuple(i for i, row in enumerate(chunk) if row.linearised),
        )
        first_row += len(chunk)


def collect_field(fields: dict[str, None], name: str) -> None:
    """Note a field in the order of appearance; a file that invents them without end is refused."""
    if name not in fields:
        if len(fields) >= MOST_FIELDS:
            raise LimitExceeded(
                f"The file has more than {MOST_FIELDS} different fields.",
                f"文件的字段超过 {MOST_FIELDS} 个。",
            )
        fields[name] = None


def collected(geometries: list[BaseGeometry]) -> BaseGeometry:
    """Parts of one dimension as one multi-geometry, others as a collection (refused later)."""
    parts = shapely.get_parts(np.array(geometries, dtype=object))
    kinds = set(shapely.get_dimensions(parts).tolist())
    make: Any = shapely.geometrycollections
    if len(kinds) == 1:
        make = (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)[kinds.pop()]
    found: BaseGeometry = make(parts)
    return found


def closed_ring(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The points of a ring; ``ValueError`` for an open one, which Shapely would close unsaid."""
    if len(points) < _FEWEST_RING_POINTS or not (points[0] == points[-1]).all():
        raise ValueError("ring is not closed")
    return points
