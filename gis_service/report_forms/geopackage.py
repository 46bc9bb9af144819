"""Site, patches and findings as a GeoPackage that QGIS opens with its style."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import shapely

from gis_service.report_forms.geojson import COLOURS, SUGGESTED
from gis_service.report_forms.map_layers import (
    add_styles,
    dimension_of,
    kinds_qml,
    single_qml,
    write_layer,
)
from gis_service.report_forms.patch_rows import patch_rows

_NUMBERS: Final = frozenset({"area_m2", "width_m", "length_m", "distance_m"})
_SYMBOLS: Final = {"patch_points": "marker", "patch_lines": "line"}


def write_geopackage(report: Mapping[str, Any], language: str, verify_url: str | None) -> bytes:
    """Layers ``site``, ``suggested_boundary`` where there is one, and patches; EPSG:4490.

    Patches have a layer for each dimension (area, line, point).
    """
    with tempfile.TemporaryDirectory(prefix="gis-report-") as folder:
        path = Path(folder) / "report.gpkg"
        site = shapely.geometry.shape(dict(report["submission"]["geometry"]))
        about = {
            "report_id": [report["report_id"]], "name": [report["submission"]["name"] or ""],
            "outcome": [report["outcome"]], "as_of": [report["as_of"]],
            "area_m2": [report["submission"]["area_m2"]], "digest": [report["digest"]],
            "verify": [verify_url or ""],
        }  # fmt: skip
        write_layer(path, "site", [site], about, _NUMBERS)
        kinds = {
            kind: colour for kind, colour in COLOURS.items() if kind not in ("site", SUGGESTED)
        }
        styles = {"site": single_qml("fill", COLOURS["site"])}
        if _write_suggested(report, language, path):
            styles["suggested_boundary"] = single_qml("fill", COLOURS[SUGGESTED])
        rows = list(patch_rows(report, language))
        shapes = [shapely.geometry.shape(dict(row.geometry)) for row in rows]
        for dimension, name in enumerate(("patch_points", "patch_lines", "patches")):
            chosen = [i for i, s in enumerate(shapes) if dimension_of(s) == dimension]
            if chosen:
                columns = {
                    key: [rows[i].values[key] for i in chosen] for key in rows[chosen[0]].values
                }
                write_layer(path, name, [shapes[i] for i in chosen], columns, _NUMBERS)
                styles[name] = kinds_qml(_SYMBOLS.get(name, "fill"), kinds)
        add_styles(path, styles)
        return path.read_bytes()


def _write_suggested(report: Mapping[str, Any], language: str, path: Path) -> bool:
    """The site cut back to the rigid lines, where the report suggests one."""
    boundary = report.get("suggested_boundary") or {}
    if boundary.get("geometry") is None:
        return False
    values = {
        "area_m2": [boundary["area_m2"]],
        "removed_m2": [boundary["removed_m2"]],
        "parts": [boundary["parts"]],
        "cut_to": [", ".join(boundary["cut_to"])],
        "message": [boundary["message"][language]],
    }
    shape = shapely.geometry.shape(dict(boundary["geometry"]))
    write_layer(path, "suggested_boundary", [shape], values, _NUMBERS | {"removed_m2"})
    return True
