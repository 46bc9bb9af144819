"""``/export/{layer}.{suffix}``: an open layer, or a part of it, as a file to download."""

import tempfile
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.crs_offered import CRS84, OFFERED_CRS
from gis_service.library import today
from gis_service.routes.downloads import Download
from gis_service.routes.requests import boxes_asked, day_asked, library_of, refuse_unknown
from layers.crs import Box, Crs, parse_crs
from layers.errors import BadParameter, CrsRefused, NotFound

if TYPE_CHECKING:
    from layers.writers import FileFormat

_MEDIA_TYPES: Final[dict[str, str]] = {
    "gpkg": "application/geopackage+sqlite3",
    "geojson": "application/geo+json",
    "zip": "application/zip",
    "dxf": "image/vnd.dxf",
    "txt": "text/plain",
    "fgb": "application/flatgeobuf",
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
}


def export(request: Request) -> Response:
    """The layer's features that meet ``bbox`` (lon/lat), in force on ``datetime``, in ``crs``."""
    from layers.exports import export_content, too_many
    from layers.writers import format_named

    refuse_unknown(request, ("bbox", "crs", "datetime"))
    library = library_of(request)
    layer_id, _, suffix = request.path_params["file"].rpartition(".")
    if suffix not in _MEDIA_TYPES:
        raise NotFound(
            f"Exports end in {', '.join(_MEDIA_TYPES)}.", f"导出后缀为 {'、'.join(_MEDIA_TYPES)}。"
        )
    layer = library.visible_layer(layer_id)
    file_format: FileFormat = format_named(suffix)
    content = library.content(layer.id, day_asked(request, today()))
    box = _box(request)
    limits = library.config.limits
    if box is None and content.feature_count > limits.export_features:
        raise too_many(limits.export_features)
    folder = Path(tempfile.mkdtemp(prefix="gis-download-"))
    try:
        with library.pool.connection() as connection:
            written = export_content(
                connection, library.sandbox, layer, content.content_id,
                folder / f"{layer.id}.{suffix}",
                file_format=file_format, crs=_crs(request), box=box,
                most=limits.export_features, deadline_s=limits.check_deadline_s,
            )  # fmt: skip
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise
    return Download(
        written.path,
        media_type=_MEDIA_TYPES[suffix],
        filename=f"{layer.id}-{content.edition_id}.{suffix}",
    )


def _crs(request: Request) -> Crs:
    """One of the CRS that items are offered in, as URI or as code (EPSG:4525)."""
    text = request.query_params.get("crs")
    if text is None:
        return parse_crs("EPSG:4490")
    try:
        crs = parse_crs(text.strip("[]<>"))
    except CrsRefused:  # what an import could do about it is no help here
        crs = None
    if crs is None or crs.uri not in OFFERED_CRS:
        named = crs.code if crs is not None else f"'{text[:80]}'"
        raise BadParameter(
            f"crs: {named} is not offered; choose one of {', '.join(OFFERED_CRS)}.",
            f"crs：不提供 {named}；可选：{'、'.join(OFFERED_CRS)}。",
            code="crs-not-offered",
        )
    return crs


def _box(request: Request) -> Box | None:
    boxes = boxes_asked(request, parse_crs(CRS84))
    if len(boxes) > 1:
        raise BadParameter("bbox: west lies east of east.", "bbox：西边界大于东边界。")
    return boxes[0] if boxes else None


ROUTES: Final = [Route("/export/{file}", export, methods=["GET"])]
