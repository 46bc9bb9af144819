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

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

from psycopg import sql

from layers import partitions
from layers.catalog import Layer
from layers.content_measures import settle
from layers.database import Connection, beside, is_free, row, statements
from layers.errors import NotFound
from layers.tile_building import look_attributes
from layers.tile_changes import Drawing, draw_content, draw_touched, save_grids
from layers.tile_cutting import COLUMNS

_SQL: Final = statements("layers", "pieces.sql")
OVERLAY_VERTICES: Final = 128
_OVERLAY_KEY: Final = ("content_id", "fid", "piece")
_OVERLAY_LOCK: Final = 73_616
_TILE_LOCK: Final = 73_617
"""First keys of the advisory locks on the two tables of pieces; the second one is the content."""


def build_pieces(connection: Connection, content_id: int) -> None:
    """Make both derived tables of a loaded content and mark it 'ready'.

    Two transactions, at the same time where the content is there for other connections; each is
    skipped when its table is there, so a killed run is run again. Of a draft whose rows were
    changed since, the pieces of the touched rows are made anew and the content is measured again.
    A delta needs the pieces of its base, which are made first.
    """
    with connection.transaction():
        base_id, _ = _content(connection, content_id)
    if base_id is not None and not _is_ready(connection, base_id):
        build_pieces(connection, base_id)
    with ExitStack() as stack:
        overlay, reader = _started_beside(connection, content_id, stack)
        stack.enter_context(connection.transaction())
        _lock(connection, content_id, _TILE_LOCK)
        base_id, layer = _content(connection, content_id)
        _settle(connection)
        changed = row(connection, _SQL["changed_since"], content_id=content_id) is not None
        if changed:
            overlay.result()
            _rebuild_overlay_pieces(connection, content_id)
            settle(connection, content_id, base_id, layer)
        drawing = Drawing(connection, content_id, base_id, layer, _expressions(layer), reader)
        if not partitions.exists(connection, "tile_piece", content_id):
            _build_tile_pieces(drawing)
        elif changed:
            draw_touched(drawing)
        connection.execute(_SQL["forget_touched"], {"content_id": content_id})
        overlay.result()
        connection.execute(_SQL["mark_ready"], {"content_id": content_id})


def load_tile_pieces(connection: Connection, content_id: int, blocks: Iterable[bytes]) -> int:
    """COPY a stream of ``layers.row_drawing`` into a table of its own; give its rows.

    For a content that is still being loaded: ``adopt_pieces`` makes it a part of the library.
    """
    name = _empty_table(connection, "tile_piece", content_id)
    with connection.transaction(), connection.cursor() as cursor:
        _settle(connection)
        cursor.execute(sql.SQL("TRUNCATE {name}").format(name=name))  # no log of what comes
        statement = sql.SQL("COPY {name} {columns} FROM STDIN (FORMAT binary, FREEZE)").format(
            name=name, columns=sql.SQL(COLUMNS)
        )
        with cursor.copy(statement) as copy:
            for block in blocks:
                copy.write(block)
        loaded = cursor.rowcount
        _index_tile_pieces(connection, name)
    return loaded


def prepare_overlay_pieces(connection: Connection, content_id: int) -> None:
    """Make the overlay pieces of rows that are loaded but not attached, for ``adopt_pieces``."""
    name = _empty_table(connection, "overlay_piece", content_id)
    with connection.transaction():
        _settle(connection)
        connection.execute(sql.SQL("TRUNCATE {name}").format(name=name))
        _fill_overlay_pieces(connection, content_id, name)
        partitions.index_and_analyse(
            connection, "overlay_piece", content_id, primary_key=_OVERLAY_KEY
        )


def _empty_table(
    connection: Connection, table: partitions.PartitionedTable, content_id: int
) -> sql.Identifier:
    """Make the table if it is not there, in a transaction of its own.

    To copy the columns of the parent locks it: over a long load, a content that is dropped
    elsewhere would wait for that, and all readers behind it.
    """
    with connection.transaction():
        if partitions.exists(connection, table, content_id):
            return partitions.partition(table, content_id)
        return partitions.create(connection, table, content_id)


def adopt_pieces(
    connection: Connection, content_id: int, grids: Sequence[Mapping[str, Any]]
) -> None:
    """Make pieces that were prepared beside the rows a part of the library, with these rows."""
    partitions.attach(connection, "overlay_piece", content_id)
    partitions.attach(connection, "tile_piece", content_id)
    save_grids(connection, content_id, grids)


