"""The queue's tables: made once, at the version of the installed package, upgraded in order."""

from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from gis_service.jobs import schema
from gis_service.jobs.schema import install_queue
from layers.database import connect
from layers.errors import Unavailable

MIGRATIONS = resources.files("procrastinate.sql").joinpath("migrations")


def shape(dsn: str) -> list[Any]:
    """Columns, functions and triggers of the queue as PostgreSQL knows them."""
    with connect(dsn) as connection:
        return connection.execute(
            "SELECT 'column', c.table_name, c.column_name, c.data_type, c.is_nullable"
            " FROM information_schema.columns AS c WHERE c.table_schema = 'procrastinate'"
            " UNION ALL SELECT 'function', p.proname, md5(p.prosrc),"
            " pg_get_function_identity_arguments(p.oid), ''"
            " FROM pg_proc AS p WHERE p.pronamespace = 'procrastinate'::regnamespace"
            " UNION ALL SELECT 'trigger', t.event_object_table, t.trigger_name, '', ''"
            " FROM information_schema.triggers AS t WHERE t.trigger_schema = 'procrastinate'"
            " UNION ALL SELECT 'index', i.tablename, i.indexname, '', '' FROM pg_indexes AS i"
            " WHERE i.schemaname = 'procrastinate' ORDER BY 1, 2, 3, 4, 5"
        ).fetchall()


def test_it_is_made_in_its_own_schema_and_once(database: str) -> None:
    with connect(database) as connection:
        search_path = connection.execute("SHOW search_path").fetchone()
        assert install_queue(connection) == ["procrastinate"]
        assert install_queue(connection) == []
        assert connection.execute("SHOW search_path").fetchone() == search_path
        others = connection.execute(
            "SELECT count(*) FROM pg_class AS c WHERE c.relname LIKE 'procrastinate%'"
            " AND c.relnamespace <> 'procrastinate'::regnamespace"
        ).fetchone()
        assert others == (0,)
        applied = connection.execute(
            "SELECT array_agg(name ORDER BY name) FROM procrastinate.applied_migration"
        ).fetchone()
    shipped = sorted(entry.name for entry in MIGRATIONS.iterdir() if entry.name.endswith(".sql"))
    assert applied == (shipped,)


def test_an_older_queue_is_brought_to_the_same_shape(
    database: str, cluster: Any, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of an installation that has seen every version, against one made today."""
    with connect(database) as connection:
        # What an old database looks like: its tables made by the first migrations alone.
        names = sorted(e.name for e in MIGRATIONS.iterdir() if e.name.endswith(".sql"))
        old = names[: names.index("02.08.00_01_add_additional_params_to_retry_job.sql")]
        connection.execute("CREATE SCHEMA procrastinate")
        connection.execute(
            "CREATE TABLE procrastinate.applied_migration"
            " (name text PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
        )
        connection.execute("SET search_path = procrastinate")
        for name in old:
            connection.execute(MIGRATIONS.joinpath(name).read_text("utf-8"))
            connection.execute("INSERT INTO applied_migration (name) VALUES (%s)", (name,))
        connection.execute("SET search_path = public")
        assert install_queue(connection) == [name for name in names if name not in old]
        assert install_queue(connection) == []
    upgraded = shape(database)
    with connect(cluster.dsn("postgres")) as server:
        server.execute(f'CREATE DATABASE queue_fresh TEMPLATE "{template}"')
    try:
        fresh = cluster.dsn("queue_fresh")
        with connect(fresh) as connection:
            install_queue(connection)
        kept = {row[:3] for row in shape(fresh)}
        assert kept <= {row[:3] for row in upgraded}
    finally:
        with connect(cluster.dsn("postgres")) as server:
            server.execute("DROP DATABASE queue_fresh WITH (FORCE)")


def test_a_newer_queue_is_refused(database: str) -> None:
    with connect(database) as connection:
        install_queue(connection)
        connection.execute(
            "INSERT INTO procrastinate.applied_migration (name) VALUES ('99.00.00_01_pre_x.sql')"
        )
        with pytest.raises(Unavailable) as caught:
            install_queue(connection)
    assert caught.value.code == "queue-newer"


def test_a_migration_that_fails_leaves_nothing(
    database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with connect(database) as connection:
        monkeypatch.setattr(schema, "_text", lambda _path: "CREATE TABLE a (x int); SELECT nothing")
        with pytest.raises(Exception, match="nothing"):
            install_queue(connection)
        monkeypatch.undo()
        assert install_queue(connection) == ["procrastinate"]
