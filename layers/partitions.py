"""Partitions of the three big tables, one for each layer content.

Each access class has parents of its own (``library``, ``library_internal``,
``library_restricted``); a content's partitions hang on those of its layer's class. The tables
themselves keep their names in ``library`` whatever the class: rights are given on parents and on
views only, no role but the owner may read a partition by its name.

A partition is filled as a table of its own, indexed, and attached at the end: readers of the
library never wait for a load, and a load that dies leaves nothing that anybody can see.
"""

from collections.abc import Sequence
from typing import Final, Literal

from psycopg import sql

from layers.database import Connection

PartitionedTable = Literal["feature", "overlay_piece", "tile_piece"]

TABLES: Final[tuple[PartitionedTable, ...]] = ("feature", "overlay_piece", "tile_piece")


def partition(table: PartitionedTable, content_id: int) -> sql.Identifier:
    """The quoted name of a content's partition."""
    return sql.Identifier("library", f"{table}_c{content_id}")


def exists(connection: Connection, table: PartitionedTable, content_id: int) -> bool:
    """Whether that partition (attached or not yet) is there."""
    found = connection.execute(
        "SELECT to_regclass(%s) IS NOT NULL", (f"library.{table}_c{content_id}",)
    ).fetchone()
    return bool(found and found[0])


def create(connection: Connection, table: PartitionedTable, content_id: int) -> sql.Identifier:
    """Make the empty table: columns and checks of its parent, no index, a fixed content_id."""
    name = partition(table, content_id)
    connection.execute(
        sql.SQL(
            "CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS,"
            " CONSTRAINT content CHECK (content_id = {content}))"
        ).format(
            name=name, parent=sql.Identifier("library", table), content=sql.Literal(content_id)
        )
    )
    connection.execute(
        sql.SQL("ALTER TABLE {name} ALTER content_id SET DEFAULT {content}").format(
            name=name, content=sql.Literal(content_id)
        )
    )
    return name


def parent(connection: Connection, table: str, content_id: int) -> sql.Identifier:
    """The table of the content's access class; the layer keeps its class while this is used."""
    found = connection.execute(
        "SELECT library.schema_of_class(l.access_class) FROM library.layer_content AS c"
        " INNER JOIN library.layer AS l ON l.id = c.layer_id WHERE c.id = %s FOR SHARE OF l",
        (content_id,),
    ).fetchone()
    return sql.Identifier(str(found[0]) if found else "library", table)


def unique_index(
    connection: Connection, table: PartitionedTable, content_id: int, columns: Sequence[str]
) -> sql.Identifier:
    """Build a unique index of a table that others may read meanwhile; ``constrain`` takes it."""
    index = sql.Identifier(f"{table}_c{content_id}_{'_'.join(columns)}")
    connection.execute(
        sql.SQL("CREATE UNIQUE INDEX {index} ON {name} ({columns})").format(
            index=index,
            name=partition(table, content_id),
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        )
    )
    return index


def constrain(
    connection: Connection,
    table: PartitionedTable,
    content_id: int,
    index: sql.Identifier,
    kind: Literal["PRIMARY KEY", "UNIQUE"],
) -> None:
    """Make a unique index the key of its table; nobody reads the table at that moment."""
    connection.execute(
        sql.SQL("ALTER TABLE {name} ADD {kind} USING INDEX {index}").format(
            name=partition(table, content_id), kind=sql.SQL(kind), index=index
        )
    )


def index_and_analyse(
    connection: Connection,
    table: PartitionedTable,
    content_id: int,
    *,
    primary_key: Sequence[str],
) -> None:
    """Give the filled table its primary key and the planner its figures."""
    index = unique_index(connection, table, content_id, primary_key)
    constrain(connection, table, content_id, index, "PRIMARY KEY")
    connection.execute(sql.SQL("ANALYZE {name}").format(name=partition(table, content_id)))


def attach(connection: Connection, table: PartitionedTable, content_id: int) -> None:
    """Make the filled table a partition; call it inside the transaction that makes it valid.

    Its indexes are there already, so the lock on the parent is short. The check constraint that it
    was made with tells PostgreSQL what it would otherwise scan the whole table for.
    """
    _hang(connection, table, content_id, parent(connection, table, content_id))


def _hang(
    connection: Connection, table: PartitionedTable, content_id: int, on: sql.Identifier
) -> None:
    name, bound = partition(table, content_id), sql.Literal(content_id)
    for statement in (
        "ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES IN ({bound})",
        "ALTER TABLE {name} DROP CONSTRAINT content",
    ):
        connection.execute(sql.SQL(statement).format(name=name, bound=bound, parent=on))


def move(connection: Connection, content_id: int, before: str, after: str) -> None:
    """Take a content from the tables of one schema to those of another; the caller's transaction.

    Published ones, too: their rows do not change.
    """
    for table in TABLES:
        hangs = connection.execute(
            "SELECT i.inhrelid FROM pg_inherits AS i WHERE i.inhrelid = to_regclass(%s)",
            (f"library.{table}_c{content_id}",),
        ).fetchone()
        if hangs is not None:
            connection.execute(
                sql.SQL("ALTER TABLE {parent} DETACH PARTITION {name}").format(
                    parent=sql.Identifier(before, table), name=partition(table, content_id)
                )
            )
            connection.execute(
                sql.SQL(
                    "ALTER TABLE {name} ADD CONSTRAINT content CHECK (content_id = {n})"
                ).format(name=partition(table, content_id), n=sql.Literal(content_id))
            )
            _hang(connection, table, content_id, sql.Identifier(after, table))
    tables = [sql.Identifier(schema, "coverage_piece") for schema in (before, after)]
    for switch in ("DISABLE", "ENABLE"):
        for name in tables:
            connection.execute(
                sql.SQL("ALTER TABLE {} {} TRIGGER USER").format(name, sql.SQL(switch))
            )
        if switch == "DISABLE":
            connection.execute(
                sql.SQL(
                    "WITH moved AS (DELETE FROM {} WHERE content_id = %s RETURNING *)"
                    " INSERT INTO {} SELECT * FROM moved"
                ).format(*tables),
                (content_id,),
            )


def drop(connection: Connection, content_id: int) -> None:
    """Drop what there is of a content's partitions."""
    for table in TABLES:
        connection.execute(
            sql.SQL("DROP TABLE IF EXISTS {name}").format(name=partition(table, content_id))
        )
