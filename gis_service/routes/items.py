"""Features of a collection: pages and single ones, in every form that is offered.

GeoJSON is written by the database and only framed here; the other forms are made of the same page.
Next pages are named in the links of GeoJSON and HTML and in the ``Link`` header of all forms.
"""

import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.crs_offered import OFFERED_CRS
from gis_service.item_files import FILE_FORMS, file_of_page
from gis_service.items_page import item_page, items_page
from gis_service.library import today
from gis_service.routes import item_edits
from gis_service.routes.items_query import STANDARD, page_query, page_token
from gis_service.routes.negotiation import form_asked
from gis_service.routes.page_links import page_link
from gis_service.routes.requests import (
    crs_asked,
    day_asked,
    library_of,
    refuse_unknown,
)
from gis_service.shown import Shown, shown_collection
from layers.crs import Crs
from layers.errors import BadParameter, NotFound

if TYPE_CHECKING:
    from layers.feature_pages import PageQuery
    from layers.page_order import After

GEOJSON: Final = "application/geo+json"
_JSON_FORMS: Final = {"json": GEOJSON, "geojson": GEOJSON}
ITEM_FORMS: Final = {**_JSON_FORMS, "html": "text/html"}
ITEMS_FORMS: Final = {**ITEM_FORMS, **{n: form.media_type for n, form in FILE_FORMS.items()}}
_VARY: Final = "Accept, Accept-Language"


def items(request: Request) -> Response:
    """A page of features."""
    form = form_asked(request, ITEMS_FORMS)
    shown = shown_collection(request, request.path_params["layer"])
    query = page_query(request, shown.layer)
    shown = shown.on(day_asked(request, today()))
    if form in FILE_FORMS:
        return _file(request, shown, query, form)
    features, returned, matched, after = _page(request, shown, query)
    links = _page_links(request, shown, form, _next(after, matched))
    if form == "html":
        collection = b'{"features":[' + features + b"]}"
        page = items_page(request, shown, orjson.loads(collection)["features"], links, matched)
        return Response(page, media_type="text/html", headers=_headers(query.crs))
    stamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    rest: dict[str, Any] = {
        "links": links,
        "timeStamp": stamp.replace("+00:00", "Z"),
        "numberReturned": returned,
    }
    if matched is not None:
        rest["numberMatched"] = matched
    start = b'{"type":"FeatureCollection","features":['
    body = b"".join((start, features, b"],", orjson.dumps(rest)[1:]))
    return Response(body, media_type=GEOJSON, headers=_headers(query.crs))


def _page(
    request: Request, shown: Shown, query: "PageQuery"
) -> tuple[bytes, int, int | None, "After | None"]:
    from layers.feature_pages import page

    if shown.content_id is None:  # the plan had no edition on that day: no features
        return b"", 0, 0, None
    with library_of(request).pool.connection() as connection:
        found = page(connection, shown.layer, shown.content_id, shown.feature_count, query)
    return found.features_json, found.returned, found.matched, found.next_after


def _next(after: "After | None", matched: int | None) -> str | None:
    return None if after is None else page_token(after, matched)


def _page_links(
    request: Request, shown: Shown, form: str, token: str | None
) -> list[dict[str, str]]:
    links = _forms(request, ITEMS_FORMS, form)
    if token is not None:
        # Keyset paging: the next page starts behind the last feature, however many pages in.
        links.append(page_link(request, "next", ITEMS_FORMS[form], after=token, offset=None))
    links.append({"href": shown.address(request), "rel": "collection", "type": "application/json"})
    return links


def _forms(request: Request, offered: dict[str, str], form: str) -> list[dict[str, str]]:
    links, seen = [page_link(request, "self", offered[form])], {offered[form]}
    for name, media_type in offered.items():
        if media_type not in seen:
            seen.add(media_type)
            links.append(page_link(request, "alternate", media_type, f=name))
    return links


def _headers(crs: Crs) -> dict[str, str]:
    return {"Content-Crs": f"<{crs.uri}>", "Cache-Control": "no-cache", "Vary": _VARY}


def _file(request: Request, shown: Shown, query: "PageQuery", form: str) -> Response:
    """A page as a file; coordinates are x, y as file formats want them, in the CRS asked for."""
    if not query.with_geometry:
        raise BadParameter(
            "skipGeometry is for f=json.", "skipGeometry 仅用于 f=json。", code="format-not-offered"
        )
    answer, after, matched = file_of_page(library_of(request), shown, query, form)
    token = _next(after, matched)
    links = [page_link(request, "self", ITEMS_FORMS[form])]
    if token is not None:
        links.append(page_link(request, "next", ITEMS_FORMS[form], after=token, offset=None))
    answer.headers["Link"] = ", ".join(
        f'<{link["href"]}>; rel="{link["rel"]}"; type="{link["type"]}"' for link in links
    )
    answer.headers["Vary"] = _VARY
    if matched is not None:
        answer.headers["OGC-NumberMatched"] = str(matched)
    return answer


def item(request: Request) -> Response:
    """One feature by its id."""
    from layers.feature_pages import single

    form = form_asked(request, ITEM_FORMS)
    shown = shown_collection(request, request.path_params["layer"])
    refuse_unknown(request, ("crs", "datetime"))
    crs = crs_asked(request, "crs", OFFERED_CRS) or STANDARD
    shown = shown.on(day_asked(request, today()))
    feature_id = request.path_params["feature"]
    found, etag = None, ""
    if shown.content_id is not None:
        with library_of(request).pool.connection() as connection:
            found = single(connection, shown.content_id, feature_id, crs)
            etag = shown.etag(connection, feature_id)
    if found is None:
        raise NotFound(
            f"Layer {shown.id} has no feature '{feature_id[:80]}'.",
            f"图层 {shown.id} 没有要素“{feature_id[:80]}”。",
        )
    headers = {**_headers(crs), "ETag": etag}
    if form != "html" and etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    links = _forms(request, ITEM_FORMS, form)
    links.append({"href": shown.address(request), "rel": "collection", "type": "application/json"})
    if form == "html":
        page = item_page(request, shown, orjson.loads(found), links)
        return Response(page, media_type="text/html", headers=headers)
    body = found[:-1] + b',"links":' + orjson.dumps(links) + b"}"
    return Response(body, media_type=GEOJSON, headers=headers)


_ITEMS: Final = "/ogc/collections/{layer}/items"
_ITEM: Final = "/ogc/collections/{layer}/items/{feature:path}"
ROUTES: Final = [
    Route(_ITEMS, item_edits.options_of_items, methods=["OPTIONS"]),
    Route(_ITEM, item_edits.options_of_item, methods=["OPTIONS"]),
    Route(_ITEMS, items, methods=["GET"]),
    Route(_ITEMS, item_edits.create, methods=["POST"]),
    Route(_ITEM, item, methods=["GET"]),
    Route(_ITEM, item_edits.replace, methods=["PUT"]),
    Route(_ITEM, item_edits.update, methods=["PATCH"]),
    Route(_ITEM, item_edits.delete, methods=["DELETE"]),
]
