"""Editions: publishing, carrying over, superseding, withdrawing, immutability."""

import datetime
import threading
from collections.abc import Callable

import psycopg
import pytest
import shapely
from psycopg import errors as pg

from layers.catalog import Catalog
from layers.contents import create_content, finish_content, load_arrays
from layers.database import Connection, connect
from layers.editions import (
    contents_in_force,
    list_editions,
    open_draft,
    publish,
    put_layer,
    withdraw,
)
from layers.errors import Conflict, NotFound

PLAN = "overall-plan"
LAYER = "ecological_redline"
A = shapely.box(110.0, 19.0, 110.01, 19.01)
B = shapely.box(110.0, 19.0, 110.02, 19.02)
D2021, D2023, D2025 = (datetime.date(year, 1, 1) for year in (2021, 2023, 2025))

PublishLayer = Callable[..., int]


def test_an_edition_is_in_force_from_its_first_day(
    connection: Connection, publish_layer: PublishLayer
) -> None:
    edition = publish_layer(LAYER, [A], valid_from=D2023)
    assert contents_in_force(connection, [LAYER], D2023 - datetime.timedelta(1)) == {}
    assert contents_in_force(connection, [LAYER], D2023)[LAYER].edition_id == edition
    assert (
        contents_in_force(connection, [LAYER], datetime.date(2040, 1, 1))[LAYER].feature_count == 1
    )


def test_a_later_edition_supersedes_and_the_past_stays(
    connection: Connection, publish_layer: PublishLayer
) -> None:
    first = publish_layer(LAYER, [A], valid_from=D2021)
    second = publish_layer(LAYER, [B], valid_from=D2023)
    on = lambda day: contents_in_force(connection, [LAYER], day)[LAYER].edition_id  # noqa: E731
    assert (on(D2021), on(D2023), on(D2025)) == (first, second, second)
    states = {edition["id"]: edition["state"] for edition in list_editions(connection, PLAN)}
    assert states == {first: "superseded", second: "published"}


def test_a_back_dated_edition_splits_what_was_known(
    database: str, catalog: Catalog, publish_layer_for: Callable[[Connection], PublishLayer]
) -> None:
    # Needs real commits: "recorded" is the time of the transaction.
    with connect(database) as connection:
        make = publish_layer_for(connection)
        first = make(LAYER, [A], valid_from=D2021)
        before = connection.execute("SELECT now()").fetchone()
        assert before is not None
        late = make(LAYER, [B], valid_from=D2023)
        now_known = contents_in_force(connection, [LAYER], D2025)[LAYER]
        then_known = contents_in_force(connection, [LAYER], D2025, known_at=before[0])[LAYER]
        assert (now_known.edition_id, then_known.edition_id) == (late, first)
        # Nothing but the end of "recorded" was ever updated.
        records = connection.execute(
            "SELECT edition_id, lower(valid), upper(valid), upper_inf(recorded)"
            " FROM library.in_force ORDER BY id"
        ).fetchall()
        assert records == [
            (first, D2021, None, False),
            (first, D2021, D2023, True),
            (late, D2023, None, True),
        ]


def test_layers_that_a_draft_does_not_bring_are_carried_over(
    connection: Connection, publish_layer: PublishLayer
) -> None:
    publish_layer("permanent_basic_farmland", [A], valid_from=D2021)
    edition = publish_layer(LAYER, [B], valid_from=D2023)
    found = contents_in_force(connection, None, D2025)
    assert found["permanent_basic_farmland"].edition_id == edition
    assert found[LAYER].edition_id == edition
    # One content, two editions: not a row was copied.
    copies = connection.execute(
        "SELECT count(DISTINCT content_id), count(*) FROM library.edition_layer"
        " WHERE layer_id = 'permanent_basic_farmland'"
    ).fetchone()
    assert copies == (1, 2)


def test_withdrawing_brings_the_edition_before_back(
    connection: Connection, publish_layer: PublishLayer
) -> None:
    first = publish_layer(LAYER, [A], valid_from=D2021)
    second = publish_layer(LAYER, [B], valid_from=D2023)
    assert withdraw(connection, PLAN, second) == first
    assert contents_in_force(connection, [LAYER], D2025)[LAYER].edition_id == first
    assert withdraw(connection, PLAN, first) is None
    assert contents_in_force(connection, [LAYER], D2025) == {}  # no data, not "no conflict"
    with pytest.raises(Conflict):
        withdraw(connection, PLAN, second)


