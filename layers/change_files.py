"""Differences between editions as files: GeoJSON (a stream of bytes) and GeoPackage.

Each row is one version of a feature: a removed one has its row ``before``, an added one its row
``after``, a changed one both. So a layer of the file has the columns of the layer itself, and
QGIS shows old beside new by ``version``. Coordinates are EPSG:4490, longitude first.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyogrio.raw
import shapely

from layers.catalog import AttributeType, Layer
from layers.change_measuring import measure
from layers.crs import STORAGE_SRID
from layers.database import Connection
from layers.edition_diff import ChangedRow, Comparable, changed_names, changed_rows
from layers.sandbox import Sandbox

_OWN_COLUMNS: Final[tuple[tuple[str, AttributeType], ...]] = (
    ("feature_id", "string"),
    ("change", "string"),
    ("version", "string"),
    ("what", "string"),
    ("changed_attributes", "string"),
    ("area_m2_before", "number"),
    ("area_m2_after", "number"),
    ("symmetric_difference_m2", "number"),
)
_NUMPY: Final[dict[AttributeType, type]] = {
    "integer": np.int64,
    "number": np.float64,
    "boolean": np.bool_,
}


@dataclass(frozen=True, slots=True)
class FileRow:
    """One version of one feature: its columns and its WKB."""

    values: dict[str, Any]
    wkb: bytes


def file_rows(
    connection: Connection, sandbox: Sandbox, pair: Comparable
) -> Iterator[list[FileRow]]:
    """All rows of a layer's difference in batches; shapes are measured in the child."""
    for batch in changed_rows(connection, pair):
        reshaped = [row for row in batch if row.change.geometry_differs]
        areas = measure(
            sandbox,
            [(row.geometry_before or b"", row.geometry_after or b"") for row in reshaped],
        )
        measured = {id(row): area for row, area in zip(reshaped, areas, strict=True)}
        yield [
            version
            for row in batch
            for version in _versions(row, measured.get(id(row)), pair.ignored)
        ]


def _versions(
    row: ChangedRow, difference_m2: float | None, ignored: Sequence[str]
) -> Iterator[FileRow]:
    change = row.change
    names = changed_names(row.attributes_before, row.attributes_after, ignored)
    own = {
        "feature_id": change.name,
        "change": change.kind,
        "what": change.what,
        "changed_attributes": ", ".join(names) or None,
        "area_m2_before": _cents(change.area_before_m2),
        "area_m2_after": _cents(change.area_after_m2),
        "symmetric_difference_m2": _cents(difference_m2),
    }
    for version, attributes, wkb in (
        ("before", row.attributes_before, row.geometry_before),
        ("after", row.attributes_after, row.geometry_after),
    ):
        if wkb is not None:
            yield FileRow({**(attributes or {}), **own, "version": version}, bytes(wkb))


def _cents(area_m2: float | None) -> float | None:
    return None if area_m2 is None else round(area_m2, 2)


def geojson(
    connection: Connection, sandbox: Sandbox, pairs: Sequence[tuple[Comparable, Layer]]
) -> Iterator[bytes]:
    """The difference as one GeoJSON FeatureCollection, in pieces; ``layer`` is a property."""
    yield b'{"type":"FeatureCollection","features":['
    comma = b""
    for pair, layer in pairs:
        names = _columns(layer)
        for batch in file_rows(connection, sandbox, pair):
            shapes = shapely.to_geojson(shapely.from_wkb([row.wkb for row in batch]))
            for row, shape in zip(batch, shapes.tolist(), strict=True):
                properties = {"layer": pair.layer_id, **_chosen(row.values, names)}
                yield comma + _feature(properties, shape)
                comma = b",\n"
    yield b"]}\n"


def _feature(properties: dict[str, Any], shape: str) -> bytes:
    text = json.dumps(properties, ensure_ascii=False)
    return f'{{"type":"Feature","properties":{text},"geometry":{shape}}}'.encode()


def write_geopackage(
    connection: Connection,
    sandbox: Sandbox,
    pairs: Sequence[tuple[Comparable, Layer]],
    path: Path,
) -> int:
    """Write the difference, a table a layer that has any; give the number of rows.

    Written beside the target first: a file of that name is whole or not there.
    """
    fresh = path.with_name(f".{path.name}.new.gpkg")
    fresh.unlink(missing_ok=True)
    written = 0
    try:
        for pair, layer in pairs:
            for batch in file_rows(connection, sandbox, pair):
                _append(fresh, layer, batch)
                written += len(batch)
        if not written:
            _append(fresh, pairs[0][1] if pairs else None, [])
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return written


def _append(path: Path, layer: Layer | None, batch: Sequence[FileRow]) -> None:
    columns = _columns(layer)
    data, masks = [], []
    for name, kind in columns.items():
        values, mask = _array([row.values.get(name) for row in batch], kind)
        data.append(values)
        masks.append(mask)
    pyogrio.raw.write(
        path,
        np.array([row.wkb for row in batch], dtype=object),
        data,
        np.array(list(columns), dtype=object),
        field_mask=masks,
        layer=layer.id if layer else "no_change",
        driver="GPKG",
        geometry_type="Unknown",
        crs=f"EPSG:{STORAGE_SRID}",
        append=path.exists(),
    )


def _array(
    values: Sequence[Any], kind: AttributeType
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    missing = np.array([value is None for value in values], dtype=bool)
    dtype = _NUMPY.get(kind)
    if dtype is None:
        texts = [None if value is None else str(value) for value in values]
        return np.array(texts, dtype=object), missing
    return np.array([0 if value is None else value for value in values], dtype=dtype), missing


def _columns(layer: Layer | None) -> dict[str, AttributeType]:
    """Own columns first; an attribute of the layer with such a name stands back."""
    attributes = layer.kept_attributes if layer else ()
    return {**{a.name: a.type for a in attributes}, **dict(_OWN_COLUMNS)}


def _chosen(values: dict[str, Any], columns: dict[str, AttributeType]) -> dict[str, Any]:
    return {name: values.get(name) for name in columns if name in values}
