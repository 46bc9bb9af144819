"""What routes read from requests: base address, JSON bodies, dates, boxes, CRS."""

import datetime
import json
import math
import re
from collections.abc import Iterable
from typing import Any, Final

import orjson
from starlette.requests import Request

from gis_service.library import Library
from layers.bbox import lon_lat_boxes
from layers.crs import Box, Crs, parse_crs
from layers.errors import BadInput, BadParameter, LimitExceeded, Place
from layers.text import Text

_DATE: Final = re.compile(r"^([0-9]{4})-([0-9]{2})-([0-9]{2})")
_EARLIEST: Final = datetime.date(1, 1, 1)
_LATEST: Final = datetime.date(9999, 12, 31)
_DEEPEST_JSON: Final = 32
_KEYS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"\s*+(:)?', re.DOTALL)


def library_of(request: Request) -> Library:
    """The library of the application that got the request."""
    library: Library = request.app.state.library
    return library


def base_url(request: Request) -> str:
    """The address that links begin with: the configured one, else the request's own host.

    The host has been checked against the allowed ones before any route runs.
    """
    settings = library_of(request).settings
    if settings.public_url:
        return settings.public_url.rstrip("/")
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"


def refuse_unknown(request: Request, known: Iterable[str]) -> None:
    """400 for a misspelt parameter instead of an answer to another question."""
    allowed = {*known, "lang", "f"}
    unknown = sorted(set(request.query_params) - allowed)
    if unknown:
        names = ", ".join(unknown)
        raise BadParameter(
            f"Unknown parameter: {names}. Known: {', '.join(sorted(allowed))}.",
            f"未知参数：{names}。可用参数：{'、'.join(sorted(allowed))}。",
            code="unknown-parameter",
        )


def integer(request: Request, name: str, default: int, lowest: int) -> int:
    """An integer parameter, at least ``lowest``."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?[0-9]{1,18}", text) or int(text) < lowest:
        raise BadParameter(
            f"{name} must be a whole number of at least {lowest}, not '{text[:40]}'.",
            f"{name} 必须是不小于 {lowest} 的整数，而不是“{text[:40]}”。",
        )
    return int(text)


def number(request: Request, name: str) -> float:
    """A finite number that must be there."""
    return finite(request.query_params.get(name, ""), name)


def finite(text: str, name: str) -> float:
    """A finite number, or ``BadParameter`` with the parameter's name."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadParameter(
            f"{name}: '{text[:40]}' is no number.", f"{name}：“{text[:40]}”不是数字。"
        )
    return value