def _started_beside(
    connection: Connection, content_id: int, stack: ExitStack
) -> tuple[Future[None], Connection | None]:
    """The building of the overlay pieces, under way or done, and a connection to read features by.

    Inside a transaction of the caller nobody else sees the content: then it is built here.
    """
    done: Future[None] = Future()
    if not is_free(connection):
        _ensure_overlay_pieces(connection, content_id)
        done.set_result(None)
        return done, None
    other = stack.enter_context(beside(connection))
    reader = stack.enter_context(beside(connection))
    pool = stack.enter_context(ThreadPoolExecutor(1))
    return pool.submit(_ensure_overlay_pieces, other, content_id), reader


def _ensure_overlay_pieces(connection: Connection, content_id: int) -> None:
    with connection.transaction():
        _lock(connection, content_id, _OVERLAY_LOCK)
        _content(connection, content_id)
        if not partitions.exists(connection, "overlay_piece", content_id):
            _settle(connection)
            _build_overlay_pieces(connection, content_id)


def _lock(connection: Connection, content_id: int, lock_class: int) -> None:
    connection.execute(_SQL["lock_pieces"], {"content_id": content_id, "lock_class": lock_class})


def _content(connection: Connection, content_id: int) -> tuple[int | None, Layer]:
    """What a content stands on, and its layer; its row is locked against editors."""
    found = row(connection, _SQL["layer_of_content"], content_id=content_id)
    if found is None:
        raise NotFound(
            f"There is no loaded content {content_id}.", f"没有已加载的内容 {content_id}。"
        )
    return found["base_id"], Layer.model_validate(found["definition"])


def _is_ready(connection: Connection, content_id: int) -> bool:
    return row(connection, _SQL["is_ready"], content_id=content_id) is not None


def _settle(connection: Connection) -> None:
    """Memory for sorts and index builds of this transaction; no deadline on its statements."""
    connection.execute("SET LOCAL work_mem = '256MB'")
    connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
    connection.execute("SET LOCAL statement_timeout = 0")


def _build_overlay_pieces(connection: Connection, content_id: int) -> None:
    name = partitions.create(connection, "overlay_piece", content_id)
    _fill_overlay_pieces(connection, content_id, name)
    partitions.index_and_analyse(connection, "overlay_piece", content_id, primary_key=_OVERLAY_KEY)
    partitions.attach(connection, "overlay_piece", content_id)


def _fill_overlay_pieces(connection: Connection, content_id: int, name: sql.Identifier) -> None:
    connection.execute(
        sql.SQL(_SQL["overlay_pieces"]).format(
            pieces=name, features=partitions.partition("feature", content_id)
        ),
        {"vertices": OVERLAY_VERTICES},
    )
    connection.execute(sql.SQL("CREATE INDEX ON {name} USING gist (geom)").format(name=name))


def _rebuild_overlay_pieces(connection: Connection, content_id: int) -> None:
    """The pieces of the touched rows, in a table that readers see already."""
    name = partitions.partition("overlay_piece", content_id)
    connection.execute(
        sql.SQL(_SQL["drop_overlay_pieces"]).format(pieces=name), {"content_id": content_id}
    )
    touched = sql.SQL(_SQL["touched_features"]).format(
        features=partitions.partition("feature", content_id), content=sql.Literal(content_id)
    )
    connection.execute(
        sql.SQL(_SQL["overlay_pieces"]).format(pieces=name, features=touched),
        {"vertices": OVERLAY_VERTICES},
    )


def _build_tile_pieces(drawing: Drawing) -> None:
    connection, content_id = drawing.connection, drawing.content_id
    name = partitions.create(connection, "tile_piece", content_id)
    draw_content(drawing)
    _index_tile_pieces(connection, name)
    partitions.attach(connection, "tile_piece", content_id)


def _index_tile_pieces(connection: Connection, name: sql.Identifier) -> None:
    for statement in ("CREATE INDEX ON {name} (base_zoom, x, y)", "ANALYZE {name}"):
        connection.execute(sql.SQL(statement).format(name=name))


def _expressions(layer: Layer) -> dict[str, sql.Composable]:
    return {
        "properties": _json_object(layer.tile_attributes),
        "class_properties": _json_object(look_attributes(layer)),
    }


def _json_object(names: tuple[str, ...]) -> sql.Composable:
    """An expression that takes some attributes out of ``f.attributes``."""
    if not names:
        return sql.SQL("'{}'::jsonb")
    pairs = sql.SQL(", ").join(
        sql.SQL("{name}, f.attributes -> {name}").format(name=sql.Literal(name)) for name in names
    )
    return sql.SQL("jsonb_strip_nulls(jsonb_build_object({}))").format(pairs)
