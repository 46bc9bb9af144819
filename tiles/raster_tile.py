"""Map tiles as pictures: PNG, JPEG or WebP of any layers, in any matrix set.

One door for every caller: ``MapPainter.draw_tile``; ``draw_picture`` for any other box. What a
product (``vec``, ``cva``, …, or plan layers ``a,b``) shows stands in ``tiles.base_map``; which
contents of its layers, the caller says. Tiles are drawn several at a time (a metatile) in child
processes that are killed at their deadline; the neighbours wait in memory for the requests that
follow.
"""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import cache
from typing import Any, Final, Literal

from PIL import Image

from layers.errors import Unavailable
from layers.sandbox import Sandbox
from tiles.base_map import Product, Products
from tiles.imagery import Rasters, RasterSource, draw_raster
from tiles.map_drawing import Address, Look, draw, load_mapnik
from tiles.map_frame import MapFrame
from tiles.matrix_set import Box, MatrixSet, Tile, tile_bounds

ImageFormat = Literal["png", "jpeg", "webp"]
MEDIA_TYPES: Final[dict[ImageFormat, str]] = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp",
}  # fmt: skip
TILE_PX: Final = 256
_METATILE: Final = 2
"""Tiles on a side of a metatile: what a window shows is three or four, and of a larger metatile
more would be drawn that nobody looks at (measured)."""
_METATILE_OF_LABELS: Final = {1: 4, 2: 2}
"""The same, by scale, where labels are chosen: that looks far around and costs once a metatile."""
_HELD_BYTES: Final = 32 * 1024 * 1024
_MOST_WAITING: Final = 64
_PAPER: Final = "#FFFFFF"
"""Under what is transparent, in formats that know no transparency."""

_Block = tuple[bytes, ...]


class MapPainter:
    """Draws map tiles and pictures; safe to call from many threads."""

    def __init__(
        self,
        products: Products,
        address: Address,
        sandbox: Sandbox,
        rasters: Rasters,
        *,
        deadline_s: float = 20.0,
    ) -> None:
        """Draw in the children of ``sandbox``, which read the library by ``address``."""
        self.products = products
        self._address = address
        self._sandbox = sandbox
        self._rasters = rasters
        self._deadline_s = deadline_s
        self._blocks = _BlockStore(_HELD_BYTES)
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)

    def digest(self, product: str, language: str = "zh") -> str:
        """What the look of a product hangs on, for entity tags and cache keys."""
        return self._digest(self.products.product(product, language))

    def _digest(self, product: Product) -> str:
        if product.raster is None:
            return product.digest
        return product.digest[:48] + self._rasters.state(product.raster)

    def warm_up(self) -> None:
        """Let a child import what it draws with, so that the first caller does not wait."""
        self._sandbox.run(_import_libraries, deadline_s=60)

    def draw_tile(
        self,
        product: str,
        contents: Mapping[str, int],
        matrix_set: MatrixSet,
        tile: Tile,
        *,
        format: ImageFormat = "png",
        scale: Literal[1, 2] = 1,
        language: str = "zh",
        kept: bool = True,
    ) -> bytes:
        """The picture of one tile, 256 pixels wide (512 with ``scale`` 2).

        ``contents`` are content numbers by layer id, as the picture of the day has them; layers
        without one are not drawn. Contents that may still change (a draft's) are drawn anew each
        time: ``kept`` False. Nothing there = transparent (JPEG: the background).

        ``NotFound`` for an unknown product or a tile outside the set, ``GaveUp`` past the deadline,
        ``Unavailable`` when too many wait.
        """
        tile_bounds(matrix_set, *tile)
        made = self.products.product(product, language)
        numbers = tuple((name, contents[name]) for name in made.layers if name in contents)
        matrix = matrix_set.matrix(tile.z)
        has_labels = any(part["type"] == "symbol" for part in made.style_layers)
        side = _METATILE_OF_LABELS[scale] if has_labels else _METATILE
        left, top = tile.x - tile.x % side, tile.y - tile.y % side
        columns, rows = min(side, matrix.columns - left), min(side, matrix.rows - top)
        key = (self._digest(made), numbers, matrix_set.id, tile.z, left, top, scale, format)

        def draw_block() -> _Block:
            first = tile_bounds(matrix_set, tile.z, left, top)
            last = tile_bounds(matrix_set, tile.z, left + columns - 1, top + rows - 1)
            pixels = TILE_PX * scale
            box = Box(first.west, last.south, last.east, first.north)
            frame = MapFrame(matrix_set.crs, box, columns * pixels, rows * pixels, float(scale))
            return self._draw(made, dict(numbers), frame, format, pixels)

        block = self._blocks.fetch(key, draw_block) if kept else draw_block()
        return block[(tile.y - top) * columns + tile.x - left]

    def draw_picture(
        self,
        product: str,
        contents: Mapping[str, int],
        frame: MapFrame,
        *,
        format: ImageFormat = "png",
        language: str = "zh",
        background: str | None = None,
    ) -> bytes:
        """A picture of any box in any CRS that coordinates are given out in; see ``draw_tile``."""
        made = self.products.product(product, language)
        numbers = {name: contents[name] for name in made.layers if name in contents}
        return self._draw(made, numbers, frame, format, None, background)[0]

    def _draw(
        self,
        product: Product,
        contents: Mapping[str, int],
        frame: MapFrame,
        form: ImageFormat,
        tile_px: int | None,
        background: str | None = None,
    ) -> _Block:
        """The picture, cut to tiles of ``tile_px`` row by row, encoded."""
        ground = background or product.background or (_PAPER if form == "jpeg" else None)
        if not self._waiting.acquire(blocking=False):
            raise Unavailable(
                "Too many maps are being drawn; try again in some seconds.",
                "正在绘制的地图过多，请稍后再试。",
                code="too-many-maps",
            )
        try:
            if product.raster is not None:
                source = self._rasters.found(product.raster)
                return self._run(_paint_raster, source, frame, form, tile_px, ground)
            look = Look(product.style_layers, contents, product.hatches, ground)
            return self._run(_paint, self._address, look, frame, form, tile_px)
        finally:
            self._waiting.release()

    def _run(self, work: Callable[..., _Block], *args: Any) -> _Block:
        return self._sandbox.run(work, *args, deadline_s=self._deadline_s)


