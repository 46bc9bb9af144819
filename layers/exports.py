"""Export of a layer's content into a file for others.

Features leave the database through a cursor in one transaction (one snapshot, bounded memory)
into a file of the job; a child process writes the format from that.
"""

import datetime
import tempfile
from collections.abc import Iterator
from itertools import batched
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from psycopg.rows import dict_row

from layers.catalog import Layer
from layers.crs import Box, Crs
from layers.database import Connection, row, statements
from layers.editions import contents_in_force
from layers.errors import LimitExceeded, NotFound
from layers.features import content_parts
from layers.sandbox import Sandbox
from layers.writers import (
    FeatureBatch,
    FileFormat,
    TableHead,
    Written,
    save_batches,
    write_saved,
)

_SQL: Final = statements("layers", "exports.sql")
_BATCH_ROWS: Final = 2_000
_JOB_PREFIX: Final = "gis-export-"


def content_to_export(
    connection: Connection,
    layer: Layer,
    *,
    edition_id: int | None = None,
    as_of: datetime.date,
) -> int:
    """The content of an edition (a draft too), else of the edition in force on the day."""
    if edition_id is not None:
        found = row(
            connection, _SQL["content_of_edition"], edition_id=edition_id, layer_id=layer.id
        )
        if found is None:
            raise NotFound(
                f"Edition {edition_id} has no layer {layer.id}.",
                f"版本 {edition_id} 中没有图层 {layer.id}。",
            )
        return int(found["content_id"])
    content = contents_in_force(connection, [layer.id], as_of).get(layer.id)
    if content is None:
        raise NotFound(
            f"Layer {layer.id} has no edition in force on {as_of}.",
            f"图层 {layer.id} 在 {as_of} 没有生效的版本。",
            code="no-edition",
        )
    return content.content_id


def export_content(
    connection: Connection,
    sandbox: Sandbox,
    layer: Layer,
    content_id: int,
    path: Path,
    *,
    file_format: FileFormat,
    crs: Crs,
    box: Box | None = None,
    most: int | None = None,
    deadline_s: float = 3600.0,
) -> Written:
    """Write the features of a content, those that meet a lon/lat ``box`` if one is given.

    More than ``most`` features are ``LimitExceeded``. The file is there whole or not at all.
    """
    with tempfile.TemporaryDirectory(prefix=_JOB_PREFIX) as folder:
        saved = Path(folder) / "features.arrow"
        save_batches(_at_most(feature_batches(connection, content_id, box), most), saved)
        return sandbox.run(
            write_saved, saved, TableHead.of_layer(layer), file_format, path.resolve(), crs,
            deadline_s=deadline_s,
        )  # fmt: skip


def feature_batches(
    connection: Connection, content_id: int, box: Box | None = None
) -> Iterator[FeatureBatch]:
    """The features of a content in their order, batch by batch."""
    stored = content_parts(connection, [content_id])
    values: dict[str, Any] = {"content_id": content_id, "parts": stored.parts}
    statement = _SQL["features"]
    if box is not None:
        statement = _SQL["features_in_box"]
        values |= dict(zip(("west", "south", "east", "north"), map(float, box), strict=True))
    with (
        connection.transaction(),
        connection.cursor(name="export", row_factory=dict_row) as cursor,
    ):
        cursor.itersize = _BATCH_ROWS
        cursor.execute(stored.on(statement), values)
        for records in batched(cursor, _BATCH_ROWS):
            geometries = np.empty(len(records), dtype=object)
            geometries[:] = shapely.from_wkb([bytes(record["geom"]) for record in records])
            yield FeatureBatch(
                [record["feature_id"] for record in records],
                [record["attributes"] for record in records],
                geometries,
            )


def _at_most(batches: Iterator[FeatureBatch], most: int | None) -> Iterator[FeatureBatch]:
    count = 0
    for batch in batches:
        count += len(batch.feature_ids)
        if most is not None and count > most:
            raise too_many(most)
        yield batch


def too_many(most: int) -> LimitExceeded:
    """The error for an export beyond the published limit."""
    return LimitExceeded(
        f"An export over HTTP holds at most {most:,} features; narrow the bbox, or ask the "
        "operator for a file (gis-service export).",
        f"HTTP 导出最多 {most:,} 个要素；请缩小 bbox，或由管理员用 gis-service export 导出。",
        code="too-many-features",
    )
