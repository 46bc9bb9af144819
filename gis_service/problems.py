"""From the error tree to HTTP: one table of statuses, one form of answer (RFC 9457).

Texts come from the errors, in the language the client asks for; nothing of the database, of
paths or of stack traces goes out. What is not in the tree is logged and answered as a bare 500
with a number to find it in the log.
"""

import logging
import math
import secrets
from http import HTTPStatus
from typing import Any, Final

import orjson
import psycopg
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from layers import errors
from layers.text import Text

_log = logging.getLogger(__name__)

STATUSES: Final[dict[type[errors.GisError], HTTPStatus]] = {
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.BadParameter: HTTPStatus.BAD_REQUEST,
    errors.LimitExceeded: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.BadInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.GaveUp: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.BadConfiguration: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The nearest class of the tree decides."""

_TITLES: Final[dict[HTTPStatus, Text]] = {
    HTTPStatus.BAD_REQUEST: Text(zh="请求有误", en="Bad request"),
    HTTPStatus.UNAUTHORIZED: Text(zh="需要密钥", en="A key is needed"),
    HTTPStatus.FORBIDDEN: Text(zh="权限不足", en="Not allowed"),
    HTTPStatus.TOO_MANY_REQUESTS: Text(zh="请求过多", en="Too many requests"),
    HTTPStatus.NOT_FOUND: Text(zh="不存在", en="Not found"),
    HTTPStatus.METHOD_NOT_ALLOWED: Text(zh="方法不允许", en="Method not allowed"),
    HTTPStatus.CONFLICT: Text(zh="状态冲突", en="Conflict"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Text(zh="超出限制", en="Too large"),
    HTTPStatus.UNPROCESSABLE_ENTITY: Text(zh="输入无法处理", en="Input cannot be processed"),
    HTTPStatus.INTERNAL_SERVER_ERROR: Text(zh="服务内部错误", en="Internal error"),
    HTTPStatus.SERVICE_UNAVAILABLE: Text(zh="服务暂不可用", en="Temporarily unavailable"),
}


_OGC_PROCESSES: Final = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
_OGC_TYPES: Final = {
    code: _OGC_PROCESSES + code for code in ("no-such-process", "no-such-job", "result-not-ready")
}
"""Where a standard fixes the type of a problem, its word holds."""


def language_of(request: Request) -> str:
    """``zh`` if ``lang=`` or else Accept-Language begins with Chinese, ``en`` otherwise."""
    asked = request.query_params.get("lang") or request.headers.get("accept-language", "en")
    return "zh" if asked.strip().lower().startswith("zh") else "en"


def status_of(error: errors.GisError) -> HTTPStatus:
    """The status of the nearest class of the error in the table."""
    for kind in type(error).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def problem(
    request: Request,
    status: HTTPStatus,
    code: str,
    detail: Text,
    places: tuple[errors.Place, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem+json answer."""
    language = language_of(request)
    title = _TITLES.get(status, Text(zh=status.phrase, en=status.phrase))
    body: dict[str, Any] = {
        "type": _OGC_TYPES.get(code, f"urn:gis-service:problem:{code}"),
        "title": title.in_language(language),
        "status": int(status),
        "detail": detail.in_language(language),
        "instance": f"urn:gis-service:request:{secrets.token_hex(8)}",
    }
    if places:
        body["errors"] = [
            {"at": place.at, "reason": place.reason.in_language(language)} for place in places
        ]
    return Response(
        orjson.dumps(body),
        status_code=int(status),
        media_type="application/problem+json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def answer_gis_error(request: Request, error: Exception) -> Response:
    """Handler for the project's own errors."""
    if not isinstance(error, errors.GisError):
        raise error
    status = status_of(error)
    return problem(request, status, error.code, error.text, error.places, headers_of(error))


def headers_of(error: errors.GisError) -> dict[str, str]:
    """What an error says in headers, whatever the form of its body."""
    status = status_of(error)
    if isinstance(error, errors.TooManyRequests):
        return {"Retry-After": str(math.ceil(error.retry_after_s))}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": "5"}
    return {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}


def answer_http_error(request: Request, error: Exception) -> Response:
    """Handler for Starlette's own 404 and 405."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    texts = {
        HTTPStatus.NOT_FOUND: Text(
            zh="此地址没有内容；见 / 与 /ogc。", en="Nothing at this address; see / and /ogc."
        ),
        HTTPStatus.METHOD_NOT_ALLOWED: Text(
            zh="此地址不接受这种请求方法。", en="This address does not take this method."
        ),
    }
    detail = texts.get(status, Text(zh=error.detail, en=error.detail))
    headers = dict(error.headers) if error.headers else None
    return problem(request, status, status.name.lower().replace("_", "-"), detail, (), headers)


def answer_database_error(request: Request, error: Exception) -> Response:
    """Handler for a database that is away, busy or past its deadline: 503, try again."""
    _log.warning("database: %s: %s", type(error).__name__, error)
    if errors.is_disk_full(error):
        return answer_gis_error(request, errors.disk_full())
    return problem(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "database-unavailable",
        Text(
            zh="数据库暂时无法应答，请稍后重试。",
            en="The database does not answer now; try again in some seconds.",
        ),
        headers={"Retry-After": "5"},
    )


def answer_hidden(request: Request, error: Exception) -> Response:
    """Handler for what the process's database role may not read: as if it were not there."""
    _log.info("not for this process: %s", str(error).splitlines()[0])
    return problem(
        request,
        HTTPStatus.NOT_FOUND,
        "not-found",
        Text(zh="没有这项内容。", en="There is no such thing here."),
    )


def answer_unexpected(request: Request, error: Exception) -> Response:
    """Handler for everything else: logged with its trace, answered without it."""
    number = secrets.token_hex(4)
    _log.error("unexpected error %s at %s", number, request.url.path, exc_info=error)
    return problem(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        Text(
            zh=f"服务内部错误，编号 {number}，请联系管理员。",
            en=f"Something went wrong inside; tell the administrator the number {number}.",
        ),
    )


HANDLERS: Final[dict[Any, Any]] = {
    errors.GisError: answer_gis_error,
    HTTPException: answer_http_error,
    PoolTimeout: answer_database_error,
    psycopg.errors.InsufficientPrivilege: answer_hidden,
    psycopg.OperationalError: answer_database_error,
    Exception: answer_unexpected,
}
