"""Migrations and SQL files: each statement is valid SQL and uses the spatial index."""

import re
from importlib import resources

import psycopg
import pytest

from layers.database import Connection, connect, migrate, migration_files, statements
from layers.errors import Unavailable
from layers.features import _candidates_of

_FILES = [
    (package, entry.name)
    for package in ("layers", "tiles")
    for entry in resources.files(package).joinpath("sql").iterdir()
    if entry.name.endswith(".sql")
]
# Statements with "{" are composed with a partition's name, those on mercator_feature read a
# temporary table; both are run by the tests of their module.
_STATEMENTS = [
    (package, file, name)
    for package, file in _FILES
    for name, text in statements(package, file).items()
    if "{" not in text and "mercator_feature" not in text
]


def test_migrations_run_once_and_in_order(database: str) -> None:
    names = [name for name, _ in migration_files()]
    assert names == sorted(names)
    assert all(re.fullmatch(r"\d{4}_[a-z_]+\.sql", name) for name in names)
    with connect(database) as connection:
        assert migrate(connection) == []
        applied = connection.execute("SELECT name FROM public.migration ORDER BY name").fetchall()
    assert [name for (name,) in applied] == names


def test_an_edited_migration_is_refused(database: str) -> None:
    with connect(database) as connection:
        connection.execute("UPDATE public.migration SET sha256 = 'another'")
        with pytest.raises(Unavailable, match="was changed after"):
            migrate(connection)


@pytest.mark.parametrize(("package", "file", "name"), _STATEMENTS)
def test_every_statement_is_valid_sql(
    connection: Connection, package: str, file: str, name: str
) -> None:
    text = statements(package, file)[name]
    verb = re.sub(r"--[^\n]*\n", "", text).split(None, 1)[0].upper()
    if verb not in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"):
        return
    names = set(re.findall(r"%\((\w+)\)s", text))
    with connection.transaction(force_rollback=True):
        connection.execute("EXPLAIN " + text, dict.fromkeys(names))  # type: ignore[arg-type]


def _plan(connection: Connection, package: str, file: str, name: str, **values: object) -> str:
    return _explain(connection, statements(package, file)[name], **values)


def _explain(connection: Connection, statement: str, **values: object) -> str:
    found = connection.execute(
        "EXPLAIN (FORMAT JSON) " + statement,  # type: ignore[arg-type]
        values,
    ).fetchone()
    assert found is not None
    return str(found[0])


def test_spatial_statements_use_their_indexes(connection: Connection, publish_layer) -> None:
    import shapely

    boxes = [shapely.box(110 + i / 100, 19, 110 + i / 100 + 0.005, 19.005) for i in range(50)]
    publish_layer("ecological_redline", boxes)
    (content,) = connection.execute("SELECT max(id) FROM library.layer_content").fetchone()
    search = _candidates_of(((content, None),)).decode()
    near = _explain(connection, search, content_ids=[content], most=1000,
                    west=[110.0], south=[19.0], east=[110.01], north=[19.01])  # fmt: skip
    place = _plan(connection, "layers", "features.sql", "at_place",
                  content_ids=[content], lon=110.0, lat=19.0, radius_deg=0.001)  # fmt: skip
    for plan in (near, place):
        assert "geom_idx" in plan
        assert "&&" in plan
    tile = _plan(connection, "tiles", "vector_tile.sql", "layer_tile", layer_id="a",
                 content_id=content, parts=[content], z=14, x=13194, y=7300, base_zoom=13,
                 ancestor_x=6597, ancestor_y=3650)  # fmt: skip
    assert "base_zoom_x_y_idx" in tile


def test_no_connection_is_one_line() -> None:
    with pytest.raises(Unavailable) as refused:
        connect("postgresql://nobody@127.0.0.1:1/none")
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value.__cause__, psycopg.OperationalError)
