"""What each class of readers may do in the database: everything else is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import shapely
from psycopg import errors as pg

from layers.catalog import Catalog
from layers.catalog_sync import sync_catalog
from layers.contents import create_delta, finish_content, hide
from layers.database import READING, Access, Connection, connect
from layers.features import candidates, coverage_near
from layers.roles import (
    Login,
    Roles,
    address_of,
    grant_reading,
    make_groups,
    make_login,
    up_to,
)

CANARY = "QZCANARY"
BOX = shapely.box(110, 19, 110.01, 19.01)
LAYERS: dict[str, Access] = {
    "planned_landuse": "open",
    "forest_land": "internal",
    "sea_use_zone": "restricted",
}
ROLES = Roles("gistest")
SMALL = (
    "plan", "layer", "edition", "edition_layer", "in_force", "layer_content", "hidden_feature",
    "report", "rule_set", "submission", "submission_event", "quota", "process_job",
    "quality_run", "quality_finding", "quality_outline",
)  # fmt: skip
BIG = ("feature", "overlay_piece", "tile_piece", "coverage_piece")


def classified(catalog: Catalog, classes: dict[str, Access]) -> Catalog:
    plans = [
        plan.model_copy(
            update={
                "layers": tuple(
                    layer.model_copy(update={"access": classes.get(layer.id, layer.access)})
                    for layer in plan.layers
                )
            }
        )
        for plan in catalog.plans
    ]
    return catalog.model_copy(update={"plans": tuple(plans)})


@pytest.fixture
def owner(
    database: str, catalog: Catalog, publish_layer_for: Any
) -> Iterator[tuple[str, Connection]]:
    """A library with a layer of each class, loaded while all were open, and the roles."""
    with connect(database) as connection:
        publish = publish_layer_for(connection)
        for layer_id in LAYERS:
            publish(layer_id, [BOX], {"name": [f"{CANARY}-{layer_id}"]}, coverage=BOX)
        sync_catalog(connection, classified(catalog, LAYERS))
        make_groups(connection, ROLES)
        grant_reading(connection, ROLES, classified(catalog, LAYERS))
        yield database, connection


@pytest.fixture
def readers(owner: tuple[str, Connection]) -> Iterator[dict[Access, Connection]]:
    database, connection = owner
    opened: dict[Access, Connection] = {}
    for access in READING:
        login = Login.new(ROLES, access)
        make_login(connection, ROLES, access, login)
        opened[access] = connect(address_of(database, login), access=access)
    yield opened
    for one in opened.values():
        one.close()


def wanted(access: Access) -> set[tuple[str, str, str]]:
    """The policy, written down a second time."""
    rights = {("library", table, "SELECT") for table in SMALL}
    written = (
        "report", "rule_set", "submission", "submission_event", "submission_original",
        "process_job",
    )  # fmt: skip
    rights |= {("library", table, "INSERT") for table in written}
    claims = ("SELECT", "INSERT", "UPDATE", "DELETE")
    rights |= {("library", "submission_claim", verb) for verb in claims}
    if access == "restricted":  # who decides
        rights |= {("library", "quota", "INSERT"), ("library", "submission_original", "SELECT")}
        rights |= {("library", "quota_entry", verb) for verb in ("SELECT", "INSERT")}
    schemas = {
        "open": "library",
        "internal": "library_internal",
        "restricted": "library_restricted",
    }
    rights |= {(schemas[one], table, "SELECT") for one in up_to(access) for table in BIG}
    views = (*BIG, "stored_feature", "stored_overlay_piece", "stored_tile_piece", "content_part")
    rights |= {(READING[access], view, "SELECT") for view in views}
    if access == "restricted":
        rights |= {("harvest", table, "SELECT") for table in ("source", "run")}
    return rights | {("public", "migration", "SELECT")}


@pytest.mark.parametrize("access", list(READING))
def test_a_role_has_the_listed_rights_and_no_other(
    owner: tuple[str, Connection], catalog: Catalog, access: Access
) -> None:
    _, connection = owner
    group = ROLES.group(access)
    found = {
        (schema, table, right)
        for schema, table, right in connection.execute(
            "SELECT n.nspname, c.relname, r.verb FROM pg_class AS c"
            " INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',"
            " 'REFERENCES', 'TRIGGER']) AS r (verb)"
            " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            " AND has_table_privilege(%s, c.oid, r.verb)",
            (group,),
        )
    }
    # PostGIS gives its own tables to everybody.
    found -= {
        one for one in found
        if one[1] in ("spatial_ref_sys", "geometry_columns", "geography_columns")
    }  # fmt: skip
    views = {
        ("layer_view", layer.id, "SELECT")
        for _, layer in classified(catalog, LAYERS).up_to(access).layers()
    }
    assert found == wanted(access) | views
    for schema in ("public", *READING.values(), "library", "library_internal"):
        assert connection.execute(
            "SELECT has_schema_privilege(%s, %s, 'CREATE')", (group, schema)
        ).fetchone() == (False,)
    assert (
        connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolcanlogin FROM pg_roles"
            " WHERE rolname = %s",
            (group,),
        ).fetchone()
        == (False,) * 5
    )


@pytest.mark.parametrize("access", list(READING))
def test_a_reader_sees_its_classes_only(readers: dict[Access, Connection], access: Access) -> None:
    reader = readers[access]
    seen = {layer_id for layer_id, own in LAYERS.items() if own in up_to(access)}
    layers = {name for (name,) in reader.execute("SELECT id FROM library.layer")}
    assert layers & LAYERS.keys() == seen
    for table in ("edition_layer", "layer_content"):
        statement = f"SELECT DISTINCT layer_id FROM library.{table}"  # noqa: S608
        assert {name for (name,) in reader.execute(statement.encode())} == seen
    names = {name for (name,) in reader.execute("SELECT attributes ->> 'name' FROM feature")}
    assert names == {f"{CANARY}-{layer_id}" for layer_id in seen}
    for view in ("overlay_piece", "tile_piece", "coverage_piece", "content_part"):
        statement = f"SELECT count(DISTINCT content_id) FROM {view}"  # noqa: S608
        assert reader.execute(statement.encode()).fetchone() == (len(seen),)
    for table in ("edition", "in_force"):
        statement = f"SELECT count(*) FROM library.{table}"  # noqa: S608
        assert reader.execute(statement.encode()).fetchone() == (len(seen),)
    for layer_id in LAYERS:
        statement = f"SELECT count(*) FROM layer_view.{layer_id}"  # noqa: S608
        if layer_id in seen:
            assert reader.execute(statement.encode()).fetchone() == (1,)
        else:
            with pytest.raises(pg.InsufficientPrivilege):
                reader.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT FROM library_internal.feature",
        "SELECT FROM library_restricted.coverage_piece",
        "SELECT FROM reading.feature",
        "SELECT FROM reading_internal.tile_piece",
        "SELECT FROM library.source_chunk",
        "SELECT FROM library.import_issue",
        "SELECT FROM library.feature_c1",
        "DELETE FROM library.report",
        "UPDATE library.report SET outcome = 'pass'",
        "INSERT INTO library.report VALUES ('r', now(), 'pass', '', '', 'internal')",
        "UPDATE library.layer SET access_class = 'open'",
        "CREATE TABLE public.feature (content_id integer)",
        "SET ROLE gistest_internal",
        "SET ROLE gis",
        "SET SESSION AUTHORIZATION gis",
        "SET row_security = off; SELECT FROM library.layer",
        "ALTER TABLE library.layer DISABLE ROW LEVEL SECURITY",
        "SELECT library.mark_touched(1)",
    ],
)
def test_a_public_login_gets_no_further(readers: dict[Access, Connection], statement: str) -> None:
    with pytest.raises((pg.InsufficientPrivilege, pg.InvalidParameterValue)):
        readers["open"].execute(statement.encode())


def test_reset_role_gives_nothing_back(readers: dict[Access, Connection]) -> None:
    reader = readers["open"]
    reader.execute("RESET ROLE")
    reader.execute("RESET SESSION AUTHORIZATION")
    reader.execute("SET search_path = reading")
    with pytest.raises(pg.UndefinedTable):  # a schema that may not be used is passed over
        reader.execute("SELECT FROM feature")
    assert reader.execute("SELECT session_user ~ '^gistest_public_'").fetchone() == (True,)


def test_a_cheap_function_sees_no_hidden_row(readers: dict[Access, Connection]) -> None:
    """The planner would run it first where a view alone did the filtering."""
    reader = readers["open"]
    reader.execute(
        "CREATE FUNCTION pg_temp.leak(value text) RETURNS boolean COST 0.0000001"
        " LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE '%', value; RETURN true; END$$"
    )
    heard: list[str] = []
    reader.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
    for statement in (
        "SELECT FROM library.layer WHERE pg_temp.leak(id)",
        "SELECT FROM library.layer_content WHERE pg_temp.leak(layer_id)",
        "SELECT FROM library.edition WHERE pg_temp.leak(plan_id)",
        "SELECT FROM feature WHERE pg_temp.leak(attributes::text)",
        "SELECT FROM layer_view.planned_landuse WHERE pg_temp.leak(name)",
    ):
        reader.execute(statement.encode())
    assert any(CANARY in one for one in heard), "the function was called"
    hidden = {"forest_land", "sea_use_zone", "forest-plan", "marine-plan"}
    assert not [one for one in heard if any(word in one for word in hidden)]


def test_a_reader_reports_in_its_class(readers: dict[Access, Connection]) -> None:
    insert = "INSERT INTO library.report VALUES (%s, now(), 'pass', '', '', %s)"
    readers["open"].execute(insert, ("a", "open"))
    readers["restricted"].execute(insert, ("b", "restricted"))
    select = "SELECT id FROM library.report ORDER BY id"
    assert readers["open"].execute(select).fetchall() == [("a",)]
    assert readers["restricted"].execute(select).fetchall() == [("a",), ("b",)]


def test_a_changed_class_moves_whole_and_back(
    owner: tuple[str, Connection], catalog: Catalog
) -> None:
    _, connection = owner

    def places() -> dict[str, list[str]]:
        found = connection.execute(
            "SELECT c.layer_id, array_agg(i.inhparent::regclass::text ORDER BY 1)"
            " FROM library.layer_content AS c"
            " INNER JOIN pg_inherits AS i ON i.inhrelid::regclass::text"
            " = ANY(ARRAY['library.feature_c' || c.id, 'library.overlay_piece_c' || c.id,"
            " 'library.tile_piece_c' || c.id]) GROUP BY 1"
        )
        return {layer: sorted({name.split(".")[0] for name in names}) for layer, names in found}

    assert places() == {
        "planned_landuse": ["library"],
        "forest_land": ["library_internal"],
        "sea_use_zone": ["library_restricted"],
    }
    (content,) = connection.execute(  # type: ignore[misc]
        "SELECT content_id FROM library.edition_layer WHERE layer_id = 'sea_use_zone'"
    ).fetchone()
    with pytest.raises(pg.RestrictViolation):
        connection.execute("UPDATE library_restricted.feature SET area_m2 = 0")
    with pytest.raises(pg.RestrictViolation):
        connection.execute("DELETE FROM library_restricted.coverage_piece")
    near = {content: [(110.0, 19.0, 110.005, 19.005)]}
    before = candidates(connection, near), coverage_near(connection, near)
    assert before[0][content]
    sync_catalog(connection, catalog)
    assert set(map(tuple, places().values())) == {("library",)}
    assert (candidates(connection, near), coverage_near(connection, near)) == before
    with pytest.raises(pg.RestrictViolation):
        connection.execute("UPDATE library.feature SET area_m2 = 0")


def test_a_delta_of_a_hidden_layer_stays_hidden(
    owner: tuple[str, Connection], readers: dict[Access, Connection]
) -> None:
    _, connection = owner
    (base,) = connection.execute(  # type: ignore[misc]
        "SELECT content_id FROM library.edition_layer WHERE layer_id = 'forest_land'"
    ).fetchone()
    delta = create_delta(connection, base)
    hide(connection, delta, [])
    finish_content(connection, delta)
    statement = "SELECT count(*) FROM feature WHERE content_id = %s"
    assert readers["open"].execute(statement, (delta,)).fetchone() == (0,)
    assert readers["internal"].execute(statement, (delta,)).fetchone() == (1,)


def test_groups_are_made_by_many_at_once(owner: tuple[str, Connection]) -> None:
    database, connection = owner
    roles = Roles("gisrace")
    with connect(database) as first, first.transaction():
        first.execute("CREATE ROLE gisrace_public NOLOGIN")
        other = psycopg.connect(database, autocommit=True)
        other.execute("SET statement_timeout = '300ms'")
        with pytest.raises(pg.QueryCanceled):  # it waits for the first and does not fail
            make_groups(other, roles)
        other.close()
    make_groups(connection, roles)
    make_groups(connection, roles)
    for access in READING:
        connection.execute(f"DROP ROLE {roles.group(access)}".encode())


def test_no_password_is_in_the_log(owner: tuple[str, Connection]) -> None:
    _, connection = owner
    login = Login.new(ROLES, "open")
    make_login(connection, ROLES, "open", login)
    found = connection.execute(
        "SELECT rolpassword FROM pg_authid WHERE rolname = %s", (login.role,)
    ).fetchone()
    assert found is not None
    assert found[0].startswith("SCRAM-SHA-256$")
    assert login.password not in found[0]
    (log,) = connection.execute("SHOW data_directory").fetchone()  # type: ignore[misc]
    for path in Path(log).parent.glob("*.log"):
        assert login.password not in path.read_text(errors="replace")
