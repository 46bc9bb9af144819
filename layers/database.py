"""Connections, migrations and SQL files.

SQL lives in ``.sql`` files beside the module that runs it; each statement is headed by
``-- name: word`` and takes values as ``%(name)s``. Nothing here reads the environment.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, Literal, LiteralString, cast

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import DictRow, TupleRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from layers.errors import Unavailable

Connection = psycopg.Connection[TupleRow]

_MIGRATION_LOCK: Final = 7_361_530_447
_HEADER: Final = re.compile(r"^-- name: (\w+)[^\n]*\n", re.MULTILINE)
_OPTIONS: Final = "-c jit=off -c max_parallel_workers_per_gather=0 -c search_path=public,{reading}"

Access = Literal["open", "internal", "restricted"]
"""The highest class of layers that a connection reads."""

READING: Final[Mapping[Access, str]] = MappingProxyType(
    {"open": "reading_open", "internal": "reading_internal", "restricted": "reading"}
)
"""The schema of views that shows layers up to a class; statements name its views alone."""


def connect(dsn: str, *, autocommit: bool = True, access: Access = "restricted") -> Connection:
    """Open one connection; ``Unavailable`` says in one line why there is none."""
    try:
        return psycopg.connect(
            dsn,
            autocommit=autocommit,
            options=_OPTIONS.format(reading=READING[access]),
            connect_timeout=10,
        )
    except psycopg.Error as error:  # also an address that is none
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
        raise Unavailable(
            f"No database connection: {reason}", f"无法连接数据库：{reason}"
        ) from error


def is_free(connection: Connection) -> bool:
    """Whether it is in no transaction: what it wrote is there for other connections, too."""
    return connection.autocommit and (
        connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    )


def beside(connection: Connection) -> Connection:
    """Another connection to the same database, for work that runs at the same time."""
    return connect(
        conninfo.make_conninfo(
            **{**connection.info.get_parameters(), "options": ""},
            password=connection.info.password or None,
        )
    )


def open_pool(
    dsn: str,
    *,
    size: int = 6,
    statement_timeout_ms: int = 10_000,
    access: Access = "restricted",
) -> ConnectionPool:
    """A pool of autocommit connections with a statement deadline; waits at most 2 s for one."""
    pool: ConnectionPool = ConnectionPool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=2.0,
        max_lifetime=1800,
        open=False,
        check=ConnectionPool.check_connection,
        kwargs={
            "autocommit": True,
            "options": f"{_OPTIONS.format(reading=READING[access])}"
            f" -c statement_timeout={statement_timeout_ms}",
        },
    )
    pool.open()
    try:
        pool.wait(timeout=15.0)
    except PoolTimeout as error:
        pool.close()
        raise Unavailable(
            "No database connection within 15 s.", "15 秒内无法连接数据库。"
        ) from error
    return pool


@cache
def statements(package: str, file: str) -> Mapping[str, LiteralString]:
    """The named statements of one ``.sql`` file of a package, e.g. ``("layers", "features.sql")``.

    Raises ``KeyError`` at use for a name that is not there.
    """
    text = resources.files(package).joinpath("sql", file).read_text("utf-8")
    parts = _HEADER.split(text)[1:]
    found = {
        name: cast(LiteralString, body.strip().removesuffix(";"))
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }
    return MappingProxyType(found)


def rows(connection: Connection, statement: LiteralString, **values: Any) -> list[DictRow]:
    """Run one statement and give all its rows as dictionaries."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, values).fetchall()


def row(connection: Connection, statement: LiteralString, **values: Any) -> DictRow | None:
    """Run one statement and give its first row as a dictionary, or None."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, values).fetchone()


def migrate(connection: Connection) -> list[str]:
    """Apply the numbered migrations that are missing, each in one transaction; give their names.

    An applied file that has changed since is refused: released migrations are never edited.
    """
    applied_now = []
    connection.execute("SELECT pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS public.migration"
            " (name text PRIMARY KEY, sha256 text NOT NULL, applied timestamptz DEFAULT now())"
        )
        done: dict[str, str] = dict(
            connection.execute("SELECT name, sha256 FROM public.migration").fetchall()
        )
        for name, text in migration_files():
            digest = hashlib.sha256(text.encode()).hexdigest()
            if name in done:
                if done[name] != digest:
                    raise Unavailable(
                        f"Migration {name} was changed after it had been applied; "
                        "restore the released file.",
                        f"迁移脚本 {name} 在执行之后被修改；请恢复已发布的文件。",
                    )
                continue
            with connection.transaction():
                connection.execute(text)
                connection.execute(
                    "INSERT INTO public.migration (name, sha256) VALUES (%s, %s)", (name, digest)
                )
            applied_now.append(name)
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_MIGRATION_LOCK,))
    return applied_now


def migration_files() -> list[tuple[str, str]]:
    """Names and texts of all migrations, in order."""
    folder = resources.files("layers").joinpath("sql", "migrations")
    return sorted(
        (entry.name, entry.read_text("utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    )


def create_database(server_dsn: str, name: str, *, template: str | None = None) -> None:
    """Create a database, from a template if given."""
    with connect(server_dsn) as connection:
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        connection.execute(statement)
