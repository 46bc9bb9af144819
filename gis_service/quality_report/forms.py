"""The forms of a report by the suffix of their names."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import orjson
from shapely.geometry.base import BaseGeometry

from gis_service.quality_report.document import Document
from gis_service.quality_report.geopackage import write_geopackage
from gis_service.quality_report.page import render_html
from gis_service.quality_report.workbook import render_xlsx
from layers.text import Text

MEDIA_TYPES: Final[Mapping[str, str]] = {
    "json": "application/json",
    "html": "text/html",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "gpkg": "application/geopackage+sqlite3",
}

Writer = Callable[[Document, Path], None]


def render(
    document: Document,
    drawings: Mapping[str, BaseGeometry],
    form: str,
    language: str,
    *,
    notice: Text | None = None,
    address: str | None = None,
    write: Writer = write_geopackage,
) -> bytes:
    """The report as bytes; ``write`` writes the GeoPackage (a service gives it to a child)."""
    if form == "html":
        page = render_html(document, drawings, language, notice=notice, address=address)
        return page.encode()
    if form == "xlsx":
        return render_xlsx(document, language)
    if form == "gpkg":
        with tempfile.TemporaryDirectory(prefix="gis-quality-") as folder:
            path = Path(folder) / "quality.gpkg"
            write(document, path)
            return path.read_bytes()
    return orjson.dumps(document)
