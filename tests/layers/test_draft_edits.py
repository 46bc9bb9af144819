# ruff: noqa: S608 - names of views are put in
"""Drafts edited feature by feature: by Python, by the views, by plain SQL; history and refusal."""

import datetime
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import shapely
from psycopg import errors as pg
from pyproj import Geod

from layers.catalog import Catalog
from layers.contents import (
    build_pieces,
    create_content,
    create_delta,
    finish_content,
    hide,
    load_arrays,
)
from layers.database import Connection, connect
from layers.draft_checks import check_draft
from layers.draft_edits import (
    DraftLayer,
    Editor,
    create_feature,
    delete_feature,
    discard,
    draft_layer,
    history,
    list_drafts,
    open_plan_draft,
    replace_feature,
    revert,
    stored_feature,
    update_feature,
)
from layers.draft_views import grant_editor
from layers.editions import contents_in_force, open_draft, publish, put_layer
from layers.errors import BadInput, Conflict, GaveUp, NotFound
from layers.sandbox import Sandbox

PLAN, LAYER, OTHER = "overall-plan", "planned_landuse", "ecological_redline"
REGION = (107.9, 17.6, 111.9, 20.7)
DAY, LATER = datetime.date(2024, 1, 1), datetime.date(2026, 1, 1)
ANN = Editor("ann", "boundary survey of May")
GEOD = Geod(a=6378137.0, rf=298.257222101)


def box(column: int, side: float = 0.01) -> shapely.Geometry:
    return shapely.box(110 + column / 50, 19, 110 + column / 50 + side, 19.01)


def same(one: shapely.Geometry, other: shapely.Geometry) -> bool:
    """Equal up to the storage grid."""
    return bool(one.hausdorff_distance(other) < 1e-8)


def geodesic_area(geometry: shapely.Geometry) -> float:
    return abs(GEOD.geometry_area_perimeter(shapely.segmentize(geometry, 0.0005))[0])


def put(connection: Connection, layer: str, count: int) -> int:
    content = create_content(connection, layer)
    id_name = "parcel_id" if layer == LAYER else None
    names = [f"P{n}" for n in range(count)]
    attributes: dict[str, list[Any]] = {"landuse_code": ["0101"] * count} if id_name else {}
    load_arrays(connection, content, [box(n) for n in range(count)], attributes, 1,
                feature_ids=names)  # fmt: skip
    finish_content(connection, content, coverage=shapely.box(*REGION))
    edition = open_draft(connection, PLAN, valid_from=DAY)
    put_layer(connection, edition, layer, content)
    return edition


@pytest.fixture
def opened(connection: Connection, catalog: Catalog) -> DraftLayer:
    """The draft of a plan with ten parcels and two redlines in force."""
    put(connection, LAYER, 10)
    publish(connection, PLAN, put(connection, OTHER, 2))
    open_plan_draft(connection, catalog, PLAN, region=REGION, valid_from=LATER)
    return draft_layer(connection, LAYER)


def now(connection: Connection, draft: DraftLayer) -> dict[str, shapely.Geometry]:
    found = connection.execute(
        "SELECT feature_id, ST_AsBinary(geom) FROM reading.feature WHERE content_id = %s",
        (draft.content_id,),
    ).fetchall()
    return {name: shapely.from_wkb(wkb) for name, wkb in found}


def settle(connection: Connection) -> None:
    """What a commit does: the deferred triggers write the history."""
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    connection.execute("SET CONSTRAINTS ALL DEFERRED")


def test_a_draft_begins_as_what_is_in_force_without_a_copy(
    connection: Connection, opened: DraftLayer
) -> None:
    assert set(now(connection, opened)) == {f"P{n}" for n in range(10)}
    stored = connection.execute(
        "SELECT count(*) FROM library.feature WHERE content_id = %s", (opened.content_id,)
    ).fetchone()
    assert stored == (0,)
    (draft,) = list_drafts(connection)
    assert [(one["layer"], one["changes"]) for one in draft["layers"]] == [(OTHER, 0), (LAYER, 0)]


