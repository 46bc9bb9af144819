"""Writes rows with WKB into a GeoPackage, without looking into any geometry.

The bytes come from other departments; GDAL and GEOS meet them in the sandbox only. Layout after
OGC 12-128r18: three tables of the standard and one of features.
"""

import sqlite3
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from layers.crs import Crs

TABLE: Final = "harvested"
_GEOMETRY: Final = "geom"
_ROW_ID: Final = "gpkg_row"
_OWN_SRS: Final = 100_000
"""The number of a CRS without a code, inside the file."""
_APPLICATION_ID: Final = 0x47504B47
_USER_VERSION: Final = 10300
_FIXED_TIME: Final = "1970-01-01T00:00:00.000Z"
"""Instead of the time of writing: equal rows give equal files."""

_STANDARD_TABLES: Final = """
CREATE TABLE gpkg_spatial_ref_sys (
    srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, organization TEXT NOT NULL,
    organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT
);
CREATE TABLE gpkg_contents (
    table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
    description TEXT DEFAULT '', last_change DATETIME NOT NULL, min_x DOUBLE, min_y DOUBLE,
    max_x DOUBLE, max_y DOUBLE, srs_id INTEGER
);
CREATE TABLE gpkg_geometry_columns (
    table_name TEXT NOT NULL PRIMARY KEY, column_name TEXT NOT NULL,
    geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL,
    m TINYINT NOT NULL
);
INSERT INTO gpkg_spatial_ref_sys VALUES
    ('Undefined cartesian SRS', -1, 'NONE', -1, 'undefined', NULL),
    ('Undefined geographic SRS', 0, 'NONE', 0, 'undefined', NULL);
"""

Row = tuple[Sequence[Any], bytes | None]
"""The values of the columns, and the geometry as ISO WKB."""


def write_geopackage(
    path: Path, columns: Sequence[tuple[str, str]], crs: Crs, rows: Iterable[Row]
) -> int:
    """Write all rows; give their number. ``columns`` are names with GeoPackage types."""
    srs_id = crs.srid if crs.srid is not None else _OWN_SRS
    header = struct.pack("<2sBBi", b"GP", 0, 1, srs_id)
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {_USER_VERSION}")
        database.executescript(_STANDARD_TABLES)
        _describe(database, crs, srs_id)
        names = [name for name, _ in columns]
        database.execute(_create_table(columns))
        database.execute("BEGIN")
        count = 0
        insert = _insert(names)
        for values, wkb in rows:
            blob = header + wkb if wkb is not None else None
            database.execute(insert, (*values, blob))
            count += 1
        database.execute("COMMIT")
    finally:
        database.close()
    return count


def _describe(database: sqlite3.Connection, crs: Crs, srs_id: int) -> None:
    organization = "EPSG" if crs.srid is not None else "NONE"
    database.execute(
        "INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, NULL)",
        (crs.title, srs_id, organization, srs_id, crs.wkt),
    )
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change, srs_id)"
        " VALUES (?, 'features', ?, ?, ?)",
        (TABLE, TABLE, _FIXED_TIME, srs_id),
    )
    database.execute(
        "INSERT INTO gpkg_geometry_columns VALUES (?, ?, 'GEOMETRY', ?, 2, 2)",
        (TABLE, _GEOMETRY, srs_id),
    )


def _create_table(columns: Sequence[tuple[str, str]]) -> str:
    listed = ", ".join(f"{_quoted(name)} {kind}" for name, kind in columns)
    comma = ", " if columns else ""
    return (
        f"CREATE TABLE {TABLE} ({_ROW_ID} INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "
        f"{listed}{comma}{_GEOMETRY} GEOMETRY)"
    )


def _insert(names: Sequence[str]) -> str:
    listed = ", ".join(_quoted(name) for name in (*names, _GEOMETRY))
    places = ", ".join("?" for _ in range(len(names) + 1))
    # SQLite binds no identifiers; these are quoted.
    return f"INSERT INTO {TABLE} ({listed}) VALUES ({places})"  # noqa: S608


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
