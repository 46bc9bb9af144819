"""The application: routes, guards and error handlers around a ``Library``."""

import time
from http import HTTPStatus
from typing import Final

from prometheus_client import Counter, Histogram
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from gis_service.auth import KeyGate, KeyRing
from gis_service.gazetteer import Gazetteer
from gis_service.library import Library
from gis_service.map_tiles import MapTiles
from gis_service.ogc import OgcFrame
from gis_service.pictures import Pictures
from gis_service.problems import HANDLERS, problem
from gis_service.routes import (
    administrative_units,
    checks,
    collections,
    editions,
    exports,
    identify,
    layer_styles,
    map_images,
    maps,
    ogc_tiles,
    pages,
    place_search,
    processes,
    qgis,
    quality,
    quotas,
    records,
    rules,
    sources,
    static_maps,
    submissions,
    tianditu,
    tiles,
    wmts,
)
from layers.text import Text

_REQUESTS: Final = Counter("gis_requests_total", "Requests", ["route", "status"])
_SECONDS: Final = Histogram("gis_request_seconds", "Time to answer", ["route"])

_SECURITY_HEADERS: Final = {
    b"content-security-policy": b"default-src 'self'; worker-src 'self' blob:; "
    b"img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    b"object-src 'none'; base-uri 'self'; frame-ancestors 'self'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
}


def create_app(library: Library, lifespan: Lifespan[Starlette] | None = None) -> Starlette:
    """The ASGI application; ``library`` is closed by who made it (or by ``lifespan``)."""
    app = Starlette(
        lifespan=lifespan,
        routes=[
            # They are tried in order: first what is asked for a thousand times as often.
            *tiles.ROUTES,
            *tianditu.ROUTES,
            *wmts.ROUTES,
            *pages.ROUTES,
            *maps.ROUTES,
            *ogc_tiles.ROUTES,
            *map_images.ROUTES,
            *layer_styles.ROUTES,
            *qgis.ROUTES,
            *place_search.ROUTES,
            *administrative_units.ROUTES,
            *static_maps.ROUTES,
            *quality.ROUTES,
            *editions.ROUTES,
            *identify.ROUTES,
            *exports.ROUTES,
            *records.ROUTES,
            *collections.ROUTES,
            *checks.ROUTES,
            *processes.ROUTES,
            *rules.ROUTES,
            *submissions.ROUTES,
            *quotas.ROUTES,
            # Reports of harvests may hold values of any layer.
            *(sources.ROUTES if library.settings.access == "restricted" else ()),
        ],
        middleware=[
            Middleware(Guard, allowed_hosts=_allowed_hosts(library)),
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["*"],
                expose_headers=["Location", "ETag", "Content-Crs", "Link"],
            ),
            Middleware(KeyGate, ring=KeyRing(library)),
        ],
        exception_handlers=HANDLERS,
    )
    app.state.library = library
    app.state.pictures = Pictures(library)
    app.state.map_tiles = MapTiles(library)
    app.state.gazetteer = Gazetteer(library)
    app.state.diffs = editions.DiffStore()
    app.state.ogc = OgcFrame(library, [one for one in app.routes if isinstance(one, Route)])
    return app


def _allowed_hosts(library: Library) -> frozenset[str]:
    settings = library.settings
    hosts = {*settings.allowed_hosts, settings.host}
    if settings.public_url:
        hosts.add(settings.public_url.split("://", 1)[-1].split("/", 1)[0].rsplit(":", 1)[0])
    return frozenset(hosts)


class Guard:
    """Refuses foreign Host headers, adds the security headers, counts and times requests.

    A foreign Host would go into links and then into caches (tile, capabilities, TileJSON).
    """

    def __init__(self, app: ASGIApp, allowed_hosts: frozenset[str]) -> None:
        """Stand before an application."""
        self.app = app
        self.allowed_hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((k, v) for k, v in _SECURITY_HEADERS.items() if k not in present),
                ]
            await send(message)

        request = Request(scope)
        host = request.headers.get("host", "")
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            refusal = problem(
                request,
                HTTPStatus.BAD_REQUEST,
                "nul-character",
                Text(
                    zh="地址中不允许有空字符。", en="A NUL character is not allowed in an address."
                ),
            )
            await refusal(scope, receive, send_guarded)
        elif _without_port(host) in self.allowed_hosts:
            await self.app(scope, receive, send_guarded)
        else:
            refusal = problem(
                request,
                HTTPStatus.BAD_REQUEST,
                "unknown-host",
                Text(zh="请求的主机名未被允许。", en="This host name is not served here."),
            )
            await refusal(scope, receive, send_guarded)
        route = getattr(scope.get("route"), "path", "none")
        _REQUESTS.labels(route, status).inc()
        _SECONDS.labels(route).observe(time.perf_counter() - started)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
