"""``/editions/{edition}/quality``: the newest quality report of an edition, in four forms."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.pictures import shows_drafts
from gis_service.problems import language_of
from gis_service.quality_report.document import Document, drawings, quality_document
from gis_service.quality_report.forms import MEDIA_TYPES, render
from gis_service.quality_report.geopackage import write_geopackage
from gis_service.routes.requests import base_url, library_of, refuse_unknown
from layers.errors import NotFound
from layers.quality.record import no_run

_LARGEST_NUMBER: Final = 2**31 - 1


def report(request: Request) -> Response:
    """The report in the form of the suffix, else in the one that the client prefers."""
    refuse_unknown(request, ())
    library = library_of(request)
    form = request.path_params.get("form") or _preferred(request)
    if form not in MEDIA_TYPES:
        raise NotFound(
            f"Quality reports end in {', '.join(MEDIA_TYPES)}.",
            f"质检报告的后缀为 {'、'.join(MEDIA_TYPES)}。",
        )
    number = _number(request.path_params["edition"])
    visible = {layer.id for layer in library.visible_layers()}
    with library.pool.connection() as connection:
        document = quality_document(connection, library.catalog, number, visible)
        if document["state"] == "draft" and not shows_drafts(library):
            raise no_run(number)
        shapes = drawings(connection, document["run"], visible) if form == "html" else {}

    def write(value: Document, path: Any) -> None:
        limit_s = library.config.limits.check_deadline_s
        library.sandbox.run(write_geopackage, value, path, deadline_s=limit_s)

    body = render(
        document, shapes, form, language_of(request),
        notice=library.config.notice, address=base_url(request), write=write,
    )  # fmt: skip
    headers = {"Cache-Control": "no-cache", "Vary": "Accept, Accept-Language"}
    if form in ("xlsx", "gpkg"):
        headers["Content-Disposition"] = f'attachment; filename="quality-{number}.{form}"'
    return Response(body, media_type=MEDIA_TYPES[form], headers=headers)


def _preferred(request: Request) -> str:
    """HTML for browsers, the form that a program names, JSON otherwise."""
    asked = request.query_params.get("f")
    if asked:
        return asked
    accept = request.headers.get("accept", "")
    named = (form for form, media_type in MEDIA_TYPES.items() if media_type in accept)
    return "html" if "text/html" in accept else next(named, "json")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) <= _LARGEST_NUMBER):
        raise NotFound(f"There is no edition '{text[:20]}'.", f"没有版本“{text[:20]}”。")
    return int(text)


ROUTES: Final = [
    Route("/editions/{edition}/quality", report),
    Route("/editions/{edition}/quality.{form}", report),
]
