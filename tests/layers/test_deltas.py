"""A delta reads like the whole content it stands for, and costs by what changed."""

from typing import Any

import pytest
import shapely
from psycopg import errors as pg

from layers.contents import (
    build_pieces,
    create_content,
    create_delta,
    drop_content,
    finish_content,
    hide,
    load_arrays,
    next_fid,
    release_content,
    sweep_dead_contents,
)
from layers.database import Connection
from layers.deltas import put_feature, remove_feature, unhide
from layers.errors import Conflict, NotFound
from layers.feature_rows import Fingerprint
from layers.features import candidates, content_parts
from layers.mosaic import Mosaic

LAYER = "forest_land"
REGION = shapely.box(108, 18, 112, 21)


def square(number: int, side_deg: float = 0.01) -> shapely.Polygon:
    west, south = 110 + number % 10 / 50, 19 + number // 10 / 50
    return shapely.box(west, south, west + side_deg, south + side_deg)


@pytest.fixture
def base(connection: Connection) -> int:
    content_id = create_content(connection, LAYER)
    load_arrays(
        connection, content_id, [square(n) for n in range(40)], {"forest_id": list(range(40))}, 1,
        feature_ids=[f"F{n}" for n in range(40)],
    )  # fmt: skip
    finish_content(connection, content_id, coverage=REGION)
    build_pieces(connection, content_id)
    return content_id


def seen(connection: Connection, content_id: int) -> dict[str, tuple[int, shapely.Geometry]]:
    found = connection.execute(
        "SELECT feature_id, fid, ST_AsBinary(geom) FROM reading.feature WHERE content_id = %s",
        (content_id,),
    ).fetchall()
    assert len(found) == len({row[0] for row in found})
    return {row[0]: (row[1], shapely.from_wkb(row[2])) for row in found}


def stored(connection: Connection, table: str, content_id: int) -> int:
    statement = f"SELECT count(*) FROM library.{table} WHERE content_id = %s"  # noqa: S608
    found = connection.execute(statement.encode(), (content_id,)).fetchone()
    assert found is not None
    return int(found[0])


def change(connection: Connection, origin: int, numbers: list[int], side_deg: float) -> int:
    """A delta in which some squares have another size, one is gone and one is new."""
    content_id = create_delta(connection, origin)
    before = seen(connection, origin)
    hide(connection, content_id, [before[f"F{n}"][0] for n in numbers])
    load_arrays(
        connection, content_id, [square(n, side_deg) for n in numbers],
        {"forest_id": numbers}, next_fid(connection, content_id),
        feature_ids=[f"F{n}" for n in numbers],
    )  # fmt: skip
    finish_content(connection, content_id)
    return content_id


def test_a_delta_reads_like_the_whole_and_stores_the_change(
    connection: Connection, base: int
) -> None:
    content_id = change(connection, base, [3, 4], 0.005)

    found = seen(connection, content_id)

    assert found.keys() == {f"F{n}" for n in range(40)}
    assert found["F3"][1].equals(square(3, 0.005))
    assert found["F5"][1].equals(square(5))
    assert min(found[name][0] for name in ("F3", "F4")) > 40
    assert stored(connection, "feature", content_id) == 2
    assert stored(connection, "hidden_feature", content_id) == 2
    assert content_parts(connection, [content_id]) == (
        [base, content_id],
        True,
        {content_id: base},
    )
    kept = connection.execute(
        "SELECT feature_count, ST_AsBinary(coverage), state FROM library.layer_content"
        " WHERE id = %s",
        (content_id,),
    ).fetchone()
    assert kept is not None
    assert kept[0] == 40
    assert shapely.from_wkb(kept[1]).equals(REGION)
    # The base itself is as it was.
    assert seen(connection, base)["F3"][1].equals(square(3))


def test_a_check_finds_the_new_rows_and_not_the_hidden_ones(
    connection: Connection, base: int
) -> None:
    content_id = change(connection, base, [3], 0.005)
    build_pieces(connection, content_id)
    west, south = square(3).bounds[:2]
    kept = (west + 0.001, south + 0.001, west + 0.002, south + 0.002)
    lost = (west + 0.008, south + 0.008, west + 0.009, south + 0.009)

    assert [one.feature_id for one in candidates(connection, {content_id: [kept]})[content_id]] == [
        "F3"
    ]
    assert candidates(connection, {content_id: [lost]})[content_id] == ()
    assert len(candidates(connection, {base: [lost]})[base]) == 1
    both = candidates(connection, {base: [kept], content_id: [kept]})
    assert {number: [one.fid for one in found] for number, found in both.items()} == {
        base: [4], content_id: [41]
    }  # fmt: skip


