"""GetFeatureInfo of WMTS: what lies under a pixel of a tile of a plan layer."""

from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gis_service.library import InForce
from gis_service.pictures import Pictures
from gis_service.routes.requests import library_of
from gis_service.routes.tile_answers import map_tiles_of
from layers.errors import BadParameter
from layers.features import at_place
from tiles.matrix_set import MatrixSet, Tile, tile_bounds
from tiles.tianditu import PRODUCTS

INFO_FORMATS: Final = ("application/json", "text/plain")
_REACH_PX: Final = 6
"""Lines and points this near to the pixel are under it."""


def feature_info(
    request: Request, name: str, set_id: str, tile: Tile, pixel: tuple[int, int], form: str
) -> Response:
    """Features of a layer under a pixel (column, row) as JSON or text; none for the base map."""
    if form not in INFO_FORMATS:
        raise BadParameter(
            f"INFOFORMAT is one of {', '.join(INFO_FORMATS)}.",
            f"INFOFORMAT 只能是 {'、'.join(INFO_FORMATS)}。",
            code="InvalidParameterValue",
        )
    grid = map_tiles_of(request).matrix_set(set_id)
    lon, lat, reach_deg = _place(grid, tile, pixel)
    pictures: Pictures = request.app.state.pictures
    found = _features(request, name, pictures.asked(request), (lon, lat, reach_deg))
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"}
    if form == "text/plain":
        lines = [f"{key} = {value}" for one in found for key, value in one["properties"].items()]
        return Response("\n".join(lines), headers=headers, media_type="text/plain;charset=UTF-8")
    body = orjson.dumps({"type": "FeatureCollection", "features": found})
    return Response(body, headers=headers, media_type=form)


def _place(grid: MatrixSet, tile: Tile, pixel: tuple[int, int]) -> tuple[float, float, float]:
    """Longitude and latitude of the pixel's centre, and the reach around it in degrees."""
    box, side = tile_bounds(grid, *tile), grid.matrix(tile.z).tile_px
    column, row = pixel
    if not (0 <= column < side and 0 <= row < side):
        raise BadParameter(
            f"I and J are 0 to {side - 1}.", f"I 和 J 应为 0 到 {side - 1}。",
            code="PointIJOutOfRange",
        )  # fmt: skip
    cell = (box.east - box.west) / side
    x, y = box.west + (column + 0.5) * cell, box.north - (row + 0.5) * cell
    lon, lat = grid.to_lonlat(x, y)
    beside, _ = grid.to_lonlat(x + _REACH_PX * cell, y)
    return lon, lat, abs(beside - lon)


def _features(
    request: Request, name: str, picture: InForce, place: tuple[float, float, float]
) -> list[dict[str, Any]]:
    if name in PRODUCTS:
        return []
    library = library_of(request)
    layer = library.visible_layer(name)
    content = picture.layers.get(layer.id)
    if content is None:
        return []
    with library.pool.connection() as connection:
        found = at_place(connection, [content.content_id], *place)
    return [
        {
            "type": "Feature",
            "id": one["feature_id"],
            "geometry": None,
            "properties": {
                attribute.name: one["attributes"][attribute.name]
                for attribute in layer.kept_attributes
                if one["attributes"].get(attribute.name) is not None
            },
        }
        for one in found
    ]
