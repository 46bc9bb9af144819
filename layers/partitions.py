"""Partitions of the three big tables, one for each layer content.

A partition is filled as a table of its own, indexed, and attached at the end: readers of the
library never wait for a load, and a load that dies leaves nothing that anybody can see.
"""

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
            "CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        ).format(name=name, parent=sql.Identifier("library", table))
    )
    connection.execute(
        sql.SQL("ALTER TABLE {name} ALTER content_id SET DEFAULT {content}").format(
            name=name, content=sql.Literal(content_id)
        )
    )
    return name


def attach(
    connection: Connection, table: PartitionedTable, content_id: int, *, primary_key: str = ""
) -> None:
    """Make the filled table a partition; call it inside the transaction that makes it valid.

    Missing indexes are built here, before the attach takes its short lock on the parent. The
    check constraint tells PostgreSQL what it would otherwise scan the whole table for.
    """
    name = partition(table, content_id)
    bound = sql.Literal(content_id)
    if primary_key:
        columns = sql.SQL(", ").join(map(sql.Identifier, primary_key.split()))
        connection.execute(
            sql.SQL("ALTER TABLE {name} ADD PRIMARY KEY ({columns})").format(
                name=name, columns=columns
            )
        )
    connection.execute(
        sql.SQL("ALTER TABLE {name} ADD CONSTRAINT content CHECK (content_id = {bound})").format(
            name=name, bound=bound
        )
    )
    connection.execute(
        sql.SQL("ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES IN ({bound})").format(
            parent=sql.Identifier("library", table), name=name, bound=bound
        )
    )
    connection.execute(sql.SQL("ALTER TABLE {name} DROP CONSTRAINT content").format(name=name))
    connection.execute(sql.SQL("ANALYZE {name}").format(name=name))


def drop(connection: Connection, content_id: int) -> None:
    """Drop what there is of a content's partitions."""
    for table in TABLES:
        connection.execute(
            sql.SQL("DROP TABLE IF EXISTS {name}").format(name=partition(table, content_id))
        )
