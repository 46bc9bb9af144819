"""Hatches: the pattern images that control lines and zones are filled with.

A hatch is written in ``config/layers`` as ``{hatch: {colour, spacing_px, angle, width_px}}``; its
picture is drawn here, once for the web map (as a sprite) and once for legends, so that both
show the same lines.
"""

import io
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from layers.catalog import Catalog, Layer
from layers.errors import BadConfiguration
from tiles.expression import rgb

Pixels = npt.NDArray[np.uint8]
_GAP_PX = 1
"""Kept free between the images of a sprite, so that no neighbour bleeds in when it is scaled."""


class Hatch(BaseModel):
    """Parallel lines; sizes in CSS pixels, angle in degrees against the horizontal.

    Only the four angles whose lines meet themselves at the edge of a square image are admitted:
    with any other the repeated pattern would show its seams.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    colour: Annotated[str, Field(pattern=r"^#[0-9A-F]{6}$")]
    spacing_px: float = Field(ge=3, le=64)
    angle: Literal[0, 45, 90, 135]
    width_px: float = Field(gt=0, le=16)

    @property
    def name(self) -> str:
        """Name of the image in the sprite; equal hatches of two layers share one image."""
        return f"hatch-{self.colour[1:]}-{self.spacing_px:g}-{self.angle}-{self.width_px:g}"

    def side_px(self, ratio: int = 1) -> int:
        """Side of the square image in device pixels."""
        slant = np.sqrt(2) if self.angle in (45, 135) else 1.0
        return ratio * max(4, round(float(self.spacing_px * slant)))

    def pixels(self, ratio: int = 1) -> Pixels:
        """The image as height x width x RGBA, seamless in both directions."""
        side = self.side_px(ratio)
        step = np.arange(side) + 0.5
        if self.angle in (0, 90) and round(self.width_px * ratio) % 2:
            # A line of one pixel must lie on a row of pixels, not half on each of two.
            step -= 0.5
        along = {
            0: step[:, None] + 0 * step[None, :],
            90: 0 * step[:, None] + step[None, :],
            45: step[:, None] + step[None, :],
            135: step[:, None] - step[None, :],
        }[self.angle]
        slant = np.sqrt(2) if self.angle in (45, 135) else 1.0
        offset = (along + side / 2) % side - side / 2
        distance = np.abs(offset) / slant
        coverage = np.clip(self.width_px * ratio / 2 + 0.5 - distance, 0, 1)
        image = np.zeros((side, side, 4), np.uint8)
        image[..., :3] = rgb(self.colour)
        image[..., 3] = np.round(coverage * 255)
        return image


def hatch_of(layer: Layer, value: Any) -> Hatch:
    """Read the value of a ``fill-pattern``; ``BadConfiguration`` names the layer."""
    try:
        return Hatch.model_validate(value["hatch"])
    except (KeyError, TypeError, ValidationError) as error:
        fault = f"layer {layer.id}: fill-pattern {value!r} is not a hatch: {error}"
        raise BadConfiguration(fault, f"图层 {layer.id} 的填充图案有误：{value!r}") from error


def hatches(layer: Layer) -> Iterator[Hatch]:
    """All hatches of a layer's style."""
    for fragment in layer.style:
        pattern = fragment.get("paint", {}).get("fill-pattern")
        if pattern is not None:
            yield hatch_of(layer, pattern)


def sprite(catalog: Catalog, ratio: int = 1) -> tuple[dict[str, dict[str, int]], bytes]:
    """Index and PNG of all hatches, ordered by name; ``ratio`` 2 is for dense displays."""
    images = {hatch.name: hatch for _, layer in catalog.layers() for hatch in hatches(layer)}
    index: dict[str, dict[str, int]] = {}
    x = 0
    for name in sorted(images):
        side = images[name].side_px(ratio)
        index[name] = {"x": x, "y": 0, "width": side, "height": side, "pixelRatio": ratio}
        x += side + _GAP_PX
    height = max((place["height"] for place in index.values()), default=1)
    sheet = np.zeros((height, max(x, 1), 4), np.uint8)
    for name, place in index.items():
        sheet[: place["height"], place["x"] : place["x"] + place["width"]] = images[name].pixels(
            ratio
        )
    return index, png(Image.fromarray(sheet))


def png(image: Image.Image) -> bytes:
    """The image as a PNG; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