def test_a_delta_of_a_delta_stands_on_the_same_base(connection: Connection, base: int) -> None:
    first = change(connection, base, [3], 0.005)
    second = change(connection, first, [3, 7], 0.002)

    found = seen(connection, second)

    assert content_parts(connection, [second]).parts == [base, second]
    assert found["F3"][1].equals(square(3, 0.002))
    assert found["F7"][1].equals(square(7, 0.002))
    assert len(found) == 40
    assert seen(connection, first)["F3"][1].equals(square(3, 0.005))


def test_what_changes_a_fifth_is_stored_whole(connection: Connection, base: int) -> None:
    content_id = change(connection, base, list(range(9)), 0.005)

    assert content_parts(connection, [content_id]) == ([content_id], False, {})
    assert stored(connection, "feature", content_id) == 40
    assert stored(connection, "hidden_feature", content_id) == 0
    assert seen(connection, content_id)["F8"][1].equals(square(8, 0.005))
    assert seen(connection, content_id)["F9"][1].equals(square(9))


def test_the_digest_tells_deltas_apart(connection: Connection, base: int) -> None:
    def digest(content_id: int) -> str:
        found = connection.execute(
            "SELECT content_sha256 FROM library.layer_content WHERE id = %s", (content_id,)
        ).fetchone()
        assert found is not None
        return str(found[0])

    one = change(connection, base, [3], 0.005)
    same = change(connection, base, [3], 0.005)
    other = change(connection, base, [3], 0.004)
    nothing = create_delta(connection, base)
    finish_content(connection, nothing)
    gone = create_delta(connection, base)
    hide(connection, gone, [4])
    finish_content(connection, gone, content_sha256=Fingerprint().hexdigest())

    assert digest(one) == digest(same)
    assert len({digest(base), digest(one), digest(other), digest(nothing), digest(gone)}) == 5


@pytest.mark.parametrize(
    ("first_fid", "name", "code"), [(40, "new", "fid-taken"), (41, "F5", "feature-twice")]
)
def test_a_row_twice_is_refused(
    connection: Connection, base: int, first_fid: int, name: str, code: str
) -> None:
    content_id = create_delta(connection, base)
    load_arrays(connection, content_id, [square(50)], {}, first_fid, feature_ids=[name])

    with pytest.raises(Conflict) as refused, connection.transaction():
        finish_content(connection, content_id)
    assert refused.value.code == code


def test_a_delta_needs_a_loaded_content_of_its_layer(connection: Connection, base: int) -> None:
    loading = create_content(connection, LAYER)
    with pytest.raises(NotFound):
        create_delta(connection, loading)
    delta = change(connection, base, [3], 0.005)
    for other in (delta, loading):
        with pytest.raises(pg.RestrictViolation), connection.transaction():
            connection.execute(
                "INSERT INTO library.layer_content (layer_id, accuracy_m, base_id)"
                " VALUES (%s, 1, %s)",
                (LAYER, other),
            )
    with pytest.raises(pg.RestrictViolation), connection.transaction():
        connection.execute(
            "INSERT INTO library.layer_content (layer_id, accuracy_m, base_id)"
            " VALUES ('coastline', 1, %s)",
            (base,),
        )
    with pytest.raises(pg.RestrictViolation), connection.transaction():
        connection.execute(
            "UPDATE library.layer_content SET base_id = NULL WHERE id = %s", (delta,)
        )


def test_a_base_can_neither_change_nor_go(connection: Connection, base: int) -> None:
    delta = change(connection, base, [3], 0.005)
    for statement in (
        "UPDATE library.feature SET area_m2 = 0 WHERE content_id = %s",
        "DELETE FROM library.feature WHERE content_id = %s",
        "DELETE FROM library.overlay_piece WHERE content_id = %s",
    ):
        with pytest.raises(pg.RestrictViolation), connection.transaction():
            connection.execute(statement.encode(), (base,))
    with pytest.raises(Conflict):
        drop_content(connection, base)
    release_content(connection, base)
    assert sweep_dead_contents(connection) == []  # the delta's import lives
    release_content(connection, delta)
    assert sweep_dead_contents(connection) == [delta, base]


