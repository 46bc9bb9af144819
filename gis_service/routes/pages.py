"""The web page, its files, and what operators ask: liveness, readiness, metrics."""

import mimetypes
from importlib.metadata import version
from typing import Any, Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.conformance import CLASSES
from gis_service.ogc import call, change_json, link_catalogue
from gis_service.ogc_page import ogc_page
from gis_service.problems import language_of
from gis_service.routes.negotiation import form_asked
from gis_service.routes.requests import base_url, library_of, refuse_unknown
from layers.database import migration_files
from layers.errors import NotFound, Unavailable

_PAGE_NOT_BUILT: Final = """<!doctype html><meta charset="utf-8"><title>多规合一</title>
<p>网页尚未构建，请运行 <code>make run</code>。The web page is not built yet: run
<code>make run</code>. <a href="/ogc">OGC API</a></p>"""


def home(request: Request) -> Response:
    """The planners' map; programs that ask for JSON get the service description."""
    accept = request.headers.get("accept", "")
    if "application/json" in accept and "text/html" not in accept:
        return Response(orjson.dumps(_description(request)), media_type="application/json")
    page = library_of(request).settings.web_dir / "dist" / "index.html"
    text = page.read_text("utf-8") if page.is_file() else _PAGE_NOT_BUILT
    return Response(text, media_type="text/html", headers={"Cache-Control": "no-cache"})


def _description(request: Request) -> dict[str, Any]:
    library = library_of(request)
    address = base_url(request)
    return {
        "title": library.config.title.model_dump(),
        "description": library.config.subtitle.model_dump(),
        "notice": library.config.notice.model_dump(),
        "version": version("gis-service"),
        "links": [
            {"rel": "service-desc", "href": f"{address}/ogc/api"},
            {"rel": "ogc", "href": f"{address}/ogc"},
            {"rel": "catalog", "href": f"{address}/catalog"},
            {"rel": "style", "href": f"{address}/styles/map.json"},
            {"rel": "conflict-check", "href": f"{address}/ogc/processes/conflict-check"},
        ],
    }


def built_file(request: Request) -> Response:
    """A file of the built web client; names hold a digest, so they never change."""
    root = (library_of(request).settings.web_dir / "dist").resolve()
    path = (root / "assets" / request.path_params["file"]).resolve()
    if not path.is_relative_to(root / "assets") or not path.is_file():
        raise NotFound("There is no such file.", "没有这个文件。")
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Response(
        path.read_bytes(),
        media_type=media_type,
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


def icon(request: Request) -> Response:
    """The icon that browsers ask for on every page."""
    path = library_of(request).settings.web_dir / "src" / "icon.svg"
    return Response(
        path.read_bytes(),
        media_type="image/svg+xml",
        headers={"Cache-Control": "public, max-age=86400"},
    )


async def healthz(_: Request) -> Response:
    """The process answers."""
    return Response('{"status":"alive"}', media_type="application/json")


def readyz(request: Request) -> Response:
    """The database answers and holds all migrations."""
    with library_of(request).pool.connection() as connection:
        applied = {name for (name,) in connection.execute("SELECT name FROM public.migration")}
    missing = [name for name, _ in migration_files() if name not in applied]
    if missing:
        raise Unavailable(
            f"Migrations are missing: {', '.join(missing)}.", f"缺少迁移：{'、'.join(missing)}。"
        )
    return Response('{"status":"ready"}', media_type="application/json")


def metrics(_: Request) -> Response:
    """Figures for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def landing(request: Request) -> Response:
    """Landing page of the OGC API, by pygeoapi."""
    refuse_unknown(request, ())
    address = base_url(request)
    answer = call(request.app.state.ogc, "landing_page", request, address)
    return change_json(answer, lambda document: link_catalogue(document, address))


def conformance(request: Request) -> Response:
    """Conformance classes: what our routes do."""
    refuse_unknown(request, ())
    classes = sorted(set(CLASSES))
    if form_asked(request, {"json": "application/json", "html": "text/html"}) == "html":
        words = {"title": ("符合性声明", "Conformance")}
        title = words["title"][0 if language_of(request) == "zh" else 1]
        page = ogc_page(request, "conformance.html.j2", words, title=title, classes=classes)
        return Response(page, media_type="text/html", headers={"Vary": "Accept, Accept-Language"})
    body = orjson.dumps({"conformsTo": classes})
    return Response(body, media_type="application/json", headers={"Vary": "Accept"})


def openapi(request: Request) -> Response:
    """OpenAPI document of the OGC API."""
    refuse_unknown(request, ())
    return call(request.app.state.ogc, "openapi_", request, base_url(request))


ROUTES: Final = [
    Route("/", home),
    Route("/assets/{file:path}", built_file),
    Route("/favicon.ico", icon),
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/metrics", metrics),
    Route("/ogc", landing),
    Route("/ogc/", landing),
    Route("/ogc/conformance", conformance),
    Route("/ogc/api", openapi),
    Route("/ogc/openapi", openapi),
]