def test_blocking_issues_stop_a_publish_unless_accepted(
    connection: Connection, catalog: Catalog
) -> None:
    content = create_content(connection, LAYER)
    load_arrays(connection, content, [A], {}, 1)
    finish_content(connection, content, coverage=A, blocking_issues=2)
    edition = open_draft(connection, PLAN, valid_from=D2021)
    put_layer(connection, edition, LAYER, content)
    with pytest.raises(Conflict) as refused:
        publish(connection, PLAN)
    assert refused.value.code == "blocking-issues"
    assert contents_in_force(connection, [LAYER], D2021) == {}
    publish(connection, PLAN, accept_blocking="two rows lie in another province")
    kept = connection.execute("SELECT metadata FROM library.edition").fetchone()
    assert kept == ({"accepted_blocking_issues": "two rows lie in another province"},)


def test_there_is_one_draft_and_it_must_hold_something(connection: Connection) -> None:
    with pytest.raises(Conflict, match="no draft"):
        publish(connection, PLAN)
    first = open_draft(connection, PLAN, valid_from=D2021)
    assert open_draft(connection, PLAN, valid_from=D2023) == first
    with pytest.raises(Conflict) as refused:
        publish(connection, PLAN)
    assert refused.value.code == "empty-edition"
    with pytest.raises(NotFound):
        publish(connection, "forest-plan", first)


def test_published_content_cannot_change_whoever_writes(
    connection: Connection, publish_layer: PublishLayer
) -> None:
    edition = publish_layer(LAYER, [A], valid_from=D2021)
    content = contents_in_force(connection, [LAYER], D2021)[LAYER].content_id
    for statement in (
        "UPDATE library.feature SET feature_id = 'x' WHERE content_id = %(content)s",
        "DELETE FROM library.feature WHERE content_id = %(content)s",
        "INSERT INTO library.feature SELECT content_id, 99, '99', attributes, area_m2, geom"
        " FROM library.feature WHERE content_id = %(content)s",
        "UPDATE library.edition SET valid_from = '2020-01-01' WHERE id = %(edition)s",
        "UPDATE library.edition SET state = 'draft' WHERE id = %(edition)s",
        "DELETE FROM library.edition WHERE id = %(edition)s",
        "TRUNCATE library.feature",
        "DELETE FROM library.edition_layer WHERE edition_id = %(edition)s",
    ):
        with pytest.raises(pg.RestrictViolation), connection.transaction():
            connection.execute(statement, {"content": content, "edition": edition})
    with pytest.raises(Conflict):
        put_layer(connection, edition, LAYER, content)


def test_two_publishers_at_once_publish_once(
    database: str, publish_layer_for: Callable[[Connection], PublishLayer]
) -> None:
    with connect(database) as connection:
        publish_layer_for(connection)(LAYER, [A], valid_from=D2021, publish=False)
    outcomes: list[str] = []

    def run() -> None:
        try:
            with connect(database) as own:
                publish(own, PLAN)
            outcomes.append("published")
        except (Conflict, psycopg.Error) as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["Conflict", "Conflict", "Conflict", "published"]
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM library.in_force").fetchone() == (1,)


def test_an_import_during_a_publish_is_seen(
    database: str, publish_layer_for: Callable[[Connection], PublishLayer], catalog: Catalog
) -> None:
    """Without the second look a layer without pieces is in force: a blank redline."""
    with connect(database) as connection, connect(database) as other:
        publish_layer_for(connection)(LAYER, [A], valid_from=D2021, publish=False)
        late: list[str] = []

        def import_meanwhile(_: str) -> None:
            if not late:
                late.append("permanent_basic_farmland")
                publish_layer_for(other)(late[0], [B], valid_from=D2021, publish=False)

        publish(connection, PLAN, progress=import_meanwhile)
        states = connection.execute(
            "SELECT c.layer_id, c.state FROM library.edition_layer AS el"
            " INNER JOIN library.layer_content AS c ON c.id = el.content_id"
        ).fetchall()
        assert sorted(states) == [(LAYER, "ready"), ("permanent_basic_farmland", "ready")]


