"""Derived pieces of a content: small ones for overlay, web-mercator ones for drawing.

Overlay pieces have at most 128 vertices (23 times faster than whole multipolygons, measured).

Tile pieces are clipped to the tiles of a base zoom plus 1/32 of a tile. A tile clips at its own
buffer of 64/4096 = 1/64, so a cut lies outside the clip box of every tile that the piece serves
and never shows, not even as an outline. They are for drawing only, never for measuring.

========= ====== =================================================================================
base zoom serves made from
========= ====== =================================================================================
10        10-12  the features
13        13-    the pieces of base zoom 10 (a huge polygon is cut coarse first, then fine)
7         7-9    features on a grid of half a pixel of z9; polygons smaller than 8 by 8 pixels
                 as a mosaic of classes (``layers.mosaic``)
4         -6     the same with pixels of z6
========= ====== =================================================================================
"""

from typing import Final

import numpy as np
import shapely
from psycopg import sql

from layers import partitions
from layers.catalog import Layer
from layers.database import Connection, row, rows, statements
from layers.errors import NotFound
from layers.mosaic import Mosaic

_SQL: Final = statements("layers", "pieces.sql")
_WORLD_M: Final = 2 * 20_037_508.342789244
"""Width of the web-mercator square, metres."""

OVERLAY_VERTICES: Final = 128
_DIMENSION: Final = {"point": 0, "line": 1, "polygon": 2}
_SMALL_PIXELS: Final = 8
_TILE_PIXELS: Final = 512
_BATCH_ROWS: Final = 20_000


def build_pieces(connection: Connection, content_id: int) -> None:
    """Make both derived tables of a loaded content and mark it 'ready'.

    Two transactions; each is skipped when its table is there, so a killed run is run again.
    """
    with connection.transaction():
        found = row(connection, _SQL["layer_of_content"], content_id=content_id)
        if found is None:
            raise NotFound(
                f"There is no loaded content {content_id}.", f"没有已加载的内容 {content_id}。"
            )
        layer = Layer.model_validate(found["definition"])
        if not partitions.exists(connection, "overlay_piece", content_id):
            _settle(connection)
            _build_overlay_pieces(connection, content_id)
    with connection.transaction():
        row(connection, _SQL["layer_of_content"], content_id=content_id)
        if not partitions.exists(connection, "tile_piece", content_id):
            _settle(connection)
            _build_tile_pieces(connection, content_id, layer)
        connection.execute(_SQL["mark_ready"], {"content_id": content_id})


def _settle(connection: Connection) -> None:
    """Memory for sorts and index builds of this transaction; no deadline on its statements."""
    connection.execute("SET LOCAL work_mem = '256MB'")
    connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
    connection.execute("SET LOCAL statement_timeout = 0")


def _build_overlay_pieces(connection: Connection, content_id: int) -> None:
    name = partitions.create(connection, "overlay_piece", content_id)
    connection.execute(
        sql.SQL(_SQL["overlay_pieces"]).format(
            pieces=name, features=partitions.partition("feature", content_id)
        ),
        {"vertices": OVERLAY_VERTICES},
    )
    connection.execute(sql.SQL("CREATE INDEX ON {name} USING gist (geom)").format(name=name))
    partitions.attach(connection, "overlay_piece", content_id, primary_key="content_id fid piece")


def _build_tile_pieces(connection: Connection, content_id: int, layer: Layer) -> None:
    name = partitions.create(connection, "tile_piece", content_id)
    connection.execute(
        sql.SQL(_SQL["mercator_features"]).format(
            features=partitions.partition("feature", content_id),
            properties=_json_object(layer.tile_attributes),
            class_properties=_json_object(_class_attributes(layer)),
        )
    )
    dimension = _DIMENSION[layer.geometry]
    _clip(connection, name, sql.Identifier("mercator_feature"), 10, dimension)
    connection.execute(
        sql.SQL(_SQL["clip_to_children"]).format(pieces=name),
        {**_grid(13), "dimension": dimension},
    )
    if layer.min_zoom < 10:
        _build_low_zooms(connection, name, layer, dimension)
    connection.execute(sql.SQL("CREATE INDEX ON {name} (base_zoom, x, y)").format(name=name))
    partitions.attach(connection, "tile_piece", content_id)
    for table in ("mercator_feature", "low_7", "low_4"):
        connection.execute(
            sql.SQL("DROP TABLE IF EXISTS pg_temp.{table}").format(table=sql.Identifier(table))
        )


