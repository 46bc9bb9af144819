"""Edits of drafts over HTTP (OGC API Features Part 4): create, replace, update, delete.

The mechanism is ``layers.draft_edits``; here are the forms of HTTP around it. The id in the address
is the one that counts. ``If-Match`` holds an edit to the state that its sender saw (412 where
somebody was faster); without it the last edit wins, as QGIS needs it. Edits go to the open draft of
a layer, also when they name the layer itself; what is in force never changes.
"""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np
import orjson
import shapely
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gis_service import auth
from gis_service.access_keys import digest_of
from gis_service.crs_offered import OFFERED_CRS
from gis_service.problems import problem
from gis_service.routes.items_query import STANDARD
from gis_service.routes.requests import json_body, library_of, refuse_unknown
from gis_service.shown import DRAFT_SUFFIX, Shown, draft_tag, open_draft_of, version_of
from layers.crs import Crs, parse_crs, swap_axes
from layers.errors import BadInput, BadParameter, Conflict, Place
from layers.text import Text

if TYPE_CHECKING:
    from layers.draft_edits import DraftLayer, Edited, Editor

_READ: Final = "GET, HEAD, OPTIONS"
_GEOJSON: Final = ("application/geo+json", "application/json")
_MERGE_PATCH: Final = ("application/merge-patch+json", *_GEOJSON)
_LONGEST_ID: Final = 255
"""An index of the database holds no longer ones than some 2,700 bytes."""
_TAG: Final = re.compile(r'"[^"]*"')


def options_of_items(request: Request) -> Response:
    """Which methods the list takes; QGIS asks before it shows the pencil."""
    return _options(request, "POST", {"Accept-Post": _GEOJSON[0]})


def options_of_item(request: Request) -> Response:
    """Which methods a feature takes; also for one that is not there, as QGIS asks it."""
    return _options(request, "PUT, PATCH, DELETE", {"Accept-Patch": _MERGE_PATCH[0]})


def _options(request: Request, writes: str, accepted: Mapping[str, str]) -> Response:
    library = library_of(request)
    name = request.path_params["layer"]
    layer = library.visible_layer(name.removesuffix(DRAFT_SUFFIX))
    editable = auth.caller(request).may("editor") and open_draft_of(library, layer) is not None
    if not (editable and name.endswith(DRAFT_SUFFIX)):
        return Response(status_code=204, headers={"Allow": _READ})
    return Response(status_code=204, headers={"Allow": f"{_READ}, {writes}", **accepted})


async def create(request: Request) -> Response:
    """Add a feature to the draft of a layer; its address is in ``Location``."""
    feature = await _feature(request, _GEOJSON)
    return await run_in_threadpool(_create, request, feature)


def _create(request: Request, feature: Mapping[str, Any]) -> Response:
    from layers.draft_edits import create_feature

    library = library_of(request)
    shown, editor = _draft(request)
    crs = _content_crs(request)
    geometry = _geometry(feature, crs)
    if geometry is None:
        raise _no_geometry()
    with library.pool.connection() as connection:
        edited = create_feature(
            connection, library.sandbox, library.catalog, _layer_of(shown), _properties(feature),
            geometry, editor, feature_id=_stated_id(feature), source_crs=crs.code,
        )  # fmt: skip
    address = f"{shown.address(request)}/items/{quote(edited.feature_id, safe='')}"
    return Response(
        orjson.dumps({"id": edited.feature_id, "version": edited.version}),
        status_code=201,
        media_type="application/json",
        headers={"Location": address, "ETag": draft_tag(shown, edited.version)},
    )


async def replace(request: Request) -> Response:
    """Put another feature in the place of one."""
    feature = await _feature(request, _GEOJSON)

    def work(shown: Shown, draft: "DraftLayer", editor: "Editor", expected: int | None) -> Any:
        from layers.draft_edits import replace_feature

        library, crs = library_of(request), _content_crs(request)
        geometry = _geometry(feature, crs)
        if geometry is None:
            raise _no_geometry()
        _refuse_other_id(request, feature)
        with library.pool.connection() as connection:
            return replace_feature(
                connection, library.sandbox, library.catalog, draft,
                request.path_params["feature"], _properties(feature), geometry, editor,
                expected_version=expected, source_crs=crs.code,
            )  # fmt: skip

    return await run_in_threadpool(_edit, request, work)