def test_blocking_issues_of_an_import_during_a_publish_stop_it(
    database: str, publish_layer_for: Callable[[Connection], PublishLayer]
) -> None:
    with connect(database) as connection, connect(database) as other:
        publish_layer_for(connection)(LAYER, [A], valid_from=D2021, publish=False)

        def import_meanwhile(_: str) -> None:
            content = create_content(other, "permanent_basic_farmland")
            load_arrays(other, content, [B], {}, 1)
            finish_content(other, content, coverage=B, blocking_issues=7)
            with other.transaction():
                edition = open_draft(other, PLAN, valid_from=D2021)
                put_layer(other, edition, "permanent_basic_farmland", content)

        with pytest.raises(Conflict) as refused:
            publish(connection, PLAN, progress=import_meanwhile)
        assert refused.value.code == "blocking-issues"
        assert contents_in_force(connection, None, D2025) == {}


def test_a_back_dated_edition_ends_where_the_next_begins(
    connection: Connection, publish_layer: PublishLayer
) -> None:
    farmland = "permanent_basic_farmland"
    first = publish_layer(farmland, [A], valid_from=datetime.date(2020, 1, 1))
    newer = publish_layer(farmland, [A, B.buffer(0.01)], valid_from=D2023)
    back_dated = publish_layer(LAYER, [B], valid_from=D2021)
    on = lambda day: contents_in_force(connection, [farmland], day)[farmland]  # noqa: E731
    assert on(D2025).edition_id == newer, "a later edition is never rolled back"
    assert on(D2025).feature_count == 2
    assert on(D2021).edition_id == back_dated
    assert withdraw(connection, PLAN, back_dated) == first
    assert on(D2021).edition_id == first
    assert on(D2025).edition_id == newer


def test_an_edition_whose_layers_are_carried_on_is_not_withdrawn_in_silence(
    connection: Connection, publish_layer: PublishLayer
) -> None:
    wrong = publish_layer("permanent_basic_farmland", [A], valid_from=D2021)
    later = publish_layer(LAYER, [B], valid_from=D2023)
    with pytest.raises(Conflict) as refused:
        withdraw(connection, PLAN, wrong)
    assert refused.value.code == "layers-carried-over"
    assert f"permanent_basic_farmland ({later})" in str(refused.value)
    withdraw(connection, PLAN, later)
    assert withdraw(connection, PLAN, wrong) is None


def test_what_is_derived_from_published_content_cannot_change(
    connection: Connection, publish_layer: PublishLayer
) -> None:
    publish_layer(LAYER, [A], valid_from=D2021)
    for statement in (
        "DELETE FROM library.overlay_piece",
        "DELETE FROM library.coverage_piece",
        "UPDATE library.overlay_piece SET geom = ST_Translate(geom, 1, 1)",
        "UPDATE library.layer_content SET coverage = NULL",
        "UPDATE library.layer_content SET state = 'loaded'",
        "UPDATE library.layer_content SET content_sha256 = 'x'",
        "DELETE FROM library.layer_content",
    ):
        with pytest.raises(pg.RestrictViolation), connection.transaction():
            connection.execute(statement)


def test_made_up_data_stay_marked_in_whatever_edition_carries_them(
    connection: Connection, publish_layer: PublishLayer
) -> None:
    """A real redline beside the demo's farmland is still an edition with made-up data."""
    box = shapely.box(110, 19, 110.01, 19.01)
    first = publish_layer("permanent_basic_farmland", [box])
    connection.execute("UPDATE library.edition SET synthetic = true WHERE id = %s", (first,))
    carrying = publish_layer("ecological_redline", [box], valid_from=datetime.date(2022, 1, 1))
    other = publish_layer("forest_land", [box])
    marks = dict(
        connection.execute(
            "SELECT id, synthetic FROM library.edition WHERE id = ANY(%s)",
            ([first, carrying, other],),
        ).fetchall()
    )
    assert marks == {first: True, carrying: True, other: False}
