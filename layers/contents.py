"""Layer contents: the rows of one layer as imported once, loaded beside the library.

The life of a content::

    create_content   row 'loading' and an empty table that no reader sees
    load_rows        COPY from a file of ``layers.feature_rows``, or
    load_arrays      COPY from shapely arrays
    finish_content   indexes, attach, immutability trigger, 'loaded': one transaction
    build_pieces     derived pieces for overlay and tiles, 'ready'

A process that dies in between leaves a 'loading' row and a table beside the library; the next
import sweeps them (``sweep_dead_contents``). The connection that creates a content holds an
advisory lock on it until it is closed or ``release_content`` is called; by that the sweep tells
a living import from a dead one. Run all steps of one content on one connection.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from psycopg import sql
from psycopg.types.json import Jsonb

from layers import partitions
from layers.area import areas_m2
from layers.crs import STORAGE_SRID, GeometryArray
from layers.database import Connection, row, rows, statements
from layers.errors import Conflict
from layers.feature_rows import Fingerprint, attribute_rows, copy_blocks, encode_rows
from layers.pieces import build_pieces

__all__ = [
    "build_pieces",
    "create_content",
    "drop_content",
    "finish_content",
    "load_arrays",
    "load_rows",
    "release_content",
    "stored_fingerprint",
    "sweep_dead_contents",
]

_SQL: Final = statements("layers", "contents.sql")
_LOCK_CLASS: Final = 73_615
"""First key of the advisory locks that living imports hold; the second one is the content."""
_SWEEP_LOCK: Final = 7_361_530_449

_COPY_COLUMNS: Final = "(fid, feature_id, attributes, area_m2, geom)"


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
            lock_class=_LOCK_CLASS,
        )
        if created is None:
            raise Conflict("The content was not created.", "未能创建图层内容。")
        content_id = int(created["id"])
        partitions.create(connection, "feature", content_id)
    return content_id


def load_rows(connection: Connection, content_id: int, copy_file: Path) -> int:
    """COPY a file written by ``layers.feature_rows.RowFile`` into the content; give its rows."""
    with connection.cursor() as cursor, copy_file.open("rb") as file:
        with cursor.copy(_copy_statement(content_id)) as copy:
            while block := file.read(1 << 20):
                copy.write(block)
        return cursor.rowcount


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


def _copy_statement(content_id: int) -> sql.Composed:
    return sql.SQL("COPY {name} {columns} FROM STDIN (FORMAT binary)").format(
        name=partitions.partition("feature", content_id), columns=sql.SQL(_COPY_COLUMNS)
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
) -> int:
    """Attach the loaded rows to the library and mark them 'loaded'; give their count.

    One transaction (a savepoint inside the caller's). ``content_sha256`` is
    ``Fingerprint.hexdigest()``; without it all rows are read back. ``coverage`` (EPSG:4490, WKB
    or geometry) says where the layer has data at all; None = nowhere.
    """
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL maintenance_work_mem = '512MB'"))
        digest = content_sha256 or stored_fingerprint(connection, content_id).hexdigest()
        _index_and_attach(connection, content_id)
        measured = connection.execute(
            sql.SQL(_SQL["count_and_extent"]).format(
                features=partitions.partition("feature", content_id)
            )
        ).fetchone()
        feature_count, extent = measured if measured is not None else (0, None)
        connection.execute(
            _SQL["mark_loaded"],
            {
                "content_id": content_id,
                "feature_count": feature_count,
                "extent": extent,
                "content_sha256": digest,
                "coverage": _multipolygon_wkb(coverage),
                "source": Jsonb(dict(source)) if source is not None else None,
                "import_report": Jsonb(dict(import_report or {})),
                "blocking_issues": blocking_issues,
            },
        )
        connection.execute(_SQL["cut_coverage"], {"content_id": content_id})
    return int(feature_count)


def _index_and_attach(connection: Connection, content_id: int) -> None:
    name = partitions.partition("feature", content_id)
    connection.execute(
        sql.SQL("ALTER TABLE {name} ADD UNIQUE (content_id, feature_id)").format(name=name)
    )
    connection.execute(sql.SQL("CREATE INDEX ON {name} USING gist (geom)").format(name=name))
    partitions.attach(connection, "feature", content_id, primary_key="content_id fid")
    connection.execute(
        sql.SQL(
            "CREATE TRIGGER truncate_published_is_refused BEFORE TRUNCATE ON {name}"
            " FOR EACH STATEMENT EXECUTE FUNCTION library.refuse_change_of_published({content})"
        ).format(name=name, content=sql.Literal(str(content_id)))
    )


def _multipolygon_wkb(coverage: bytes | shapely.Geometry | None) -> bytes | None:
    if coverage is None:
        return None
    geometry = shapely.from_wkb(coverage) if isinstance(coverage, bytes) else coverage
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    stamped = shapely.set_srid(shapely.multipolygons(parts), STORAGE_SRID)
    return bytes(shapely.to_wkb(stamped, include_srid=True))


def stored_fingerprint(connection: Connection, content_id: int) -> Fingerprint:
    """The fingerprint of the rows as they stand in the database now, for proof."""
    fingerprint = Fingerprint()
    statement = sql.SQL(_SQL["rows_in_order"]).format(
        features=partitions.partition("feature", content_id)
    )
    with (
        connection.transaction(),
        connection.cursor(name="rows_in_order", withhold=False) as cursor,
    ):
        cursor.itersize = 5000
        for feature_id, attributes, ewkb in cursor.execute(statement):
            fingerprint.add_stored(feature_id, attributes, ewkb)
    return fingerprint


def release_content(connection: Connection, content_id: int) -> None:
    """Give up the lock of a content that is in an edition now; closing the connection does too."""
    connection.execute("SELECT pg_advisory_unlock(%s, %s)", (_LOCK_CLASS, content_id))


def drop_content(connection: Connection, content_id: int) -> None:
    """Remove a content that no edition holds, with its tables; ``Conflict`` otherwise."""
    with connection.transaction():
        if row(connection, _SQL["edition_of_content"], content_id=content_id) is not None:
            raise Conflict(
                f"Content {content_id} belongs to an edition and stays.",
                f"图层内容 {content_id} 属于某一版本，不可删除。",
            )
        partitions.drop(connection, content_id)
        connection.execute(_SQL["delete_content"], {"content_id": content_id})


def sweep_dead_contents(connection: Connection) -> list[int]:
    """Drop what dead imports left and draft contents that a later import replaced.

    Only contents in no edition and without the lock that a living importer holds.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SWEEP_LOCK,))
        dead = [
            int(found["id"])
            for found in rows(connection, _SQL["dead_contents"], lock_class=_LOCK_CLASS)
        ]
        for content_id in dead:
            drop_content(connection, content_id)
    return dead
