"""Reports of conflict checks over HTTP, samples, and the form's questions."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.checking import stored_report
from gis_service.demo_province import SampleSite, sample_sites
from gis_service.library import Library
from gis_service.problems import language_of
from gis_service.report_forms import FORMS, ReportForm, form_of, render
from gis_service.report_forms.grounds import draw_grounds
from gis_service.routes.requests import (
    base_url,
    json_body,
    library_of,
    refuse_unknown,
)
from gis_service.verification import verify
from gis_service.verification_page import verification_page
from layers.errors import NotFound
from planning_rules.submission_form import submission_form

_GEOJSON_TYPES: Final = ("application/geo+json", "application/json")
_REPORT_BYTES: Final = 64 << 20


def report_json(request: Request) -> Response:
    """A stored report; JSON is the master."""
    report = stored_report(library_of(request), request.path_params["report"])
    return Response(orjson.dumps(report), media_type="application/json")


def report_form(request: Request) -> Response:
    """A stored report as a page, on paper, as a workbook, or as map layers."""
    form = form_of(request.path_params["suffix"])
    report_id = request.path_params["report"]
    return _rendered(request, stored_report(library_of(request), report_id), form)


def _rendered(request: Request, report: Mapping[str, Any], form: ReportForm) -> Response:
    library, language = library_of(request), language_of(request)
    body = render(
        library.sandbox, report, form, language,
        f"{base_url(request)}/reports/{report['report_id']}/verify",
        draw_grounds(library, report, language) if form.has_maps else None,
    )  # fmt: skip
    shown = "inline" if form.suffix in ("html", "pdf") else "attachment"
    name = f"report-{report['report_id']}.{form.suffix}"
    return Response(
        body,
        media_type=form.media_type,
        headers={"Content-Disposition": f'{shown}; filename="{name}"', "Vary": "Accept-Language"},
    )


def verification(request: Request) -> Response:
    """Whether a stored report is what was issued; ``replay=true`` judges it again.

    A page for people (the QR code of a printed report leads here), JSON for programs.
    """
    refuse_unknown(request, ("replay",))
    library = library_of(request)
    report = stored_report(library, request.path_params["report"])
    verified = verify(library, report, replay_too=request.query_params.get("replay") == "true")
    if "text/html" in request.headers.get("accept", ""):
        page = verification_page(verified, report, language_of(request))
        return Response(page, media_type="text/html")
    return Response(orjson.dumps(verified.as_json()), media_type="application/json")


async def verification_of_file(request: Request) -> Response:
    """Verify a report that the caller brings as JSON."""
    library = library_of(request)
    refuse_unknown(request, ("replay",))
    brought = await json_body(request, _REPORT_BYTES)
    replay_too = request.query_params.get("replay") == "true"
    verified = await run_in_threadpool(verify, library, brought, replay_too=replay_too)
    return Response(orjson.dumps(verified.as_json()), media_type="application/json")


def public_keys(request: Request) -> Response:
    """The public keys of signatures (JWK set, RFC 7517)."""
    keys = library_of(request).keys.public_set()
    return Response(orjson.dumps(keys), media_type="application/jwk-set+json")


def report(request: Request) -> Response:
    """A stored report in the form that the client prefers; JSON where it does not say."""
    stored = stored_report(library_of(request), request.path_params["report"])
    accepted = [part.split(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
    for media_type in accepted:
        form = next((one for one in FORMS.values() if one.media_type == media_type), None)
        if form is not None:
            return _rendered(request, stored, form)
        if media_type == "application/json":
            break
    return Response(orjson.dumps(stored), media_type="application/json", headers={"Vary": "Accept"})


def samples(request: Request) -> Response:
    """Sample sites of the demo province; an empty list on a real library."""
    library = library_of(request)
    entries = [
        {
            "id": site.id,
            "title": site.title.model_dump(),
            "description": site.description.model_dump(),
            "href": f"/samples/{site.id}.geojson",
        }
        for site in _sites(library)
    ]
    return Response(orjson.dumps(entries), media_type="application/json")


def sample(request: Request) -> Response:
    """One sample site as a GeoJSON feature."""
    wanted = request.path_params["site"]
    for site in _sites(library_of(request)):
        if site.id == wanted:
            return Response(orjson.dumps(site.feature), media_type="application/geo+json")
    raise NotFound(f"There is no sample '{wanted}'.", f"没有示例“{wanted}”。")


def _sites(library: Library) -> list[SampleSite]:
    synthetic = any(content.synthetic for content in library.in_force().layers.values())
    return sample_sites() if synthetic else []


def form(request: Request) -> Response:
    """What the rules ask of a submission."""
    entries = submission_form(library_of(request).rules_in_use())
    return Response(orjson.dumps({"attributes": entries}), media_type="application/json")


ROUTES: Final = [
    Route("/.well-known/jwks.json", public_keys),
    Route("/reports/verify", verification_of_file, methods=["POST"]),
    Route("/reports/{report}/verify", verification),
    Route("/reports/{report}.json", report_json),
    Route("/reports/{report}.{suffix}", report_form),
    Route("/reports/{report}", report),
    Route("/samples", samples),
    Route("/samples/{site}.geojson", sample),
    Route("/submission-form", form),
]
