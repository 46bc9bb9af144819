"""Tile pieces of rows that have just been checked, drawn while the file is still being read.

The geometries are at hand then; to read them back out of the database costs a third of the drawing.
The pieces go through a pipe of their own into the content's table of tile pieces, which nobody sees
before the rows are stored. What is drawn is what ``layers.tile_building`` draws of stored rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import shapely

from layers.catalog import Layer
from layers.feature_rows import CopyStream, attribute_rows
from layers.tile_building import TileBuilder, look_attributes
from layers.tile_cutting import Drawn, to_mercator

_DRAWN_AT_ONCE: Final = 8_000
_MOST_BYTES: Final = 6_400_000
"""More rows at once are cut faster, tile by tile; memory bounds them."""


class RowDrawer(CopyStream):
    """Draws the rows of one import, in the order of their fids."""

    def __init__(self, layer: Layer, pipe: Path) -> None:
        """Open the pipe of ``layers.row_loading``."""
        super().__init__(pipe)
        self.grids: list[dict[str, Any]] = []
        """After ``close``: what ``layers.tile_changes.save_grids`` keeps."""
        self._layer = layer
        self._builder = TileBuilder(layer, None, self.write_block, growing=True)
        self._waiting: list[
            tuple[npt.NDArray[np.int64], Sequence[bytes], Sequence[bytes], Sequence[bytes]]
        ] = []
        self._rows = self._bytes = 0

    def add(
        self,
        fids: npt.NDArray[np.int64],
        attributes: Mapping[str, Sequence[Any]],
        ewkb: Sequence[bytes],
    ) -> None:
        """Take rows; all of equal length. They are drawn when there are enough of them."""
        shown, coded = (
            {name: attributes[name] for name in names if name in attributes}
            for names in (self._layer.tile_attributes, look_attributes(self._layer))
        )
        looks = _looks(coded, len(fids))
        # As a rule what is drawn is what the style depends on, of which there are a few.
        properties = looks if len(shown) == len(coded) else list(attribute_rows(shown, len(fids)))
        self._waiting.append((fids, properties, looks, ewkb))
        self._rows += len(fids)
        self._bytes += sum(map(len, ewkb))
        if self._rows >= _DRAWN_AT_ONCE or self._bytes >= _MOST_BYTES:
            self._draw()

    def close(self) -> None:
        """Draw the rest and what stands for many rows, and end the stream."""
        self._draw()
        self.grids = self._builder.grids()
        self._builder.finish()
        super().close()

    def _draw(self) -> None:
        if not self._waiting:
            return
        fids, properties, looks, ewkb = zip(*self._waiting, strict=True)
        self._waiting, self._rows, self._bytes = [], 0, 0
        all_fids, all_looks = np.concatenate(fids), _objects(looks)
        shapes = to_mercator(shapely.from_wkb(_objects(ewkb)))
        drawn = Drawn.of(all_fids, _objects(properties).tolist(), shapes)
        if len(drawn) < len(all_fids):  # beyond the last latitude of the map
            all_looks = all_looks[np.isin(all_fids, drawn.fids)]
        self._builder.add(drawn, all_looks.tolist())


def _objects(parts: Sequence[Sequence[bytes]]) -> npt.NDArray[np.object_]:
    joined = np.empty(sum(map(len, parts)), dtype=object)
    joined[:] = [value for part in parts for value in part]
    return joined


def _looks(columns: Mapping[str, Sequence[Any]], count: int) -> list[bytes]:
    """What the style of each row depends on, written as PostgreSQL writes jsonb.

    So a delta, which is drawn from stored rows, finds its looks among those of its base.
    """
    names = sorted(columns, key=lambda name: (len(name.encode()), name.encode()))
    made: dict[tuple[Any, ...], bytes] = {}
    rows = zip(*(columns[name] for name in names), strict=True) if names else [()] * count
    found = []
    for row in rows:
        text = made.get(row)
        if text is None:
            pairs = zip(names, row, strict=True)
            text = made[row] = (
                b"{"
                + b", ".join(
                    orjson.dumps(name) + b": " + orjson.dumps(value).replace(b"\\u0000", b"")
                    for name, value in pairs
                    if orjson.dumps(value) != b"null"
                )
                + b"}"
            )
        found.append(text)
    return found
