"""OGC API Maps: a picture of a collection, of some, or of the whole library, in any offered CRS.

The picture is the same as a tile's: north (or the grid's north) is up and east is right, whatever
order of axes the CRS has; ``bbox`` is written in the order of ``bbox-crs``.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.crs_offered import CRS84, OFFERED_CRS
from gis_service.library import InForce, today
from gis_service.pictures import TIME_PARAMETERS
from gis_service.problems import language_of
from gis_service.routes.maps import layers_named, pictures_of
from gis_service.routes.requests import (
    crs_asked,
    day_asked,
    finite,
    integer,
    library_of,
    refuse_unknown,
)
from gis_service.routes.tile_answers import map_tiles_of
from layers.bbox import lon_lat_boxes
from layers.crs import Crs, from_storage, parse_crs, to_storage
from layers.errors import BadParameter, NotFound
from tiles.map_frame import MapFrame
from tiles.matrix_set import Box
from tiles.raster_tile import ImageFormat

_PARAMETERS: Final = (
    "bbox", "bbox-crs", "center", "center-crs", "crs", "width", "height", "scale-denominator",
    "mm-per-pixel", "style", "collections", "transparent", "bgcolor", "datetime", "tk",
    *TIME_PARAMETERS,
)  # fmt: skip
_LARGEST_PX: Final = 4096
_DEFAULT_PX: Final = 1024
_PIXEL_MM: Final = 0.28
_FORMATS: Final[dict[str, ImageFormat]] = {
    "png": "png", "image/png": "png", "jpeg": "jpeg", "jpg": "jpeg", "image/jpeg": "jpeg",
    "webp": "webp", "image/webp": "webp",
}  # fmt: skip
_HEX: Final = re.compile(r"(?:0x|#)?([0-9A-Fa-f]{6})")
_WORDS: Final = {"white": "#FFFFFF", "black": "#000000"}


@dataclass(frozen=True, slots=True)
class _Asked:
    product: str
    frame: MapFrame
    form: ImageFormat
    background: str | None
    picture: InForce


def map_image(request: Request) -> Response:
    """A map as a picture; ``bbox``, ``crs``, ``width`` and ``height`` say which."""
    refuse_unknown(request, _PARAMETERS)
    asked = _asked(request)
    painter = map_tiles_of(request).painter
    language = language_of(request)
    product = painter.products.product(asked.product, language)
    contents = {
        name: asked.picture.layers[name].content_id
        for name in product.layers
        if name in asked.picture.layers
    }
    etag = _etag(product.digest, contents, asked)
    headers = {
        "ETag": etag,
        "Cache-Control": "no-cache",
        "Content-Crs": f"<{asked.frame.crs.uri}>",
        "Content-Bbox": ",".join(f"{side:.10g}" for side in _in_axis_order(asked.frame)),
    }
    held = [asked.picture.layers[name] for name in contents]
    if any(one.edition_state == "draft" for one in held):
        del headers["ETag"]  # a draft changes under its number
    elif request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    body = painter.draw_picture(
        asked.product, contents, asked.frame,
        format=asked.form, language=language, background=asked.background,
    )  # fmt: skip
    return Response(body, headers=headers, media_type=f"image/{asked.form}")


def _asked(request: Request) -> _Asked:
    query = request.query_params
    day = day_asked(request, today())
    pictures = pictures_of(request)
    picture = pictures.asked(request) if day is None else pictures.get(day)
    form = _form(request)
    return _Asked(
        _product(request, picture), _frame(request, picture), form, _background(query, form),
        picture,
    )  # fmt: skip


def _product(request: Request, picture: InForce) -> str:
    library = library_of(request)
    style = request.path_params.get("style") or request.query_params.get("style", "default")
    if "layer" in request.path_params:
        chosen = [library.visible_layer(request.path_params["layer"])]
    elif "collections" in request.query_params:
        chosen = layers_named(library, request.query_params["collections"])
    else:
        # What the web client shows when it is opened.
        chosen = [one for one in library.visible_layers()
                  if one.visible and one.id in picture.layers]  # fmt: skip
    if style not in ("default", *(layer.id for layer in chosen)):
        raise NotFound(
            f"There is no style '{style[:40]}'; each collection has the style 'default'.",
            f"没有样式“{style[:40]}”；每个图层只有样式 default。",
            code="no-style",
        )
    if not chosen:
        raise NotFound("There is nothing in force to draw.", "没有可绘制的生效图层。")
    return ",".join(layer.id for layer in chosen)


def _form(request: Request) -> ImageFormat:
    asked = request.query_params.get("f")
    if asked is None:
        accepted = [
            one.split(";")[0].strip() for one in request.headers.get("accept", "").split(",")
        ]
        return next((_FORMATS[one] for one in accepted if one in _FORMATS), "png")
    if asked not in _FORMATS:
        raise BadParameter(
            "f: a map comes as png, jpeg or webp.", "f：地图的格式为 png、jpeg 或 webp。",
            code="unknown-map-format",
        )  # fmt: skip
    return _FORMATS[asked]


def _background(query: Any, form: ImageFormat) -> str | None:
    """The colour under the map; None = transparent."""
    transparent = query.get("transparent")
    if transparent not in (None, "true", "false"):
        raise BadParameter("transparent is true or false.", "transparent 只能是 true 或 false。")
    named = query.get("bgcolor")
    if named is None:
        return "#FFFFFF" if transparent == "false" or form == "jpeg" else None
    found = _HEX.fullmatch(named)
    colour = _WORDS.get(named.lower()) or (f"#{found[1].upper()}" if found else None)
    if colour is None:
        raise BadParameter(
            f"bgcolor: '{named[:20]}' is no colour; write 0xRRGGBB.",
            f"bgcolor：“{named[:20]}”不是颜色；请写成 0xRRGGBB。",
        )
    return None if transparent == "true" and form != "jpeg" else colour


def _frame(request: Request, picture: InForce) -> MapFrame:
    query = request.query_params
    crs = crs_asked(request, "crs", OFFERED_CRS) or parse_crs(CRS84)
    width, height = _size(request, "width"), _size(request, "height")
    denominator = query.get("scale-denominator")
    if "center" in query:
        return _around(request, crs, width or _DEFAULT_PX, height or width or _DEFAULT_PX)
    if denominator is not None:
        raise BadParameter(
            "scale-denominator goes with center.", "scale-denominator 需与 center 同时给出。"
        )
    box = _box(request, crs, picture)
    wide, high = box.east - box.west, box.north - box.south
    if width is None and height is None:
        width = round(_DEFAULT_PX * min(1, wide / high))
    across = width if width is not None else round((height or 0) * wide / high)
    down = height if height is not None else round(across * high / wide)
    return MapFrame(crs, box, min(_LARGEST_PX, max(1, across)), min(_LARGEST_PX, max(1, down)))


def _size(request: Request, name: str) -> int | None:
    if name not in request.query_params:
        return None
    pixels = integer(request, name, _DEFAULT_PX, 1)
    if pixels > _LARGEST_PX:
        raise BadParameter(
            f"{name}: at most {_LARGEST_PX} pixels.", f"{name} 最多 {_LARGEST_PX} 像素。"
        )
    return pixels


def _box(request: Request, crs: Crs, picture: InForce) -> Box:
    """The box in the map's CRS, x east; all that is in force where none is asked for."""
    text = request.query_params.get("bbox")
    if text is None:
        return _projected(_whole(request, picture), crs)
    written_in = crs_asked(request, "bbox-crs", OFFERED_CRS) or parse_crs(CRS84)
    numbers = [finite(part, "bbox") for part in text.split(",")]
    found = lon_lat_boxes(numbers, written_in)
    if len(found) > 1:
        raise BadParameter(
            "bbox: a map cannot cross the antimeridian; ask for two.",
            "bbox：地图不能跨越 180° 经线，请分两次请求。",
        )
    if written_in.code == crs.code:
        four = numbers if len(numbers) == 4 else [numbers[0], numbers[1], numbers[3], numbers[4]]
        box = Box(four[1], four[0], four[3], four[2]) if crs.swapped else Box(*four)
    else:
        box = _projected(found[0], crs)
    if not (box.east > box.west and box.north > box.south):
        raise BadParameter("bbox has no width or no height.", "bbox 没有宽度或高度。")
    return box


