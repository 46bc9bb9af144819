"""Registered sources and their harvests, read only: for the internal process, never the public one.

``ROUTES`` is put into an application that answers inside the house only; locations, networks and
what failed at whose server are nobody else's business.
"""

from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.harvesting import runs
from gis_service.harvesting.sources import RegisteredSource, load_sources, source_named
from gis_service.harvesting.status import source_statuses
from gis_service.routes.requests import integer, library_of, refuse_unknown

_MOST_RUNS: Final = 1000


def sources(request: Request) -> Response:
    """All sources with their last harvest."""
    refuse_unknown(request, ())
    with library_of(request).pool.connection() as connection:
        return _answer({"sources": source_statuses(connection, _registered(request))})


def source(request: Request) -> Response:
    """One source with its last harvest."""
    refuse_unknown(request, ())
    found = source_named(_registered(request), request.path_params["source"])
    with library_of(request).pool.connection() as connection:
        (status,) = source_statuses(connection, (found,))
    return _answer(status)


def harvests(request: Request) -> Response:
    """The harvests of a source, newest first."""
    refuse_unknown(request, ("limit",))
    found = source_named(_registered(request), request.path_params["source"])
    limit = min(integer(request, "limit", 50, 1), _MOST_RUNS)
    with library_of(request).pool.connection() as connection:
        return _answer({"harvests": runs.history(connection, found.id, limit)})


def _registered(request: Request) -> tuple[RegisteredSource, ...]:
    library = library_of(request)
    return load_sources(library.settings.config_dir, library.catalog)


def _answer(body: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps(body, default=str),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


ROUTES: Final = [
    Route("/sources", sources),
    Route("/sources/{source}", source),
    Route("/sources/{source}/harvests", harvests),
]
