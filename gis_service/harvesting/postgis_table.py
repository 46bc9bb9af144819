"""Sources that are tables of another PostGIS: one repeatable-read snapshot of the whole table."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from gis_service.harvesting.egress import open_postgres
from gis_service.harvesting.fetched import Fetched, FetchRoom, deadline_check, refuse_larger
from gis_service.harvesting.geopackage_file import Row, write_geopackage
from gis_service.harvesting.sources import RegisteredSource
from layers.crs import Crs, parse_crs
from layers.database import statements
from layers.errors import BadInput, BadParameter, CrsRefused, NotFound

_SQL: Final = statements("gis_service.harvesting", "postgis_table.sql")
_ROWS_AT_ONCE: Final = 1000

_KINDS: Final = {
    "int2": ("INTEGER", "int8"),
    "int4": ("INTEGER", "int8"),
    "int8": ("INTEGER", "int8"),
    "float4": ("REAL", "float8"),
    "float8": ("REAL", "float8"),
    "numeric": ("REAL", "float8"),
    "bool": ("BOOLEAN", "int4"),
    "date": ("DATE", "text"),
}
"""PostgreSQL's types: the type in the GeoPackage and the cast on the way; others are text."""


@dataclass(frozen=True, slots=True)
class _Table:
    """What is read: names, types, the geometry with its CRS, and the order of the rows."""

    name: sql.Identifier
    columns: tuple[tuple[str, str, str], ...]
    """Name, GeoPackage type, cast."""
    keys: tuple[str, ...]
    geometry: str
    crs: Crs

    def statement(self) -> sql.Composed:
        """The one statement that reads all rows."""
        listed = [
            sql.SQL("{}::{},").format(sql.Identifier(name), sql.Identifier(cast))
            for name, _, cast in self.columns
        ]
        order = sql.SQL("ORDER BY {}").format(
            sql.SQL(", ").join(map(sql.Identifier, self.keys))
        )  # fmt: skip
        return sql.SQL(_SQL["rows"]).format(
            columns=sql.SQL(" ").join(listed),
            geometry=sql.Identifier(self.geometry),
            table=self.name,
            order=order if self.keys else sql.SQL(""),
        )


def fetch(source: RegisteredSource, room: FetchRoom) -> Fetched:
    """Read the whole table by a server-side cursor into a GeoPackage in the table's CRS.

    Rows come in the order of the primary key, so that an unchanged table gives an equal digest.
    """
    assert source.credentials is not None
    assert source.credentials.dsn is not None
    dsn = room.secret(source.credentials.dsn)
    check = deadline_check(room, source.deadline_s)
    path = room.folder / f"{source.id}.gpkg"
    digest = hashlib.sha256()
    with open_postgres(dsn, source.networks) as connection, connection.transaction():
        connection.execute(
            sql.SQL("SET LOCAL statement_timeout = {}").format(
                sql.Literal(f"{int(source.deadline_s * 1000)}ms")
            )
        )
        try:
            table = _describe(connection, source)
            rows = _rows(connection, table, digest, check, room.largest_bytes)
            columns = [(name, kind) for name, kind, _ in table.columns]
            count = write_geopackage(path, columns, table.crs, rows)
        except psycopg.errors.InsufficientPrivilege:
            raise BadInput(
                f"The database user may not read {source.location}.",
                f"数据库用户无权读取 {source.location}。",
                code="credentials-refused",
            ) from None
    if count == 0:
        raise BadInput(
            f"The table {source.location} is empty; nothing was changed.",
            f"数据表 {source.location} 为空，未作任何更改。",
            code="no-rows",
        )
    return Fetched(
        path, digest.hexdigest(), path.stat().st_size, rows=count, crs=table.crs.code, complete=True
    )


def _describe(connection: psycopg.Connection[Any], source: RegisteredSource) -> _Table:
    schema, _, table = source.location.partition(".")
    values = {"schema": schema, "table": table}
    with connection.cursor(row_factory=dict_row) as cursor:
        geometries = cursor.execute(_SQL["geometry_columns"], values).fetchall()
        plain = cursor.execute(_SQL["plain_columns"], values).fetchall()
    geometry = _chosen_geometry(geometries, source)
    name = sql.Identifier(schema, table)
    keys = sorted((c for c in plain if c["key_position"] >= 0), key=lambda c: c["key_position"])
    return _Table(
        name=name,
        columns=tuple((c["name"], *_KINDS.get(c["type"], ("TEXT", "text"))) for c in plain),
        keys=tuple(c["name"] for c in keys),
        geometry=geometry["name"],
        crs=_crs_of(connection, name, geometry, source),
    )


def _chosen_geometry(found: Sequence[dict[str, Any]], source: RegisteredSource) -> dict[str, Any]:
    wanted = source.geometry_column
    chosen = [g for g in found if wanted is None or g["name"] == wanted]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        raise NotFound(
            f"The database has no table {source.location} with a geometry"
            f"{f' column {wanted}' if wanted else ''} that this user can see.",
            f"数据库中没有该用户可见的空间表 {source.location}"
            f"{f'（图形字段 {wanted}）' if wanted else ''}。",
            code="no-table",
        )
    names = ", ".join(str(g["name"]) for g in chosen)
    raise BadParameter(
        f"{source.location} has several geometry columns; state geometry_column: {names}.",
        f"{source.location} 有多个图形字段，请在 geometry_column 中指定：{names}。",
        code="several-geometries",
    )


def _crs_of(
    connection: psycopg.Connection[Any],
    table: sql.Identifier,
    geometry: dict[str, Any],
    source: RegisteredSource,
) -> Crs:
    if geometry["auth_name"] == "EPSG" and geometry["auth_srid"]:
        return parse_crs(f"EPSG:{geometry['auth_srid']}")
    if geometry["srtext"]:
        return parse_crs(str(geometry["srtext"]))
    statement = sql.SQL(_SQL["srids"]).format(
        table=table, geometry=sql.Identifier(geometry["name"])
    )
    srids = {row[0] for row in connection.execute(statement).fetchall()}
    if srids - {0} or source.source_crs is None:
        raise CrsRefused(
            f"{source.location} states no coordinate reference system; set the SRID of its column, "
            "or state source_crs.",
            f"{source.location} 未声明坐标系；请设置图形字段的 SRID，或指定 source_crs。",
            code="crs-missing",
        )
    return parse_crs(source.source_crs)


def _rows(
    connection: psycopg.Connection[Any],
    table: _Table,
    digest: "hashlib._Hash",
    check: Callable[[], None],
    largest_bytes: int,
) -> Iterator[Row]:
    byte_count = 0
    digest.update(orjson.dumps([table.crs.code, table.columns]))
    with connection.cursor(name="harvest") as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        for number, row in enumerate(cursor.execute(table.statement())):
            if number % _ROWS_AT_ONCE == 0:
                check()
            *values, wkb = row
            text = orjson.dumps(values)
            digest.update(text)
            digest.update(wkb or b"\n")
            byte_count += len(text) + len(wkb or b"")
            refuse_larger(byte_count, largest_bytes)
            yield values, wkb
