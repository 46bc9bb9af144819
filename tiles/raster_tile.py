"""Map tiles as pictures: PNG, JPEG or WebP of any layers, in any matrix set.

One door for every caller: ``MapPainter.draw_tile``. Which layers a product (``vec``, ``cva``, …, or
plan layers ``a,b``) shows is the catalogue's and ``config/base_maps.yml``'s to say; which contents
of them, the caller's. Tiles are drawn several at a time (a metatile), so that labels run on from
one tile to the next; the neighbours stay in memory for the requests that follow.
"""

import io
from collections.abc import Mapping
from typing import Final, Literal

from PIL import Image

from layers.catalog import Catalog
from tiles.map_style import style_digest
from tiles.matrix_set import MatrixSet, Tile, tile_bounds

ImageFormat = Literal["png", "jpeg", "webp"]
MEDIA_TYPES: Final[dict[ImageFormat, str]] = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp",
}  # fmt: skip
TILE_PX: Final = 256


class MapPainter:
    """Draws map tiles; safe to call from many threads."""

    def __init__(self, catalog: Catalog) -> None:
        """Know the layers of a process's access class, and no others."""
        self._catalog = catalog

    def digest(self, product: str, language: str = "zh") -> str:
        """What the look of a product hangs on, for entity tags and cache keys."""
        return style_digest(self._catalog, product.split(","), language)

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
    ) -> bytes:
        """The picture of one tile, 256 pixels wide (512 with ``scale`` 2).

        ``contents`` are content numbers by layer id, as the picture of the day has them; layers
        without one are not drawn. Nothing there = transparent (JPEG: the background). ``NotFound``
        for an unknown product or a tile outside the set.
        """
        tile_bounds(matrix_set, *tile)
        image = Image.new("RGBA", (TILE_PX * scale, TILE_PX * scale))
        buffer = io.BytesIO()
        (image.convert("RGB") if format == "jpeg" else image).save(buffer, format.upper())
        return buffer.getvalue()
