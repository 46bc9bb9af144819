"""Which features are drawn into which pieces of a content, so that a change costs by its size.

Base zooms 13 and 10 show each feature as it is: a delta draws its own rows. The low zooms show
small polygons as a mosaic of the whole layer, and one point for all on a spot. A delta takes the
grid of its base (``library.mosaic_grid``), clears the cells under the polygons that no longer hold,
draws its own ones, and asks the base for the rest of the cleared cells; large polygons and lines it
draws itself, those of the base hold (``by_feature``). Points, and what stands on pieces of an older
version (``by_feature`` is NULL), are drawn anew at the low zooms.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from psycopg import sql
from psycopg.types.json import Jsonb

from layers import partitions
from layers.area import SEMI_MAJOR_M
from layers.catalog import Layer
from layers.crs import GeometryArray
from layers.database import Connection, rows, statements
from layers.mosaic import BlockArray, CellArray, IntArray, Mosaic
from layers.tile_building import (
    DIMENSION,
    LowZoom,
    TileBuilder,
    copy_into,
    draw,
    extent_of,
    mercator_box,
)
from layers.tile_cutting import Drawn

_SQL: Final = statements("layers", "tile_changes.sql")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A content to draw: where its pieces go, what it stands on, how features are shown."""

    connection: Connection
    content_id: int
    base_id: int | None
    layer: Layer
    expressions: Mapping[str, sql.Composable]
    """Properties and class_properties of a feature ``f`` as jsonb."""
    reader: Connection | None = None
    """A second connection: features are read ahead by it while pieces are written."""

    @property
    def own_rows(self) -> sql.Composable:
        """The features that the content itself stores."""
        return partitions.partition("feature", self.content_id)

    @property
    def all_rows(self) -> sql.Composable:
        """The features of the content and of its base."""
        if self.base_id is None:
            return self.own_rows
        return sql.SQL(_SQL["all_rows"]).format(
            content=sql.Literal(self.content_id), base=sql.Literal(self.base_id)
        )

    @property
    def touched_rows(self) -> sql.Composable:
        """Those of its own that were changed since the pieces were made."""
        return sql.SQL(_SQL["touched_rows"]).format(
            features=self.own_rows, content=sql.Literal(self.content_id)
        )


def draw_content(drawing: Drawing) -> None:
    """Fill the empty table of tile pieces of a content."""
    builder = _builder(drawing)
    if drawing.base_id is None:
        draw(drawing.connection, drawing.own_rows, drawing.expressions, builder.add, drawing.reader)
        save_grids(drawing.connection, drawing.content_id, builder.grids())
        builder.finish()
        return
    draw(drawing.connection, drawing.own_rows, drawing.expressions, builder.add_high)
    _draw_low(drawing, builder, drawing.own_rows)


def draw_touched(drawing: Drawing) -> None:
    """Bring the pieces of a content up to date after rows were changed one by one."""
    connection = drawing.connection
    values = {"content_id": drawing.content_id, "by_line": drawing.layer.geometry == "line"}
    connection.execute(
        sql.SQL(_SQL["drop_pieces"]).format(
            pieces=partitions.partition("tile_piece", drawing.content_id)
        ),
        values,
    )
    connection.execute(_SQL["drop_grids"], values)
    builder = _builder(drawing)
    draw(connection, drawing.touched_rows, drawing.expressions, builder.add_high)
    if drawing.base_id is None and builder.dimension != 1:
        draw(connection, drawing.own_rows, drawing.expressions, builder.add_low)
        save_grids(connection, drawing.content_id, builder.grids())
        builder.finish()
    else:
        _draw_low(drawing, builder, drawing.touched_rows)


def _builder(drawing: Drawing) -> TileBuilder:
    name = partitions.partition("tile_piece", drawing.content_id)
    extent = extent_of(drawing.connection, drawing.content_id)
    return TileBuilder(drawing.layer, extent, copy_into(drawing.connection, name))


def _draw_low(drawing: Drawing, builder: TileBuilder, changed_lines: sql.Composable) -> None:
    """The low zooms of a delta."""
    connection = drawing.connection
    before: dict[int, Mosaic] = {}
    if not builder.low:
        return
    if builder.dimension == DIMENSION["point"] or _is_old(drawing):
        draw(connection, drawing.all_rows, drawing.expressions, builder.add_low)
    elif builder.dimension == DIMENSION["line"]:
        draw(connection, changed_lines, drawing.expressions, builder.add_low)
    else:
        before = _draw_on_grids(drawing, builder)
    for base_zoom, kept in builder.finish(before).items():
        _copy_blocks(drawing, base_zoom, before[base_zoom], kept)


def _is_old(drawing: Drawing) -> bool:
    """Whether the pieces of the base do not say which of them show one feature."""
    if drawing.base_id is None:
        return False
    found = drawing.connection.execute(
        sql.SQL(_SQL["is_old"]).format(pieces=partitions.partition("tile_piece", drawing.base_id))
    ).fetchone()
    return bool(found and found[0])


def _draw_on_grids(drawing: Drawing, builder: TileBuilder) -> dict[int, Mosaic]:
    """Own polygons into the grids of the base, from which those that no longer hold are taken.

    Gives the grids as they were, by base zoom.
    """
    before = _take_grids(drawing, builder)
    cleared = _clear_hidden(drawing, builder)
    draw(drawing.connection, drawing.own_rows, drawing.expressions, builder.add_low)
    for low, mask in cleared:
        if low.mosaic is not None:
            _fill_from_base(drawing, builder, low, low.mosaic, mask)
    return before


