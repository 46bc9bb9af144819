"""``/staticimage``: a map as one picture around a centre, as tianditu's service of that name."""

import io
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from gis_service.library import InForce
from gis_service.routes.map_sheets import cache_control, language_of_sheet
from gis_service.routes.maps import layers_named, pictures_of
from gis_service.routes.requests import finite, library_of
from gis_service.routes.tianditu import query_of, refused_key, report
from gis_service.routes.tile_answers import map_tiles_of
from layers.errors import BadParameter, GisError
from tiles.map_frame import MapFrame
from tiles.matrix_set import Box, MatrixSet
from tiles.tianditu import PRODUCTS, Service, service_named

_LARGEST_PX: Final = 1024
_MOST_MARKS: Final = 50
_MARK: Final = "#D8382C"
_DEFAULTS: Final = {"WIDTH": "400", "HEIGHT": "300", "ZOOM": "10", "LAYERS": "vec_w,cva_w"}


def static_image(request: Request) -> Response:
    """``center=x,y&width=&height=&zoom=&layers=vec_c,cva_c&markers=x,y|x,y``."""
    refused = refused_key(request)
    if refused is not None:
        return refused
    try:
        return _picture(request)
    except GisError as error:
        return report(request, error)


def _picture(request: Request) -> Response:
    pairs = {**_DEFAULTS, **query_of(request)}
    library = library_of(request)
    services = [service_named(name) for name in pairs["LAYERS"].split(",")]
    grids = {service.grid for service in services}
    if len(grids) != 1 or len(services) > 8:
        raise BadParameter(
            "layers: up to eight, all of one grid (_c or _w).",
            "layers：最多八个，且须同为 _c 或同为 _w。",
        )
    matrix_set = map_tiles_of(request).matrix_set(grids.pop())
    center = _points(pairs.get("CENTER", "{},{}".format(*library.config.region.center)))[0]
    frame = _frame(pairs, matrix_set, center)
    picture = pictures_of(request).asked(request)
    image = Image.new("RGBA", (frame.width_px, frame.height_px))
    for service in services:
        image.alpha_composite(_sheet(request, service, frame, picture))
    _mark(image, _points(pairs.get("MARKERS", "")), frame, matrix_set)
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG")
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Cache-Control": cache_control(library, services[0].layer),
    }
    return Response(buffer.getvalue(), headers=headers, media_type="image/png")


def _sheet(request: Request, service: Service, frame: MapFrame, picture: InForce) -> Image.Image:
    if service.layer not in PRODUCTS:
        layers_named(library_of(request), service.layer)
    painter = map_tiles_of(request).painter
    language = language_of_sheet(service.layer)
    contents = {
        name: picture.layers[name].content_id
        for name in painter.products.product(service.layer, language).layers
        if name in picture.layers
    }
    body = painter.draw_picture(service.layer, contents, frame, language=language)
    return Image.open(io.BytesIO(body)).convert("RGBA")


def _frame(pairs: dict[str, str], matrix_set: MatrixSet, center: tuple[float, float]) -> MapFrame:
    width, height = (_whole(pairs, name, 1, _LARGEST_PX) for name in ("WIDTH", "HEIGHT"))
    zooms = matrix_set.zooms
    cell = matrix_set.matrix(_whole(pairs, "ZOOM", zooms.start, zooms.stop - 1)).cell_size
    x, y = matrix_set.from_lonlat(*center)
    box = Box(x - cell * width / 2, y - cell * height / 2, x + cell * width / 2,
              y + cell * height / 2)  # fmt: skip
    return MapFrame(matrix_set.crs, box, width, height)


def _mark(
    image: Image.Image, places: Sequence[tuple[float, float]], frame: MapFrame, grid: MatrixSet
) -> None:
    """A pin whose point stands on each place."""
    if not places:
        return
    draw = ImageDraw.Draw(image)
    spots = frame.to_pixels(np.array([grid.from_lonlat(*place) for place in places]))
    for column, row in spots.tolist():
        draw.polygon([(column, row), (column - 6, row - 14), (column + 6, row - 14)], fill=_MARK)
        draw.ellipse((column - 7, row - 26, column + 7, row - 12), fill=_MARK)
        draw.ellipse((column - 3, row - 22, column + 3, row - 16), fill="#FFFFFF")


def _points(text: str) -> list[tuple[float, float]]:
    """``x,y|x,y`` in degrees, longitude first."""
    points = []
    for part in filter(None, text.split("|")):
        values = [finite(one, "center") for one in part.split(",")]
        if len(values) != 2 or not (-180 <= values[0] <= 180 and -85 <= values[1] <= 85):
            raise BadParameter(
                "A place is lon,lat in degrees.", "坐标应为以度为单位的“经度,纬度”。"
            )
        points.append((values[0], values[1]))
    if len(points) > _MOST_MARKS:
        raise BadParameter(f"At most {_MOST_MARKS} markers.", f"最多 {_MOST_MARKS} 个标注。")
    return points


def _whole(pairs: dict[str, str], name: str, lowest: int, highest: int) -> int:
    value = finite(pairs[name], name.lower())
    if not (lowest <= value <= highest) or math.floor(value) != value:
        raise BadParameter(
            f"{name.lower()} is a whole number from {lowest} to {highest}.",
            f"{name.lower()} 应为 {lowest} 到 {highest} 的整数。",
        )
    return int(value)


DOORS: Final[list[BaseRoute]] = [Route("/staticimage", static_image)]
ROUTES: Final[list[BaseRoute]] = [
    *DOORS,
    *(Mount(f"/t{number}", routes=DOORS) for number in range(8)),
]
