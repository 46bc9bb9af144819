"""Layers of a GeoPackage with the style in which QGIS opens them; EPSG:4490."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import numpy as np
import pyogrio.raw
import shapely

from layers.crs import STORAGE_SRID

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


_KINDS: Final = ("MultiPoint", "MultiLineString", "MultiPolygon")


def dimension_of(shape: Any) -> int:
    """0 for points, 1 for lines, 2 for areas."""
    return int(shapely.get_dimensions(shape))


def write_layer(
    path: Path,
    layer: str,
    shapes: Sequence[Any],
    columns: Mapping[str, Sequence[Any]],
    numbers: frozenset[str],
) -> None:
    """Add a layer of one dimension; ``numbers`` are the columns that hold floats."""
    kind = _KINDS[dimension_of(shapes[0])]
    plain = [_multi(shape, kind) for shape in shapes]
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array(plain, dtype=object)),
        field_data=[_column(list(values), name in numbers) for name, values in columns.items()],
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
    parts = parts[shapely.get_dimensions(parts) == dimension_of(shape)]
    if kind == "MultiPolygon":
        return shapely.multipolygons(parts)
    if kind == "MultiLineString":
        return shapely.multilinestrings(parts)
    return shapely.multipoints(parts)


def _column(values: list[Any], is_number: bool) -> Any:
    if is_number:
        return np.array([np.nan if value is None else value for value in values], dtype=float)
    if any(isinstance(value, int) for value in values):
        return np.array([-1 if value is None else value for value in values], dtype=np.int32)
    return np.array([None if value is None else str(value) for value in values], dtype=object)


def add_styles(path: Path, styles: Mapping[str, str]) -> None:
    """The table ``layer_styles`` with a QML for each layer, used when QGIS opens it."""
    database = sqlite3.connect(path)
    try:
        with database:
            database.execute(_STYLE_TABLE)
            database.execute(_CONTENTS)
            for name, qml in styles.items():
                database.execute(_STYLE, (name, qml))
    finally:
        database.close()


def single_qml(symbol: str, colour: str, *, filled: bool = False) -> str:
    """A QGIS style with one symbol: ``fill``, ``line`` or ``marker``."""
    symbols = _symbol(symbol, 0, colour, filled)
    return _qml(f'<renderer-v2 type="singleSymbol"><symbols>{symbols}</symbols></renderer-v2>')


def kinds_qml(symbol: str, colours: Mapping[str, str]) -> str:
    """A QGIS style with a symbol for each value of the column ``kind``."""
    symbols = "".join(_symbol(symbol, i, one, True) for i, one in enumerate(colours.values()))
    categories = "".join(
        f'<category value={quoteattr(k)} label={quoteattr(k)} symbol="{i}" render="true"/>'
        for i, k in enumerate(colours)
    )
    return _qml(
        '<renderer-v2 type="categorizedSymbol" attr="kind">'
        f"<categories>{categories}</categories><symbols>{symbols}</symbols></renderer-v2>"
    )


def _qml(renderer: str) -> str:
    return f'<!DOCTYPE qgis><qgis version="3.22.0">{renderer}</qgis>'


def _symbol(kind: str, number: int, colour: str, filled: bool) -> str:
    inner = _symbol_layer(kind, colour, filled)
    return f'<symbol type="{kind}" name="{number}" alpha="1">{inner}</symbol>'


def _symbol_layer(kind: str, colour: str, filled: bool) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    line, alpha = f"{red},{green},{blue},255", 80 if filled else 0
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
