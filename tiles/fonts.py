"""The font of texts that are drawn here: labels of map tiles and legends."""

from functools import lru_cache
from pathlib import Path
from typing import Final

from PIL import ImageFont

FONT_FILES: Final = ("NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "DejaVuSans.ttf")
"""Looked for by name among the machine's fonts; the first one that is there is taken."""


@lru_cache(maxsize=64)
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font with Chinese characters; without one, what is there (boxes instead of characters).

    A collection holds one face a region: the simplified Chinese one is asked for by name.
    """
    for name in FONT_FILES:
        try:
            face = ImageFont.truetype(name, size)
        except OSError:
            continue
        for index in range(10 if name.endswith(".ttc") else 0):
            try:
                candidate = ImageFont.truetype(name, size, index=index)
            except OSError:
                break
            if str(candidate.getname()[0]).endswith(" SC"):
                return candidate
        return face
    return ImageFont.load_default(size)


def font_file() -> Path | None:
    """The file of that font, for other renderers; None = there is none of the named ones."""
    found = font(12)
    path = getattr(found, "path", None)
    return Path(path) if isinstance(path, str) else None


def face_name() -> str | None:
    """Family and style of that font as Mapnik names them."""
    found = font(12)
    return " ".join(filter(None, found.getname())) if hasattr(found, "getname") else None
