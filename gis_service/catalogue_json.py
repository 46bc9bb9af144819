"""Records of the catalogue as GeoJSON (OGC API Records Part 1) and the links of both forms."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from layers.catalog import Contact
from layers.catalogue_records import Record
from layers.crs import Box
from layers.iso_metadata import OnlineResource
from layers.text import Text

CATALOGUE: Final = "catalogue"
"""The id of the record collection; no layer may have it."""
RECORD_CLASSES: Final = tuple(
    f"http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/{name}"
    for name in ("record-core", "record-core-query-parameters", "record-api", "json")
)
ISO_TYPE: Final = "application/vnd.iso.19139+xml"
TYPES: Final[Mapping[str, str]] = {"plan": "series", "layer": "dataset", "edition": "edition"}
"""What a record is about: the resource's name here, and its type as catalogues call it."""

_RECORD_CORE: Final = "http://www.opengis.net/spec/ogcapi-records-1/1.0/req/record-core"
_CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_LANGUAGES: Final = (
    {"code": "zh", "name": "中文", "alternate": "Chinese", "dir": "ltr"},
    {"code": "en", "name": "English", "dir": "ltr"},
)
_SYNTHETIC: Final = Text(zh="（演示数据）", en=" (synthetic data)")
_UNSTATED: Final = Text(zh="未说明许可条件", en="no licence is stated")


def collection_document(base_url: str, language: str, region: Box) -> dict[str, Any]:
    """The description of the record collection; its extent is the region's."""
    title = Text(zh="规划目录（元数据）", en="Catalogue of plans (metadata)")
    about = Text(
        zh="每个规划、图层、版本一条元数据记录；另可取 ISO 19115 XML（f=iso）。",
        en="One record of metadata for each plan, layer and edition; also as ISO 19115 XML "
        "(f=iso).",
    )
    address = f"{base_url}/ogc/collections/{CATALOGUE}"
    return {
        "id": CATALOGUE,
        "type": "Catalog",
        "itemType": "record",
        "title": title.in_language(language),
        "description": about.in_language(language),
        "extent": {"spatial": {"bbox": [list(region)], "crs": _CRS84}},
        "crs": [_CRS84],
        "storageCrs": _CRS84,
        "conformsTo": list(RECORD_CLASSES),
        "links": [
            _link(address, "self", "application/json"),
            _link(f"{address}/items", "items", "application/geo+json"),
            _link(
                f"{address}/queryables",
                "http://www.opengis.net/def/rel/ogc/1.0/queryables",
                "application/schema+json",
            ),
        ],
    }


def record_feature(record: Record, base_url: str, language: str) -> dict[str, Any]:
    """One record as a GeoJSON feature."""
    mark = _SYNTHETIC.in_language(language) if record.synthetic else ""
    properties: dict[str, Any] = {
        "type": TYPES[record.resource],
        "resource": record.resource,
        "title": record.title.in_language(language) + mark,
        "description": record.description.in_language(language) + mark,
        "keywords": list(dict.fromkeys(w.in_language(language) for w in record.keywords)),
        "language": dict(_LANGUAGES[0] if language == "zh" else _LANGUAGES[1]),
        "languages": [dict(one) for one in _LANGUAGES],
        "created": _stamp(record.created),
        "updated": _stamp(record.updated),
        "contacts": [_contact(record.contact, "custodian", language)],
        "license": (record.licence or _UNSTATED).in_language(language),
        "rights": record.classification,
        "maintenance": record.maintenance,
        "plan": record.plan_id,
        "layers": list(record.layer_ids),
        "edition": record.edition_id,
        "state": record.state,
        "accuracy": [
            {"layer": one.layer_id, "standard_deviation_m": one.value_m}
            | ({"statement": one.statement.in_language(language)} if one.statement else {})
            for one in record.accuracies
        ],
        "lineage": _lineage(record, language),
        "approval": _approval(record, language),
    }
    return {
        "id": record.id,
        "type": "Feature",
        "conformsTo": [_RECORD_CORE],
        "geometry": _geometry(record),
        "time": _time(record),
        "properties": {name: value for name, value in properties.items() if value is not None},
        "links": list(_links(record, base_url, language)),
    }


