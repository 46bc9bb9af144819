"""A picture of layers, drawn by Mapnik from the pieces of tiles. Runs in a child process.

Mapnik's maps are not safe in threads, and nobody can stop one that draws: so a child holds them,
and is killed at its deadline. Pieces are cut to ancestor tiles with a margin. Each ancestor is
drawn by itself and gives the pixels that lie over it, so that no cut and no overlap shows, in any
CRS. Labels come last, over the whole (``tiles.labels``).
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from psycopg import OperationalError
from psycopg.conninfo import conninfo_to_dict

from layers.crs import WEB_MERCATOR_SRID
from layers.database import READING, Access, Connection, connect, statements
from layers.errors import GaveUp
from layers.features import content_parts
from layers.own_folder import own_folder
from tiles.label_drawing import draw_labels
from tiles.labels import chosen_labels
from tiles.map_frame import MapFrame, Share
from tiles.mapnik_style import StyledSource, is_drawn, mapnik_xml
from tiles.matrix_set import Box
from tiles.sprite import Hatch
from tiles.vector_tile import BASE_ZOOMS

_SQL: Final = statements("tiles", "map_drawing.sql")
_MAPS_HELD: Final = 32
_NUDGE_PX: Final = 0.001
_CODES_BY_NAME: Final = {"host": "host", "port": "port", "dbname": "dbname", "user": "user",
                         "password": "password", "sslmode": "sslmode"}  # fmt: skip

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Look:
    """What is drawn of which contents: style layers of ``tiles.map_style``, bottom first."""

    style_layers: tuple[dict[str, Any], ...]
    contents: Mapping[str, int]
    hatches: Mapping[str, Hatch]
    background: str | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where the pieces are, and which class of layers the connection reads."""

    dsn: str
    access: Access
    statement_timeout_ms: int


def draw(address: Address, look: Look, frame: MapFrame) -> Image.Image:
    """The picture, RGBA; transparent where nothing is."""
    return _painter(address).draw(look, frame)


@cache
def _painter(address: Address) -> "_Painter":
    return _Painter(address)


