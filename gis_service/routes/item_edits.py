"""Edits of drafts over HTTP (OGC API Features Part 4): create, replace, update, delete."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gis_service.shown import editor_of, shown_collection

_READ: Final = "GET, HEAD, OPTIONS"


def options_of_items(request: Request) -> Response:
    """Which methods the list takes; QGIS asks before it shows the pencil."""
    return _options(request, "POST")


def options_of_item(request: Request) -> Response:
    """Which methods a feature takes; also for one that is not there, as QGIS asks it."""
    return _options(request, "PUT, PATCH, DELETE")


def _options(request: Request, writes: str) -> Response:
    shown = shown_collection(request, request.path_params["layer"])
    allowed = f"{_READ}, {writes}" if shown.is_draft and editor_of(request) else _READ
    return Response(status_code=204, headers={"Allow": allowed})
