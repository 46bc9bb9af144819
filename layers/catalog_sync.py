"""Brings the catalogue into the database: plan and layer rows, and a typed view a layer.

The views (``layer_view.<layer>``) show the features in force today with the attributes as typed
columns, for people who connect QGIS or SQL straight to PostGIS.
"""

import hashlib
from typing import Final, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from layers import partitions
from layers.catalog import AttributeType, Catalog, Layer
from layers.database import READING, Connection

SQL_TYPES: Final[dict[AttributeType, LiteralString]] = {
    "string": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "date": "date",
}


def sync_catalog(connection: Connection, catalog: Catalog) -> None:
    """Make the mirror equal to the catalogue, in one transaction.

    Plans and layers are added and changed, never deleted: editions may still stand on them.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(7361530448)")
        for plan in catalog.plans:
            connection.execute(
                "INSERT INTO library.plan (id, kind, rank, definition) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, rank = excluded.rank,"
                " definition = excluded.definition",
                (plan.id, plan.kind, plan.rank, Jsonb(plan.model_dump(exclude={"layers"}))),
            )
        for plan, layer in catalog.layers():
            _store_layer(connection, plan.id, layer)
            _make_view(connection, layer)


def _store_layer(connection: Connection, plan_id: str, layer: Layer) -> None:
    """A layer's row; where its access class changes, its rows go to the tables of the new one."""
    wanted = (plan_id, layer.access, layer.accuracy_m, layer.model_dump(mode="json"))
    found = connection.execute(
        "SELECT plan_id, access_class, accuracy_m, definition FROM library.layer WHERE id = %s",
        (layer.id,),
    ).fetchone()
    if found == wanted:
        return  # a lock on the row would wait for every import that is being finished
    connection.execute(
        "INSERT INTO library.layer (id, plan_id, access_class, accuracy_m, definition)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET"
        " plan_id = excluded.plan_id, access_class = excluded.access_class,"
        " accuracy_m = excluded.accuracy_m, definition = excluded.definition",
        (layer.id, *wanted[:3], Jsonb(wanted[3])),
    )
    if found is None or found[1] == layer.access:
        return
    before, after = (_schema(access) for access in (found[1], layer.access))
    contents = connection.execute(
        "SELECT c.id FROM library.layer_content AS c WHERE c.layer_id = %s ORDER BY c.id",
        (layer.id,),
    ).fetchall()
    for (content_id,) in contents:
        partitions.move(connection, content_id, before, after)


def _schema(access: str) -> str:
    return "library" if access == "open" else f"library_{access}"


def _make_view(connection: Connection, layer: Layer) -> None:
    """Rebuild the typed view where it changed; a view cannot drop a column in place."""
    name = sql.Identifier("layer_view", layer.id)
    statement = _view_statement(name, layer)
    digest = hashlib.sha256(statement.as_string().encode()).hexdigest()
    found = connection.execute(
        "SELECT obj_description(to_regclass(%s), 'pg_class')", (f"layer_view.{layer.id}",)
    ).fetchone()
    if found is not None and found[0] == digest:
        return
    connection.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(name))
    connection.execute(statement)
    connection.execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(name, sql.Literal(digest)))


def typed_columns(layer: Layer) -> sql.Composed:
    """A layer's attributes out of ``f.attributes`` as typed columns, each with a comma behind."""
    return sql.SQL("").join(
        sql.SQL("(f.attributes ->> {key})::{type} AS {name}, ").format(
            key=sql.Literal(attribute.name),
            type=sql.SQL(SQL_TYPES[attribute.type]),
            name=sql.Identifier(attribute.name),
        )
        for attribute in layer.kept_attributes
    )


def _view_statement(name: sql.Identifier, layer: Layer) -> sql.Composed:
    return sql.SQL(
        "CREATE VIEW {name} AS SELECT f.fid, f.feature_id, {columns} f.area_m2, f.geom"
        " FROM library.layer_in_force AS l"
        " INNER JOIN {features} AS f ON f.content_id = l.content_id"
        " WHERE l.layer_id = {layer}"
    ).format(
        name=name,
        columns=typed_columns(layer),
        layer=sql.Literal(layer.id),
        features=sql.Identifier(READING[layer.access], "feature"),
    )