@pytest.fixture
def draft(connection: Connection, publish_layer: Any) -> int:
    """A delta on a published content, in a draft edition."""
    from layers.editions import open_draft, put_layer

    edition = publish_layer(LAYER, [square(n) for n in range(40)])
    (published,) = connection.execute(  # type: ignore[misc]
        "SELECT content_id FROM library.edition_layer WHERE edition_id = %s", (edition,)
    ).fetchone()
    content_id = create_delta(connection, published)
    finish_content(connection, content_id)
    build_pieces(connection, content_id)
    day = connection.execute("SELECT date '2022-01-01'").fetchone()
    assert day is not None
    with connection.transaction():
        number = open_draft(connection, "forest-plan", valid_from=day[0])
        put_layer(connection, number, LAYER, content_id)
    return content_id


def test_a_draft_is_edited_row_by_row(connection: Connection, draft: int) -> None:
    changed = put_feature(connection, draft, "4", {"a": 1}, square(3, 0.005))
    again = put_feature(connection, draft, "4", {"a": 2}, square(3, 0.004))
    added = put_feature(connection, draft, "new", {}, square(60))
    assert remove_feature(connection, draft, "5")
    assert not remove_feature(connection, draft, "5")

    found = seen(connection, draft)

    assert changed == again == found["4"][0] > 40
    assert added == found["new"][0] == again + 1
    assert found["4"][1].equals(square(3, 0.004))
    assert "5" not in found
    assert len(found) == 40
    state = connection.execute(
        "SELECT state, content_sha256 FROM library.layer_content WHERE id = %s", (draft,)
    ).fetchone()
    assert state == ("loaded", None)


def test_a_row_of_the_base_comes_back_only_once(connection: Connection, draft: int) -> None:
    put_feature(connection, draft, "4", {}, square(3, 0.005))
    with pytest.raises(Conflict) as refused:
        unhide(connection, draft, [4])
    assert refused.value.code == "feature-twice"
    remove_feature(connection, draft, "4")
    unhide(connection, draft, [4])
    assert seen(connection, draft)["4"][1].equals(square(3))
    with pytest.raises(pg.UniqueViolation), connection.transaction():
        connection.execute(
            "INSERT INTO library.feature SELECT %s, 99, '4', '{}', 0, geom"
            " FROM reading.feature WHERE content_id = %s AND fid = 4",
            (draft, draft),
        )
    with pytest.raises(pg.UniqueViolation), connection.transaction():
        connection.execute(
            "INSERT INTO library.feature SELECT %s, 40, 'x', '{}', 0, geom"
            " FROM reading.feature WHERE content_id = %s AND fid = 4",
            (draft, draft),
        )


def test_a_published_delta_cannot_change(connection: Connection, draft: int) -> None:
    from layers.editions import publish

    put_feature(connection, draft, "4", {}, square(3, 0.005))
    publish(connection, "forest-plan")
    for statement in (
        "INSERT INTO library.hidden_feature VALUES (%s, 7)",
        "DELETE FROM library.hidden_feature WHERE content_id = %s",
        "UPDATE library.hidden_feature SET fid = 8 WHERE content_id = %s",
        "DELETE FROM library.feature WHERE content_id = %s",
    ):
        with pytest.raises(pg.RestrictViolation), connection.transaction():
            connection.execute(statement.encode(), (draft,))
    with pytest.raises(pg.RestrictViolation):
        put_feature(connection, draft, "7", {}, square(3))


def drawn(connection: Connection, content_id: int, zoom: int) -> dict[tuple[int, int], Any]:
    """What reading the tiles of a base zoom shows: the union of the pieces of each tile."""
    found = connection.execute(
        "SELECT x, y, ST_AsBinary(ST_Union(geom)) FROM reading.tile_piece"
        " WHERE content_id = %s AND base_zoom = %s GROUP BY x, y",
        (content_id, zoom),
    ).fetchall()
    return {(x, y): shapely.from_wkb(wkb) for x, y, wkb in found}


