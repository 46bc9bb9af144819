"""Layer contents: the rows of one layer as imported once, loaded beside the library.

The life of a content::

    create_content   row 'loading' and an empty table that no reader sees
    load_rows        COPY from a file of ``layers.feature_rows``, or
    load_arrays      COPY from shapely arrays
    finish_content   indexes, attach, immutability trigger, 'loaded': one transaction
    build_pieces     derived pieces for overlay and tiles, 'ready'

An edition that changes a few rows begins with ``create_delta`` (all rows of another content) and
``hide`` instead; see ``layers.deltas``, also for drafts that are edited row by row.

A process that dies in between leaves a 'loading' row and a table beside the library; the next
import sweeps them (``sweep_dead_contents``). The connection that creates a content holds an
advisory lock on it until it is closed or ``release_content`` is called; by that the sweep tells
a living import from a dead one. Run all steps of one content on one connection.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from psycopg import sql
from psycopg.types.json import Jsonb

from layers import partitions
from layers.area import areas_m2
from layers.catalog import Layer
from layers.content_measures import (
    count_and_extent,
    cut_coverage,
    delta_coverage,
    digest,
    multipolygon_wkb,
    stored_fingerprint,
)
from layers.crs import GeometryArray
from layers.database import Connection, row, rows, statements
from layers.deltas import LOCK_CLASS, base_of, create_delta, hide, next_fid, settle_rows
from layers.errors import Conflict, NotFound
from layers.feature_rows import Fingerprint, attribute_rows, copy_blocks, encode_rows
from layers.pieces import adopt_pieces, build_pieces

__all__ = [
    "build_pieces",
    "create_content",
    "create_delta",
    "drop_content",
    "finish_content",
    "hide",
    "load_arrays",
    "load_rows",
    "load_stream",
    "next_fid",
    "release_content",
    "stored_fingerprint",
    "sweep_dead_contents",
]

_SQL: Final = statements("layers", "contents.sql")
_SWEEP_LOCK: Final = 7_361_530_449

_COPY_COLUMNS: Final = "(fid, feature_id, attributes, area_m2, geom)"
_KEY: Final = ("content_id", "fid")
_UNIQUE: Final = ("content_id", "feature_id")


def create_content(
    connection: Connection, layer_id: str, *, source: Mapping[str, Any] | None = None
) -> int:
    """Open an empty content for a layer; give its number. Nobody sees it before it is finished.

    ``source`` keeps where the rows come from (file name, digest, CRS, or the generator's seed).
    """
    with connection.transaction():
        created = row(
            connection,
            _SQL["create_content"],
            layer_id=layer_id,
            source=Jsonb(dict(source or {})),
            lock_class=LOCK_CLASS,
        )
        if created is None:
            raise Conflict("The content was not created.", "未能创建图层内容。")
        content_id = int(created["id"])
        partitions.create(connection, "feature", content_id)
    return content_id


def load_rows(connection: Connection, content_id: int, copy_file: Path) -> int:
    """COPY a file written by ``layers.feature_rows.RowFile`` into the content; give its rows."""
    with copy_file.open("rb") as file:
        return load_stream(connection, content_id, iter(partial(file.read, 1 << 20), b""))


def load_stream(
    connection: Connection, content_id: int, blocks: Iterable[bytes], *, known_valid: bool = False
) -> int:
    """COPY a stream of ``layers.feature_rows.RowFile`` into an empty content; give its rows.

    The table is emptied first: in the transaction that (re)made a table PostgreSQL writes no log of
    its rows where nobody replicates, and can store them as frozen. With ``known_valid`` (what
    ``layers.geometry_checks`` let pass) the database does not ask again whether each geometry is
    valid; the table has its check all the same when this is done, for all that comes later.
    """
    name = partitions.partition("feature", content_id)
    with connection.transaction(), connection.cursor() as cursor:
        whole = base_of(connection, content_id) is None
        if whole:
            cursor.execute(sql.SQL("TRUNCATE {name}").format(name=name))
        unasked = whole and known_valid
        if unasked:
            cursor.execute(sql.SQL(_SQL["suspend_validity"]).format(features=name))
        with cursor.copy(_copy_statement(content_id, frozen=whole)) as copy:
            for block in blocks:
                copy.write(block)
        loaded = cursor.rowcount
        if unasked:
            cursor.execute(sql.SQL(_SQL["resume_validity"]).format(features=name))
        return loaded


def load_arrays(
    connection: Connection,
    content_id: int,
    geometries: GeometryArray | Sequence[shapely.Geometry],
    attribute_columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]],
    first_fid: int,
    *,
    feature_ids: Sequence[str] | None = None,
    fingerprint: Fingerprint | None = None,
) -> int:
    """COPY geometries with their attribute columns; give the number of rows.

    Geometries are EPSG:4490, x = longitude, valid and already snapped (``layers.crs.snap``).
    Areas are measured here. Rows get the fids ``first_fid``, ``first_fid + 1``, ...;
    ``feature_ids`` default to the fid as text. Pass one ``Fingerprint`` through all calls of a
    content, in fid order, and give it to ``finish_content``, which otherwise reads all rows
    back. None and NaN are left out of the attributes.
    """
    shapes: GeometryArray = np.asarray(geometries, dtype=object)
    fids = range(first_fid, first_fid + len(shapes))
    names = feature_ids if feature_ids is not None else [str(fid) for fid in fids]
    surfaces = shapely.get_dimensions(shapes) == 2
    areas = np.full(len(shapes), np.nan)
    areas[surfaces] = areas_m2(shapes[surfaces])
    encoded = encode_rows(
        fids, names, attribute_rows(attribute_columns, len(shapes)), areas, shapes, fingerprint
    )
    with connection.cursor() as cursor:
        with cursor.copy(_copy_statement(content_id)) as copy:
            for block in copy_blocks(encoded):
                copy.write(block)
        return cursor.rowcount


def _copy_statement(content_id: int, *, frozen: bool = False) -> sql.Composed:
    return sql.SQL("COPY {name} {columns} FROM STDIN (FORMAT binary{frozen})").format(
        name=partitions.partition("feature", content_id),
        columns=sql.SQL(_COPY_COLUMNS),
        frozen=sql.SQL(", FREEZE" if frozen else ""),
    )


def finish_content(
    connection: Connection,
    content_id: int,
    *,
    content_sha256: str | None = None,
    coverage: bytes | shapely.Geometry | None = None,
    source: Mapping[str, Any] | None = None,
    import_report: Mapping[str, Any] | None = None,
    blocking_issues: int = 0,
    pieces: Callable[[], Sequence[Mapping[str, Any]]] | None = None,
) -> int:
    """Attach the loaded rows to the library and mark them 'loaded'; give their count.

    One transaction (a savepoint inside the caller's). ``content_sha256`` is
    ``Fingerprint.hexdigest()``; without it all rows are read back (those of a delta always are).
    ``coverage`` (EPSG:4490, WKB or geometry) says where the layer has data at all; None = nowhere,
    for a delta that of what it was made from, following its features where they make it.
    ``pieces`` waits for the tables of pieces that are made on other connections meanwhile, and
    gives their grids; they become a part of the library together with the rows.
    """
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL maintenance_work_mem = '256MB'"))
        stood_on = base_of(connection, content_id)
        if stood_on is not None and coverage is None:
            layer = _layer(connection, content_id)
            coverage = delta_coverage(connection, content_id, stood_on, layer)
        base_id = settle_rows(connection, content_id)
        keys = _index(connection, content_id)
        if pieces is not None:
            adopt_pieces(connection, content_id, pieces())
        _attach(connection, content_id, keys)
        feature_count, extent = count_and_extent(connection, content_id, base_id)
        connection.execute(
            _SQL["mark_loaded"],
            {
                "content_id": content_id,
                "feature_count": feature_count,
                "extent": extent,
                # The caller of a delta has not seen all its rows: those of an earlier one.
                "content_sha256": (content_sha256 if stood_on is None else None)
                or digest(connection, content_id, base_id),
                "coverage": multipolygon_wkb(coverage),
                "source": Jsonb(dict(source)) if source is not None else None,
                "import_report": Jsonb(dict(import_report or {})),
                "blocking_issues": blocking_issues,
            },
        )
        cut_coverage(connection, content_id, base_id)
    return int(feature_count)


def _index(connection: Connection, content_id: int) -> tuple[sql.Identifier, sql.Identifier]:
    """Build the indexes of the rows, which may be read meanwhile; give those of its keys."""
    name = partitions.partition("feature", content_id)
    by_fid = partitions.unique_index(connection, "feature", content_id, _KEY)
    by_id = partitions.unique_index(connection, "feature", content_id, _UNIQUE)
    connection.execute(sql.SQL("CREATE INDEX ON {name} USING gist (geom)").format(name=name))
    connection.execute(sql.SQL("ANALYZE {name}").format(name=name))
    return by_fid, by_id


def _attach(
    connection: Connection, content_id: int, keys: tuple[sql.Identifier, sql.Identifier]
) -> None:
    name = partitions.partition("feature", content_id)
    by_fid, by_id = keys
    partitions.constrain(connection, "feature", content_id, by_fid, "PRIMARY KEY")
    partitions.constrain(connection, "feature", content_id, by_id, "UNIQUE")
    partitions.attach(connection, "feature", content_id)
    connection.execute(
        sql.SQL(
            "CREATE TRIGGER truncate_published_is_refused BEFORE TRUNCATE ON {name}"
            " FOR EACH STATEMENT EXECUTE FUNCTION library.refuse_change_of_published({content})"
        ).format(name=name, content=sql.Literal(str(content_id)))
    )


def _layer(connection: Connection, content_id: int) -> Layer:
    found = row(connection, _SQL["layer_of_content"], content_id=content_id)
    if found is None:
        raise NotFound(f"There is no content {content_id}.", f"没有内容 {content_id}。")
    return Layer.model_validate(found["definition"])


def release_content(connection: Connection, content_id: int) -> None:
    """Give up the lock of a content that is in an edition now; closing the connection does too."""
    connection.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCK_CLASS, content_id))


def drop_content(connection: Connection, content_id: int) -> None:
    """Remove a content that no edition holds, with its tables; ``Conflict`` otherwise."""
    with connection.transaction():
        if row(connection, _SQL["edition_of_content"], content_id=content_id) is not None:
            raise Conflict(
                f"Content {content_id} belongs to an edition and stays.",
                f"图层内容 {content_id} 属于某一版本，不可删除。",
            )
        if row(connection, _SQL["delta_of_content"], content_id=content_id) is not None:
            raise Conflict(
                f"Another content stands on content {content_id}; it stays.",
                f"另有内容以图层内容 {content_id} 为基础，不可删除。",
            )
        partitions.drop(connection, content_id)
        connection.execute(_SQL["delete_content"], {"content_id": content_id})


def sweep_dead_contents(connection: Connection) -> list[int]:
    """Drop what dead imports left and draft contents that a later import replaced.

    Only contents in no edition, without the lock that a living importer holds, and on which no
    other one stands.
    """
    swept: list[int] = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SWEEP_LOCK,))
        while dead := rows(connection, _SQL["dead_contents"], lock_class=LOCK_CLASS):
            for found in dead:
                drop_content(connection, found["id"])
                swept.append(int(found["id"]))
    return swept
