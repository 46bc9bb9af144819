"""File geodatabase: a folder ``x.gdb`` (or one out of an archive), read by OpenFileGDB."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from pyogrio.raw import open_arrow

from layers.errors import UnreadableFile
from layers.readers.geopackage import choose_layer
from layers.readers.source import Source, damaged, describe

CATALOGUE_FILE: Final = "a00000001.gdbtable"
_ALTERNATIVE_NAME: Final = b"GDAL:OGR:alternative_name"


def is_geodatabase(path: Path) -> bool:
    """Whether a folder is one: its catalogue is there, whatever the folder is called."""
    return path.is_dir() and any(p.name.lower() == CATALOGUE_FILE for p in path.iterdir())


def open_filegdb(path: Path, job_dir: Path, layer: str | None) -> Source:
    """One feature class; several need a name. Tables without geometry are not offered."""
    if any(part.is_symlink() or not part.is_file() for part in path.iterdir()):
        raise UnreadableFile(
            "The geodatabase holds a link or a folder; send the files themselves.",
            "地理数据库中含有链接或子文件夹；请提供原始文件。",
            code="hostile-archive",
        )
    if path.suffix.lower() != ".gdb":
        link = job_dir / "source.gdb"  # GDAL knows the format by the folder's name
        link.symlink_to(path.resolve())
        path = link
    name = choose_layer("FileGDB", _feature_classes(path), layer)
    source = describe("FileGDB", "OpenFileGDB", path, name)
    return replace(source, alternative_names=_alternative_names(path, name))


def _feature_classes(path: Path) -> list[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    except (DataSourceError, DataLayerError, ValueError, IndexError) as error:
        raise damaged("FileGDB") from error


def _alternative_names(path: Path, layer: str) -> dict[str, str]:
    """Field aliases, which the Arrow schema carries beside the names."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_arrow(path, layer=layer, use_pyarrow=True) as (_, reader):
                schema = reader.schema
    except (DataSourceError, DataLayerError, RuntimeError, OSError, ValueError) as error:
        raise damaged("FileGDB") from error
    return {
        column.name: column.metadata[_ALTERNATIVE_NAME].decode("utf-8", "replace")
        for column in schema
        if column.metadata and _ALTERNATIVE_NAME in column.metadata
    }
