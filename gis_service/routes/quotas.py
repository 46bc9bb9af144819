"""The ledger of quotas over HTTP: figures for everybody, entries and grants for officers."""

from decimal import Decimal
from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.auth import require
from gis_service.library import Library
from gis_service.routes.requests import (
    calendar_day,
    integer,
    json_body,
    library_of,
    refuse_unknown,
)
from gis_service.submissions import ledger
from gis_service.submissions.ledger import Posting, QuotaName
from layers.errors import BadInput, NotAllowed, Place
from layers.text import Text
from planning_rules.quota import ANY_CLASS

_GRANT_BYTES: Final = 1 << 16
_MOST_A_PAGE: Final = 1_000
_TEXTS: Final = ("ledger", "admin_code", "period", "from", "to")
_OPEN: Final = ("land_class", "reason")


def quotas(request: Request) -> Response:
    """Quotas with what is left of each: the figures that reports print."""
    refuse_unknown(request, ("ledger", "admin_code", "as_of"))
    query = request.query_params
    as_of = query.get("as_of")
    with library_of(request).pool.connection() as connection:
        found = ledger.list_quotas(
            connection,
            ledger=query.get("ledger"),
            admin_code=query.get("admin_code"),
            as_of=calendar_day(as_of, "as_of") if as_of else None,
        )
    return _answer({"quotas": found})


def entries(request: Request) -> Response:
    """The entries of a quota in the order in which they were posted, for officers."""
    require(request, "officer")
    refuse_unknown(request, ("limit", "after"))
    limit = min(integer(request, "limit", 100, 1), _MOST_A_PAGE)
    with library_of(request).pool.connection() as connection:
        found = ledger.entries(
            connection,
            int(request.path_params["quota"]),
            after=integer(request, "after", 0, 0),
            most=limit,
        )
    return _answer({"entries": found})


async def grant(request: Request) -> Response:
    """Grant a quota or change what it grants: one more entry, for officers."""
    library, officer = library_of(request), require(request, "officer").name
    if library.settings.access != "restricted":
        raise NotAllowed(
            "Quotas are granted in the service for the restricted class (serve --access "
            "restricted) or on the command line.",
            "指标只能在受限级服务（serve --access restricted）或命令行中下达。",
            code="restricted-only",
        )
    body = await json_body(request, _GRANT_BYTES)
    return _answer(await run_in_threadpool(_grant, library, _read(body), officer))


def _read(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise BadInput("A JSON object is expected.", "应为 JSON 对象。")
    for name in body:
        if name not in (*_TEXTS, *_OPEN, "granted_m2"):
            raise _wrong(name, "未知", "unknown")
    for name in _TEXTS:
        if not isinstance(body.get(name), str):
            raise _wrong(name, "应为文本", "a text is expected")
    for name in _OPEN:
        if not isinstance(body.get(name), str | None):
            raise _wrong(name, "应为文本", "a text is expected")
    area = body.get("granted_m2")
    if isinstance(area, bool) or not isinstance(area, int | float):
        raise _wrong("granted_m2", "应为平方米数", "square metres are expected")
    return body


def _wrong(name: str, zh: str, en: str) -> BadInput:
    place = Place(f"/{name[:40]}", Text(zh=zh, en=en))
    return BadInput(f"{name[:40]}: {en}.", f"{name[:40]}：{zh}。", places=(place,))


def _grant(library: Library, said: dict[str, Any], officer: str) -> dict[str, Any]:
    name = QuotaName(
        said["ledger"], said["admin_code"], said["period"], said.get("land_class") or ANY_CLASS
    )
    days = (calendar_day(said["from"], "from"), calendar_day(said["to"], "to"))
    posting = Posting(officer, reason=said.get("reason"))
    with library.pool.connection() as connection:
        quota_id = ledger.set_quota(
            connection, name, days, Decimal(str(said["granted_m2"])), posting
        )
        found = ledger.list_quotas(connection, ledger=name.ledger, admin_code=name.admin_code)
    return next(one for one in found if one["id"] == quota_id)


def _answer(body: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps(body),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


ROUTES: Final = [
    Route("/quotas", quotas),
    Route("/quotas", grant, methods=["POST"]),
    Route("/quotas/{quota:int}/entries", entries),
]
