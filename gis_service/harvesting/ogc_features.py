"""Sources that are collections of an OGC API Features service: every page of them, or nothing."""

import email.utils
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final
from urllib.parse import urlencode

import orjson

from gis_service.harvesting.egress import Answer, WebSource
from gis_service.harvesting.fetched import (
    Fetched,
    FetchRoom,
    Unchanged,
    Validator,
    deadline_check,
    incomplete,
    refuse_larger,
)
from gis_service.harvesting.sources import Credentials, RegisteredSource
from layers.crs import Crs, parse_crs
from layers.errors import BadInput, CrsRefused

_GEOJSON: Final = "application/geo+json"
_LONGITUDE_FIRST: Final = "CRS84"
_MOST_PAGES: Final = 100_000
_PAGE_BYTES: Final = 256 << 20
_CLEARLY_OLDER_S: Final = 60.0
"""A Last-Modified time tells two states apart only if it is this much older than the answer."""


def fetch(source: RegisteredSource, room: FetchRoom) -> Fetched:
    """Page through the collection into one GeoJSON file, longitude first.

    Fails, and nothing is changed, where fewer or more features come than the source states, where
    a feature comes twice, or where a ``next`` link leads away or round in a circle. Raises
    ``Unchanged`` where every page of the last fetch is answered by 304.
    """
    with WebSource(
        source.location,
        networks=source.networks,
        secret_headers=_secret_headers(source.credentials, room.secret),
        ca_file=str(source.ca_file) if source.ca_file else None,
        body_bytes=min(_PAGE_BYTES, room.largest_bytes),
        sleep=room.sleep,
    ) as web:
        check = deadline_check(room, source.deadline_s)
        if room.validators and _all_unchanged(web, room.validators, check):
            raise Unchanged
        return _Harvest(source, room, web, check).run()


def _secret_headers(
    credentials: Credentials | None, secret: Callable[[str], str]
) -> Mapping[str, str]:
    if credentials is None:
        return {}
    if credentials.bearer:
        return {"Authorization": f"Bearer {secret(credentials.bearer)}"}
    if credentials.basic:
        import base64

        token = base64.b64encode(secret(credentials.basic).encode()).decode("ascii")
        return {"Authorization": f"Basic {token}"}
    if credentials.header and credentials.value:
        return {credentials.header: secret(credentials.value)}
    return {}


def _all_unchanged(
    web: WebSource, validators: tuple[Validator, ...], check: Callable[[], None]
) -> bool:
    """Whether each page, by its own validator, is what it was; then so is the whole."""
    for validator in validators:
        check()
        conditions = {}
        if "etag" in validator:
            conditions["If-None-Match"] = validator["etag"]
        elif "last_modified" in validator:
            conditions["If-Modified-Since"] = validator["last_modified"]
        answer = web.get(validator["url"], accept=_GEOJSON, conditions=conditions)
        if answer.status != 304:
            return False
    return True


