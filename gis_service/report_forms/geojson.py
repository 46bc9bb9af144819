"""Site and patches as one GeoJSON collection (RFC 7946), with the common style properties."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gis_service.report_forms.patch_rows import patch_rows

COLOURS: Final = {
    "site": "#1f4e79", "conflict": "#a3161b", "accuracy-difference": "#6b3fa0",
    "sliver": "#9a6700", "touch": "#57606a",
}  # fmt: skip


def write_geojson(report: Mapping[str, Any], language: str, verify_url: str | None) -> bytes:
    """The site first, then every patch; ``fill`` and ``stroke`` follow the kind."""
    site = {
        "type": "Feature",
        "id": report["submission"]["id"],
        "geometry": report["submission"]["geometry"],
        "properties": {
            "kind": "site",
            "name": report["submission"]["name"],
            "area_m2": report["submission"]["area_m2"],
            "outcome": report["outcome"],
            **_style("site"),
        },
    }
    patches = [
        {
            "type": "Feature",
            "id": f"{row.values['rule_id']}/{row.values['patch_id']}",
            "geometry": row.geometry,
            "properties": {**row.values, **_style(row.values["kind"])},
        }
        for row in patch_rows(report, language)
    ]
    collection = {
        "type": "FeatureCollection",
        "report_id": report["report_id"],
        "digest": report["digest"],
        "as_of": report["as_of"],
        "features": [site, *patches],
    }
    if verify_url is not None:
        collection["verify"] = verify_url
    return orjson.dumps(collection)


def _style(kind: str) -> dict[str, Any]:
    colour = COLOURS[kind]
    return {"stroke": colour, "stroke-width": 2, "fill": colour, "fill-opacity": 0.25}
