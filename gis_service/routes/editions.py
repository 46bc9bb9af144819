"""Editions of plans over HTTP: what there is, what it holds, what changed between two."""

import shutil
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.edition_reports import (
    change_entries,
    diff_head,
    edition_entries,
    layer_summary,
    measured_difference,
)
from gis_service.library import Library, today
from gis_service.pictures import no_edition, shows_drafts
from gis_service.routes.downloads import Download
from gis_service.routes.requests import base_url, integer, library_of, refuse_unknown
from layers.catalog import Layer, Plan
from layers.change_files import geojson, write_geopackage
from layers.change_measuring import Measured
from layers.database import Connection
from layers.edition_diff import (
    Comparable,
    EditionVersion,
    LayerDiff,
    comparables,
    compare,
    edition_version,
)
from layers.errors import BadParameter, LimitExceeded, NotFound, Unavailable

_LISTED: Final = 10_000
_PAGE: Final = 100
_LARGEST_PAGE: Final = 1_000
_MOST_PAIRS: Final = 2_000
_BUDGET_S: Final = 10.0
_PATIENCE_S: Final = 20.0
_LONG_STATEMENTS: Final = "SET LOCAL statement_timeout = '120s'"
_MOST_IN_FILE: Final = 100_000
_KINDS: Final = ("added", "removed", "changed")
_MEDIA_TYPES: Final = {
    "geojson": "application/geo+json",
    "gpkg": "application/geopackage+sqlite3",
}
_LARGEST_NUMBER: Final = 2**31 - 1

Compared = tuple[LayerDiff, Measured | None]


class DiffStore:
    """Differences of published contents, which never change; the last asked for are kept."""

    def __init__(self, kept: int = 32) -> None:
        """Hold none yet; one difference lists at most 10,000 changes, about 2 MB."""
        self._kept = kept
        self._held: OrderedDict[Comparable, Compared] = OrderedDict()
        self._lock = threading.Lock()
        self._making = threading.Lock()

    def fetch(self, library: Library, pair: Comparable, *, is_draft: bool) -> Compared:
        """The difference, from the store or made; of a draft it is made each time.

        One is made at a time: a layer of 1.5 million features takes the database half a minute.
        """
        held = None if is_draft else self._get(pair)
        if held is not None:
            return held
        if not self._making.acquire(timeout=_PATIENCE_S):
            raise Unavailable(
                "Another difference is being made; try again in a minute.",
                "正在计算另一项差异；请一分钟后重试。",
                code="busy",
            )
        try:
            held = None if is_draft else self._get(pair)
            found = held or _make(library, pair)
        finally:
            self._making.release()
        if not is_draft:
            with self._lock:
                self._held[pair] = found
                while len(self._held) > self._kept:
                    self._held.popitem(last=False)
        return found

    def _get(self, pair: Comparable) -> Compared | None:
        with self._lock:
            return self._held.get(pair)


def _make(library: Library, pair: Comparable) -> Compared:
    with library.pool.connection() as connection, connection.transaction():
        connection.execute(_LONG_STATEMENTS)
        diff = compare(connection, pair, kept=_LISTED)
        measured = measured_difference(
            connection, library.sandbox, diff, most_pairs=_MOST_PAIRS, budget_s=_BUDGET_S
        )
    return diff, measured


def editions_of_plan(request: Request) -> Response:
    """All editions of a plan that the caller may see, newest first."""
    refuse_unknown(request, ())
    library = library_of(request)
    plan, layers = _plan(library, request.path_params["plan"])
    with library.pool.connection() as connection:
        entries = _entries(library, connection, plan, layers)
    body = {"plan": plan.id, "title": plan.title.model_dump(), "editions": entries}
    return _answer(body)