def calendar_day(text: str, name: str) -> datetime.date:
    """A calendar day as people and programs write it: 2026-01-31 and nothing else."""
    if not re.fullmatch(r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise BadParameter(
            f"{name}: '{text[:40]}' is no date; write 2026-01-31.",
            f"{name}：“{text[:40]}”不是日期；请写成 2026-01-31。",
        )
    return day(text, name)


def day(text: str, name: str) -> datetime.date:
    """A calendar day from an ISO date or timestamp; year 0 (QGIS's open end) is the first day."""
    match = _DATE.match(text)
    if match and match[1] == "0000":
        return _EARLIEST
    try:
        if not match:
            raise ValueError(text)
        return datetime.date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError as error:
        raise BadParameter(
            f"{name}: '{text[:40]}' is no date; write 2026-01-31.",
            f"{name}：“{text[:40]}”不是日期；请写成 2026-01-31。",
        ) from error


def past_moment(text: str, name: str) -> datetime.datetime:
    """A moment with its offset from UTC (RFC 3339), not later than now: nobody knows the rest."""
    try:
        found = datetime.datetime.fromisoformat(text)
        if found.tzinfo is None or "T" not in text.upper():
            raise ValueError(text)
        found = found.astimezone(datetime.UTC)
    except (ValueError, OverflowError) as error:
        raise BadParameter(
            f"{name}: '{text[:40]}' is no moment; write 2026-01-31T08:00:00+08:00.",
            f"{name}：“{text[:40]}”不是时刻；请写成 2026-01-31T08:00:00+08:00。",
        ) from error
    if found > datetime.datetime.now(datetime.UTC):
        raise BadParameter(
            f"{name}: {text[:40]} lies in the future; leave it out for what is known now.",
            f"{name}：{text[:40]} 在将来；如需现在已知的内容，请省略该参数。",
        )
    return found


def day_asked(request: Request, today: datetime.date) -> datetime.date | None:
    """The day that ``datetime`` asks for: an instant, or the last day of an interval up to today.

    None when nothing is asked. Open ends are ``..`` or empty.
    """
    text = request.query_params.get("datetime")
    if text is None:
        return None
    start, slash, end = text.partition("/")
    if not slash:
        return day(start, "datetime")
    first = _EARLIEST if start in ("", "..") else day(start, "datetime")
    last = _LATEST if end in ("", "..") else day(end, "datetime")
    if first > last:
        raise BadParameter(
            "datetime: the interval ends before it begins.", "datetime：区间的终点早于起点。"
        )
    return max(first, min(last, today))


def crs_asked(request: Request, name: str, offered: Iterable[str]) -> Crs | None:
    """The CRS that a parameter names, one of the offered URIs; None when not given."""
    text = request.query_params.get(name)
    if text is None:
        return None
    uri = text.strip("[]<>")
    choices = tuple(offered)
    if uri not in choices:
        raise BadParameter(
            f"{name}: '{uri[:80]}' is not offered; choose one of {', '.join(choices)}.",
            f"{name}：不提供“{uri[:80]}”；可选：{'、'.join(choices)}。",
            code="crs-not-offered",
        )
    return parse_crs(uri)


def boxes_asked(request: Request, crs: Crs) -> tuple[Box, ...]:
    """The lon/lat boxes of ``bbox``, whose numbers are in the CRS and its authority's order.

    Six numbers carry heights, which are ignored. West greater than east crosses the
    antimeridian and gives two boxes.
    """
    text = request.query_params.get("bbox")
    if text is None:
        return ()
    return lon_lat_boxes([finite(part, "bbox") for part in text.split(",")], crs)


async def json_body(request: Request, largest_bytes: int) -> Any:
    """The JSON of a request, bounded in bytes and depth; errors name what is wrong."""
    return parse_json(await body_of(request, largest_bytes))


async def body_of(request: Request, largest_bytes: int) -> bytes:
    """The bytes of a request; ``LimitExceeded`` as soon as there are too many."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > largest_bytes:
            raise LimitExceeded(
                f"The request is larger than {largest_bytes:,} bytes.",
                f"请求超过 {largest_bytes:,} 字节。",
            )
        chunks.append(chunk)
    return b"".join(chunks)


def parse_json(text: bytes) -> Any:
    """JSON without NaN, at most 32 levels deep (bracket count, before any parser recurses)."""
    if _depth(text) > _DEEPEST_JSON:
        raise LimitExceeded(
            f"The JSON is nested deeper than {_DEEPEST_JSON} levels.",
            f"JSON 嵌套超过 {_DEEPEST_JSON} 层。",
            code="too-deep",
        )
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        reason = Text(
            zh=f"第 {error.lineno} 行第 {error.colno} 列不是合法的 JSON",
            en=f"not valid JSON at line {error.lineno}, column {error.colno}",
        )
        raise BadInput(
            "The body is not valid JSON.",
            "请求内容不是合法的 JSON。",
            code="invalid-json",
            places=(Place(f"line {error.lineno} column {error.colno}", reason),),
        ) from error
    if _KEYS.findall(text).count(b":") != _members(found):
        json.loads(text, object_pairs_hook=_once_each)
    return found


def _members(value: Any) -> int:
    """How many members all objects of a JSON value have; rings of coordinates have none."""
    count, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            count += len(one)
            waiting.extend(one.values())
        elif isinstance(one, list) and not _is_ring(one):
            waiting.extend(inner for inner in one if isinstance(inner, dict | list))
    return count


def _is_ring(value: list[Any]) -> bool:
    first = value[0] if value else None
    return isinstance(first, list) and bool(first) and isinstance(first[0], int | float)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says something twice: readers differ in which of the two they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        reason = Text(zh="出现了两次", en="stands twice")
        raise BadInput(
            f"'{twice[:40]}' stands twice in one object.",
            f"“{twice[:40]}”在同一对象中出现了两次。",
            code="duplicate-member",
            places=(Place(f"/{twice[:40]}", reason),),
        )
    return found


# Possessive: a string that never ends is scanned once, not once from each of its quotes.
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def _depth(text: bytes) -> int:
    deepest = depth = 0
    for match in _BRACKETS.finditer(text):
        token = match[0]
        if token in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token in (b"]", b"}"):
            depth -= 1
    return deepest