def test_each_edit_is_a_version_with_who_and_why(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, opened: DraftLayer
) -> None:
    first = replace_feature(
        connection, sandbox, catalog, opened, "P1", {"landuse_code": "07"}, box(1, 0.012), ANN,
        expected_version=0,
    )  # fmt: skip
    second = update_feature(
        connection, sandbox, catalog, opened, "P1", Editor("bob"),
        attributes={"landuse_code": "12"}, expected_version=1,
    )  # fmt: skip
    assert (first.version, second.version) == (1, 2)
    third = delete_feature(connection, opened, "P1", ANN, expected_version=2)
    found = history(connection, opened.content_id, "P1")
    assert [(h["version"], h["action"], h["changed_by"], h["reason"]) for h in found] == [
        (3, "delete", "ann", ANN.reason),
        (2, "update", "bob", None),
        (1, "update", "ann", ANN.reason),
    ]
    assert found[1]["attributes_before"]["landuse_code"] == "07"
    assert found[1]["geometry_changed"] is False
    assert found[2]["geometry_changed"] is True
    assert third.version == 3
    assert "P1" not in now(connection, opened)
    created = create_feature(
        connection, sandbox, catalog, opened, {"landuse_code": "07"}, box(20), ANN, feature_id="N1"
    )
    assert (created.feature_id, created.version) == ("N1", 1)
    assert same(stored_feature(connection, opened, "N1").geometry, box(20))
    assert len(history(connection, opened.content_id)) == 4


def test_an_edit_that_stands_on_an_older_version_is_refused(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, opened: DraftLayer
) -> None:
    update_feature(connection, sandbox, catalog, opened, "P2", ANN, geometry=box(2, 0.011))
    for action in (
        lambda: update_feature(connection, sandbox, catalog, opened, "P2", ANN,
                               attributes={"landuse_code": "12"}, expected_version=0),
        lambda: delete_feature(connection, opened, "P2", ANN, expected_version=0),
        lambda: replace_feature(connection, sandbox, catalog, opened, "P2", {}, box(2), ANN,
                                expected_version=2),
    ):  # fmt: skip
        with pytest.raises(Conflict) as refused:
            action()
        assert refused.value.code == "version-mismatch"
    assert same(now(connection, opened)["P2"], box(2, 0.011))
    with pytest.raises(NotFound):
        delete_feature(connection, opened, "nobody", ANN)
    with pytest.raises(Conflict) as twice:
        create_feature(connection, sandbox, catalog, opened, {}, box(3), ANN, feature_id="P3")
    assert twice.value.code == "feature-exists"