def edition(request: Request) -> Response:
    """One edition: description, days, layers, metadata."""
    refuse_unknown(request, ())
    library = library_of(request)
    number = _number(request.path_params["edition"])
    with library.pool.connection() as connection:
        version = _version(library, connection, number)
        plan, layers = _plan_of(library, version)
        entries = _entries(library, connection, plan, layers)
    found = next((entry for entry in entries if entry["id"] == number), None)
    if found is None:
        raise no_edition(number)
    base = base_url(request)
    links = [
        {"rel": "self", "href": f"{base}/editions/{number}"},
        {"rel": "collection", "href": f"{base}/plans/{plan.id}/editions"},
    ]
    earlier = next((entry["id"] for entry in entries if entry["id"] < number), None)
    if earlier is not None:
        links.append({"rel": "diff", "href": f"{base}/editions/{earlier}/diff/{number}"})
    return _answer({**found, "links": links})


def diff(request: Request) -> Response:
    """What changed between two editions: a summary, a page of a layer's list, or a file."""
    library = library_of(request)
    name, _, suffix = request.path_params["after"].partition(".")
    numbers = _number(request.path_params["before"]), _number(name)
    with library.pool.connection() as connection:
        before, after = (_version(library, connection, number) for number in numbers)
        _plan_of(library, after)
        _, layers = _plan_of(library, before)
        pairs = comparables(connection, library.catalog, before, after, layers)
    is_draft = "draft" in (before.state, after.state)
    if suffix not in ("", "json"):
        refuse_unknown(request, ("layer",))
        return _file(request, _chosen(request, pairs), suffix, f"{before.id}-{after.id}", is_draft)
    refuse_unknown(request, ("layer", "change", "limit", "offset"))
    head = diff_head(before, after)
    if "layer" in request.query_params:
        (pair,) = _chosen(request, pairs)
        return _answer({**head, **_page(request, pair, is_draft)})
    if len(request.query_params.keys() & {"change", "limit", "offset"}):
        raise BadParameter(
            "A list is of one layer: give layer.", "列表针对一个图层：请给出 layer。",
            code="which-layer",
        )  # fmt: skip
    return _answer({**head, **_summary(request, pairs, is_draft)})


def _summary(request: Request, pairs: list[Comparable], is_draft: bool) -> dict[str, Any]:
    library = library_of(request)
    entries = []
    for pair in pairs:
        found, measured = _store(request).fetch(library, pair, is_draft=is_draft)
        entry = layer_summary(library.catalog, found, measured)
        if found.changes:
            entry["list"] = f"{_address(request)}?layer={pair.layer_id}"
        entries.append(entry)
    files = [f"{_address(request)}.{suffix}" for suffix in _MEDIA_TYPES]
    return {"layers": entries, "files": files}


def _page(request: Request, pair: Comparable, is_draft: bool) -> dict[str, Any]:
    library = library_of(request)
    kind = request.query_params.get("change")
    if kind is not None and kind not in _KINDS:
        raise BadParameter(
            f"change is one of {', '.join(_KINDS)}.", f"change 可选：{'、'.join(_KINDS)}。"
        )
    limit = min(integer(request, "limit", _PAGE, 1), _LARGEST_PAGE)
    offset = integer(request, "offset", 0, 0)
    found, measured = _store(request).fetch(library, pair, is_draft=is_draft)
    listed = [change for change in found.listed if kind in (None, change.kind)]
    shown = listed[offset : offset + limit]
    with library.pool.connection() as connection:
        changes = list(change_entries(connection, pair, shown))
    body = {
        "summary": layer_summary(library.catalog, found, measured),
        "changes": changes,
        "returned": len(changes),
        "matched": len(listed),
        # Beyond this many the list ends; files and the command line hold all.
        "truncated": found.changes > len(found.listed),
    }
    if offset + limit < len(listed):
        following = request.url.include_query_params(offset=offset + limit, limit=limit)
        body["next"] = f"{base_url(request)}{following.path}?{following.query}"
    return body


