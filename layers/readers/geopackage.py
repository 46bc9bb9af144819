"""GeoPackage: looked at with SQLite in read-only mode before GDAL sees it."""

import shutil
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from layers.errors import BadParameter, UnreadableFile
from layers.readers.source import Source, damaged, describe

_FEATURE_TABLES: Final = """
SELECT c.table_name, coalesce(m.type, 'missing'), coalesce(m.sql, '')
FROM gpkg_contents AS c
JOIN gpkg_geometry_columns AS g ON g.table_name = c.table_name
LEFT JOIN sqlite_master AS m ON m.name = c.table_name
WHERE c.data_type = 'features'
ORDER BY c.table_name
"""


def open_geopackage(path: Path, job_dir: Path, layer: str | None) -> Source:
    """Choose the feature table; several need a name, a view or virtual table is refused."""
    path = _without_journal(path, job_dir)
    tables = _feature_tables(path)
    name = choose_layer("GeoPackage", [table for table, _, _ in tables], layer)
    kind, statement = next((kind, text) for table, kind, text in tables if table == name)
    if kind != "table" or statement.lstrip().upper().startswith("CREATE VIRTUAL"):
        raise UnreadableFile(
            f"Layer '{name}' is no plain table (a view or a virtual table); export it as one.",
            f"图层“{name}”不是普通表（视图或虚拟表）；请导出为普通图层。",
            code="not-a-table",
        )
    return describe("GeoPackage", "GPKG", path, name)


def choose_layer(format_name: str, names: list[str], wanted: str | None) -> str:
    """The wanted layer, or the only one; otherwise an error that lists them."""
    listing = ", ".join(names[:20])
    if wanted is not None:
        if wanted in names:
            return wanted
        raise BadParameter(
            f"The {format_name} has no layer '{wanted}'. Layers: {listing}.",
            f"{format_name} 中没有图层“{wanted}”。现有图层：{listing}。",
            code="unknown-source-layer",
        )
    if not names:
        raise UnreadableFile(
            f"The {format_name} has no layer with geometry.",
            f"{format_name} 中没有带图形的图层。",
            code="no-geometry",
        )
    if len(names) > 1:
        raise BadParameter(
            f"The {format_name} has several layers; say which one (--source-layer): {listing}.",
            f"{format_name} 含有多个图层，请指定其中一个（--source-layer）：{listing}。",
            code="several-layers",
        )
    return names[0]


def _without_journal(path: Path, job_dir: Path) -> Path:
    """A file in write-ahead mode wants to write beside itself; it is copied to the job first."""
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100:
        raise damaged("GeoPackage")
    if 2 not in header[18:20]:
        return path
    copy = job_dir / "source.gpkg"
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        file.seek(18)
        file.write(b"\x01\x01")
    return copy


def _feature_tables(path: Path) -> list[tuple[str, str, str]]:
    address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    try:
        database = sqlite3.connect(address, uri=True)
    except sqlite3.Error as error:
        raise damaged("GeoPackage") from error
    try:
        database.execute("PRAGMA trusted_schema = OFF")
        known = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
        if "gpkg_contents" not in known or "gpkg_geometry_columns" not in known:
            raise UnreadableFile(
                "The file is an SQLite database but no GeoPackage.",
                "文件是 SQLite 数据库，但不是 GeoPackage。",
                code="format-declined",
            )
        return [(str(t), str(k), str(s)) for t, k, s in database.execute(_FEATURE_TABLES)]
    except (sqlite3.Error, UnicodeDecodeError) as error:  # names cut inside a character
        raise damaged("GeoPackage") from error
    finally:
        database.close()
