"""The queue's tables, in a schema of their own, kept at the version of the installed procrastinate.

A database without them gets the whole schema of the installed version; an older one gets the
migrations that it lacks. A newer one is refused: an older program must not work on it.
"""

import importlib.util
from pathlib import Path
from typing import Final, LiteralString

from psycopg import sql

from layers.database import Connection
from layers.errors import Unavailable

SCHEMA: Final = "procrastinate"
_LOCK: Final = 7_361_530_451
_SEARCH_PATH: Final = "SET LOCAL search_path = procrastinate"


def install_queue(connection: Connection) -> list[str]:
    """Bring the queue's tables up to date, in one transaction; give the names of what was applied.

    Costs one statement when there is nothing to do. Runs after ``layers.database.migrate``.
    """
    shipped = _migrations()
    if _applied(connection) == set(shipped):
        return []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        applied = _applied(connection)
        if applied is None:
            return _install(connection, list(shipped))
        unknown = sorted(applied - set(shipped))
        if unknown:
            raise Unavailable(
                f"The job queue was made by a newer version ({unknown[-1]}); update this program.",
                f"任务队列由更新的版本创建（{unknown[-1]}）；请升级本程序。",
                code="queue-newer",
            )
        missing = [name for name in shipped if name not in applied]
        connection.execute(_SEARCH_PATH)
        for name in missing:
            connection.execute(_text(shipped[name]))
        _note(connection, missing)
    return missing


def _install(connection: Connection, shipped: list[str]) -> list[str]:
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
    connection.execute(
        "CREATE TABLE procrastinate.applied_migration"
        " (name text PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
    )
    connection.execute(_SEARCH_PATH)
    connection.execute(_text(_folder() / "schema.sql"))
    _note(connection, shipped)
    return ["procrastinate"]


def _note(connection: Connection, names: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO procrastinate.applied_migration (name) VALUES (%s)",
            [(name,) for name in names],
        )


def _applied(connection: Connection) -> set[str] | None:
    """Names of the applied migrations, None where there is no queue yet."""
    found = connection.execute(
        "SELECT to_regclass('procrastinate.applied_migration') IS NOT NULL"
    ).fetchone()
    if not (found and found[0]):
        return None
    rows = connection.execute("SELECT name FROM procrastinate.applied_migration").fetchall()
    return {name for (name,) in rows}


def _folder() -> Path:
    """The .sql files of the installed package; it is not imported, commands do not wait for it."""
    found = importlib.util.find_spec("procrastinate")
    if found is None or not found.submodule_search_locations:
        raise Unavailable("procrastinate is not installed.", "未安装 procrastinate。")
    return Path(found.submodule_search_locations[0]) / "sql"


def _migrations() -> dict[str, Path]:
    """The shipped migrations in their order, which is that of their names."""
    return {path.name: path for path in sorted((_folder() / "migrations").glob("*.sql"))}


def _text(path: Path) -> LiteralString:
    return path.read_text("utf-8")
