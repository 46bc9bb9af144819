"""The models and the migrated schema are the same, column by column."""

from sqlalchemy.dialects import postgresql

from layers.database import Connection
from layers.models import Model


def _model_columns() -> set[tuple[str, str, str, bool]]:
    columns = set()
    for table in Model.metadata.tables.values():
        for column in table.columns:
            spatial = getattr(column.type, "geometry_type", None)
            kind = (
                f"geometry({spatial.capitalize()},{column.type.srid})"
                if spatial
                else column.type.compile(postgresql.dialect())
            )
            kind = kind.lower().replace(", ", ",")
            kind = {"float": "double precision"}.get(kind, kind)
            columns.add((table.name, column.name, kind, bool(column.nullable)))
    return columns


def test_models_equal_the_migrated_schema(connection: Connection) -> None:
    found = connection.execute(
        "SELECT c.relname, a.attname, lower(format_type(a.atttypid, a.atttypmod)),"
        " NOT a.attnotnull"
        " FROM pg_attribute AS a INNER JOIN pg_class AS c ON c.oid = a.attrelid"
        " WHERE c.relnamespace = 'library'::regnamespace AND c.relkind IN ('r', 'p')"
        " AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped"
    ).fetchall()
    assert _model_columns() == set(found)