@pytest.mark.parametrize("edit_rows", [False, True])
@pytest.mark.parametrize(
    ("layer_id", "shape", "attributes"),
    [
        ("planned_landuse", lambda n, side: square(n, side), {"landuse_code": "0101"}),
        ("current_landuse", lambda n, side: square(n, side * 20), {"landuse_code": "0301"}),
        ("highway", lambda n, side: square(n, side).exterior, {}),
        ("town_place", lambda n, side: square(n, side).centroid, {}),
    ],
)
def test_a_delta_draws_what_the_whole_content_would(
    connection: Connection, layer_id: str, shape: Any, attributes: dict[str, str], edit_rows: bool
) -> None:
    def whole(shapes: dict[int, shapely.Geometry], first: int = 1) -> int:
        content_id = create_content(connection, layer_id)
        load_arrays(
            connection, content_id, list(shapes.values()),
            {name: [value] * len(shapes) for name, value in attributes.items()}, first,
            feature_ids=[f"F{n}" for n in shapes],
        )  # fmt: skip
        finish_content(connection, content_id, coverage=REGION)
        build_pieces(connection, content_id)
        return content_id

    before = {n: shape(n, 0.01) for n in range(60)}
    changed = {7: shape(7, 0.004), 8: shape(8, 0.006), 70: shape(70, 0.01)}
    base = whole(before)
    delta = create_delta(connection, base)
    if edit_rows:
        finish_content(connection, delta)
        build_pieces(connection, delta)
        for number, geometry in changed.items():
            put_feature(connection, delta, f"F{number}", attributes, shapely.Point(109, 19))  # type: ignore[arg-type]
            put_feature(connection, delta, f"F{number}", attributes, geometry)
        put_feature(connection, delta, "F99", attributes, shape(90, 0.01))
        remove_feature(connection, delta, "F99")
        remove_feature(connection, delta, "F20")
    else:
        hide(connection, delta, [8, 9, 21])
        load_arrays(
            connection, delta, list(changed.values()),
            {name: [value] * 3 for name, value in attributes.items()}, 61,
            feature_ids=[f"F{n}" for n in changed],
        )  # fmt: skip
        finish_content(connection, delta)
    build_pieces(connection, delta)
    del before[7], before[8], before[20]
    expected = whole({**before, **changed})

    assert seen(connection, delta).keys() == seen(connection, expected).keys()
    for zoom in (13, 10, 7, 4):
        found, wanted = drawn(connection, delta, zoom), drawn(connection, expected, zoom)
        # The grid of a whole content begins at its own corner: by a cell, and by the few cells
        # that join their neighbours, they may differ.
        cell_m = {13: 0.001, 10: 0.001, 7: 153, 4: 1223}[zoom] * 2.1
        assert found.keys() == wanted.keys()
        for tile, geometry in wanted.items():
            assert geometry.buffer(cell_m).contains(found[tile])
            assert found[tile].buffer(cell_m).contains(geometry)


def spread(number: int, side_deg: float) -> shapely.Polygon:
    """One of 60 squares over 130 by 80 km: several blocks of the grid of base zoom 7."""
    west, south = 110 + number % 10 * 0.12, 19 + number // 10 * 0.12
    return shapely.box(west, south, west + side_deg, south + side_deg)


def test_blocks_without_a_change_are_taken_over(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole(squares: list[shapely.Polygon]) -> int:
        content_id = create_content(connection, "planned_landuse")
        codes = [f"0{1 + n % 3}01" for n in range(60)]
        load_arrays(connection, content_id, squares, {"landuse_code": codes}, 1)
        finish_content(connection, content_id, coverage=REGION)
        build_pieces(connection, content_id)
        return content_id

    def low(content_id: int) -> set[tuple[Any, ...]]:
        return set(
            connection.execute(
                "SELECT base_zoom, x, y, properties::text, ST_AsBinary(ST_Normalize(geom))"
                " FROM reading.tile_piece WHERE content_id = %s AND base_zoom < 10",
                (content_id,),
            ).fetchall()
        )

    squares = [spread(n, 0.01) for n in range(60)]
    base = whole(squares)
    delta = create_delta(connection, base)
    hide(connection, delta, [34])
    changed = spread(33, 0.005)
    load_arrays(connection, delta, [changed], {"landuse_code": ["0101"]}, 61, feature_ids=["34"])
    finish_content(connection, delta)
    outlined = []
    outline = Mosaic._polygons
    monkeypatch.setattr(
        Mosaic, "_polygons", lambda *given: outlined.append(given[2:]) or outline(*given)
    )
    build_pieces(connection, delta)
    assert len(outlined) == 2  # of each low zoom the block with the change
    expected = whole([*squares[:33], changed, *squares[34:]])
    assert len(outlined) > 8
    assert low(delta) == low(expected)
    assert low(delta) != low(base)
