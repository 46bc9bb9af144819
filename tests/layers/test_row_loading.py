"""Rows on their way from the reading child into the database: all of them or none."""

from pathlib import Path

import numpy as np
import psycopg
import pytest
import shapely
from psycopg import sql

from layers import partitions
from layers.contents import create_content, finish_content, load_arrays
from layers.database import Connection
from layers.errors import GaveUp
from layers.ewkb import to_ewkb
from layers.feature_rows import RowFile
from layers.row_loading import RowLoader

LAYER = "permanent_basic_farmland"


def stream(path: Path, count: int) -> bytes:
    """What the child writes for some squares, from a file instead of the pipe."""
    shapes = np.array([shapely.box(110 + n, 19, 110.5 + n, 19.5) for n in range(count)])
    with RowFile(path) as rows:
        rows.write(
            np.arange(1, count + 1), [f"P{n}" for n in range(count)], [b"{}"] * count,
            np.full(count, 1.0), to_ewkb(shapes, 4490),
        )  # fmt: skip
    return path.read_bytes()


def stored(connection: Connection, content_id: int) -> int:
    name = partitions.partition("feature", content_id)
    found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
    return int(found[0]) if found else 0


def load(connection: Connection, pipe: Path, sent: bytes, expected: int) -> int:
    """A writer that sends some bytes and ends; gives the content."""
    content_id = create_content(connection, LAYER)
    with RowLoader(connection, content_id, pipe) as loader:
        with pipe.open("wb") as writer:
            writer.write(sent)
        loader.finish(expected)
    return content_id


def latest(connection: Connection) -> int:
    found = connection.execute("SELECT max(id) FROM library.layer_content").fetchone()
    assert found is not None
    return int(found[0])


def test_a_whole_stream_is_stored(connection: Connection, tmp_path: Path) -> None:
    content_id = load(connection, tmp_path / "pipe", stream(tmp_path / "rows", 3), 3)
    assert stored(connection, content_id) == 3


@pytest.mark.parametrize("kept", [0, 30, -1, -2])
def test_a_stream_that_broke_off_leaves_nothing(
    connection: Connection, tmp_path: Path, kept: int
) -> None:
    sent = stream(tmp_path / "rows", 3)[: kept or None] if kept else b""

    with pytest.raises(GaveUp) as failure:
        load(connection, tmp_path / "pipe", sent, 3)

    assert failure.value.code == "crashed"
    assert stored(connection, latest(connection)) == 0


@pytest.mark.parametrize("expected", [2, 4])
def test_another_number_of_rows_than_the_child_wrote_leaves_nothing(
    connection: Connection, tmp_path: Path, expected: int
) -> None:
    with pytest.raises(GaveUp) as failure:
        load(connection, tmp_path / "pipe", stream(tmp_path / "rows", 3), expected)

    assert failure.value.code == "rows-lost"
    assert stored(connection, latest(connection)) == 0


BOW_TIE = shapely.Polygon([(110, 19), (110.1, 19.1), (110.1, 19), (110, 19.1)])


def test_after_a_load_the_table_refuses_invalid_geometry_again(
    connection: Connection, tmp_path: Path
) -> None:
    """The load itself does not ask: its rows come from the checks. Whatever comes later is asked,
    before the table is a part of the library and after.
    """
    content_id = load(connection, tmp_path / "pipe", stream(tmp_path / "rows", 3), 3)
    for table in (
        partitions.partition("feature", content_id),
        sql.Identifier("library", "feature"),
    ):
        with (
            pytest.raises(psycopg.errors.CheckViolation, match="feature_is_valid"),
            connection.transaction(),
        ):
            connection.execute(
                sql.SQL(
                    "INSERT INTO {} (content_id, fid, feature_id, attributes, geom)"
                    " VALUES (%s, 99, 'x', '{{}}', ST_GeomFromWKB(%s, 4490))"
                ).format(table),
                (content_id, shapely.to_wkb(BOW_TIE)),
            )
        if table == partitions.partition("feature", content_id):
            finish_content(connection, content_id)


def test_rows_that_no_import_checked_are_asked_one_by_one(connection: Connection) -> None:
    content_id = create_content(connection, LAYER)
    with pytest.raises(psycopg.errors.CheckViolation, match="feature_is_valid"):
        load_arrays(connection, content_id, [BOW_TIE], {}, 1)
