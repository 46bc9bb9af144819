"""Conflict checks over HTTP: the OGC process, stored reports, samples, the form's questions."""

from collections.abc import Mapping
from typing import Any, Final

import anyio
import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.checking import CheckRequest, check, stored_report
from gis_service.demo_province import SampleSite, sample_sites
from gis_service.library import Library
from gis_service.ogc import call
from gis_service.problems import language_of
from gis_service.processes import PROCESSES
from gis_service.report_forms import FORMS, ReportForm, form_of, render
from gis_service.routes.requests import (
    base_url,
    calendar_day,
    json_body,
    library_of,
    refuse_unknown,
)
from gis_service.verification import verify
from gis_service.verification_page import verification_page
from layers.errors import BadInput, BadParameter, NotFound, Place
from layers.text import Text
from planning_rules.submission_form import submission_form

_GEOJSON_TYPES: Final = ("application/geo+json", "application/json")
_REPORT_BYTES: Final = 64 << 20


def process_list(request: Request) -> Response:
    """The list of processes, by pygeoapi."""
    return call(request.app.state.ogc, "describe_processes", request, base_url(request))


def process(request: Request) -> Response:
    """The description of one process, by pygeoapi."""
    return call(
        request.app.state.ogc, "describe_processes", request, base_url(request),
        request.path_params["process"],
    )  # fmt: skip


async def execution(request: Request) -> Response:
    """Run a process and answer with its output (``raw``) or a document of outputs."""
    library = library_of(request)
    process_id = request.path_params["process"]
    description = next((p for p in PROCESSES if p["id"] == process_id), None)
    if description is None:
        raise NotFound(f"There is no process '{process_id}'.", f"没有处理服务“{process_id}”。")
    body = await json_body(request, library.config.limits.submission_bytes)
    inputs = _inputs(body, description)
    if process_id == "echo":
        output_id, result = await _echo(inputs)
    else:
        output_id, result = await run_in_threadpool(_conflict_check, library, inputs)
    form = body.get("response", "raw")
    if form not in ("raw", "document"):
        raise BadInput("response is raw or document.", "response 应为 raw 或 document。")
    if form == "document":
        result = {output_id: result}
    return Response(orjson.dumps(result), media_type="application/json")


def _inputs(body: Any, description: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(body, dict) or not isinstance(body.get("inputs"), dict):
        raise BadInput(
            'The body must be {"inputs": {...}}.',
            '请求内容应为 {"inputs": {...}}。',
            places=(Place("/inputs", Text(zh="缺少", en="missing")),),
        )
    inputs: dict[str, Any] = body["inputs"]
    known = description["inputs"]
    for name in inputs:
        if name not in known:
            raise BadInput(
                f"Unknown input '{name}'. Known: {', '.join(known)}.",
                f"未知输入“{name}”。可用：{'、'.join(known)}。",
                places=(Place(f"/inputs/{name}", Text(zh="未知", en="unknown")),),
            )
    for name, declared in known.items():
        if declared["minOccurs"] and inputs.get(name) is None:
            raise BadInput(
                f"Input '{name}' is missing.",
                f"缺少输入“{name}”。",
                places=(Place(f"/inputs/{name}", Text(zh="缺少", en="missing")),),
            )
    return inputs


def _conflict_check(library: Library, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    as_of = inputs.get("as_of")
    if as_of is not None and not isinstance(as_of, str):
        raise BadParameter(
            "as_of must be a date such as 2026-01-31.", "as_of 应为日期，如 2026-01-31。"
        )
    request = CheckRequest(
        submission=_by_value(inputs["submission"]),
        as_of=calendar_day(as_of, "as_of") if as_of is not None else None,
    )
    return "report", check(library, request)


def _by_value(submission: Any) -> Mapping[str, Any]:
    """The GeoJSON object itself, or in ``{"value", "mediaType"}``; addresses are not followed."""
    if not isinstance(submission, dict):
        raise BadInput(
            "submission must be a GeoJSON object.",
            "submission 应为 GeoJSON 对象。",
            places=(Place("/inputs/submission", Text(zh="不是对象", en="no object")),),
        )
    if "href" in submission:
        raise BadInput(
            "Addresses are not followed; send the GeoJSON itself.",
            "不读取外部地址；请直接提交 GeoJSON。",
            code="href-refused",
            places=(Place("/inputs/submission/href", Text(zh="不接受", en="not accepted")),),
        )
    if "value" in submission and "type" not in submission:
        media_type = submission.get("mediaType", _GEOJSON_TYPES[0])
        if media_type not in _GEOJSON_TYPES or not isinstance(submission["value"], dict):
            raise BadInput(
                "submission.value must be a GeoJSON object.",
                "submission.value 应为 GeoJSON 对象。",
                places=(Place("/inputs/submission/value", Text(zh="不是对象", en="no object")),),
            )
        value: dict[str, Any] = submission["value"]
        return value
    return submission


async def _echo(inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Wait without holding a thread: those answer everybody else."""
    pause = inputs.get("pause", 0)
    if isinstance(pause, bool) or not isinstance(pause, int | float) or not 0 <= pause <= 10:
        raise BadInput(
            "pause must be 0 to 10 seconds.",
            "pause 应为 0 至 10 秒。",
            places=(Place("/inputs/pause", Text(zh="超出范围", en="out of range")),),
        )
    if not isinstance(inputs.get("message", ""), str):
        raise BadInput(
            "message must be a text.",
            "message 应为文本。",
            places=(Place("/inputs/message", Text(zh="不是文本", en="no text")),),
        )
    await anyio.sleep(pause)
    return "echo", dict(inputs)


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
    body = render(
        library_of(request).sandbox, report, form, language_of(request),
        f"{base_url(request)}/reports/{report['report_id']}/verify",
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
    entries = submission_form(library_of(request).rule_set)
    return Response(orjson.dumps({"attributes": entries}), media_type="application/json")


ROUTES: Final = [
    Route("/ogc/processes", process_list),
    Route("/ogc/processes/{process}", process),
    Route("/ogc/processes/{process}/execution", execution, methods=["POST"]),
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