def _build_low_zooms(
    connection: Connection, name: sql.Identifier, layer: Layer, dimension: int
) -> None:
    for base_zoom, deepest in ((7, 9), (4, 6)):
        if layer.min_zoom > deepest:
            return
        low = sql.Identifier(f"low_{base_zoom}")
        pixel_m = _WORLD_M / 2**deepest / _TILE_PIXELS
        sizes = {"grid_m": pixel_m / 2, "small_m2": (_SMALL_PIXELS * pixel_m) ** 2}
        connection.execute(sql.SQL(_SQL[f"generalise_{layer.geometry}s"]).format(low=low), sizes)
        if layer.geometry == "polygon":
            _add_mosaic(connection, low, pixel_m, sizes["small_m2"])
        _clip(connection, name, low, base_zoom, dimension)


def _add_mosaic(
    connection: Connection, low: sql.Identifier, pixel_m: float, small_m2: float
) -> None:
    """Put the patches of the small polygons beside the large ones."""
    classes = rows(connection, _SQL["small_classes"], small_m2=small_m2)
    if not classes:
        return
    numbers = {found["properties"]: number for number, found in enumerate(classes, start=1)}
    mosaic = Mosaic(
        (
            min(found["west"] for found in classes),
            min(found["south"] for found in classes),
            max(found["east"] for found in classes),
            max(found["north"] for found in classes),
        ),
        pixel_m,
    )
    with connection.cursor(name="small_polygons") as cursor:
        cursor.execute(_SQL["small_polygons"], {"small_m2": small_m2}, binary=True)
        while batch := cursor.fetchmany(_BATCH_ROWS):
            polygons = shapely.from_wkb(np.array([wkb for _, wkb in batch], dtype=object))
            mosaic.add(polygons, np.array([numbers[properties] for properties, _ in batch]))
    statement = sql.SQL(_SQL["add_patch"]).format(low=low)
    with connection.cursor() as cursor:
        for patches in mosaic.patches():
            cursor.executemany(
                statement,
                [
                    {
                        "fid": classes[number - 1]["fid"],
                        "properties": classes[number - 1]["properties"],
                        "wkb": shapely.to_wkb(geometry),
                    }
                    for number, geometry in zip(
                        patches.classes.tolist(), patches.geometries, strict=True
                    )
                ],
            )


def _clip(
    connection: Connection,
    name: sql.Identifier,
    source: sql.Identifier,
    base_zoom: int,
    dimension: int,
) -> None:
    connection.execute(
        sql.SQL(_SQL["clip_to_tiles"]).format(pieces=name, source=source),
        {**_grid(base_zoom), "dimension": dimension},
    )


def _grid(base_zoom: int) -> dict[str, float]:
    return {
        "base_zoom": base_zoom,
        "half_world_m": _WORLD_M / 2,
        "width_m": _WORLD_M / 2**base_zoom,
        "last": 2**base_zoom - 1,
    }


def _class_attributes(layer: Layer) -> tuple[str, ...]:
    """Tile attributes that have a code list: what the style of small polygons depends on."""
    coded = {attribute.name for attribute in layer.attributes if attribute.codes}
    return tuple(name for name in layer.tile_attributes if name in coded)


def _json_object(names: tuple[str, ...]) -> sql.Composable:
    """An expression that takes some attributes out of ``f.attributes``."""
    if not names:
        return sql.SQL("'{}'::jsonb")
    pairs = sql.SQL(", ").join(
        sql.SQL("{name}, f.attributes -> {name}").format(name=sql.Literal(name)) for name in names
    )
    return sql.SQL("jsonb_strip_nulls(jsonb_build_object({}))").format(pairs)