def _import_libraries() -> None:
    load_mapnik()


def _paint(
    address: Address, look: Look, frame: MapFrame, form: ImageFormat, tile_px: int | None
) -> _Block:
    return _cut(draw(address, look, frame), form, tile_px)


def _paint_raster(
    source: RasterSource | None,
    frame: MapFrame,
    form: ImageFormat,
    tile_px: int | None,
    background: str | None,
) -> _Block:
    size = (frame.width_px, frame.height_px)
    image = draw_raster(source, frame) if source else Image.new("RGBA", size)
    if background is not None:
        ground = Image.new("RGBA", size, background)
        ground.alpha_composite(image)
        image = ground
    return _cut(image, form, tile_px)


def _cut(image: Image.Image, form: ImageFormat, tile_px: int | None) -> _Block:
    if tile_px is None:
        return (encoded(image, form),)
    return tuple(
        encoded(image.crop((left, top, left + tile_px, top + tile_px)), form)
        for top in range(0, image.height, tile_px)
        for left in range(0, image.width, tile_px)
    )


def encoded(image: Image.Image, form: ImageFormat) -> bytes:
    """The bytes of an RGBA picture; a PNG has a palette of up to 256 colours of its own.

    Palettes make land use 3 times smaller and are off by a shade nobody sees.
    """
    lowest, highest = image.getextrema()[3]  # type: ignore[misc]
    if form == "png" and not highest:
        return _transparent(image.size)
    buffer = io.BytesIO()
    if form == "jpeg":
        image.convert("RGB").save(buffer, "JPEG", quality=85)
    elif form == "webp":
        opaque = image.convert("RGB") if lowest == 255 else image
        opaque.save(buffer, "WEBP", quality=85, method=2)
    else:
        opaque = image.convert("RGB") if lowest == 255 else image
        drawn = opaque.quantize(256, method=Image.Quantize.FASTOCTREE)
        drawn.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


@cache
def _transparent(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    blank = Image.new("P", size)
    blank.putpalette([0, 0, 0])
    blank.save(buffer, "PNG", transparency=0)
    return buffer.getvalue()


class _BlockStore:
    """Drawn metatiles in memory, bounded by bytes; who asks for one that is being drawn waits."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._blocks: OrderedDict[Any, _Block] = OrderedDict()
        self._drawing: dict[Any, Future[_Block]] = {}
        self._lock = threading.Lock()

    def fetch(self, key: Any, make: Callable[[], _Block]) -> _Block:
        with self._lock:
            held = self._blocks.get(key)
            if held is not None:
                self._blocks.move_to_end(key)
                return held
            flight = self._drawing.get(key)
            if flight is None:
                mine: Future[_Block] = Future()
                self._drawing[key] = mine
        if flight is not None:
            return flight.result()
        try:
            block = make()
        except BaseException as error:
            with self._lock:
                del self._drawing[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._drawing[key]
            self._keep(key, block)
        mine.set_result(block)
        return block

    def _keep(self, key: Any, block: _Block) -> None:
        self._blocks[key] = block
        self._held_bytes += _weight(block)
        while self._held_bytes > self._max_bytes and len(self._blocks) > 1:
            _, dropped = self._blocks.popitem(last=False)
            self._held_bytes -= _weight(dropped)


def _weight(block: _Block) -> int:
    return sum(map(len, block)) + 500
