"""Contents are loaded beside the library and appear at once, whole, or not at all."""

import json
from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
import shapely
from psycopg import errors as pg

from layers import contents
from layers.area import area_m2
from layers.contents import (
    build_pieces,
    create_content,
    drop_content,
    finish_content,
    load_arrays,
    stored_fingerprint,
    sweep_dead_contents,
)
from layers.database import Connection, connect
from layers.errors import Conflict
from layers.feature_rows import Fingerprint

SQUARES = [shapely.box(110 + n / 100, 19, 110.01 + n / 100, 19.01) for n in range(4)]
REGION = shapely.box(108, 18, 112, 21)


@pytest.fixture
def own(database: str) -> Iterator[Connection]:
    with connect(database) as opened:
        yield opened


def visible(connection: Connection, content_id: int) -> int:
    found = connection.execute(
        "SELECT count(*) FROM library.feature WHERE content_id = %s", (content_id,)
    ).fetchone()
    assert found is not None
    return int(found[0])


def state(connection: Connection, content_id: int) -> str | None:
    found = connection.execute(
        "SELECT state FROM library.layer_content WHERE id = %s", (content_id,)
    ).fetchone()
    return found[0] if found else None


def test_rows_come_back_as_they_went_in(connection: Connection) -> None:
    content_id = create_content(connection, "forest_land")
    names = ['quote " back\\slash', "tab\tnew\nline", "农田", None]
    load_arrays(
        connection, content_id, SQUARES,
        {"name": names, "n": np.array([1, 2, 3, 4]), "x": np.array([0.5, np.nan, 1.0, -2.0])},
        10, feature_ids=["a", "b", "丙", "d"],
    )  # fmt: skip
    finish_content(connection, content_id, coverage=REGION)

    found = connection.execute(
        "SELECT fid, feature_id, attributes, area_m2, ST_AsBinary(geom), ST_SRID(geom)"
        " FROM library.feature WHERE content_id = %s ORDER BY fid",
        (content_id,),
    ).fetchall()

    assert [row[:2] for row in found] == [(10, "a"), (11, "b"), (12, "丙"), (13, "d")]
    assert [row[2] for row in found] == [
        {"name": names[0], "n": 1, "x": 0.5},
        {"name": names[1], "n": 2},
        {"name": names[2], "n": 3, "x": 1.0},
        {"n": 4, "x": -2.0},
    ]
    assert [row[3] for row in found] == pytest.approx([area_m2(square) for square in SQUARES])
    assert [shapely.from_wkb(row[4]) for row in found] == SQUARES
    assert {row[5] for row in found} == {4490}


def test_lines_have_no_area(connection: Connection) -> None:
    content_id = create_content(connection, "coastline")
    load_arrays(connection, content_id, [shapely.LineString([(110, 19), (110, 20)])], {}, 1)
    finish_content(connection, content_id)

    found = connection.execute(
        "SELECT area_m2 FROM library.feature WHERE content_id = %s", (content_id,)
    ).fetchone()
    assert found == (None,)


def test_nothing_is_seen_before_it_is_finished(connection: Connection) -> None:
    content_id = create_content(connection, "forest_land")
    load_arrays(connection, content_id, SQUARES, {}, 1)
    assert visible(connection, content_id) == 0

    count = finish_content(connection, content_id, coverage=REGION)

    assert count == 4
    assert visible(connection, content_id) == 4
    assert state(connection, content_id) == "loaded"


def test_the_fingerprint_is_that_of_the_stored_rows(connection: Connection) -> None:
    """Written while loading, read back from jsonb and geometry: both have to agree."""
    content_id = create_content(connection, "forest_land")
    fingerprint = Fingerprint()
    columns = {"b": [1.0, 1e300, -0.1, 5], "a": ["x", None, "é\n", ""], "名": [True, False, 1, 0]}
    load_arrays(connection, content_id, SQUARES[:2], {k: v[:2] for k, v in columns.items()}, 1,
                fingerprint=fingerprint)  # fmt: skip
    load_arrays(connection, content_id, SQUARES[2:], {k: v[2:] for k, v in columns.items()}, 3,
                fingerprint=fingerprint)  # fmt: skip
    finish_content(connection, content_id, content_sha256=fingerprint.hexdigest())

    assert stored_fingerprint(connection, content_id).hexdigest() == fingerprint.hexdigest()

    other = create_content(connection, "forest_land")
    load_arrays(connection, other, SQUARES[::-1], {}, 1)
    assert stored_fingerprint(connection, other).hexdigest() != fingerprint.hexdigest()


def test_extent_and_coverage_are_kept(connection: Connection) -> None:
    content_id = create_content(connection, "forest_land")
    load_arrays(connection, content_id, SQUARES, {}, 1)
    finish_content(connection, content_id, coverage=REGION)

    found = connection.execute(
        "SELECT ST_AsText(extent), ST_AsBinary(coverage), ST_SRID(coverage)"
        " FROM library.layer_content WHERE id = %s",
        (content_id,),
    ).fetchone()
    assert found is not None
    assert shapely.from_wkt(found[0]).bounds == pytest.approx((110, 19, 110.04, 19.01))
    assert shapely.from_wkb(found[1]).equals(REGION)
    assert found[2] == 4490


