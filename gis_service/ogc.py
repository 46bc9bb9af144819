"""The OGC frame: pygeoapi built in memory from the catalogue, its handlers behind our routes.

pygeoapi answers landing page, conformance, collections, OpenAPI, process lists and their
descriptions. Items, queryables, schemas, tiles and executions are our own routes before it. A
new object is built and swapped in when an edition is published; nothing is read from disk.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.api_definition import api_definition, items_parameters
from gis_service.catalogue_json import CATALOGUE, collection_document
from gis_service.crs_offered import CRS84, OFFERED_CRS, STORAGE_CRS_URI
from gis_service.library import InForce, Library
from gis_service.problems import problem
from gis_service.processes import PROCESSES
from gis_service.tilesets import schemes_link, tiles_links
from layers.catalog import Layer, Plan
from layers.crs import Box
from layers.text import Text

if TYPE_CHECKING:
    from pygeoapi.api import API

_TEMPLATES: Final = Path(__file__).parent / "templates" / "ogc"
_LANGUAGES: Final = ("en", "zh")


def _both(zh: str, en: str) -> dict[str, str]:
    return {"en": en, "zh": zh}


def build_config(library: Library, picture: InForce, base_url: str) -> dict[str, Any]:
    """pygeoapi's configuration for what the public may see at an address."""
    config = library.config
    resources: dict[str, Any] = {
        layer.id: _collection(plan, layer, picture, library, base_url)
        for plan, layer in library.catalog.layers()
        if layer.id in picture.layers
    }
    for process in PROCESSES:
        resources[process] = {
            "type": "process",
            "processor": {"name": "gis_service.ogc_plugins.Described", "process": process},
        }
    return {
        "server": {
            "bind": {"host": "localhost", "port": 0},
            "url": f"{base_url}/ogc",
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "gzip": False,
            "languages": list(_LANGUAGES),
            "pretty_print": False,
            "limits": {
                "default_items": 100,
                "max_items": config.limits.page_features,
                "on_exceed": "throttle",
            },
            "map": {"url": f"{base_url}/tiles", "attribution": ""},
            # Ours come first: the stock pages load scripts and styles from other hosts.
            "templates": {"path": str(_TEMPLATES)},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {
                "title": _both(config.title.zh, config.title.en),
                "description": _both(config.subtitle.zh, config.subtitle.en),
                "keywords": _both_lists(["多规合一", "规划"], ["planning", "PostGIS"]),
                "keywords_type": "theme",
                "terms_of_service": _both(config.notice.zh, config.notice.en),
                "url": base_url,
            },
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "provider": {"name": config.title.en, "url": base_url},
            "contact": {"name": config.title.en, "url": base_url},
        },
        "resources": resources,
    }


def _both_lists(zh: list[str], en: list[str]) -> dict[str, list[str]]:
    return {"en": en, "zh": zh}


def _collection(
    plan: Plan, layer: Layer, picture: InForce, library: Library, base_url: str
) -> dict[str, Any]:
    content = picture.layers[layer.id]
    description = layer.description or layer.title
    mark_zh, mark_en = ("（演示数据）", " (synthetic data)") if content.synthetic else ("", "")
    return {
        "type": "collection",
        "title": _both(layer.title.zh + mark_zh, layer.title.en + mark_en),
        "description": _both(description.zh + mark_zh, description.en + mark_en),
        "keywords": _both_lists([plan.title.zh, layer.title.zh], [plan.title.en, layer.title.en]),
        "links": [
            {
                "type": "application/json",
                "rel": "tilejson",
                "title": _both("矢量瓦片（TileJSON）", "Vector tiles (TileJSON)"),
                "href": f"{base_url}/tiles/{layer.id}.json",
            },
            {
                "type": "image/png",
                "rel": "legend",
                "title": _both("图例", "Legend"),
                "href": f"{base_url}/legends/{layer.id}.png",
            },
        ],
        "extents": {
            "spatial": {
                "bbox": list(content.extent or library.config.region.bbox),
                "crs": CRS84,
            },
            "temporal": {"begin": content.valid_from.isoformat() + "T00:00:00Z", "end": None},
        },
        "providers": [
            {
                "type": "feature",
                "name": "gis_service.ogc_plugins.CatalogueProvider",
                "data": layer.id,
                "id_field": layer.id_attribute or "feature_id",
                "storage_crs": CRS84,
                "crs": list(OFFERED_CRS),
                "fields": {
                    a.name: {"type": a.type if a.type != "date" else "string"}
                    for a in layer.kept_attributes
                },
            }
        ],
    }