def _stamp(when: datetime.datetime | None) -> str | None:
    if when is None:
        return None
    return when.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _contact(contact: Contact, role: str, language: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "organization": contact.organisation.in_language(language),
        "roles": [role],
    }
    if contact.email:
        body["emails"] = [{"value": contact.email}]
    if contact.telephone:
        body["phones"] = [{"value": contact.telephone}]
    if contact.address:
        body["addresses"] = [{"deliveryPoint": [contact.address.in_language(language)]}]
    if contact.url:
        body["links"] = [{"href": contact.url, "rel": "about"}]
    return body


def _lineage(record: Record, language: str) -> list[str] | None:
    said = [record.lineage] if record.lineage is not None else []
    return [text.in_language(language) for text in (*said, *(s.text for s in record.steps))] or None


def _approval(record: Record, language: str) -> dict[str, str] | None:
    one = record.approval
    body = {
        "authority": one.authority.in_language(language) if one.authority else None,
        "document": one.document,
        "date": one.date.isoformat() if one.date else None,
    }
    return {name: value for name, value in body.items() if value is not None} or None


def _geometry(record: Record) -> dict[str, Any] | None:
    if record.extent is None:
        return None
    west, south, east, north = record.extent
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _time(record: Record) -> dict[str, Any] | None:
    """The days in force; the standard's intervals hold both of their ends."""
    if record.begins is None:
        return None
    last = (record.ends - datetime.timedelta(days=1)).isoformat() if record.ends else ".."
    return {"interval": [record.begins.isoformat(), last], "resolution": "P1D"}


def record_address(record_id: str, base_url: str) -> str:
    """The address of a record."""
    return f"{base_url}/ogc/collections/{CATALOGUE}/items/{quote(record_id)}"


def _links(record: Record, base_url: str, language: str) -> Iterator[dict[str, str]]:
    address = record_address(record.id, base_url)
    yield _link(address, "self", "application/geo+json")
    yield _link(f"{address}?f=iso", "alternate", ISO_TYPE, "ISO 19115/19139 XML")
    yield _link(f"{base_url}/ogc/collections/{CATALOGUE}", "collection", "application/json")
    if record.parent is not None:
        yield _link(record_address(record.parent, base_url), "up", "application/geo+json")
    for one in online_resources(record, base_url):
        yield _link(one.url, _RELATIONS[one.protocol], _MEDIA[one.protocol],
                    one.name.in_language(language))  # fmt: skip


_ITEMS: Final = "OGC API - Features"
_TILES: Final = "TileJSON"
_LEGEND: Final = "WWW:LINK-1.0-http--image-thumbnail"
_RELATIONS: Final = {
    _ITEMS: "items",
    _TILES: "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector",
    _LEGEND: "http://www.opengis.net/def/rel/ogc/1.0/legend",
}
_MEDIA: Final = {
    _ITEMS: "application/geo+json", _TILES: "application/json", _LEGEND: "image/png",
}  # fmt: skip


def online_resources(record: Record, base_url: str) -> Sequence[OnlineResource]:
    """How to get the data of a record; none while nothing of it is in force."""
    if record.begins is None:
        return ()
    found = []
    day = f"?datetime={record.begins.isoformat()}" if record.resource == "edition" else ""
    for layer in record.layer_ids:
        items = f"{base_url}/ogc/collections/{layer}/items{day}"
        found.append(
            OnlineResource(items, _ITEMS, Text(zh=f"要素 {layer}", en=f"features {layer}"))
        )
        if record.resource == "layer":
            tiles = f"{base_url}/tiles/{layer}.json"
            found.append(OnlineResource(tiles, _TILES, Text(zh="矢量瓦片", en="vector tiles")))
            legend = f"{base_url}/legends/{layer}.png"
            found.append(
                OnlineResource(legend, _LEGEND, Text(zh="图例", en="legend"), "information")
            )
    return tuple(found)


def _link(href: str, rel: str, media_type: str, title: str | None = None) -> dict[str, str]:
    link = {"href": href, "rel": rel, "type": media_type}
    return link | ({"title": title} if title else {})
