"""Conformance classes that the service declares: what its routes do and its tests hold, no more."""

from typing import Final

from gis_service.catalogue_json import RECORD_CLASSES

_SPEC: Final = "http://www.opengis.net/spec/"


def _classes(standard: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{_SPEC}{standard}/conf/{name}" for name in names)


COMMON: Final = (
    *_classes("ogcapi-common-1/1.0", "core", "landing-page", "html", "json", "oas30"),
    *_classes("ogcapi-common-2/1.0", "collections", "html", "json"),
)
FEATURES: Final = (
    *_classes("ogcapi-features-1/1.0", "core", "oas30", "html", "geojson"),
    *_classes("ogcapi-features-2/1.0", "crs"),
)
FILTER: Final = (
    *_classes(
        "ogcapi-features-3/1.0", "queryables", "queryables-query-parameters", "filter",
        "features-filter",
    ),
    *_classes(
        "cql2/1.0", "basic-cql2", "cql2-text", "cql2-json", "advanced-comparison-operators",
        "case-insensitive-comparison", "basic-spatial-functions", "basic-spatial-functions-plus",
        "spatial-functions", "temporal-functions", "property-property", "arithmetic",
    ),
)  # fmt: skip
SCHEMAS: Final = _classes(
    "ogcapi-features-5/1.0", "schemas", "core-roles-features", "queryables", "sortables",
    "returnables-and-receivables",
)  # fmt: skip
EDITS: Final = _classes(
    "ogcapi-features-4/1.0", "create-replace-delete", "update", "features",
    "optimistic-locking-etags",
)  # fmt: skip
PROCESSES: Final = _classes(
    "ogcapi-processes-1/1.0", "core", "ogc-process-description", "json", "html", "oas30",
    "job-list", "callback", "dismiss",
)  # fmt: skip

TILES: Final = (
    *_classes(
        "ogcapi-tiles-1/1.0", "core", "tileset", "tilesets-list", "dataset-tilesets",
        "geodata-tilesets", "collections-selection", "datetime", "oas30", "mvt", "png", "jpeg",
    ),
    *_classes("tms/2.0", "tilematrixset", "json-tilematrixset", "tilesetmetadata",
              "json-tilesetmetadata", "tilematrixsetlimits", "json-tilematrixsetlimits"),
)  # fmt: skip

MAPS: Final = (
    *_classes(
        "ogcapi-maps-1/1.0", "core", "collection-map", "dataset-map", "collections-selection",
        "datetime", "crs", "png", "jpeg",
    ),
    *_classes("ogcapi-styles-1/0.0", "core"),
)  # fmt: skip

CLASSES: Final = (
    *COMMON, *FEATURES, *FILTER, *SCHEMAS, *EDITS, *RECORD_CLASSES, *PROCESSES, *TILES, *MAPS,
)  # fmt: skip
"""All of them; doors of other standards add theirs here."""