def test_a_repeated_feature_id_is_refused_by_the_database(connection: Connection) -> None:
    content_id = create_content(connection, "forest_land")
    load_arrays(connection, content_id, SQUARES, {}, 1, feature_ids=["a", "b", "a", "c"])

    with pytest.raises(psycopg.errors.UniqueViolation):
        finish_content(connection, content_id)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE library.feature SET feature_id = 'x' WHERE content_id = {0}",
        "DELETE FROM library.feature WHERE content_id = {0}",
        "INSERT INTO library.feature SELECT {0}, 99, '99', '{{}}', 0, geom"
        " FROM library.feature WHERE content_id = {0} LIMIT 1",
        "TRUNCATE library.feature_c{0}",
        "UPDATE library.feature_c{0} SET area_m2 = 0",
    ],
)
def test_published_content_cannot_change(  # type: ignore[no-untyped-def]
    connection: Connection, publish_layer, change: str
) -> None:
    edition = publish_layer("forest_land", SQUARES)
    content = connection.execute(
        "SELECT content_id FROM library.edition_layer WHERE edition_id = %s", (edition,)
    ).fetchone()
    assert content is not None

    with pytest.raises((pg.RestrictViolation, pg.RaiseException)), connection.transaction():
        connection.execute(change.format(content[0]).encode())


def test_a_draft_can_be_changed(connection: Connection, publish_layer) -> None:  # type: ignore[no-untyped-def]
    edition = publish_layer("forest_land", SQUARES, publish=False)

    changed = connection.execute(
        "UPDATE library.feature SET area_m2 = 1 WHERE content_id ="
        " (SELECT content_id FROM library.edition_layer WHERE edition_id = %s)",
        (edition,),
    )
    assert changed.rowcount == 4


def test_what_a_dead_import_left_is_swept(database: str) -> None:
    with connect(database) as dead:
        left = create_content(dead, "forest_land")
        load_arrays(dead, left, SQUARES, {}, 1)

    with connect(database) as living:
        assert sweep_dead_contents(living) == [left]
        assert state(living, left) is None
        table = living.execute("SELECT to_regclass(%s)", (f"library.feature_c{left}",)).fetchone()
        assert table == (None,)


def test_the_content_of_a_living_import_is_not_swept(database: str, own: Connection) -> None:
    content_id = create_content(own, "forest_land")

    with connect(database) as other:
        assert sweep_dead_contents(other) == []
    assert sweep_dead_contents(own) == []
    assert state(own, content_id) == "loading"

    contents.release_content(own, content_id)
    with connect(database) as other:
        assert sweep_dead_contents(other) == [content_id]


def test_a_content_in_an_edition_is_never_dropped(connection: Connection, publish_layer) -> None:  # type: ignore[no-untyped-def]
    edition = publish_layer("forest_land", SQUARES, publish=False)
    found = connection.execute(
        "SELECT content_id FROM library.edition_layer WHERE edition_id = %s", (edition,)
    ).fetchone()
    assert found is not None

    with pytest.raises(Conflict):
        drop_content(connection, found[0])
    contents.release_content(connection, found[0])
    assert sweep_dead_contents(connection) == []


def test_a_finish_that_fails_leaves_nothing_to_see(own: Connection) -> None:
    content_id = create_content(own, "forest_land")
    load_arrays(own, content_id, SQUARES, {}, 1)

    with pytest.raises(ZeroDivisionError), own.transaction():  # noqa: PT012
        finish_content(own, content_id)
        raise ZeroDivisionError

    assert visible(own, content_id) == 0
    assert state(own, content_id) == "loading"
    finish_content(own, content_id)
    assert visible(own, content_id) == 4


def test_pieces_are_built_once_and_mark_the_content_ready(connection: Connection) -> None:
    content_id = create_content(connection, "forest_land")
    load_arrays(connection, content_id, SQUARES, {}, 1)
    finish_content(connection, content_id)

    build_pieces(connection, content_id)
    before = connection.execute("SELECT count(*) FROM library.tile_piece").fetchone()
    build_pieces(connection, content_id)

    assert state(connection, content_id) == "ready"
    assert connection.execute("SELECT count(*) FROM library.tile_piece").fetchone() == before


def test_pieces_of_a_run_that_died_are_built_again(own: Connection) -> None:
    content_id = create_content(own, "forest_land")
    load_arrays(own, content_id, SQUARES, {}, 1)
    finish_content(own, content_id)
    with pytest.raises(ZeroDivisionError), own.transaction():  # noqa: PT012
        build_pieces(own, content_id)
        raise ZeroDivisionError
    assert state(own, content_id) == "loaded"

    build_pieces(own, content_id)

    assert state(own, content_id) == "ready"


def test_the_report_and_the_source_are_kept(connection: Connection) -> None:
    content_id = create_content(connection, "forest_land", source={"file": "a.gpkg"})
    load_arrays(connection, content_id, SQUARES, {}, 1)
    finish_content(connection, content_id, import_report={"read": 4}, blocking_issues=2)

    found = connection.execute(
        "SELECT source, import_report, blocking_issues FROM library.layer_content WHERE id = %s",
        (content_id,),
    ).fetchone()
    assert json.loads(json.dumps(found)) == [{"file": "a.gpkg"}, {"read": 4}, 2]
