"""OGC API Processes: list, description, execution (sync or as a job), jobs and their results."""

import datetime
import secrets
from collections.abc import Mapping
from typing import Any, Final

import anyio
import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service import auth, process_jobs
from gis_service.ogc import call
from gis_service.ogc_page import ogc_page
from gis_service.problems import language_of
from gis_service.process_jobs import STATUSES, JobQuery
from gis_service.processes import PROCESSES, Process, process_named
from gis_service.processes.addresses import fetch_json, load_addresses, not_registered, registered
from gis_service.processes.inputs import Execution, read_execution
from gis_service.processes.process import Run
from gis_service.routes.negotiation import form_asked
from gis_service.routes.page_links import page_link
from gis_service.routes.requests import (
    base_url,
    finite,
    integer,
    json_body,
    library_of,
    refuse_unknown,
)
from layers.errors import BadParameter, NotAllowed

_JSON: Final = "application/json"
_FORMS: Final = {"json": _JSON, "html": "text/html"}
_MOST_JOBS: Final = 1_000
JOB_PARAMETERS: Final = (
    "limit", "offset", "before", "processID", "status", "type", "datetime", "minDuration",
    "maxDuration",
)  # fmt: skip
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("任务", "Jobs"),
    "status": ("状态", "Status"),
    "process": ("处理服务", "Process"),
    "created": ("提交时间", "Created"),
    "finished": ("结束时间", "Finished"),
    "results": ("结果", "Results"),
    "none": ("没有任务。", "There are no jobs."),
    "next": ("下一页", "Next page"),
}


def process_list(request: Request) -> Response:
    """The list of processes."""
    refuse_unknown(request, ("limit", "offset"))
    return call(request.app.state.ogc, "describe_processes", request, base_url(request))


def process(request: Request) -> Response:
    """The description of one process."""
    refuse_unknown(request, ())
    name = process_named(request.path_params["process"]).id
    return call(request.app.state.ogc, "describe_processes", request, base_url(request), name)


async def execution(request: Request) -> Response:
    """Run a process and answer with its outputs, or (``Prefer: respond-async``) with a job."""
    refuse_unknown(request, ())
    wanted = process_named(request.path_params["process"])
    body = await json_body(request, library_of(request).config.limits.submission_bytes)
    asked = await run_in_threadpool(_read, request, body, wanted)
    if _runs_async(request, wanted):
        return await run_in_threadpool(_take_job, request, wanted, asked)
    # Waits without holding a thread: those answer everybody else.
    await anyio.sleep(wanted.pause_s(asked.inputs))
    run = Run(library_of(request))
    outputs = await run_in_threadpool(wanted.run, run, asked.inputs)
    return _answer(wanted, outputs, asked.outputs, asked.response)


def _read(request: Request, body: Any, wanted: Process) -> Execution:
    library = library_of(request)
    known = load_addresses(library.settings.config_dir)

    def fetch(url: str) -> Any:
        return fetch_json(url, known.inputs, library.config.limits.submission_bytes)

    asked = read_execution(body, wanted, fetch)
    for url in asked.subscriber.values():
        if registered(url, known.callbacks) is None:
            raise not_registered(url, "callbacks")
    return asked


def _runs_async(request: Request, wanted: Process) -> bool:
    """As the caller prefers where the process does both; else as it does."""
    prefers = {part.strip().lower() for part in request.headers.get("prefer", "").split(",")}
    if "async-execute" not in wanted.modes:
        return False
    return "respond-async" in prefers or "sync-execute" not in wanted.modes


def _take_job(request: Request, wanted: Process, asked: Execution) -> Response:
    library = library_of(request)
    caller = auth.caller(request)
    with library.pool.connection() as connection:
        job_id = process_jobs.add_job(
            connection, wanted, asked, library.settings.reads, caller.owner
        )
        found = process_jobs.job(connection, str(job_id))
    address = base_url(request)
    headers = {"Location": f"{address}/ogc/jobs/{job_id}", "Preference-Applied": "respond-async"}
    body = process_jobs.status_info(found, address, language_of(request))
    return Response(orjson.dumps(body), status_code=201, media_type=_JSON, headers=headers)


def _answer(
    process: Process, outputs: Mapping[str, Any], wanted: tuple[str, ...] | None, response: str
) -> Response:
    """One output as itself, several as parts (raw) or as members of one document.

    A process of several outputs, asked for none of them by name, gives one document of all.
    """
    declared = process.description["outputs"]
    given = {name: outputs[name] for name in (wanted or declared) if name in outputs}
    alone = len(wanted or declared) == 1 and len(given) == 1
    if response == "raw" and alone:
        return Response(orjson.dumps(next(iter(given.values()))), media_type=_JSON)
    if response == "document" or wanted is None:
        return Response(orjson.dumps(given), media_type=_JSON)
    border = secrets.token_hex(16)
    parts = b"".join(
        b"--%b\r\nContent-ID: %b\r\nContent-Type: application/json\r\n\r\n%b\r\n"
        % (border.encode(), name.encode(), orjson.dumps(value))
        for name, value in given.items()
    )
    body = parts + b"--%b--\r\n" % border.encode()
    return Response(body, headers={"Content-Type": f'multipart/related; boundary="{border}"'})


