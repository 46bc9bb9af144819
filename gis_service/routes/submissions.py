"""Submissions over HTTP: anybody sends, the sender sees his own, officers list and decide.

A sender knows his submission by its id alone, 122 random bits; officers show a key. Decisions are
written by the restricted process only: no other has the right to in the database.
"""

from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.auth import caller, require
from gis_service.library import Library
from gis_service.routes.deliveries import delivery_of
from gis_service.routes.requests import (
    base_url,
    calendar_day,
    integer,
    json_body,
    library_of,
    refuse_unknown,
)
from gis_service.submissions import decisions, record
from gis_service.submissions.decisions import Approval
from gis_service.submissions.intake import Sender, take_in
from layers.errors import BadInput, NotAllowed, Place
from layers.text import Text

_MOST_A_PAGE: Final = 1_000
_ACT_BYTES: Final = 1 << 16


async def submit(request: Request) -> Response:
    """Take a submission in: GeoJSON, or a file of any admitted format; checked at once."""
    library = library_of(request)
    delivery = await delivery_of(request, library.config.limits.submission_bytes)
    who = caller(request)
    sender = Sender(
        name=who.name,
        scope=f"{library.settings.access}/{who.key.id if who.key else ''}",
        idempotency_key=request.headers.get("idempotency-key"),
    )
    address = base_url(request)

    def show(submission: dict[str, Any]) -> dict[str, Any]:
        return _linked(record.for_sender(submission), address)

    answer = await run_in_threadpool(take_in, library, delivery, sender, show)
    location = f"{address}/submissions/{orjson.loads(answer)['id']}"
    return _answered(answer, status=201, headers={"Location": location})


def submission(request: Request) -> Response:
    """One submission with its history; names of officers are for officers."""
    refuse_unknown(request, ())
    library = library_of(request)
    with library.pool.connection() as connection:
        found = record.read(connection, request.path_params["submission"])
    shown = found if caller(request).may("officer") else record.for_sender(found)
    return _answer(_linked(shown, base_url(request)))


def submissions(request: Request) -> Response:
    """The newest submissions, page by page, for officers."""
    require(request, "officer")
    refuse_unknown(request, ("limit", "after", "state"))
    limit = min(integer(request, "limit", 50, 1), _MOST_A_PAGE)
    address, query = base_url(request), request.query_params
    state = record.state_named(query.get("state"))
    with library_of(request).pool.connection() as connection:
        found, mark = record.page(connection, state=state, after=query.get("after"), most=limit)
    links = []
    if mark is not None:
        more = f"&state={state}" if state else ""
        href = f"{address}/submissions?limit={limit}&after={mark}{more}"
        links.append({"rel": "next", "type": "application/json", "href": href})
    return _answer({"submissions": [_linked(one, address) for one in found], "links": links})


def original(request: Request) -> Response:
    """The bytes as they came, for officers."""
    require(request, "officer")
    with library_of(request).pool.connection() as connection:
        content, received = record.original(connection, request.path_params["submission"])
    return Response(
        content,
        media_type="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="{received["sha256"][:16]}"',
            "Cache-Control": "no-store",
        },
    )


async def approval(request: Request) -> Response:
    """Approve: ``reason``, ``override_reason``, ``valid_until``; reserves quotas."""
    library, officer = _officer(request)
    said = await _said(request, ("reason", "override_reason", "valid_until"))
    day = said.get("valid_until")
    act = Approval(
        officer, said.get("reason"), said.get("override_reason"),
        calendar_day(day, "valid_until") if day else None,
    )  # fmt: skip
    return await _decided(request, decisions.approve, library, act)


async def rejection(request: Request) -> Response:
    """Reject, or take an approval back: ``reason``; what was reserved is released."""
    library, officer = _officer(request)
    said = await _said(request, ("reason",))
    return await _decided(request, decisions.reject, library, officer, said.get("reason", ""))


async def booking(request: Request) -> Response:
    """Book what an approval reserved: the land is granted."""
    library, officer = _officer(request)
    said = await _said(request, ("reason",))
    return await _decided(request, decisions.book, library, officer, said.get("reason"))


async def _decided(request: Request, act: Any, library: Library, *said: Any) -> Response:
    def decide() -> dict[str, Any]:
        with library.pool.connection() as connection:
            found: dict[str, Any] = act(connection, request.path_params["submission"], *said)
            return found

    return _answer(_linked(await run_in_threadpool(decide), base_url(request)))


def _officer(request: Request) -> tuple[Library, str]:
    """The library and the name of an officer who decides here."""
    library, name = library_of(request), require(request, "officer").name
    if library.settings.access != "restricted":
        raise NotAllowed(
            "Decisions are made in the service for the restricted class (serve --access "
            "restricted) or on the command line.",
            "审批只能在受限级服务（serve --access restricted）或命令行中进行。",
            code="restricted-only",
        )
    return library, name


async def _said(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    """The words of a decision: a JSON object of texts, or nothing."""
    if request.headers.get("content-length") == "0":
        return {}
    body = await json_body(request, _ACT_BYTES)
    if not isinstance(body, dict):
        raise BadInput("A JSON object is expected.", "应为 JSON 对象。")
    for name, value in body.items():
        if name not in known or not (value is None or isinstance(value, str)):
            place = Place(f"/{name[:40]}", Text(zh="未知或不是文本", en="unknown, or no text"))
            names = ", ".join(known)
            raise BadInput(
                f"Known are the texts {names}.", f"可用的文本：{names}。", places=(place,)
            )
    return {name: value for name, value in body.items() if value is not None}


def _linked(shown: dict[str, Any], address: str) -> dict[str, Any]:
    """With the addresses of the submission and of its report."""
    report = f"{address}/reports/{shown['report_id']}"
    links = [
        {"rel": "self", "type": "application/json", "href": f"{address}/submissions/{shown['id']}"},
        {"rel": "report", "type": "application/json", "href": f"{report}.json"},
        {"rel": "report", "type": "text/html", "href": f"{report}.html"},
        {"rel": "report", "type": "application/pdf", "href": f"{report}.pdf"},
    ]
    return {**shown, "links": links}


def _answer(body: dict[str, Any]) -> Response:
    return _answered(orjson.dumps(body))


def _answered(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        body,
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


ROUTES: Final = [
    Route("/submissions", submit, methods=["POST"]),
    Route("/submissions", submissions),
    Route("/submissions/{submission}", submission),
    Route("/submissions/{submission}/original", original),
    Route("/submissions/{submission}/approval", approval, methods=["POST"]),
    Route("/submissions/{submission}/rejection", rejection, methods=["POST"]),
    Route("/submissions/{submission}/booking", booking, methods=["POST"]),
]
