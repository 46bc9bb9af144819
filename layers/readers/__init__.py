"""Readers of foreign files, one module a format, behind one entry.

They run inside ``layers.sandbox`` only. ``open_source`` recognises the content, checks and
prepares it in the job's own folder, and ``stream`` reads it batch by batch.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from layers.errors import UnreadableFile
from layers.readers.archive import unpack
from layers.readers.boundary_txt import open_boundary_txt
from layers.readers.coordinate_table import open_coordinate_table
from layers.readers.dxf import open_dxf
from layers.readers.filegdb import is_geodatabase, open_filegdb
from layers.readers.flatgeobuf import open_flatgeobuf
from layers.readers.geojson import open_geojson
from layers.readers.geopackage import choose_layer, open_geopackage
from layers.readers.gml import open_gml
from layers.readers.kml import open_kml, open_kmz
from layers.readers.recognise import SUFFIXES, Format, recognise
from layers.readers.shapefile import open_shapefile
from layers.readers.source import Batch, Note, Source, stream

__all__ = ["Batch", "Note", "Source", "open_source", "stream"]

_Opener = Callable[[Path, Path, str | None], Source]
_OPENERS: Final[dict[Format, _Opener]] = {
    "geopackage": open_geopackage,
    "geojson": open_geojson,
    "shapefile": open_shapefile,
    "flatgeobuf": open_flatgeobuf,
    "filegdb": open_filegdb,
    "kml": open_kml,
    "kmz": open_kmz,
    "dxf": open_dxf,
    "gml": open_gml,
    "boundary-txt": open_boundary_txt,
    "coordinate-table": open_coordinate_table,
}
_OWN_READERS: Final = frozenset({"boundary-txt", "coordinate-table"})
_WEAK_SUFFIXES: Final = frozenset({".txt", ".csv", ".xlsx"})
"""Beside a shapefile these are a readme, a licence, a list; alone they may be what is sent."""
_MAIN_SUFFIXES: Final = frozenset(
    {".shp", ".gpkg", ".geojson", ".json", ".fgb", ".kml", ".gml", ".dxf"}
)


def open_source(path: Path, job_dir: Path, layer: str | None = None) -> Source:
    """Recognise and prepare a file, a geodatabase or folder with one shapefile, or an archive.

    ``layer`` names the layer where there are several (a table of a GeoPackage, a shapefile in an
    archive). Nothing outside the file, its siblings and ``job_dir`` is read; nothing outside
    ``job_dir`` is written.
    """
    if is_geodatabase(path):
        return open_filegdb(path, job_dir, layer)
    if path.is_dir():
        return _open_one_of(sorted(path.iterdir()), job_dir, layer)
    if not path.is_file():
        raise UnreadableFile("There is no such file.", "文件不存在。", code="no-file")
    found = recognise(path)
    if found == "zip":
        return _open_one_of(unpack(path, job_dir / "unpacked"), job_dir, layer)
    return _OPENERS[found](_suffixed(path, found, job_dir), job_dir, layer)


def _suffixed(path: Path, found: Format, job_dir: Path) -> Path:
    """A link with the usual suffix for an upload without one; GDAL looks at it as well."""
    if path.suffix.lower() in SUFFIXES or found == "shapefile" or found in _OWN_READERS:
        return path
    suffix = next(suffix for suffix, name in SUFFIXES.items() if name == found)
    link = job_dir / f"upload{suffix}"
    link.symlink_to(path.resolve())
    return link


def _is_survey(path: Path) -> bool:
    """Whether a text or workbook of an archive holds boundary points, not words for people."""
    if path.suffix.lower() not in _WEAK_SUFFIXES or not path.is_file():
        return False
    try:
        return recognise(path) in _OWN_READERS
    except UnreadableFile:
        return False


def _layer_names(mains: list[Path]) -> list[str]:
    """What the files are called by: their names, where two have the same one their whole paths.

    Shapefiles of several counties often lie under one name in a folder each; none is taken for all.
    """
    root = Path(os.path.commonpath([path.parent for path in mains])) if mains else Path()
    often = Counter(path.stem for path in mains)
    return [
        path.stem if often[path.stem] == 1 else path.relative_to(root).as_posix() for path in mains
    ]


def _open_one_of(paths: list[Path], job_dir: Path, layer: str | None) -> Source:
    mains = [path for path in paths if path.suffix.lower() in _MAIN_SUFFIXES and path.is_file()]
    mains += sorted({path.parent for path in paths if is_geodatabase(path.parent)})
    mains = mains or [path for path in paths if _is_survey(path)]
    if len(mains) == 1 and (mains[0].is_dir() or recognise(mains[0]) != "shapefile"):
        return open_source(mains[0], job_dir, layer)
    names = _layer_names(mains)
    chosen = mains[names.index(choose_layer("archive", names, layer))]
    if chosen.is_dir():
        return open_filegdb(chosen, job_dir, None)
    found = recognise(chosen)
    if found == "zip":
        raise UnreadableFile(
            "The archive holds another archive.", "压缩包内还有压缩包。", code="nested-archive"
        )
    return _OPENERS[found](chosen, job_dir, None)