def job_list(request: Request) -> Response:
    """Jobs, newest first: one's own, and of anybody those that tell nothing of a site."""
    refuse_unknown(request, JOB_PARAMETERS)
    form = form_asked(request, _FORMS)
    query = _job_query(request)
    with library_of(request).pool.connection() as connection:
        found = process_jobs.list_jobs(connection, query)
    address, language = base_url(request), language_of(request)
    shown = found[: query.limit]
    jobs = [process_jobs.status_info(one, address, language) for one in shown]
    links = [page_link(request, "self", _FORMS[form])]
    links.append(page_link(request, "alternate", _other(form)[1], f=_other(form)[0]))
    if len(found) > query.limit:
        before = str(shown[-1]["number"])
        links.append(page_link(request, "next", _FORMS[form], before=before, offset=None))
    if form == "html":
        following = links[-1]["href"] if links[-1]["rel"] == "next" else None
        return _page(request, jobs, following)
    return Response(orjson.dumps({"jobs": jobs, "links": links}), media_type=_JSON)


def _other(form: str) -> tuple[str, str]:
    return ("html", _FORMS["html"]) if form == "json" else ("json", _JSON)


def _page(request: Request, jobs: list[dict[str, Any]], following: str | None) -> Response:
    title = _WORDS["title"][0 if language_of(request) == "zh" else 1]
    page = ogc_page(
        request, "jobs.html.j2", _WORDS, title=title, jobs=jobs, next_link=following
    )  # fmt: skip
    return Response(page, media_type="text/html", headers={"Vary": "Accept, Accept-Language"})


def _job_query(request: Request) -> JobQuery:
    caller = auth.caller(request)
    asked = request.query_params
    if asked.get("type", "process") != "process":
        raise BadParameter("type: jobs are of type process.", "type：任务类型仅有 process。")
    since, until = _times(asked.get("datetime"))
    return JobQuery(
        caller.owner,
        caller.may("admin"),
        _listed(asked.get("processID"), "processID", tuple(PROCESSES)),
        _listed(asked.get("status"), "status", STATUSES),
        min(integer(request, "limit", 100, 1), _MOST_JOBS),
        integer(request, "before", JobQuery(None).before, 0),
        integer(request, "offset", 0, 0),
        since,
        until,
        _seconds(asked.get("minDuration"), "minDuration"),
        _seconds(asked.get("maxDuration"), "maxDuration"),
    )


def _times(text: str | None) -> tuple[datetime.datetime | None, datetime.datetime | None]:
    """When jobs were taken: an instant (a day is the whole of it) or an interval."""
    if text is None:
        return None, None
    start, slash, end = text.partition("/")
    return _moment(start), _moment(end if slash else start, last=True)


def _moment(text: str, *, last: bool = False) -> datetime.datetime | None:
    if text in ("", ".."):
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise BadParameter(
            f"datetime: '{text[:40]}' is no time; write 2026-01-31T08:00:00Z.",
            f"datetime：“{text[:40]}”不是时间；请写成 2026-01-31T08:00:00Z。",
        ) from error
    if last and len(text) == len("2026-01-31"):
        found = datetime.datetime.combine(found, datetime.time.max)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _seconds(text: str | None, name: str) -> float | None:
    return None if text is None else finite(text, name)


def _listed(text: str | None, name: str, known: tuple[str, ...]) -> list[str] | None:
    if text is None:
        return None
    found = [one.strip() for one in text.split(",")]
    for one in found:
        if one not in known:
            raise BadParameter(
                f"{name}: '{one[:40]}' is none of {', '.join(known)}.",
                f"{name}：“{one[:40]}”不在 {'、'.join(known)} 之内。",
            )
    return found


def job_status(request: Request) -> Response:
    """The status of a job."""
    refuse_unknown(request, ())
    form = form_asked(request, _FORMS)
    with library_of(request).pool.connection() as connection:
        found = process_jobs.job(connection, request.path_params["job"])
    body = process_jobs.status_info(found, base_url(request), language_of(request))
    if form == "html":
        return _page(request, [body], None)
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(body), media_type=_JSON, headers=headers)


def dismissal(request: Request) -> Response:
    """Dismiss a job: it stops, or its result goes."""
    refuse_unknown(request, ())
    with library_of(request).pool.connection() as connection:
        found = process_jobs.job(connection, request.path_params["job"])
        caller = auth.caller(request)
        if found["caller"] not in (None, caller.owner) and not caller.may("admin"):
            raise NotAllowed(
                "The job belongs to somebody else.", "该任务属于其他用户。", code="not-your-job"
            )
        found = process_jobs.dismiss(connection, request.path_params["job"])
    body = process_jobs.status_info(found, base_url(request), language_of(request))
    return Response(orjson.dumps(body), media_type=_JSON)


def job_results(request: Request) -> Response:
    """The outputs of a job in the form that its execution asked for."""
    refuse_unknown(request, ())
    with library_of(request).pool.connection() as connection:
        found, outputs = process_jobs.outputs_of(connection, request.path_params["job"])
    asked = found["request"]
    wanted = tuple(asked["outputs"]) if asked["outputs"] else None
    return _answer(process_named(found["process_id"]), outputs, wanted, asked["response"])


ROUTES: Final = [
    Route("/ogc/processes", process_list),
    Route("/ogc/processes/{process}", process),
    Route("/ogc/processes/{process}/execution", execution, methods=["POST"]),
    Route("/ogc/jobs", job_list),
    Route("/ogc/jobs/{job}", job_status, methods=["GET"]),
    Route("/ogc/jobs/{job}", dismissal, methods=["DELETE"]),
    Route("/ogc/jobs/{job}/results", job_results),
]
