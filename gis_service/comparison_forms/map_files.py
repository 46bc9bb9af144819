"""Patches, contacts and ground without data as map layers, with the styles of their kinds."""

from collections.abc import Mapping
from itertools import batched
from pathlib import Path
from typing import Any, Final

import orjson
import shapely

from gis_service.comparison_forms import COLOURS, Drawn
from gis_service.report_forms.map_layers import add_styles, kinds_qml, single_qml, write_layer

_NUMBERS: Final = frozenset({"area_m2", "width_m", "connected_m2", "length_m"})
_BATCH: Final = 10_000
_TOUCH, _GAP = "#57606a", "#8c959f"


def write_geopackage(drawn: Drawn, path: Path, language: str) -> None:
    """Layers ``patches``, ``touches`` and ``no_data`` (EPSG:4490), those that hold something."""
    path.unlink(missing_ok=True)
    styles: dict[str, str] = {}
    for name, rows, qml in (
        ("patches", drawn.patches, kinds_qml("fill", COLOURS)),
        ("touches", drawn.touches, single_qml("line", _TOUCH)),
        ("no_data", drawn.gaps, single_qml("fill", _GAP, filled=True)),
    ):
        for batch in batched(rows, _BATCH):
            values = [_values(row, language) for row in batch]
            columns = {key: [one[key] for one in values] for key in values[0]}
            shapes = [_shape(row["geometry"]) for row in batch]
            write_layer(path, name, shapes, columns, _NUMBERS)
            styles[name] = qml
    if not styles:  # an empty file could not be opened
        nothing = {"outcome": [drawn.report["outcome"]], "digest": [drawn.report["digest"]]}
        write_layer(path, "no_patches", [shapely.Point(0, 0)], nothing, _NUMBERS)
    add_styles(path, styles)


def write_geojson(drawn: Drawn, path: Path, language: str) -> None:
    """One collection (RFC 7946): all patches, contacts, and ground without data."""
    head = {
        name: drawn.report[name] for name in ("report_id", "as_of", "outcome", "plans", "digest")
    }
    with path.open("wb") as file:
        file.write(b'{"type":"FeatureCollection",' + orjson.dumps(head)[1:-1] + b',"features":[')
        rows = (row for rows in (drawn.patches, drawn.touches, drawn.gaps) for row in rows)
        for number, row in enumerate(rows):
            file.write(b",\n" if number else b"\n")
            file.write(orjson.dumps(_feature(row, language)))
        file.write(b"\n]}\n")


def _feature(row: Mapping[str, Any], language: str) -> dict[str, Any]:
    values = _values(row, language)
    colour = COLOURS.get(values["kind"], _TOUCH)
    style = {"stroke": colour, "stroke-width": 1, "fill": colour, "fill-opacity": 0.3}
    feature = {"type": "Feature", "geometry": row["geometry"], "properties": {**values, **style}}
    return {**feature, "id": row["id"]} if "id" in row else feature


def _shape(geometry: Mapping[str, Any]) -> Any:
    return shapely.from_geojson(orjson.dumps(geometry))


def _values(row: Mapping[str, Any], language: str) -> dict[str, Any]:
    """The columns of a row; a patch names the features that meet on it, at most twenty a side."""
    if "subject" not in row:
        return {key: value for key, value in row.items() if key != "geometry"}
    values = {
        "kind": row["kind"],
        "rule_id": row["rule_id"],
        "subject_layer": row["subject_layer"],
        "subject_code": row["subject"]["code"],
        "target_layer": row["target_layer"],
        "target_code": row["target"]["code"],
        "scheme": row["target"]["scheme"],
    }
    if row["kind"] == "touch":
        return {**values, "count": row["count"], "length_m": row["length_m"]}
    return {
        "patch_id": row["id"],
        **values,
        "relation": row["relation"],
        "cause": row["cause"],
        "area_m2": row["area_m2"],
        "width_m": row["width_m"],
        "connected_m2": row["connected_m2"],
        "admin_codes": ", ".join(unit["admin_code"] or "-" for unit in row["units"]),
        "subject_features": ", ".join(row["subject_features"]["ids"]),
        "target_features": ", ".join(row["target_features"]["ids"]),
        "reason": (row.get("reason") or {}).get(language),
    }