def test_two_editors_at_once_one_is_refused(
    database: str, catalog: Catalog, sandbox: Sandbox
) -> None:
    with connect(database) as one, connect(database) as other:
        publish(one, PLAN, put(one, LAYER, 3))
        open_plan_draft(one, catalog, PLAN, region=REGION, valid_from=LATER)
        draft = draft_layer(one, LAYER)
        outcomes: list[str] = []
        barrier = threading.Barrier(2)

        def edit(connection: Connection, code: str) -> None:
            barrier.wait()
            try:
                update_feature(
                    connection, sandbox, catalog, draft, "P0", Editor(code),
                    attributes={"landuse_code": code}, expected_version=0,
                )  # fmt: skip
                outcomes.append("done")
            except Conflict as error:
                outcomes.append(error.code)

        threads = [
            threading.Thread(target=edit, args=pair) for pair in ((one, "07"), (other, "12"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["done", "version-mismatch"]
        assert len(history(one, draft.content_id)) == 1


@pytest.mark.parametrize(
    ("attributes", "geometry", "code"),
    [
        ({"landuse_code": "07"}, shapely.Polygon([(110, 19), (110.01, 19.01), (110.01, 19),
                                                   (110, 19.01)]), "geometry-invalid"),
        ({"landuse_code": "07"}, shapely.box(100, 30, 101, 31), "outside-region"),
        ({"landuse_code": "07"}, shapely.Point(110, 19), "geometry-kind"),
        ({"landuse_code": "07"}, shapely.Polygon(), "geometry-empty"),
        ({"landuse_code": "07"}, shapely.box(110, 19, 110.000000001, 19.01), "thinner-than-grid"),
        ({"landuse_code": "0799x"}, box(1), "unknown-code"),
        ({"landuse_code": "07", "colour": "red"}, box(1), "unknown-attribute"),
        ({"landuse_code": "07", "name": "13800138000"}, box(1), "personal-value"),
    ],
)  # fmt: skip
def test_what_an_import_would_refuse_is_refused(
    connection: Connection,
    catalog: Catalog,
    sandbox: Sandbox,
    opened: DraftLayer,
    attributes: dict[str, Any],
    geometry: shapely.Geometry,
    code: str,
) -> None:
    with pytest.raises(BadInput) as refused:
        replace_feature(connection, sandbox, catalog, opened, "P1", attributes, geometry, ANN)
    assert refused.value.code == code
    assert refused.value.places
    assert history(connection, opened.content_id) == []
    assert same(now(connection, opened)["P1"], box(1))


def test_a_large_geometry_is_judged_in_the_child(
    connection: Connection,
    catalog: Catalog,
    opened: DraftLayer,
) -> None:
    class Refusing(Sandbox):
        def run(self, *_: Any, **__: Any) -> Any:
            raise GaveUp("stopped", "停止", code="deadline-exceeded")

    with Refusing() as refusing:
        large = shapely.Point(110, 19).buffer(0.01, quad_segs=1000)
        with pytest.raises(GaveUp):
            update_feature(connection, refusing, catalog, opened, "P1", ANN, geometry=large)
        update_feature(connection, refusing, catalog, opened, "P1", ANN, geometry=box(1, 0.02))


def test_coordinates_of_another_crs_are_converted(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, opened: DraftLayer
) -> None:
    from pyproj import Transformer

    metres = Transformer.from_crs("EPSG:4490", "EPSG:4525", always_xy=True)
    corners = [metres.transform(x, y) for x, y in box(1, 0.012).exterior.coords]
    update_feature(
        connection, sandbox, catalog, opened, "P1", ANN, geometry=shapely.Polygon(corners),
        source_crs="EPSG:4525",
    )  # fmt: skip
    found = now(connection, opened)["P1"]
    assert found.hausdorff_distance(box(1, 0.012)) < 2e-7, "edges of the plane sag by a centimetre"


def test_reverting_is_a_new_version(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, opened: DraftLayer
) -> None:
    update_feature(connection, sandbox, catalog, opened, "P4", ANN, geometry=box(4, 0.013))
    delete_feature(connection, opened, "P4", ANN)
    assert revert(connection, opened, "P4", 1, ANN).version == 3
    assert same(now(connection, opened)["P4"], box(4, 0.013))
    assert revert(connection, opened, "P4", 0, ANN).version == 4
    assert same(now(connection, opened)["P4"], box(4))
    create_feature(
        connection, sandbox, catalog, opened, {"landuse_code": "07"}, box(30), ANN, feature_id="N9"
    )
    assert revert(connection, opened, "N9", 0, ANN).version == 2
    assert "N9" not in now(connection, opened)
    with pytest.raises(NotFound):
        revert(connection, opened, "P4", 9, ANN)


def test_history_is_not_rewritten(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, opened: DraftLayer
) -> None:
    update_feature(connection, sandbox, catalog, opened, "P4", ANN, geometry=box(4, 0.013))
    for statement in (
        "UPDATE library.feature_history SET changed_by = 'nobody'",
        "DELETE FROM library.feature_history",
        "TRUNCATE library.feature_history",
    ):
        with pytest.raises(pg.RestrictViolation), connection.transaction():
            connection.execute(statement)


def test_discarding_takes_contents_and_history_along(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, opened: DraftLayer
) -> None:
    update_feature(connection, sandbox, catalog, opened, "P4", ANN, geometry=box(4, 0.013))
    assert discard(connection, PLAN) == opened.edition_id
    assert list_drafts(connection) == []
    left = connection.execute("SELECT count(*) FROM library.feature_history").fetchone()
    assert left == (0,)
    with pytest.raises(Conflict) as refused:
        discard(connection, PLAN)
    assert refused.value.code == "no-draft"
    # What is in force, on which the draft stood, is untouched.
    assert contents_in_force(connection, [LAYER], LATER)[LAYER].feature_count == 10


def edit_by_view(connection: Connection, statement: str, *values: Any) -> None:
    connection.execute(statement.encode(), values)
    settle(connection)


def test_the_view_is_edited_like_a_table(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, opened: DraftLayer
) -> None:
    view = f"layer_draft.{LAYER}"
    wkt = "SRID=4490;POLYGON((110.5 19,110.51 19,110.51 19.01,110.5 19.010000000004,110.5 19))"
    edit_by_view(connection, f"UPDATE {view} SET landuse_code = '12' WHERE feature_id = 'P1'")
    edit_by_view(connection, f"UPDATE {view} SET geom = %s WHERE feature_id = 'P2'", wkt)
    edit_by_view(connection, f"DELETE FROM {view} WHERE feature_id = 'P3'")
    edit_by_view(
        connection,
        f"INSERT INTO {view} (feature_id, landuse_code, geom) VALUES ('V1', '07', %s)", wkt,
    )  # fmt: skip
    found = history(connection, opened.content_id)
    assert [(h["feature_id"], h["version"], h["action"]) for h in found] == [
        ("V1", 1, "create"), ("P3", 1, "delete"), ("P2", 1, "update"), ("P1", 1, "update"),
    ]  # fmt: skip
    (user,) = connection.execute("SELECT session_user").fetchone() or ("",)
    assert {h["changed_by"] for h in found} == {user}
    # A second change of one feature, which is the draft's own row by now.
    edit_by_view(connection, f"UPDATE {view} SET landuse_code = '07' WHERE feature_id = 'P1'")
    assert history(connection, opened.content_id, "P1")[0]["version"] == 2
    features = now(connection, opened)
    corners = shapely.get_coordinates(features["P2"]).tolist()
    assert [110.5, 19.01] in corners, "snapped to the storage grid"
    # Unknown to the view, measured before the publish by the one module that measures.
    unmeasured = connection.execute(
        "SELECT count(*) FROM library.feature WHERE content_id = %s AND area_m2 IS NULL",
        (opened.content_id,),
    ).fetchone()
    assert unmeasured == (2,)
    assert check_draft(connection, sandbox, catalog, opened.edition_id) == []
    areas = dict(
        connection.execute(
            "SELECT feature_id, area_m2 FROM library.feature WHERE content_id = %s",
            (opened.content_id,),
        ).fetchall()
    )
    assert areas["V1"] == pytest.approx(geodesic_area(features["V1"]), abs=0.05)
    assert areas["P1"] == pytest.approx(geodesic_area(box(1)), abs=0.05)


@pytest.mark.parametrize(
    ("wkt", "words"),
    [
        ("SRID=4490;POLYGON((110 19,110.01 19.01,110.01 19,110 19.01,110 19))", "invalid geometry"),
        ("SRID=4490;POLYGON((100 30,101 30,101 31,100 30))", "outside the region"),
        ("SRID=4490;POINT(110 19)", "another kind"),
        ("SRID=4490;POLYGON EMPTY", "empty"),
        ("SRID=4326;POLYGON((110 19,110.01 19,110.01 19.01,110 19))", ""),
        ("SRID=4490;POLYGON((110 19,110.000000001 19,110.000000001 19.01,110 19))", "thinner"),
        ("SRID=4490;CURVEPOLYGON(CIRCULARSTRING(110 19,110.01 19.01,110.02 19,110.01 18.9,110 19))",
         "arcs"),
    ],
)  # fmt: skip
def test_the_view_refuses_with_the_reason(
    connection: Connection, opened: DraftLayer, wkt: str, words: str
) -> None:
    with pytest.raises(psycopg.Error) as refused, connection.transaction():
        connection.execute(
            f"UPDATE layer_draft.{LAYER} SET geom = %s WHERE feature_id = 'P2'".encode(), (wkt,)
        )
    assert words in str(refused.value)
    settle(connection)
    assert history(connection, opened.content_id) == []


def test_a_feature_id_does_not_change_in_the_view(
    connection: Connection, opened: DraftLayer
) -> None:
    with pytest.raises(pg.CheckViolation, match="does not change"), connection.transaction():
        connection.execute(
            f"UPDATE layer_draft.{LAYER} SET feature_id = 'X' WHERE feature_id = 'P2'".encode()
        )
    with pytest.raises(pg.UniqueViolation), connection.transaction():
        connection.execute(
            f"INSERT INTO layer_draft.{LAYER} (feature_id, geom)"
            f" SELECT 'P2', geom FROM layer_draft.{LAYER} WHERE feature_id = 'P3'".encode()
        )


def test_plain_sql_is_kept_as_well(connection: Connection, opened: DraftLayer) -> None:
    """Past the view and past Python, on the tables themselves."""
    connection.execute(
        "INSERT INTO library.feature (content_id, fid, feature_id, attributes, geom)"
        " SELECT %s, 500, 'S1', '{}', geom FROM library.feature LIMIT 1",
        (opened.content_id,),
    )
    settle(connection)
    connection.execute("UPDATE library.feature SET attributes = '{\"name\": \"x\"}'"
                       " WHERE content_id = %s", (opened.content_id,))  # fmt: skip
    settle(connection)
    connection.execute("DELETE FROM library.feature WHERE content_id = %s", (opened.content_id,))
    connection.execute(
        "INSERT INTO library.hidden_feature (content_id, fid) VALUES (%s, 3)",
        (opened.content_id,),
    )
    settle(connection)
    found = [
        (h["feature_id"], h["action"], h["version"]) for h in history(connection, opened.content_id)
    ]
    assert found == [("P2", "delete", 1), ("S1", "delete", 3), ("S1", "update", 2),
                     ("S1", "create", 1)]  # fmt: skip


def test_an_import_leaves_no_history(connection: Connection, opened: DraftLayer) -> None:
    from layers.contents import create_delta, hide

    (base,) = connection.execute(
        "SELECT base_id FROM library.layer_content WHERE id = %s", (opened.content_id,)
    ).fetchone() or (0,)
    content = create_delta(connection, base)
    hide(connection, content, [1, 2])
    load_arrays(connection, content, [box(1)], {}, 100, feature_ids=["P0"])
    finish_content(connection, content)
    settle(connection)
    assert connection.execute("SELECT count(*) FROM library.feature_history").fetchone() == (0,)


def test_an_edited_draft_is_published_after_its_check(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, opened: DraftLayer
) -> None:
    update_feature(connection, sandbox, catalog, opened, "P1", ANN, geometry=box(1, 0.012))
    for accepted in (None, "nobody looks anyway"):
        with pytest.raises(Conflict) as refused:
            publish(connection, PLAN, accept_blocking=accepted)
        assert refused.value.code == "edits-not-checked"
    assert check_draft(connection, sandbox, catalog, opened.edition_id) == []
    layers = [one["layer"] for one in list_drafts(connection)[0]["layers"]]
    assert layers == [LAYER], "what was not edited is carried over, not copied"
    publish(connection, PLAN)
    found = contents_in_force(connection, None, LATER)
    assert found[LAYER].content_id == opened.content_id
    assert found[LAYER].feature_count == 10
    assert found[OTHER].edition_id == opened.edition_id
    (piece,) = connection.execute(
        "SELECT ST_AsBinary(p.geom) FROM reading.overlay_piece AS p INNER JOIN reading.feature AS f"
        " USING (content_id, fid) WHERE p.content_id = %s AND f.feature_id = 'P1'",
        (opened.content_id,),
    ).fetchone() or (b"",)
    assert shapely.from_wkb(piece).area == pytest.approx(box(1, 0.012).area)
    with pytest.raises(Conflict) as late:
        delete_feature(connection, opened, "P1", ANN)
    assert late.value.code == "edition-published"
    assert len(history(connection, opened.content_id)) == 1, "the history stays with what it made"


def test_faults_that_came_past_the_checks_stop_the_publish(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, opened: DraftLayer
) -> None:
    edit_by_view(
        connection, f"UPDATE layer_draft.{LAYER} SET landuse_code = 'zz' WHERE feature_id = 'P1'"
    )
    found = check_draft(connection, sandbox, catalog, opened.edition_id)
    assert [(one["feature_id"], one["code"]) for one in found] == [("P1", "unknown-code")]
    with pytest.raises(Conflict) as refused:
        publish(connection, PLAN)
    assert refused.value.code == "blocking-issues"
    edit_by_view(
        connection, f"UPDATE layer_draft.{LAYER} SET landuse_code = '07' WHERE feature_id = 'P1'"
    )
    assert check_draft(connection, sandbox, catalog, opened.edition_id) == []
    publish(connection, PLAN)


def test_a_layer_that_shrank_by_edits_is_blocked(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, opened: DraftLayer
) -> None:
    for number in range(3):
        delete_feature(connection, opened, f"P{number}", ANN)
    (issue,) = check_draft(connection, sandbox, catalog, opened.edition_id)
    assert (issue["code"], issue["severity"]) == ("content-shrunk", "blocking")
    with pytest.raises(Conflict):
        publish(connection, PLAN)


def test_a_layer_without_data_is_imported_first(connection: Connection, catalog: Catalog) -> None:
    with pytest.raises(BadInput) as refused:
        open_plan_draft(connection, catalog, PLAN, region=REGION, valid_from=LATER)
    assert refused.value.code == "nothing-to-edit"
    assert list_drafts(connection) == []
    with pytest.raises(NotFound):
        open_plan_draft(
            connection, catalog, PLAN, region=REGION, valid_from=LATER, layer_ids=["forest_land"]
        )
    with pytest.raises(Conflict):
        draft_layer(connection, LAYER)


@pytest.fixture
def editor_role(database: str) -> Iterator[str]:
    with connect(database) as connection:
        connection.execute("CREATE ROLE test_editor LOGIN PASSWORD 'x'")
        yield "test_editor"
        connection.execute("DROP OWNED BY test_editor")
        connection.execute("DROP ROLE test_editor")


def test_an_editor_role_reaches_the_views_and_nothing_else(
    database: str, catalog: Catalog, editor_role: str
) -> None:
    with connect(database) as owner:
        publish(owner, PLAN, put(owner, LAYER, 3))
        open_plan_draft(owner, catalog, PLAN, region=REGION, valid_from=LATER)
        grant_editor(owner, editor_role, [LAYER])
        with pytest.raises(BadInput):
            grant_editor(owner, "nobody_at_all", [LAYER])
        draft = draft_layer(owner, LAYER)
        with connect(database) as connection:
            connection.execute("SET SESSION AUTHORIZATION test_editor")
            view = f"layer_draft.{LAYER}"
            connection.execute(
                f"UPDATE {view} SET landuse_code = '07' WHERE feature_id = 'P1'".encode()
            )
            connection.execute(f"DELETE FROM {view} WHERE feature_id = 'P2'".encode())
            for statement in (
                "SELECT * FROM library.feature",
                "DELETE FROM library.feature_history",
                "UPDATE library.edition SET state = 'published'",
                f"SELECT * FROM layer_draft.{OTHER}",
            ):
                with pytest.raises((pg.InsufficientPrivilege, pg.UndefinedTable)):
                    connection.execute(statement.encode())
        found = history(owner, draft.content_id)
    assert [(h["feature_id"], h["changed_by"]) for h in found] == [
        ("P2", "test_editor"), ("P1", "test_editor"),
    ]  # fmt: skip


def test_a_layer_that_is_not_open_is_edited_alike(
    connection: Connection, catalog: Catalog, sandbox: Sandbox
) -> None:
    """Its rows live on the tables of another access class."""
    connection.execute(
        "UPDATE library.layer SET access_class = 'restricted' WHERE id = %s", (LAYER,)
    )
    publish(connection, PLAN, put(connection, LAYER, 10))
    open_plan_draft(connection, catalog, PLAN, region=REGION, valid_from=LATER)
    draft = draft_layer(connection, LAYER)
    update_feature(connection, sandbox, catalog, draft, "P1", ANN, geometry=box(1, 0.012))
    view = f"layer_draft.{LAYER}"
    edit_by_view(connection, f"UPDATE {view} SET landuse_code = '07' WHERE feature_id = 'P1'")
    edit_by_view(connection, f"UPDATE {view} SET landuse_code = '07' WHERE feature_id = 'P2'")
    edit_by_view(connection, f"DELETE FROM {view} WHERE feature_id = 'P2'")
    found = [
        (h["feature_id"], h["version"], h["action"]) for h in history(connection, draft.content_id)
    ]
    assert found == [("P2", 2, "delete"), ("P2", 1, "update"), ("P1", 2, "update"),
                     ("P1", 1, "update")]  # fmt: skip
    assert check_draft(connection, sandbox, catalog, draft.edition_id) == []
    publish(connection, PLAN)
    open_rows = connection.execute("SELECT count(*) FROM library.feature").fetchone()
    assert open_rows == (0,)


HOLE = shapely.box(110.003, 19.003, 110.006, 19.006)


def covered(connection: Connection, draft: DraftLayer) -> shapely.Geometry:
    build_pieces(connection, draft.content_id)
    found = connection.execute(
        "SELECT ST_AsBinary(coverage) FROM library.layer_content WHERE id = %s",
        (draft.content_id,),
    ).fetchone()
    assert found is not None
    return shapely.from_wkb(found[0])


def with_hole(connection: Connection, refused: int) -> int:
    """Ten parcels of which the first overlaps the place of a row that was refused."""
    content = create_content(connection, LAYER)
    load_arrays(connection, content, [box(n) for n in range(10)],
                {"landuse_code": ["0101"] * 10}, 1, feature_ids=[f"P{n}" for n in range(10)],
                )  # fmt: skip
    area = shapely.union_all([box(n) for n in range(10)]).difference(HOLE)
    finish_content(connection, content, coverage=area, import_report={"refused": refused})
    return content


@pytest.fixture(params=["whole", "delta", "delta of a delta"])
def holed(request: pytest.FixtureRequest, connection: Connection, catalog: Catalog) -> DraftLayer:
    content = with_hole(connection, 1)
    edition = open_draft(connection, PLAN, valid_from=DAY)
    if request.param == "delta of a delta":
        base, area = content, shapely.union_all([box(n) for n in range(10)])
        connection.execute(
            "UPDATE library.layer_content SET coverage = ST_GeomFromText(%s, 4490)"
            " WHERE id = %s", (shapely.multipolygons(list(area.geoms)).wkt, base),
        )  # fmt: skip
        content = create_delta(connection, base)
        hide(connection, content, [1])
        load_arrays(connection, content, [box(0)], {"landuse_code": ["0102"]}, 11,
                    feature_ids=["P0"])  # fmt: skip
        finish_content(connection, content, coverage=area.difference(HOLE))
    put_layer(connection, edition, LAYER, content)
    if request.param != "whole":
        publish(connection, PLAN, edition)
    open_plan_draft(connection, catalog, PLAN, region=REGION, valid_from=LATER)
    return draft_layer(connection, LAYER)


def test_a_refused_rows_place_stays_without_data_in_a_draft(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, holed: DraftLayer
) -> None:
    place = HOLE.centroid
    assert not covered(connection, holed).contains(place)

    for code in ("0102", "0103"):
        update_feature(
            connection, sandbox, catalog, holed, "P0", ANN, attributes={"landuse_code": code}
        )
        area = covered(connection, holed)
        assert not area.contains(place)
        assert area.contains(box(0, 0.002).centroid)

    create_feature(
        connection, sandbox, catalog, holed, {"landuse_code": "0101"}, box(20), ANN,
        feature_id="N1",
    )  # fmt: skip
    delete_feature(connection, holed, "P5", ANN)
    area = covered(connection, holed)
    assert area.contains(box(20).centroid)
    assert not area.contains(box(5).centroid)
    assert area.contains(box(6).centroid)

    revert(connection, holed, "P5", 0, ANN)
    delete_feature(connection, holed, "N1", ANN)
    assert not covered(connection, holed).contains(box(20).centroid)


def test_a_nameless_feature_is_checked_as_well(
    connection: Connection, catalog: Catalog, sandbox: Sandbox, opened: DraftLayer
) -> None:
    connection.execute(
        f"INSERT INTO layer_draft.{LAYER} (feature_id, parcel_id, landuse_code, geom)"
        " VALUES ('', '', 'no code', ST_GeomFromText(%s, 4490))", (box(30).wkt,),
    )  # fmt: skip
    settle(connection)

    found = check_draft(connection, sandbox, catalog, opened.edition_id)

    assert "edit-unknown-code" in {f"edit-{one['code']}" for one in found}