def _whole(request: Request, picture: InForce) -> tuple[float, float, float, float]:
    extents = [one.extent for one in picture.layers.values() if one.extent is not None]
    layer = request.path_params.get("layer")
    if layer is not None and layer in picture.layers:
        own = picture.layers[layer].extent
        extents = [own] if own is not None else extents
    if not extents or layer is None:
        return library_of(request).config.region.bbox
    west, south, east, north = zip(*extents, strict=True)
    return min(west), min(south), max(east), max(north)


def _projected(lonlat: tuple[float, float, float, float], crs: Crs) -> Box:
    """The box around a lon/lat box in a CRS; its edges are followed."""
    west, south, east, north = lonlat
    step = max((east - west) / 32, (north - south) / 32, 1e-9)
    outline = shapely.segmentize(shapely.box(west, south, east, north), step)
    moved = from_storage(np.array([outline], dtype=object), crs)[0]
    if not all(np.isfinite(moved.bounds)):
        raise BadParameter(
            f"bbox: {crs.code} does not reach so far.", f"bbox：{crs.code} 不适用于该范围。"
        )
    return Box(*moved.bounds)


def _around(request: Request, crs: Crs, width: int, height: int) -> MapFrame:
    """``center`` with ``scale-denominator`` (pixels of 0.28 mm unless ``mm-per-pixel``)."""
    query = request.query_params
    written_in = crs_asked(request, "center-crs", OFFERED_CRS) or parse_crs(CRS84)
    numbers = [finite(part, "center") for part in query["center"].split(",")]
    if len(numbers) != 2:
        raise BadParameter("center needs two numbers.", "center 需要两个数字。")
    x, y = reversed(numbers) if written_in.swapped else numbers
    place = to_storage(np.array([shapely.Point(x, y)], dtype=object), written_in)
    middle = from_storage(place, crs)[0]
    denominator = finite(query.get("scale-denominator", "25000"), "scale-denominator")
    pixel_mm = finite(query.get("mm-per-pixel", str(_PIXEL_MM)), "mm-per-pixel")
    if denominator <= 0 or pixel_mm <= 0 or not np.isfinite([middle.x, middle.y]).all():
        raise BadParameter(
            "center, scale-denominator and mm-per-pixel do not make a map.",
            "center、scale-denominator 与 mm-per-pixel 无法构成地图。",
        )
    metres = denominator * pixel_mm / 1000
    # By OGC's convention a degree is as long as on the equator.
    unit = metres / 111_319.49079327358 if crs.kind == "geographic" else metres
    box = Box(middle.x - width / 2 * unit, middle.y - height / 2 * unit,
              middle.x + width / 2 * unit, middle.y + height / 2 * unit)  # fmt: skip
    return MapFrame(crs, box, width, height)


def _in_axis_order(frame: MapFrame) -> tuple[float, float, float, float]:
    west, south, east, north = frame.box
    return (south, west, north, east) if frame.crs.swapped else (west, south, east, north)


def _etag(digest: str, contents: dict[str, int], asked: _Asked) -> str:
    frame = asked.frame
    key = repr((digest, sorted(contents.items()), frame.crs.code, tuple(frame.box),
                frame.width_px, frame.height_px, asked.form, asked.background))  # fmt: skip
    return f'"{hashlib.sha256(key.encode()).hexdigest()[:24]}"'


ROUTES: Final = [
    Route("/ogc/map", map_image),
    Route("/ogc/styles/{style}/map", map_image),
    Route("/ogc/collections/{layer}/map", map_image),
    Route("/ogc/collections/{layer}/styles/{style}/map", map_image),
]
