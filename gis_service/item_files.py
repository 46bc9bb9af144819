"""A page of features as a file: GeoPackage, FlatGeobuf, GeoParquet, CSV."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Final

import numpy as np
import shapely

from gis_service.library import Library
from gis_service.routes.downloads import Download
from gis_service.shown import Shown

if TYPE_CHECKING:
    from layers.feature_pages import PageQuery, Rows
    from layers.page_order import After
    from layers.writers import FeatureBatch, FileFormat


@dataclass(frozen=True, slots=True)
class FileForm:
    """A form that is a file: its media type and what the writers call it."""

    media_type: str
    file_format: "FileFormat"


FILE_FORMS: Final[Mapping[str, FileForm]] = {
    "csv": FileForm("text/csv; charset=utf-8", "csv"),
    "fgb": FileForm("application/flatgeobuf", "flatgeobuf"),
    "parquet": FileForm("application/vnd.apache.parquet", "geoparquet"),
    "gpkg": FileForm("application/geopackage+sqlite3", "geopackage"),
}


def file_of_page(
    library: Library, shown: Shown, query: "PageQuery", form: str
) -> tuple[Download, "After | None", int | None]:
    """The file, the feature that the next page begins behind, how many features match.

    It is written in a child process, as all files are.
    """
    from layers.feature_pages import Rows, page_rows
    from layers.writers import TableHead, save_batches, write_saved

    rows = Rows([], [], [], None, 0)
    if shown.content_id is not None:
        with library.pool.connection() as connection:
            rows = page_rows(connection, shown.layer, shown.content_id, shown.feature_count, query)
    folder = Path(tempfile.mkdtemp(prefix="gis-download-"))
    try:
        save_batches([_batch(rows)], folder / "page.arrow")
        written = library.sandbox.run(
            write_saved, folder / "page.arrow", TableHead.of_layer(shown.layer),
            FILE_FORMS[form].file_format, folder / f"{shown.id}.{form}", query.crs,
            deadline_s=library.config.limits.check_deadline_s,
        )  # fmt: skip
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise
    answer = Download(
        written.path, media_type=FILE_FORMS[form].media_type, filename=written.path.name
    )
    return answer, rows.next_after, rows.matched


def _batch(rows: "Rows") -> "FeatureBatch":
    from layers.writers import FeatureBatch

    geometries = np.empty(len(rows.wkb), dtype=object)
    geometries[:] = shapely.from_wkb(rows.wkb)
    return FeatureBatch(rows.feature_ids, rows.attributes, geometries)