def _file(
    request: Request, pairs: list[Comparable], suffix: str, name: str, is_draft: bool
) -> Response:
    library = library_of(request)
    if suffix not in _MEDIA_TYPES:
        raise NotFound(
            f"There is no form '{suffix[:20]}' of a difference: json, {', '.join(_MEDIA_TYPES)}.",
            f"差异没有“{suffix[:20]}”格式；可选：json、{'、'.join(_MEDIA_TYPES)}。",
        )
    store = _store(request)
    changes = sum(store.fetch(library, pair, is_draft=is_draft)[0].changes for pair in pairs)
    if changes > _MOST_IN_FILE:
        raise LimitExceeded(
            f"The difference holds {changes:,} changes; files over HTTP hold {_MOST_IN_FILE:,}. "
            "Ask for one layer (?layer=) or use: gis-service plans diff.",
            f"差异含 {changes:,} 项变化，HTTP 文件最多 {_MOST_IN_FILE:,} 项。"
            "请只取一个图层（?layer=），或使用 gis-service plans diff。",
        )
    # Whole before it is sent: a slow reader holds no connection to the database.
    folder = Path(tempfile.mkdtemp(prefix="edition-diff-"))
    path = folder / f"editions-{name}.{suffix}"
    try:
        _write(library, [(pair, library.catalog.layer(pair.layer_id)) for pair in pairs], path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Download(path, media_type=_MEDIA_TYPES[suffix], filename=path.name)


def _write(library: Library, pairs: list[tuple[Comparable, Layer]], path: Path) -> None:
    with library.pool.connection() as connection, connection.transaction():
        connection.execute(_LONG_STATEMENTS)
        if path.suffix == ".gpkg":
            write_geopackage(connection, library.sandbox, pairs, path)
            return
        with path.open("wb") as file:
            file.writelines(geojson(connection, library.sandbox, pairs))


def _chosen(request: Request, pairs: list[Comparable]) -> list[Comparable]:
    layer = request.query_params.get("layer")
    chosen = [pair for pair in pairs if layer in (None, pair.layer_id)]
    if layer is not None and not chosen:
        raise NotFound(
            f"The editions hold no layer '{layer[:60]}'.", f"版本中没有图层“{layer[:60]}”。"
        )
    return chosen


def _entries(
    library: Library, connection: Connection, plan: Plan, layers: list[Layer]
) -> list[dict[str, Any]]:
    entries = edition_entries(connection, plan.id, today(), layers)
    return [entry for entry in entries if entry["state"] != "draft" or shows_drafts(library)]


def _plan(library: Library, plan_id: str) -> tuple[Plan, list[Layer]]:
    """A plan and its layers that the caller may see; without any it is not there for him."""
    visible = {layer.id for layer in library.visible_layers()}
    for plan in library.catalog.plans:
        layers = [layer for layer in plan.layers if layer.id in visible]
        if plan.id == plan_id and layers:
            return plan, layers
    raise NotFound(f"There is no plan '{plan_id[:60]}'.", f"没有规划“{plan_id[:60]}”。")


def _plan_of(library: Library, version: EditionVersion) -> tuple[Plan, list[Layer]]:
    try:
        return _plan(library, version.plan_id)
    except NotFound:
        raise no_edition(version.id) from None


def _version(library: Library, connection: Connection, number: int) -> EditionVersion:
    version = edition_version(connection, number)
    if version.state == "draft" and not shows_drafts(library):
        raise no_edition(number)
    return version


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) <= _LARGEST_NUMBER):
        raise NotFound(f"There is no edition '{text[:20]}'.", f"没有版本“{text[:20]}”。")
    return int(text)


def _store(request: Request) -> DiffStore:
    store: DiffStore = request.app.state.diffs
    return store


def _address(request: Request) -> str:
    return f"{base_url(request)}{request.url.path.removesuffix('.json')}"


def _answer(body: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps(body), media_type="application/json", headers={"Cache-Control": "no-cache"}
    )


ROUTES: Final = [
    Route("/plans/{plan}/editions", editions_of_plan),
    Route("/editions/{edition}", edition),
    Route("/editions/{before}/diff/{after}", diff),
]
