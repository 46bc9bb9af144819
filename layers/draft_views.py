"""Editable views of drafts (``layer_draft.<layer>``), for QGIS on PostGIS as an editor role.

A view shows the features of the plan's open draft with typed columns; ``feature_id`` is its key
(``fid`` changes when a feature of the base is edited for the first time). Its triggers refuse
what an import would refuse: invalid geometry, another kind, outside the region, thinner than the
storage grid. Who only has rights on the view reaches nothing else of the library.
"""

from typing import Final

from psycopg import errors as pg
from psycopg import sql

from layers.catalog import Layer
from layers.catalog_sync import typed_columns
from layers.crs import Box
from layers.database import Connection, statements
from layers.errors import BadInput

_SQL: Final = statements("layers", "draft_edits.sql")
DIMENSION: Final = {"point": 0, "line": 1, "polygon": 2}


def set_region(connection: Connection, region: Box) -> None:
    """Keep the region's box (degrees) where the database can hold edits against it."""
    west, south, east, north = region
    connection.execute(
        _SQL["set_region"], {"west": west, "south": south, "east": east, "north": north}
    )


def make_draft_view(connection: Connection, layer: Layer) -> None:
    """Make the editable view of a layer anew; rights on it that were given stay."""
    name = sql.Identifier("layer_draft", layer.id)
    statement = sql.SQL(_SQL["draft_view"]).format(
        name=name,
        columns=typed_columns(layer),
        layer=sql.Literal(layer.id),
    )
    try:
        with connection.transaction():
            connection.execute(statement)
    except pg.InvalidTableDefinition:  # columns changed; a view cannot drop or reorder them
        connection.execute(sql.SQL("DROP VIEW {}").format(name))
        connection.execute(statement)
    connection.execute(
        sql.SQL(_SQL["draft_view_trigger"]).format(
            name=name,
            layer=sql.Literal(layer.id),
            dimension=sql.Literal(str(DIMENSION[layer.geometry])),
            id_attribute=sql.Literal(layer.id_attribute or ""),
        )
    )


def grant_editor(connection: Connection, role: str, layer_ids: list[str]) -> None:
    """Give a database role the right to edit drafts of layers through their views."""
    try:
        with connection.transaction():
            connection.execute(
                sql.SQL("GRANT USAGE ON SCHEMA layer_draft TO {}").format(sql.Identifier(role))
            )
            for layer_id in layer_ids:
                connection.execute(
                    sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}").format(
                        sql.Identifier("layer_draft", layer_id), sql.Identifier(role)
                    )
                )
    except pg.UndefinedObject as error:
        raise BadInput(
            f"There is no database role '{role}'; create it first (CREATE ROLE {role} LOGIN).",
            f"没有数据库角色“{role}”；请先创建（CREATE ROLE {role} LOGIN）。",
            code="no-role",
        ) from error