async def update(request: Request) -> Response:
    """Change some members of a feature (RFC 7396: null takes a property away)."""
    feature = await _feature(request, _MERGE_PATCH)

    def work(shown: Shown, draft: "DraftLayer", editor: "Editor", expected: int | None) -> Any:
        from layers.draft_edits import update_feature

        library, crs = library_of(request), _content_crs(request)
        _refuse_other_id(request, feature)
        if "geometry" in feature and feature["geometry"] is None:
            raise _no_geometry()
        geometry = _geometry(feature, crs)
        with library.pool.connection() as connection:
            return update_feature(
                connection, library.sandbox, library.catalog, draft,
                request.path_params["feature"], editor, attributes=_properties(feature),
                geometry=geometry, expected_version=expected, source_crs=crs.code,
            )  # fmt: skip

    return await run_in_threadpool(_edit, request, work)


def delete(request: Request) -> Response:
    """Take a feature out of the draft; its history stays."""
    from layers.draft_edits import delete_feature

    refuse_unknown(request, ())

    def work(shown: Shown, draft: "DraftLayer", editor: "Editor", expected: int | None) -> Any:
        with library_of(request).pool.connection() as connection:
            return delete_feature(
                connection, draft, request.path_params["feature"], editor,
                expected_version=expected,
            )  # fmt: skip

    return _edit(request, work)


Work = Callable[[Shown, "DraftLayer", "Editor", "int | None"], "Edited"]


def _edit(request: Request, work: Work) -> Response:
    """Run an edit that may be bound to a state; 412 where the state has gone on."""
    shown, editor = _draft(request)
    feature_id = request.path_params["feature"]
    with library_of(request).pool.connection() as connection:
        version = version_of(connection, shown.content_id, feature_id)
    wanted = request.headers.get("if-match")
    stated = [] if wanted is None else _TAG.findall(wanted)
    if wanted is not None and wanted.strip() != "*" and draft_tag(shown, version) not in stated:
        return _outdated(request, shown, version)
    # The edit itself asks again, inside its transaction and lock.
    expected = version if wanted is not None else None
    try:
        edited = work(shown, _layer_of(shown), editor, expected)
    except Conflict as error:
        if error.code == "version-mismatch":
            return _outdated(request, shown, version)
        raise
    headers = {"ETag": draft_tag(shown, edited.version)}
    return Response(status_code=204, headers=headers)


def _outdated(request: Request, shown: Shown, version: int) -> Response:
    return problem(
        request,
        HTTPStatus.PRECONDITION_FAILED,
        "version-mismatch",
        Text(
            zh="该要素已被他人修改，或 If-Match 不是当前状态；请重新读取后再编辑。",
            en="Somebody changed the feature since, or If-Match names another state; read it "
            "again and repeat the edit.",
        ),
        headers={"ETag": draft_tag(shown, version)},
    )


def _draft(request: Request) -> "tuple[Shown, Editor]":
    """The draft that the address leads to, and who edits it; refused before a body is judged."""
    from layers.draft_edits import Editor

    library = library_of(request)
    layer = library.visible_layer(request.path_params["layer"].removesuffix(DRAFT_SUFFIX))
    caller = auth.require(request, "editor")
    shown = open_draft_of(library, layer)
    if shown is None:
        raise Conflict(
            f"Layer {layer.id} has no open draft, and what is published does not change; let "
            "somebody open one: gis-service drafts open PLAN.",
            f"图层 {layer.id} 没有打开的草稿，已发布的内容不可更改；"
            "请先执行 gis-service drafts open。",
            code="no-draft",
        )
    secret, _ = auth.shown_secret(request)
    key = digest_of(secret) if secret else None
    return shown, Editor(caller.name, request.headers.get("x-edit-reason", "")[:500], key)


