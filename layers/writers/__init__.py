"""Writers of files for others, one module a format, behind one entry.

Values come in longitude and latitude on EPSG:4490 and leave in the CRS that is asked for. GDAL
writes GeoPackage and shapefile, so this runs in a child of ``layers.sandbox`` too.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from layers.crs import Crs
from layers.errors import BadParameter
from layers.writers.boundary_txt import write_boundary_txt
from layers.writers.csv_file import write_csv
from layers.writers.dxf import write_dxf
from layers.writers.gdal_files import write_flatgeobuf, write_geopackage, write_shapefile
from layers.writers.geojson import write_geojson
from layers.writers.geoparquet import write_geoparquet
from layers.writers.table import (
    SUFFIXES,
    FeatureBatch,
    FeatureTable,
    FileFormat,
    TableHead,
    Written,
    load_batches,
    save_batches,
)

__all__ = [
    "SUFFIXES",
    "FeatureBatch",
    "FeatureTable",
    "FileFormat",
    "TableHead",
    "Written",
    "format_named",
    "save_batches",
    "write_file",
    "write_saved",
]

_WRITERS: Final[dict[FileFormat, Callable[[FeatureTable, Path, Crs], Written]]] = {
    "geopackage": write_geopackage,
    "geojson": write_geojson,
    "shapefile": write_shapefile,
    "dxf": write_dxf,
    "boundary-txt": write_boundary_txt,
    "flatgeobuf": write_flatgeobuf,
    "geoparquet": write_geoparquet,
    "csv": write_csv,
}
_SHORT_NAMES: Final[dict[str, FileFormat]] = {
    "gpkg": "geopackage",
    "geojson": "geojson",
    "shp": "shapefile",
    "zip": "shapefile",
    "dxf": "dxf",
    "txt": "boundary-txt",
    "fgb": "flatgeobuf",
    "parquet": "geoparquet",
    "csv": "csv",
}


def format_named(name: str) -> FileFormat:
    """The format of a short name or suffix, such as gpkg, geojson, shp or zip, dxf, txt."""
    found = _SHORT_NAMES.get(name.lower().removeprefix("."))
    if found not in _WRITERS:
        names = ", ".join(short for short, long in _SHORT_NAMES.items() if long in _WRITERS)
        raise BadParameter(
            f"'{name}' is no export format; formats: {names}.",
            f"“{name}”不是导出格式；可用格式：{names}。",
            code="format-not-offered",
        )
    return found


def write_file(table: FeatureTable, file_format: FileFormat, path: Path, crs: Crs) -> Written:
    """Write features into a new file; it is there whole or not at all."""
    fresh = path.with_name(f".{path.stem}-unfinished{SUFFIXES[file_format]}")
    fresh.unlink(missing_ok=True)
    try:
        written = _WRITERS[file_format](table, fresh, crs)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return replace(written, path=path)


def write_saved(
    saved: Path, head: TableHead, file_format: FileFormat, path: Path, crs: Crs
) -> Written:
    """The same in a child process, from what ``save_batches`` put into a file."""
    return write_file(FeatureTable(head, load_batches(saved)), file_format, path, crs)