def _copy_blocks(drawing: Drawing, base_zoom: int, grid: Mosaic, kept: BlockArray) -> None:
    """Take the merged pieces of blocks that look as they did over from the base."""
    lines, columns = np.nonzero(kept)
    drawing.connection.execute(
        sql.SQL(_SQL["copy_blocks"]).format(
            pieces=partitions.partition("tile_piece", drawing.content_id),
            base_pieces=partitions.partition("tile_piece", drawing.base_id or 0),
        ),
        {
            "base_zoom": base_zoom, "west": grid.west, "north": grid.north,
            "block_m": grid.block_m, "width": kept.shape[1],
            "blocks": (lines * kept.shape[1] + columns).tolist(),
        },
    )  # fmt: skip


def save_grids(connection: Connection, content_id: int, grids: Sequence[Mapping[str, Any]]) -> None:
    """Keep the grids of a content (``TileBuilder.grids``) for the deltas that will stand on it."""
    for grid in grids:
        values = {**grid, "classes": Jsonb(grid["classes"]), "content_id": content_id}
        connection.execute(_SQL["save_grid"], values)


def _take_grids(drawing: Drawing, builder: TileBuilder) -> dict[int, Mosaic]:
    """Begin with the grids of the base; they grow where the delta reaches further.

    Gives those of the base as they are, by base zoom.
    """
    before: dict[int, Mosaic] = {}
    extent = extent_of(drawing.connection, drawing.content_id)
    kept = {
        found["base_zoom"]: found
        for found in rows(drawing.connection, _SQL["grids"], content_id=drawing.base_id)
    }
    for low in builder.low:
        grid = kept.get(low.base_zoom)
        if grid is None or extent is None:
            continue
        stored = np.frombuffer(zlib.decompress(grid["cells"]), dtype="<u2").astype(np.uint16)
        cells: CellArray = stored.reshape(grid["height"], grid["width"])
        frame = grid["west"], grid["north"], grid["cell_m"]
        before[low.base_zoom] = Mosaic.framed(*frame, cells)
        low.mosaic = Mosaic.framed(*frame, cells.copy())
        low.mosaic.reach(mercator_box(extent))
        if not builder.classes:
            builder.classes.update(
                (text.encode(), number) for number, (text, _) in enumerate(grid["classes"], start=1)
            )
            builder.first_fids.extend(fid for _, fid in grid["classes"])
    return before


def _clear_hidden(drawing: Drawing, builder: TileBuilder) -> list[tuple[LowZoom, Mosaic]]:
    """Empty the cells under the polygons of the base that no longer hold; give which they were."""
    masks = [(low, low.mosaic.blank()) for low in builder.low if low.mosaic is not None]
    hidden = sql.SQL(_SQL["hidden_rows"]).format(
        content=sql.Literal(drawing.content_id),
        base=sql.Literal(drawing.base_id),
        features=partitions.partition("feature", drawing.base_id or 0),
    )

    def mark(drawn: Drawn, _looks: Sequence[bytes]) -> None:
        for (low, mask), (_, small, _large) in zip(
            masks, builder.by_size(drawn.geometries), strict=True
        ):
            if low.mosaic is not None and len(small):
                mask.add(drawn.geometries[small], np.ones(len(small), dtype=np.int64))

    if len(masks) == len(builder.low):
        draw(drawing.connection, hidden, drawing.expressions, mark)
    for low, mask in masks:
        if low.mosaic is not None:
            low.mosaic.cells = np.where(mask.cells > 0, 0, low.mosaic.cells)
    return masks


def _fill_from_base(
    drawing: Drawing, builder: TileBuilder, low: LowZoom, mosaic: Mosaic, mask: Mosaic
) -> None:
    """Give cleared cells that nothing new covers the polygon of the base under their centre."""
    lines, columns = np.nonzero((mask.cells > 0) & (mosaic.cells == 0))
    if not len(lines):
        return
    x, y = mosaic.centres(lines, columns)
    found = _under(drawing, x, y)
    if not found:
        return
    shapes: GeometryArray = shapely.from_wkb(np.array([one["wkb"] for one in found], dtype=object))
    drawn = _drawn(found, shapes)
    band = next(small for other, small, _ in builder.by_size(drawn.geometries) if other is low)
    looks = [bytes(one["look"]) for one in found]
    numbers = builder.numbers(drawn, looks, band)
    cell: IntArray = np.array([one["cell"] - 1 for one in found], dtype=np.int64)[band]
    mosaic.cells[lines[cell], columns[cell]] = numbers


def _under(drawing: Drawing, x: Any, y: Any) -> list[dict[str, Any]]:
    """For places in metres (EPSG:3857) the last polygon of the base there that still holds."""
    from psycopg.rows import dict_row

    statement = sql.SQL(_SQL["under_places"]).format(
        features=partitions.partition("feature", drawing.base_id or 0), **drawing.expressions
    )
    lon = np.degrees(x / SEMI_MAJOR_M)
    lat = np.degrees(2 * np.arctan(np.exp(y / SEMI_MAJOR_M)) - np.pi / 2)
    with drawing.connection.cursor(row_factory=dict_row, binary=True) as cursor:
        return cursor.execute(
            statement,
            {
                "content_id": drawing.content_id, "base_id": drawing.base_id,
                "lon": lon.tolist(), "lat": lat.tolist(),
            },
        ).fetchall()  # fmt: skip


def _drawn(found: Sequence[Mapping[str, Any]], shapes: GeometryArray) -> Drawn:
    from layers.tile_cutting import to_mercator

    return Drawn.of(
        np.array([one["fid"] for one in found]),
        [json.dumps({}).encode()] * len(found),
        to_mercator(shapes),
    )
