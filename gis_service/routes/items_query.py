"""From the query string of ``/items`` to the values of a page; refused before any work is done."""

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.requests import Request

from gis_service.crs_offered import CRS84, OFFERED_CRS
from gis_service.routes.requests import (
    boxes_asked,
    crs_asked,
    integer,
    library_of,
    parse_json,
    refuse_unknown,
)
from layers.catalog import Layer
from layers.cql2.tree import check_length
from layers.crs import Crs, parse_crs
from layers.errors import BadInput, BadParameter

if TYPE_CHECKING:
    from layers.cql2 import Expression
    from layers.feature_pages import PageQuery
    from layers.page_order import After

PARAMETERS: Final = (
    "bbox", "bbox-crs", "crs", "datetime", "limit", "offset", "after", "properties",
    "skipGeometry", "filter", "filter-lang", "filter-crs", "sortby",
)  # fmt: skip
DEFAULT_LIMIT: Final = 100
_LANGUAGES: Final = ("cql2-text", "cql2-json")
STANDARD: Final = parse_crs(CRS84)
_DEEPEST_OFFSET: Final = 1_000_000


def page_query(request: Request, layer: Layer) -> "PageQuery":
    """Everything that a page is asked for; ``BadParameter`` names what is wrong."""
    from layers.feature_pages import PageQuery  # SQLAlchemy: a second, warmed up behind
    from layers.page_order import parse_sort

    names = [attribute.name for attribute in layer.kept_attributes]
    refuse_unknown(request, (*PARAMETERS, *names))
    asked = request.query_params
    matched, after = _place(asked.get("after"))
    return PageQuery(
        limit=min(
            integer(request, "limit", DEFAULT_LIMIT, 1),
            library_of(request).config.limits.page_features,
        ),
        crs=crs_asked(request, "crs", OFFERED_CRS) or STANDARD,
        after=after,
        matched=matched,
        offset=_offset(request),
        boxes=boxes_asked(request, crs_asked(request, "bbox-crs", OFFERED_CRS) or STANDARD),
        equal={name: asked[name] for name in names if name in asked},
        filter=_filter(request),
        filter_crs=_filter_crs(request),
        sort=parse_sort(asked["sortby"], layer) if "sortby" in asked else (),
        properties=_properties(request, names),
        with_geometry=not _yes_or_no(request, "skipGeometry"),
    )


def _offset(request: Request) -> int:
    offset = integer(request, "offset", 0, 0)
    if offset > _DEEPEST_OFFSET:
        raise BadParameter(
            f"offset: at most {_DEEPEST_OFFSET:,}; follow the 'next' links instead.",
            f"offset 最大为 {_DEEPEST_OFFSET:,}；请改用 next 链接翻页。",
        )
    return offset


def _filter(request: Request) -> "Expression | None":
    """``filter`` in the language of ``filter-lang``; CQL2 text where that is not given."""
    from layers.cql2 import parse_json_filter, parse_text_filter

    language = request.query_params.get("filter-lang", _LANGUAGES[0])
    if language not in _LANGUAGES:
        raise BadParameter(
            f"filter-lang: '{language[:40]}' is not offered; cql2-text or cql2-json.",
            f"filter-lang：不提供“{language[:40]}”；可选 cql2-text 或 cql2-json。",
        )
    text = request.query_params.get("filter")
    if text is None:
        return None
    if language == "cql2-text":
        return parse_text_filter(text)
    check_length(text)
    try:
        return parse_json_filter(parse_json(text.encode()))
    except BadParameter:
        raise
    except BadInput as error:  # of the JSON itself: it is a parameter here and no body
        raise BadParameter(
            f"filter: {error.text.en}", f"filter：{error.text.zh}", code=error.code
        ) from error


def _filter_crs(request: Request) -> Crs:
    return crs_asked(request, "filter-crs", OFFERED_CRS) or STANDARD


def _properties(request: Request, names: list[str]) -> tuple[str, ...] | None:
    text = request.query_params.get("properties")
    if text is None:
        return None
    asked = tuple(dict.fromkeys(name for name in text.split(",") if name))
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise BadParameter(
            f"properties: unknown {', '.join(unknown)[:200]}.",
            f"properties：未知属性 {'、'.join(unknown)[:200]}。",
        )
    return asked


def _yes_or_no(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false"):
        raise BadParameter(f"{name} is true or false.", f"{name} 应为 true 或 false。")
    return text == "true"


def page_token(after: "After", matched: int | None) -> str:
    """What ``after`` of the next link holds: the last feature's place and the known count."""
    body = orjson.dumps([matched, after.fid, *after.keys])
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def _place(token: str | None) -> "tuple[int | None, After]":
    from layers.page_order import START, After, bad_place

    if token is None:
        return None, START
    try:
        padded = token + "=" * (-len(token) % 4)
        found: Any = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise bad_place() from error
    match found:
        case [None | int() as matched, int(fid), *keys] if (
            0 <= fid < 2**63
            and not isinstance(fid, bool)
            and all(key is None or (isinstance(key, str) and "\0" not in key) for key in keys)
        ):
            return matched, After(fid, tuple(keys))
    raise bad_place()
