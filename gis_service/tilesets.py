"""What OGC API Tiles says of tiles: matrix sets, lists of tilesets, one tileset (TMS 2.0)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from gis_service.crs_offered import CRS84
from layers.catalog import Layer
from layers.crs import Box
from tiles.matrix_set import MatrixSet, tile_of
from tiles.tile_format import JPEG, MVT, PNG, WEBP, TileFormat

DataType = Literal["vector", "map"]

_REL: Final = "http://www.opengis.net/def/rel/ogc/1.0/"
FORMS: Final[dict[DataType, tuple[TileFormat, ...]]] = {
    "vector": (MVT,), "map": (PNG, JPEG, WEBP),
}  # fmt: skip
_DIMENSION: Final = {"point": 0, "line": 1, "polygon": 2}


@dataclass(frozen=True, slots=True)
class Tiled:
    """What is tiled: a collection or all of them, as vector tiles or as pictures."""

    title: str
    address: str
    """Of the list of its tilesets: ``…/tiles`` or ``…/map/tiles``."""
    data_type: DataType
    layers: tuple[Layer, ...]
    extent: Box
    """Longitude and latitude in degrees."""


def matrix_sets_document(sets: Sequence[MatrixSet], address: str) -> dict[str, Any]:
    """The list of matrix sets; ``address`` is that of the list."""
    return {
        "tileMatrixSets": [
            {
                "id": one.id,
                "title": one.title,
                "uri": set_uri(one, address),
                "crs": one.document["crs"],
                "links": [_link("self", f"{address}/{one.id}", "application/json", one.title)],
            }
            for one in sets
        ],
        "links": [_link("self", address, "application/json", "Tile matrix sets")],
    }


def set_uri(matrix_set: MatrixSet, address: str) -> str:
    """The registered URI of a set, or else our own address."""
    return str(matrix_set.document.get("uri") or f"{address}/{matrix_set.id}")


def tilesets_document(tiled: Tiled, sets: Sequence[MatrixSet], sets_address: str) -> dict[str, Any]:
    """The tilesets of what is tiled, one for each matrix set."""
    return {
        "tilesets": [
            {
                **_head(tiled, one, sets_address),
                "links": [
                    _link("self", f"{tiled.address}/{one.id}", "application/json", one.title),
                    _scheme_link(one, sets_address),
                ],
            }
            for one in sets
        ],
        "links": [_link("self", tiled.address, "application/json", tiled.title)],
    }


def tileset_document(tiled: Tiled, matrix_set: MatrixSet, sets_address: str) -> dict[str, Any]:
    """One tileset: where its tiles are, on which levels, what is in them."""
    address = f"{tiled.address}/{matrix_set.id}"
    west, south, east, north = tiled.extent
    return {
        **_head(tiled, matrix_set, sets_address),
        "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north], "crs": CRS84},
        "centerPoint": {
            "coordinates": [(west + east) / 2, (south + north) / 2],
            "crs": CRS84,
            "tileMatrix": str(_middle_level(matrix_set)),
        },
        "tileMatrixSetLimits": _limits(tiled, matrix_set),
        "layers": [_layer(one, tiled, matrix_set) for one in tiled.layers],
        "links": [
            _link("self", address, "application/json", tiled.title),
            _scheme_link(matrix_set, sets_address),
            *(
                {
                    **_link("item", _template(address, form, tiled), form.media_type, form.id),
                    "templated": True,
                }
                for form in FORMS[tiled.data_type]
            ),
        ],
    }


def _template(address: str, form: TileFormat, tiled: Tiled) -> str:
    path = f"{address}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"
    return path if form is FORMS[tiled.data_type][0] else f"{path}?f={form.id}"


def _head(tiled: Tiled, matrix_set: MatrixSet, sets_address: str) -> dict[str, Any]:
    return {
        "title": f"{tiled.title} ({matrix_set.id})",
        "dataType": tiled.data_type,
        "crs": matrix_set.document["crs"],
        "tileMatrixSetId": matrix_set.id,
        "tileMatrixSetURI": set_uri(matrix_set, sets_address),
    }


def _scheme_link(matrix_set: MatrixSet, sets_address: str) -> dict[str, Any]:
    return _link(
        _REL + "tiling-scheme", f"{sets_address}/{matrix_set.id}", "application/json",
        matrix_set.title,
    )  # fmt: skip


def tiles_links(address: str) -> list[dict[str, Any]]:
    """Links that lead from a page (landing page or collection) to its tiles, map and styles."""
    return [
        _link(_REL + "tilesets-vector", f"{address}/tiles", "application/json",
              "Vector tiles / 矢量瓦片"),
        _link(_REL + "tilesets-map", f"{address}/map/tiles", "application/json",
              "Map tiles / 地图瓦片"),
        _link(_REL + "map", f"{address}/map", "image/png", "Map / 地图"),
        _link(_REL + "styles", f"{address}/styles", "application/json", "Styles / 样式"),
    ]  # fmt: skip


def schemes_link(sets_address: str) -> dict[str, Any]:
    """The link from the landing page to the matrix sets."""
    return _link(_REL + "tiling-schemes", sets_address, "application/json",
                 "Tile matrix sets / 瓦片矩阵集")  # fmt: skip


def _levels(tiled: Tiled, matrix_set: MatrixSet) -> list[int]:
    """The levels at which something is drawn."""
    lowest = min((layer.min_zoom for layer in tiled.layers), default=0)
    return [z for z in matrix_set.zooms if matrix_set.zoom_like(z) >= lowest]


def _middle_level(matrix_set: MatrixSet) -> int:
    return matrix_set.zooms[len(matrix_set.zooms) // 2]


def _limits(tiled: Tiled, matrix_set: MatrixSet) -> list[dict[str, Any]]:
    west, south, east, north = tiled.extent
    limits = []
    for z in _levels(tiled, matrix_set):
        first, last = tile_of(matrix_set, west, north, z), tile_of(matrix_set, east, south, z)
        limits.append({
            "tileMatrix": str(z),
            "minTileRow": first.y, "maxTileRow": last.y,
            "minTileCol": first.x, "maxTileCol": last.x,
        })  # fmt: skip
    return limits


def _layer(layer: Layer, tiled: Tiled, matrix_set: MatrixSet) -> dict[str, Any]:
    levels = [z for z in matrix_set.zooms if matrix_set.zoom_like(z) >= layer.min_zoom]
    described: dict[str, Any] = {
        "id": layer.id,
        "title": f"{layer.title.zh} / {layer.title.en}",
        "dataType": tiled.data_type,
        "geometryDimension": _DIMENSION[layer.geometry],
    }
    if levels:
        described |= {"minTileMatrix": str(levels[0]), "maxTileMatrix": str(levels[-1])}
    if tiled.data_type == "vector":
        described["propertiesSchema"] = {
            "type": "object",
            "properties": {
                one.name: {
                    "type": "string" if one.type == "date" else one.type,
                    "title": f"{one.title.zh} / {one.title.en}",
                }
                for one in layer.kept_attributes
                if one.in_tiles
            },
        }
    return described


def _link(rel: str, href: str, media_type: str, title: str) -> dict[str, Any]:
    return {"rel": rel, "href": href, "type": media_type, "title": title}