@dataclass(slots=True)
class _Harvest:
    """One walk through the pages."""

    source: RegisteredSource
    room: FetchRoom
    web: WebSource
    check: Callable[[], None]
    crs: Crs = field(default_factory=lambda: parse_crs(_LONGITUDE_FIRST))
    rows: int = 0
    byte_count: int = 0
    stated: int | None = None
    ids: set[str] = field(default_factory=set)
    validators: list[Validator] = field(default_factory=list)
    pages: int = 0

    def run(self) -> Fetched:
        collection = _json_object(
            self.web.get(self.source.location, accept="application/json"), "collection"
        )
        first = self._first_page(collection)
        path = self.room.folder / f"{self.source.id}.geojson"
        digest = hashlib.sha256()
        with path.open("wb") as out:
            out.write(b'{"type":"FeatureCollection",' + _crs_member(self.crs) + b'"features":[\n')
            for page, answer in self._pages(first):
                self._take(page, answer, out, digest)
            out.write(b"\n]}\n")
        if self.stated is not None and self.rows != self.stated:
            raise incomplete(self.rows, self.stated)
        whole = len(self.validators) == self.pages
        return Fetched(
            path,
            digest.hexdigest(),
            self.byte_count,
            rows=self.rows,
            crs=self.crs.code,
            pages=self.pages,
            complete=True if self.stated is not None else None,
            validators=tuple(self.validators) if whole else (),
        )

    def _first_page(self, collection: Mapping[str, Any]) -> Answer:
        """The first page in the best CRS the source offers and confirms, else in CRS84."""
        items = self._items_address(collection)
        for crs in _cgcs2000_offered(collection):
            answer = self._page(items, crs.uri)
            if answer.headers.get("content-crs", "").strip(" <>") == crs.uri:
                self.crs = crs
                return answer
        answer = self._page(items, None)
        stated = answer.headers.get("content-crs", "").strip(" <>")
        if stated and stated != self.crs.uri:
            raise CrsRefused(
                f"The source answers in {stated[:100]} though CRS84 was asked for.",
                f"请求 CRS84，但数据源以 {stated[:100]} 应答。",
                code="crs-not-as-asked",
            )
        return answer

    def _items_address(self, collection: Mapping[str, Any]) -> str:
        default = self.source.location.rstrip("/") + "/items"
        for link in _links(collection):
            if link.get("rel") == "items" and str(link.get("type", "")).startswith(_GEOJSON):
                return self.web.admitted(self.source.location, str(link.get("href")))
        return default

    def _page(self, items: str, crs_uri: str | None) -> Answer:
        query = {"limit": str(self.source.page_features), **({"crs": crs_uri} if crs_uri else {})}
        joint = "&" if "?" in items else "?"
        return self.web.get(items + joint + urlencode(query, safe=":/"), accept=_GEOJSON)

    def _pages(self, first: Answer) -> Iterator[tuple[Mapping[str, Any], Answer]]:
        seen = {first.url}
        answer: Answer | None = first
        while answer is not None:
            page = _json_object(answer, "page")
            self.pages += 1
            yield page, answer
            following = self._next(page, answer.url)
            if following is None:
                return
            if following in seen or self.pages >= _MOST_PAGES:
                raise BadInput(
                    "The 'next' links of the source go round in a circle; nothing was changed.",
                    "数据源的“下一页”链接形成循环，未作任何更改。",
                    code="paging-circle",
                )
            seen.add(following)
            self.check()
            answer = self.web.get(following, accept=_GEOJSON)
            self._refuse_other_crs(answer)

    def _next(self, page: Mapping[str, Any], base: str) -> str | None:
        found = [link for link in _links(page) if link.get("rel") == "next"]
        return self.web.admitted(base, str(found[0].get("href"))) if found else None

    def _refuse_other_crs(self, answer: Answer) -> None:
        stated = answer.headers.get("content-crs", "").strip(" <>")
        if stated != self.crs.uri and (stated or self.crs.swapped):
            raise CrsRefused(
                "A later page of the source is in another CRS than the first; nothing was changed.",
                "数据源后续页面的坐标系与第一页不同，未作任何更改。",
                code="crs-not-as-asked",
            )

    def _take(
        self, page: Mapping[str, Any], answer: Answer, out: BinaryIO, digest: "hashlib._Hash"
    ) -> None:
        features = page.get("features")
        if not isinstance(features, list):
            raise _no_collection()
        self._note_count(page.get("numberMatched"))
        self._note_validator(answer)
        for feature in features:
            line = orjson.dumps(self._feature(feature))
            out.write(b",\n" + line if self.rows else line)
            digest.update(line + b"\n")
            self.rows += 1
            self.byte_count += len(line) + 2
        refuse_larger(self.byte_count, self.room.largest_bytes)
        if not features and self.stated and self.rows < self.stated:
            raise incomplete(self.rows, self.stated)

    def _note_count(self, stated: Any) -> None:
        if not isinstance(stated, int) or isinstance(stated, bool):
            return
        if self.stated is not None and stated != self.stated:
            raise BadInput(
                "The source changed while it was read (numberMatched differs between pages).",
                "读取过程中数据源发生变化（各页 numberMatched 不一致）。",
                code="source-changes",
            )
        self.stated = stated

    def _note_validator(self, answer: Answer) -> None:
        etag, modified = (answer.headers.get(k) for k in ("etag", "last-modified"))
        if etag:
            self.validators.append({"url": answer.url, "etag": etag[:500]})
        elif modified and _age_s(modified, answer.headers.get("date")) >= _CLEARLY_OLDER_S:
            self.validators.append({"url": answer.url, "last_modified": modified[:100]})

    def _feature(self, feature: Any) -> dict[str, Any]:
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise _no_collection()
        name = feature.get("id")
        if name is not None:
            if str(name) in self.ids:
                raise BadInput(
                    f"The source gives feature '{str(name)[:60]}' twice; it changed while it was "
                    "read, or its paging is at fault. Nothing was changed.",
                    f"数据源重复提供要素“{str(name)[:60]}”：读取过程中发生变化或分页有误，"
                    "未作任何更改。",
                    code="feature-twice",
                )
            self.ids.add(str(name))
        kept = {k: feature[k] for k in ("type", "id", "properties", "geometry") if k in feature}
        if self.crs.swapped:
            kept["geometry"] = _longitude_first(feature.get("geometry"))
        return kept


def _cgcs2000_offered(collection: Mapping[str, Any]) -> list[Crs]:
    """CGCS2000 in longitude and latitude, if offered: no datum lies between it and the library."""
    found = []
    offered = collection.get("crs")
    for uri in offered if isinstance(offered, list) else []:
        with suppress(CrsRefused):
            crs = parse_crs(str(uri)[:200])
            if crs.kind == "geographic" and crs.datum == "cgcs2000" and crs.uri == uri:
                found.append(crs)
    return found[:1]


def _crs_member(crs: Crs) -> bytes:
    if crs.code.endswith(_LONGITUDE_FIRST):
        return b""
    return b'"crs":' + orjson.dumps({"type": "name", "properties": {"name": crs.code}}) + b","


def _longitude_first(geometry: Any) -> Any:
    """A GeoJSON geometry with its axes exchanged; what is no geometry is left to the import."""
    if not isinstance(geometry, dict):
        return geometry
    if "geometries" in geometry and isinstance(geometry["geometries"], list):
        return {**geometry, "geometries": [_longitude_first(g) for g in geometry["geometries"]]}
    return {**geometry, "coordinates": _exchanged(geometry.get("coordinates"))}


def _exchanged(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if len(value) >= 2 and not isinstance(value[0], list):
        return [value[1], value[0], *value[2:]]
    return [_exchanged(part) for part in value]


def _json_object(answer: Answer, what: str) -> Mapping[str, Any]:
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise BadInput(
            f"The source's {what} is no JSON (cut short, or an error page).",
            f"数据源的应答（{what}）不是合法的 JSON（可能被截断或为错误页面）。",
            code="not-json",
        ) from error
    if not isinstance(document, dict):
        raise _no_collection()
    return document


def _no_collection() -> BadInput:
    return BadInput(
        "The source answers with something that is no feature collection.",
        "数据源的应答不是要素集合。",
        code="no-feature-collection",
    )


def _links(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    links = document.get("links")
    return [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []


def _age_s(modified: str, date: str | None) -> float:
    try:
        then = email.utils.parsedate_to_datetime(modified)
        return (email.utils.parsedate_to_datetime(date or "") - then).total_seconds()
    except (ValueError, TypeError):
        return 0.0