@dataclass(slots=True)
class OgcFrame:
    """The pygeoapi objects, one for each public address, rebuilt after a publish."""

    library: Library
    routes: Sequence[Route] = ()
    """Those of the application, which the OpenAPI document describes."""
    _built: dict[str, tuple[int, "API"]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def warm_up(self, base_url: str) -> None:
        """Import pygeoapi and build the frame now, so that the first caller does not wait."""
        self.api(base_url)

    def api(self, base_url: str) -> "API":
        """The frame for an address as the library stands now."""
        picture = self.library.in_force()
        held = self._built.get(base_url)
        if held is not None and held[0] == picture.version:
            return held[1]
        with self._lock:
            held = self._built.get(base_url)
            if held is None or held[0] != picture.version:
                from pygeoapi.api import API  # two seconds: not before it is needed

                config = build_config(self.library, picture, base_url)
                api = API(config, self.definition(picture, base_url))
                held = (picture.version, api)
                self._built[base_url] = held
                _calm_logging()
            return held[1]

    def definition(self, picture: InForce, base_url: str) -> dict[str, Any]:
        """The OpenAPI document of what is shown at an address."""
        from gis_service.routes.items import ITEMS_FORMS
        from gis_service.routes.items_query import DEFAULT_LIMIT

        most = self.library.config.limits.page_features
        return api_definition(
            self.library,
            [one for _, one in self.library.catalog.layers() if one.id in picture.layers],
            self.routes,
            base_url,
            items_parameters(DEFAULT_LIMIT, most, ITEMS_FORMS),
            ITEMS_FORMS,
        )


def _calm_logging() -> None:
    """pygeoapi sets up its own handlers; the process's logging stays ours."""
    logging.getLogger("pygeoapi").setLevel(logging.ERROR)


_SCHEMA_RELS: Final = ("/schema", "/queryables")
"""Schemas are documents for programs; they have no page."""

HandlerName = Literal["landing_page", "openapi_", "describe_collections", "describe_processes"]


def call(
    frame: OgcFrame, name: HandlerName, request: Request, base_url: str, *args: Any
) -> Response:
    """Run one of pygeoapi's handlers for a request and make its answer ours."""
    api = frame.api(base_url)
    from pygeoapi import api as core
    from pygeoapi.api import processes

    handler = getattr(processes if name == "describe_processes" else core, name)
    asked = core.APIRequest(request, api.locales)
    if not asked.is_valid():
        headers, status, content = api.get_format_exception(asked)
    else:
        headers, status, content = handler(api, asked, *args)
    if int(status) >= 400:
        return _as_problem(request, int(status), content)
    answer = Response(content, status_code=int(status))
    for header, value in headers.items():
        if header.lower() not in ("x-powered-by", "content-length"):
            answer.headers[header] = value
    return answer


_CODES_ZH: Final = {
    "NotFound": "不存在",
    "NoSuchProcess": "没有这个处理服务",
    "InvalidParameterValue": "参数值无效",
}


def _as_problem(request: Request, status: int, content: str | bytes) -> Response:
    """pygeoapi's exception as a problem of ours, in both languages."""
    try:
        fault = orjson.loads(content)
        code, said = str(fault["code"]), str(fault["description"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        code, said = "ogc-exception", HTTPStatus(status).phrase
    chinese = _CODES_ZH.get(code, "请求无法处理")
    return problem(request, HTTPStatus(status), code, Text(zh=f"{chinese}：{said}", en=said))


def change_json(answer: Response, change: Callable[[dict[str, Any]], None]) -> Response:
    """Apply a change to a JSON answer; any other answer stays as it is."""
    if answer.status_code != 200 or "json" not in answer.headers.get("content-type", ""):
        return answer
    document = orjson.loads(answer.body)
    change(document)
    headers = {k: v for k, v in answer.headers.items() if k.lower() != "content-length"}
    return Response(orjson.dumps(document), status_code=200, headers=headers)


def mend_collection(document: dict[str, Any]) -> None:
    """Say the true storage CRS, drop forms that items are not given in, link to the sortables."""
    document["storageCrs"] = STORAGE_CRS_URI
    document["links"] = [
        link
        for link in document["links"]
        if link["type"] != "application/ld+json"
        and not (link["type"] == "text/html" and link["rel"].endswith(_SCHEMA_RELS))
    ]
    address = next(link["href"] for link in document["links"] if link["rel"] == "items")
    document["links"].append(
        {
            "rel": "http://www.opengis.net/def/rel/ogc/1.0/sortables",
            "type": "application/schema+json",
            "title": "Sortables / 可排序属性",
            "href": address.split("/items", 1)[0] + "/sortables",
        }
    )
    document["links"] += tiles_links(address.split("/items", 1)[0])


def mend_collections(document: dict[str, Any]) -> None:
    """The same for the list of collections."""
    for collection in document["collections"]:
        mend_collection(collection)


def add_catalogue(document: dict[str, Any], base_url: str, language: str, region: Box) -> None:
    """The record collection stands in the list behind the layers."""
    document["collections"].append(collection_document(base_url, language, region))


def link_catalogue(document: dict[str, Any], base_url: str) -> None:
    """The landing page leads to the record collection and to the jobs."""
    scheme = schemes_link(f"{base_url}/ogc/tileMatrixSets")
    # pygeoapi names an address of its own for them.
    document["links"] = [one for one in document["links"] if one["rel"] != scheme["rel"]]
    document["links"] += [*tiles_links(f"{base_url}/ogc"), scheme]
    document["links"] += [
        {
            "rel": "http://www.opengis.net/def/rel/ogc/1.0/ogc-catalog",
            "type": "application/json",
            "title": "Catalogue of plans, layers and editions / 规划目录",
            "href": f"{base_url}/ogc/collections/{CATALOGUE}",
        },
        {
            "rel": "http://www.opengis.net/def/rel/ogc/1.0/job-list",
            "type": "application/json",
            "title": "Jobs / 任务",
            "href": f"{base_url}/ogc/jobs",
        },
    ]