def _layer_of(shown: Shown) -> "DraftLayer":
    from layers.draft_edits import DraftLayer

    plan, layer = shown.library.catalog.layer_with_plan(shown.layer.id)
    return DraftLayer(shown.edition_id or 0, plan.id, layer.id, shown.content_id or 0)


async def _feature(request: Request, media_types: tuple[str, ...]) -> Mapping[str, Any]:
    """The feature of a request's body."""
    refuse_unknown(request, ())
    auth.require(request, "editor")
    stated = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if stated not in media_types:
        raise BadParameter(
            f"Content-Type: send {media_types[0]}.",
            f"Content-Type 应为 {media_types[0]}。",
            code="media-type-not-accepted",
        )
    body = await json_body(request, library_of(request).config.limits.submission_bytes)
    if not isinstance(body, dict) or body.get("type", "Feature") != "Feature":
        raise BadInput(
            "The body must be one GeoJSON feature.", "请求内容应为一个 GeoJSON 要素。",
            places=(Place("/type", Text(zh="不是 Feature", en="no Feature")),),
        )  # fmt: skip
    return body


def _properties(feature: Mapping[str, Any]) -> dict[str, Any]:
    found = feature.get("properties") or {}
    if not isinstance(found, dict):
        raise BadInput(
            "properties must be an object.", "properties 应为对象。",
            places=(Place("/properties", Text(zh="不是对象", en="no object")),),
        )  # fmt: skip
    return found


def _content_crs(request: Request) -> Crs:
    """The CRS of the body's coordinates, whose axes are in its authority's order."""
    stated = request.headers.get("content-crs")
    if stated is None:
        return STANDARD
    uri = stated.strip().strip("<>")
    if uri not in OFFERED_CRS:
        raise BadParameter(
            f"Content-Crs: '{uri[:80]}' is not offered; choose one of {', '.join(OFFERED_CRS)}.",
            f"Content-Crs：不提供“{uri[:80]}”；可选：{'、'.join(OFFERED_CRS)}。",
            code="crs-not-offered",
        )
    return parse_crs(uri)


def _geometry(feature: Mapping[str, Any], crs: Crs) -> shapely.Geometry | None:
    """The geometry, x = longitude or easting; None where the body has none."""
    from planning_rules.geojson import GeometryReader

    value = feature.get("geometry")
    if value is None:
        return None
    read = GeometryReader().read(value, "/geometry")
    if not crs.swapped:
        return read
    turned: shapely.Geometry = swap_axes(np.array([read], dtype=object))[0]
    return turned


def _stated_id(feature: Mapping[str, Any]) -> str | None:
    value = feature.get("id")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise BadInput(
            "id must be a text or a whole number.", "id 应为文本或整数。",
            places=(Place("/id", Text(zh="类型不符", en="wrong type")),),
        )  # fmt: skip
    if len(str(value)) > _LONGEST_ID or "\x00" in str(value):
        raise BadInput(
            f"id: at most {_LONGEST_ID} characters, without NUL.",
            f"id 不超过 {_LONGEST_ID} 个字符，且不得含空字符。",
            places=(Place("/id", Text(zh="过长或含空字符", en="too long, or with NUL")),),
        )  # fmt: skip
    return str(value)


def _refuse_other_id(request: Request, feature: Mapping[str, Any]) -> None:
    """A body that names another feature than the address is a mistake, never an edit of it."""
    stated = _stated_id(feature)
    if stated is not None and stated != request.path_params["feature"]:
        raise BadInput(
            f"The address names feature '{request.path_params['feature'][:80]}', the body "
            f"'{stated[:80]}'.",
            f"地址中的要素编号为“{request.path_params['feature'][:80]}”，"
            f"而请求内容为“{stated[:80]}”。",
            code="id-differs",
            places=(Place("/id", Text(zh="与地址不符", en="not that of the address")),),
        )


def _no_geometry() -> BadInput:
    return BadInput(
        "A feature needs a geometry.", "要素必须有几何图形。", code="geometry-missing",
        places=(Place("/geometry", Text(zh="缺少", en="missing")),),
    )  # fmt: skip
