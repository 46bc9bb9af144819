"""Site, patches and findings as a GeoPackage that QGIS opens with its style."""

import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import numpy as np
import pyogrio.raw
import shapely

from gis_service.report_forms.geojson import COLOURS
from gis_service.report_forms.patch_rows import patch_rows
from layers.crs import STORAGE_SRID

_NUMBERS: Final = frozenset({"area_m2", "width_m", "length_m", "distance_m"})
_STYLE_TABLE: Final = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT, f_table_schema TEXT,
    f_table_name TEXT, f_geometry_column TEXT, styleName TEXT, styleQML TEXT, styleSLD TEXT,
    useAsDefault BOOLEAN, description TEXT, owner TEXT, ui TEXT,
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))
)"""
_CONTENTS: Final = (
    "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles',"
    " 'attributes', 'layer_styles')"
)
_STYLE: Final = (
    "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column,"
    " styleName, styleQML, styleSLD, useAsDefault) VALUES ('', '', ?, 'geom', 'report', ?, '', 1)"
)


def write_geopackage(report: Mapping[str, Any], language: str, verify_url: str | None) -> bytes:
    """Layers ``site`` and one of patches for each dimension (area, line, point); EPSG:4490."""
    with tempfile.TemporaryDirectory(prefix="gis-report-") as folder:
        path = Path(folder) / "report.gpkg"
        site = shapely.geometry.shape(dict(report["submission"]["geometry"]))
        about = {
            "report_id": [report["report_id"]], "name": [report["submission"]["name"] or ""],
            "outcome": [report["outcome"]], "as_of": [report["as_of"]],
            "area_m2": [report["submission"]["area_m2"]], "digest": [report["digest"]],
            "verify": [verify_url or ""],
        }  # fmt: skip
        _write(path, "site", [site], about)
        names = ["site"]
        rows = list(patch_rows(report, language))
        shapes = [shapely.geometry.shape(dict(row.geometry)) for row in rows]
        for dimension, name in enumerate(("patch_points", "patch_lines", "patches")):
            chosen = [i for i, s in enumerate(shapes) if _dimension(s) == dimension]
            if chosen:
                columns = {
                    key: [rows[i].values[key] for i in chosen] for key in rows[chosen[0]].values
                }
                _write(path, name, [shapes[i] for i in chosen], columns)
                names.append(name)
        _add_styles(path, names)
        return path.read_bytes()


def _dimension(shape: Any) -> int:
    return int(shapely.get_dimensions(shape))


def _write(
    path: Path, layer: str, shapes: Sequence[Any], columns: Mapping[str, Sequence[Any]]
) -> None:
    kind = ("MultiPoint", "MultiLineString", "MultiPolygon")[_dimension(shapes[0])]
    plain = [_multi(shape, kind) for shape in shapes]
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array(plain, dtype=object)),
        field_data=[_column(name, list(values)) for name, values in columns.items()],
        fields=list(columns),
        layer=layer,
        driver="GPKG",
        geometry_type=kind,
        crs=f"EPSG:{STORAGE_SRID}",
        append=path.exists(),
    )


def _multi(shape: Any, kind: str) -> Any:
    """The parts of the shape that have its dimension, as the type of the table."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    parts = parts[shapely.get_dimensions(parts) == _dimension(shape)]
    if kind == "MultiPolygon":
        return shapely.multipolygons(parts)
    if kind == "MultiLineString":
        return shapely.multilinestrings(parts)
    return shapely.multipoints(parts)


def _column(name: str, values: list[Any]) -> Any:
    if name in _NUMBERS:
        return np.array([np.nan if value is None else value for value in values], dtype=float)
    if name == "edition":
        return np.array([-1 if value is None else value for value in values], dtype=np.int32)
    return np.array([None if value is None else str(value) for value in values], dtype=object)


def _add_styles(path: Path, names: Sequence[str]) -> None:
    database = sqlite3.connect(path)
    try:
        with database:
            database.execute(_STYLE_TABLE)
            database.execute(_CONTENTS)
            for name in names:
                database.execute(_STYLE, (name, _qml(name)))
    finally:
        database.close()


def _qml(name: str) -> str:
    """A QGIS style: one symbol for the site, one for each kind of patch."""
    kind = {"patch_points": "marker", "patch_lines": "line"}.get(name, "fill")
    kinds = ["site"] if name == "site" else [k for k in COLOURS if k != "site"]
    symbols = "".join(
        f'<symbol type="{kind}" name="{i}" alpha="1">{_symbol_layer(kind, COLOURS[k], k)}</symbol>'
        for i, k in enumerate(kinds)
    )
    if name == "site":
        renderer = f'<renderer-v2 type="singleSymbol"><symbols>{symbols}</symbols></renderer-v2>'
    else:
        categories = "".join(
            f'<category value={quoteattr(k)} label={quoteattr(k)} symbol="{i}" render="true"/>'
            for i, k in enumerate(kinds)
        )
        renderer = (
            '<renderer-v2 type="categorizedSymbol" attr="kind">'
            f"<categories>{categories}</categories><symbols>{symbols}</symbols></renderer-v2>"
        )
    return f'<!DOCTYPE qgis><qgis version="3.22.0">{renderer}</qgis>'


def _symbol_layer(kind: str, colour: str, of: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    line, alpha = f"{red},{green},{blue},255", 0 if of == "site" else 80
    if kind == "fill":
        options = {
            "color": f"{red},{green},{blue},{alpha}", "outline_color": line,
            "outline_width": "0.5", "style": "solid",
        }  # fmt: skip
        symbol = "SimpleFill"
    elif kind == "line":
        options, symbol = {"line_color": line, "line_width": "0.7"}, "SimpleLine"
    else:
        options, symbol = {"color": line, "size": "2.5", "name": "square"}, "SimpleMarker"
    properties = "".join(f'<prop k="{key}" v="{value}"/>' for key, value in options.items())
    return f'<layer class="{symbol}" enabled="1" pass="0">{properties}</layer>'
