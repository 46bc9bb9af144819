"""What a comparison of two contents reads: boxes to share out, and the pieces of each cell.

Overlay pieces are read, not features: a redline of a hundred thousand vertices costs each cell
only what lies near it. Whoever reads holds one snapshot for all cells.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString, Self

import numpy as np
import numpy.typing as npt
import shapely

from layers.crs import Box
from layers.database import Connection, statements
from layers.features import content_parts
from layers.hilbert import hilbert_index
from layers.quality.cells import FeatureBoxes, cells_of

_SQL: Final = statements("layers", "comparison.sql")
_BATCH: Final = 20_000

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ContentRows:
    """The rows of one content, read through a connection that holds a snapshot."""

    connection: Connection
    content_id: int
    _statements: dict[str, LiteralString]

    @classmethod
    def of(cls, connection: Connection, content_id: int) -> Self:
        """The reader of a content, whole or on a base."""
        parts = content_parts(connection, [content_id])
        return cls(connection, content_id, {name: parts.on(text) for name, text in _SQL.items()})

    def boxes(self, box: Box) -> FeatureBoxes:
        """Boxes and vertex counts of the pieces that meet a box."""
        blocks = [np.array(batch, dtype=float) for batch in self._batches("piece_boxes", box)]
        table = np.concatenate([np.empty((0, 6)), *blocks])
        return FeatureBoxes(
            table[:, 0].astype(np.int64), table[:, 1:5], table[:, 5].astype(np.int64)
        )

    def pieces(self, box: Box) -> tuple[IntArray, tuple[bytes, ...]]:
        """Feature numbers and WKB of the areas that meet a box, in a fixed order."""
        found = self._all("pieces_in_box", **_sides(box))
        fids = np.array([fid for fid, _ in found], dtype=np.int64)
        return fids, tuple(bytes(blob) for _, blob in found)

    def class_values(
        self, property_name: str, scheme: str
    ) -> tuple[IntArray, IntArray, list[tuple[str | None, str | None]]]:
        """Feature numbers in order, the class of each, and the classes.

        A class is a pair of values of two attributes as text; classes come in their order.
        """
        known: dict[tuple[str | None, str | None], int] = {}
        fids: list[IntArray] = [np.zeros(0, dtype=np.int64)]
        classes: list[IntArray] = [np.zeros(0, dtype=np.int64)]
        for batch in self._batches("class_values", property=property_name, scheme=scheme):
            fids.append(np.array([fid for fid, *_ in batch], dtype=np.int64))
            numbers = [known.setdefault((one, two), len(known)) for _, one, two in batch]
            classes.append(np.array(numbers, dtype=np.int64))
        names = sorted(known, key=lambda pair: tuple((word is None, word or "") for word in pair))
        place = np.zeros(len(names), dtype=np.int64)
        for index, name in enumerate(names):
            place[known[name]] = index
        return np.concatenate(fids), place[np.concatenate(classes)], names

    def feature_ids(self, fids: Iterable[int]) -> dict[int, str]:
        """The ids of features by their numbers."""
        wanted = sorted(set(fids))
        names: dict[int, str] = {}
        for start in range(0, len(wanted), _BATCH):
            names.update(self._all("feature_ids", fids=wanted[start : start + _BATCH]))
        return names

    def extent(self) -> Box | None:
        """The box around the ground that the content has data for."""
        found = self._all("coverage_extent")
        return found[0] if found else None

    def outline(self, fids: Sequence[int]) -> list[bytes]:
        """The pieces (WKB) of some features."""
        return [bytes(blob) for (blob,) in self._all("unit_pieces", fids=list(fids))]

    def _all(self, name: str, **values: Any) -> list[Any]:
        found = self.connection.execute(
            self._statements[name], {"content_id": self.content_id, **values}
        )
        return found.fetchall()

    def _batches(self, name: str, box: Box | None = None, **values: str) -> Iterator[list[Any]]:
        """Rows through a cursor of the server, some thousand at a time."""
        sides = {} if box is None else _sides(box)
        with self.connection.cursor(name="comparison") as cursor:
            cursor.execute(
                self._statements[name], {"content_id": self.content_id, **sides, **values}
            )
            while batch := cursor.fetchmany(_BATCH):
                yield batch


def shared_cells(
    one: FeatureBoxes, other: FeatureBoxes, bounds: Box, most_vertices: int
) -> list[Box]:
    """Disjoint boxes that fill the bounds, each with at most so many vertices of both layers.

    They follow from the data alone and lie along a Hilbert curve.
    """
    west, south, east, north = bounds
    # Cut to the bounds, so that the middle of each lies in them.
    boxes = np.clip(np.concatenate((one.boxes, other.boxes)), (west, south) * 2, (east, north) * 2)
    both = FeatureBoxes(
        np.concatenate((one.fids, other.fids)),
        boxes,
        np.concatenate((one.vertices, other.vertices)),
    )
    cells = [cell.box for cell in cells_of(both, most_vertices, bounds)] or [bounds]
    middles = np.array([((w + e) / 2, (s + n) / 2) for w, s, e, n in cells])
    order = np.argsort(hilbert_index(middles[:, 0], middles[:, 1], bounds), kind="stable")
    return [cells[index] for index in order.tolist()]


def polygon_wkb(pieces: Sequence[bytes]) -> bytes:
    """Pieces of one outline as one geometry; runs where geometry may be worked on."""
    return bytes(shapely.to_wkb(shapely.union_all(shapely.from_wkb(np.array(pieces, object)))))


def _sides(box: Box) -> dict[str, float]:
    return dict(zip(("west", "south", "east", "north"), box, strict=True))
