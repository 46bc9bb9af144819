"""Site and patches as one GeoJSON collection (RFC 7946), with the common style properties."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gis_service.report_forms.patch_rows import patch_rows

SUGGESTED: Final = "suggested-boundary"
COLOURS: Final = {
    "site": "#1f4e79", SUGGESTED: "#1a7f37", "conflict": "#a3161b",
    "accuracy-difference": "#6b3fa0", "sliver": "#9a6700", "touch": "#57606a",
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
        "features": [site, *_suggested(report, language), *patches],
    }
    if verify_url is not None:
        collection["verify"] = verify_url
    return orjson.dumps(collection)


def _suggested(report: Mapping[str, Any], language: str) -> list[dict[str, Any]]:
    """The site cut back to the rigid lines, where the report suggests one."""
    boundary = report.get("suggested_boundary") or {}
    if boundary.get("geometry") is None:
        return []
    properties = {
        "kind": SUGGESTED,
        "area_m2": boundary["area_m2"],
        "removed_m2": boundary["removed_m2"],
        "parts": boundary["parts"],
        "cut_to": boundary["cut_to"],
        "message": boundary["message"][language],
        **_style(SUGGESTED),
    }
    return [{"type": "Feature", "geometry": boundary["geometry"], "properties": properties}]


def _style(kind: str) -> dict[str, Any]:
    colour = COLOURS[kind]
    return {"stroke": colour, "stroke-width": 2, "fill": colour, "fill-opacity": 0.25}