class _Painter:
    """What a child keeps between pictures: its connection, maps, the images of hatches."""

    def __init__(self, address: Address) -> None:
        # Mapnik's own connections read the options from here.
        os.environ["PGOPTIONS"] = (
            "-c jit=off -c max_parallel_workers_per_gather=0 -c client_encoding=UTF8"
            f" -c search_path=public,{READING[address.access]}"
            f" -c statement_timeout={address.statement_timeout_ms}"
        )
        self.mapnik = load_mapnik()
        self.address = address
        self._held = ExitStack()
        self.hatch_folder: Path = self._held.enter_context(own_folder("gis-map-"))
        known = conninfo_to_dict(address.dsn)
        self.database = {
            theirs: str(known[ours])
            for ours, theirs in _CODES_BY_NAME.items()
            if known.get(ours) is not None
        }
        self.maps: OrderedDict[str, Any] = OrderedDict()
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.address.dsn, access=self.address.access)
            self._connection.execute(
                "SELECT set_config('statement_timeout', %s, false)",
                (str(self.address.statement_timeout_ms),),
            )
        return self._connection

    def draw(self, look: Look, frame: MapFrame) -> Image.Image:
        try:
            return self._drawn(look, frame)
        except OperationalError:
            # The database was started anew since the last picture; a second fault is a fault.
            with suppress(OperationalError):
                if self._connection is not None:
                    self._connection.close()
            self.maps.clear()
            return self._drawn(look, frame)

    def _drawn(self, look: Look, frame: MapFrame) -> Image.Image:
        zoom = frame.zoom
        base_zoom = base_zoom_of(zoom)
        shown = {part["source"] for part in look.style_layers if is_drawn(part, zoom)}
        contents = {name: number for name, number in look.contents.items() if name in shown}
        image = Image.new("RGBA", (frame.width_px, frame.height_px))
        if contents:
            parts = content_parts(self.connection, contents.values())
            sources = {name: StyledSource(number, parts) for name, number in contents.items()}
            pixels = np.zeros((frame.height_px, frame.width_px, 4), np.uint8)
            self._draw_areas(look, sources, frame, base_zoom, pixels)
            image = Image.fromarray(pixels)
            labels = chosen_labels(self.connection, look.style_layers, sources, frame, base_zoom)
            if labels:
                image.alpha_composite(draw_labels(self.mapnik, labels, frame))
        if look.background is not None:
            ground = Image.new("RGBA", image.size, look.background)
            ground.alpha_composite(image)
            return ground
        return image

    def _draw_areas(
        self,
        look: Look,
        sources: Mapping[str, StyledSource],
        frame: MapFrame,
        base_zoom: int,
        pixels: Pixels,
    ) -> None:
        if all(part["type"] == "symbol" for part in look.style_layers):
            return
        images = self._hatch_images(look.hatches, max(1, round(frame.scale)))
        xml = mapnik_xml(
            look.style_layers, sources, look.hatches, zoom=frame.zoom, base_zoom=base_zoom,
            srs=_srs(frame), database=self.database, hatch_folder=images,
        )  # fmt: skip
        drawn_map = self._map(xml)
        shares = self._with_data(sources, list(frame.shares(base_zoom)), base_zoom)
        for share in shares:
            self._draw_share(drawn_map, frame, share, pixels)

    def _draw_share(
        self,
        drawn_map: Any,
        frame: MapFrame,
        share: Share,
        pixels: Pixels,
    ) -> None:
        part = frame.part(share.left, share.top, share.right, share.bottom)
        image = self.mapnik.Image(part.width_px, part.height_px)
        drawn_map.resize(part.width_px, part.height_px)
        drawn_map.zoom_to_box(self.mapnik.Box2d(*_off_the_grid(part)))
        try:
            self.mapnik.render_with_vars(
                drawn_map, image, {"x": share.x, "y": share.y}, frame.scale
            )
        except RuntimeError as error:
            raise _not_drawn(error) from error
        shape = (part.height_px, part.width_px, 4)
        drawn = np.frombuffer(image.to_string(), np.uint8).reshape(shape)
        own = pixels[share.top : share.bottom, share.left : share.right]
        if share.mask is None:
            own[:] = drawn
        else:
            own[share.mask] = drawn[share.mask]

    def _with_data(
        self, sources: Mapping[str, StyledSource], shares: Sequence[Share], base_zoom: int
    ) -> Iterator[Share]:
        """Those over which there is anything to draw."""
        parts = next(iter(sources.values())).parts
        found = self.connection.execute(
            parts.on(_SQL["ancestors_with_data"]),
            {
                "contents": [source.content_id for source in sources.values()],
                "parts": parts.parts,
                "base_zoom": base_zoom,
                "x": [share.x for share in shares],
                "y": [share.y for share in shares],
            },
        )
        there = set(found.fetchall())
        return (share for share in shares if (share.x, share.y) in there)

    def _map(self, xml: str) -> Any:
        held = self.maps.get(xml)
        if held is None:
            held = self.mapnik.Map(256, 256)
            try:
                self.mapnik.load_map_from_string(held, xml, True)
            except RuntimeError as error:
                raise _not_drawn(error) from error
            # The box of a picture is exact; Mapnik would widen it to its idea of the aspect.
            held.aspect_fix_mode = self.mapnik.aspect_fix_mode.RESPECT
            self.maps[xml] = held
            if len(self.maps) > _MAPS_HELD:
                self.maps.popitem(last=False)
        self.maps.move_to_end(xml)
        return held

    def _hatch_images(self, hatches: Mapping[str, Hatch], ratio: int) -> str:
        """The folder that has them, for a density of pixels."""
        folder = self.hatch_folder / str(ratio)
        folder.mkdir(exist_ok=True)
        for hatch in hatches.values():
            path = folder / f"{hatch.name}.png"
            if not path.exists():
                Image.fromarray(hatch.pixels(ratio)).save(path)
        return str(folder)


def _off_the_grid(frame: MapFrame) -> Box:
    """The box moved by a thousandth of a pixel.

    Mapnik cuts the world's origin down to whole pixels to lay patterns from there; on whole pixels
    the last digit of a number would decide, and lines would break between pictures.
    """
    width, height = frame.pixel
    right, up = -_NUDGE_PX * width, _NUDGE_PX * height
    west, south, east, north = frame.box
    return Box(west + right, south + up, east + right, north + up)


def base_zoom_of(zoom: float) -> int:
    """The deepest base zoom of pieces that is not deeper than a zoom; else the lowest."""
    return next((base for base in BASE_ZOOMS if base <= zoom), BASE_ZOOMS[-1])


def load_mapnik() -> Any:
    """Mapnik, without what it puts into the environment for other libraries to stumble over."""
    names = ("PROJ_LIB", "GDAL_DATA", "ICU_DATA", "GDAL_SKIP")
    before = {name: os.environ.pop(name, None) for name in names}
    import mapnik

    mapnik.Projection("epsg:4490")  # reads where its data are, once
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return mapnik


def _srs(frame: MapFrame) -> str:
    if frame.crs.is_storage:
        return "epsg:4326"
    if frame.crs.srid == WEB_MERCATOR_SRID:
        return "epsg:3857"
    return f"epsg:{frame.crs.srid}"


def _not_drawn(error: Exception) -> GaveUp:
    reason = str(error).strip().splitlines()[0][:200]
    return GaveUp(
        f"The map could not be drawn: {reason}", f"地图绘制失败：{reason}", code="not-drawn"
    )
