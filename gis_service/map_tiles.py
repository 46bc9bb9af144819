"""The one pipeline behind every door to tiles: XYZ, OGC API Tiles, WMTS and DataServer.

A door says what is asked (``TileAsked``); here the range is checked before anything else, layers
that do not reach the tile are left out without asking the database, and the rest comes from the
tile store, from the archive of the content, or is made by the threads of ``tile_makers``.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gis_service.library import InForce, LayerInForce, Library
from gis_service.tile_makers import TileMakers
from layers.catalog import Layer
from layers.errors import Unavailable
from tiles.archive_shelf import ArchiveShelf
from tiles.matrix_set import (
    MatrixSet,
    Tile,
    load_matrix_sets,
    lonlat_bounds,
    matrix_set_named,
    tile_bounds,
)
from tiles.raster_tile import MapPainter
from tiles.tile_format import MVT, TileFormat
from tiles.tile_store import Flight, StoredTile, TileKey, as_stored, finished
from tiles.vector_tile import layer_tile

EMPTY = StoredTile(b"", '"nothing"', gzipped=False)
"""Nothing is there."""


@dataclass(frozen=True, slots=True)
class TileAsked:
    """What a door was asked for: plan layers, or a product of the base map (``vec``, ``cva`` …)."""

    layers: tuple[Layer, ...]
    matrix_set: MatrixSet
    tile: Tile
    form: TileFormat
    scale: Literal[1, 2] = 1
    language: str = "zh"
    product: str | None = None

    @property
    def name(self) -> str:
        """The product, or the layers with commas."""
        return self.product or ",".join(layer.id for layer in self.layers)


class MapTiles:
    """Grids, painter and makers of a running service."""

    def __init__(self, library: Library) -> None:
        """Make nothing yet: what draws is imported with the first tile."""
        limits = library.config.limits
        self._library = library
        self.archives = ArchiveShelf(library.settings.tiles_dir)
        self.makers = TileMakers(
            library.tiles,
            threads=max(1, library.settings.pool_size // 2),
            longest_queue=limits.tile_queue,
            deadline_s=limits.tile_deadline_s,
        )

    @cached_property
    def matrix_sets(self) -> dict[str, MatrixSet]:
        """The grids under ``config/matrix_sets`` by id."""
        return load_matrix_sets(self._library.settings.config_dir)

    @cached_property
    def painter(self) -> MapPainter:
        """What draws pictures."""
        if self._library.painter is None:
            raise Unavailable("This process draws no maps.", "该进程不绘制地图。")
        return self._library.painter

    def matrix_set(self, set_id: str) -> MatrixSet:
        """The grid of that id, or ``NotFound``."""
        return matrix_set_named(self.matrix_sets, set_id)

    async def fetch(self, asked: TileAsked, picture: InForce) -> StoredTile:
        """The tile; ``NotFound`` outside the grid, ``EMPTY`` where no layer reaches."""
        tile_bounds(asked.matrix_set, *asked.tile)
        contents = self._contents(asked, picture)
        if not contents and asked.product is None:
            return EMPTY
        numbers = tuple(content.content_id for content in contents)
        is_draft = any(content.edition_state == "draft" for content in contents)
        form = asked.form.id if asked.scale == 1 else f"{asked.form.id}@{asked.scale}x"
        key = TileKey(numbers, self._look(asked), asked.matrix_set.id, asked.tile, form)
        if not is_draft and (ready := self._ready(key, asked, contents)) is not None:
            return ready

        def make(flight: Flight) -> bytes:
            if asked.form is MVT:
                return self._vector(flight, asked, contents)
            shown = {content.layer_id: content.content_id for content in contents}
            return self._picture(asked, shown, kept=not is_draft)

        return await self.makers.fetch(key, make, gzipped=asked.form.gzipped, kept=not is_draft)

    def _contents(self, asked: TileAsked, picture: InForce) -> tuple[LayerInForce, ...]:
        if asked.form is MVT:
            return drawn_contents(asked, picture)
        # All of the product's: neighbours are drawn together, and a label reaches far.
        layers = self.painter.products.product(asked.name, asked.language).layers
        held = tuple(picture.layers[one] for one in layers if one in picture.layers)
        if asked.product is None and not any(
            _reaches(one, asked.matrix_set, asked.tile, margin=1.0) for one in held
        ):
            return ()
        return held

    def _look(self, asked: TileAsked) -> str:
        if asked.form is MVT:
            return ""
        return f"{asked.name}-{self.painter.digest(asked.name, asked.language)[:16]}"

    def _ready(
        self, key: TileKey, asked: TileAsked, contents: tuple[LayerInForce, ...]
    ) -> StoredTile | None:
        """A tile that needs no making: it is in memory, or written in an archive."""
        held = self._library.tiles.held(key)
        if held is not None or asked.form is not MVT:
            return held
        parts = [self._archived(asked, one) for one in contents]
        written = [part for part in parts if part is not None]
        if len(written) < len(parts):
            return None
        there = [part for part in written if part]
        body = there[0] if len(there) == 1 else b""
        if len(there) > 1:
            body = finished(b"".join(map(gzip.decompress, there)), gzipped=True).body
        return self._library.tiles.keep(key, as_stored(body))

    def _archived(self, asked: TileAsked, content: LayerInForce) -> bytes | None:
        """A layer's part of a tile as it is written; None where no archive says what is there."""
        if not asked.matrix_set.is_mercator_quad or content.edition_state == "draft":
            return None
        held = self.archives.of_content(content.content_id, content.content_sha256)
        if held is None or not held.covers(asked.tile.z):
            return None
        return held.tile(asked.tile)

    def _vector(
        self, flight: Flight, asked: TileAsked, contents: tuple[LayerInForce, ...]
    ) -> bytes:
        with self._library.pool.connection() as connection:
            flight.works_on(connection)
            try:
                return b"".join(
                    layer_tile(
                        connection, one.layer_id, one.content_id, asked.matrix_set, asked.tile
                    )
                    for one in contents
                )
            finally:
                flight.works_on(None)

    def _picture(self, asked: TileAsked, contents: Mapping[str, int], *, kept: bool) -> bytes:
        form = asked.form.id
        if form == "mvt":
            raise ValueError("a vector tile is no picture")
        return self.painter.draw_tile(
            asked.name, contents, asked.matrix_set, asked.tile,
            format=form, scale=asked.scale, language=asked.language, kept=kept,
        )  # fmt: skip


def drawn_contents(asked: TileAsked, picture: InForce) -> tuple[LayerInForce, ...]:
    """The contents of the layers that are drawn at the tile's level and reach it."""
    zoom = asked.matrix_set.zoom_like(asked.tile.z)
    held = [picture.layers[layer.id] for layer in asked.layers
            if zoom >= layer.min_zoom and layer.id in picture.layers]  # fmt: skip
    return tuple(one for one in held if _reaches(one, asked.matrix_set, asked.tile))


def _reaches(
    content: LayerInForce, matrix_set: MatrixSet, tile: Tile, margin: float = 1 / 32
) -> bool:
    """Whether the layer's extent meets the tile or a margin around it, in sides of the tile."""
    if content.extent is None:
        return False
    west, south, east, north = lonlat_bounds(matrix_set, tile)
    wide, high = (east - west) * margin, (north - south) * margin
    left, bottom, right, top = content.extent
    return (
        left <= east + wide and right >= west - wide
        and bottom <= north + high and top >= south - high
    )  # fmt: skip
