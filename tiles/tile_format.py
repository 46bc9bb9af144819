"""What a tile can be: its name in addresses, its media type, and whether it is kept gzipped."""

from dataclasses import dataclass
from typing import Final, Literal

from layers.errors import BadParameter


@dataclass(frozen=True, slots=True)
class TileFormat:
    """A form of tiles; pictures are compressed already, vector tiles are kept as gzip."""

    id: Literal["mvt", "png", "jpeg", "webp"]
    media_type: str
    gzipped: bool = False


MVT: Final = TileFormat("mvt", "application/vnd.mapbox-vector-tile", gzipped=True)
PNG: Final = TileFormat("png", "image/png")
JPEG: Final = TileFormat("jpeg", "image/jpeg")
WEBP: Final = TileFormat("webp", "image/webp")

PICTURES: Final = (PNG, JPEG, WEBP)
ALL_FORMATS: Final = (MVT, *PICTURES)

_NAMES: Final = {
    "mvt": MVT, "pbf": MVT, MVT.media_type: MVT, "application/x-protobuf": MVT,
    "png": PNG, "image/png": PNG, "png8": PNG, "image/png8": PNG,
    "jpg": JPEG, "jpeg": JPEG, "image/jpeg": JPEG, "image/jpg": JPEG,
    "webp": WEBP, "image/webp": WEBP,
}  # fmt: skip


def format_named(name: str) -> TileFormat:
    """The form that a suffix, a word or a media type names; ``BadParameter`` for another."""
    found = _NAMES.get(name.split(";", 1)[0].strip().lower())
    if found is None:
        forms = ", ".join(form.id for form in ALL_FORMATS)
        raise BadParameter(
            f"There are no tiles of the form '{name[:40]}'. Forms: {forms}.",
            f"没有“{name[:40]}”格式的瓦片。可用格式：{forms}。",
            code="unknown-tile-format",
        )
    return found
