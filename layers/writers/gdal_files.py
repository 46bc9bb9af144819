"""GeoPackage, FlatGeobuf and shapefile, by GDAL from a stream of Arrow batches (bounded memory)."""

import datetime
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyogrio
import shapely
from pyogrio.errors import DataSourceError, FieldError

from layers.catalog import AttributeType
from layers.crs import Crs, from_storage
from layers.errors import LimitExceeded, Unavailable
from layers.text import Text
from layers.writers.table import ID_COLUMN, FeatureBatch, FeatureTable, TableHead, Written

_GEOMETRY: Final = "geom"
_GEOMETRY_TYPES: Final = {"polygon": "MultiPolygon", "line": "MultiLineString", "point": "Point"}
_ARROW_TYPES: Final[dict[AttributeType, pa.DataType]] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
}
_DBF_NAME_BYTES: Final = 10
_DBF_TEXT_BYTES: Final = 254
_SHAPEFILE_PARTS: Final = (".shp", ".shx", ".dbf", ".prj", ".cpg")


def write_geopackage(table: FeatureTable, path: Path, crs: Crs) -> Written:
    """One feature table with the layer's title; x = longitude or easting, as the format demands."""
    count = _write(
        table, path, crs, "GPKG", {name: name for name in column_names(table.head)},
        layer=table.head.name,
        layer_options={"IDENTIFIER": table.head.title.zh, "DESCRIPTION": table.head.title.en},
    )  # fmt: skip
    return Written(path, count)


def write_flatgeobuf(table: FeatureTable, path: Path, crs: Crs) -> Written:
    """One layer with a packed R-tree; x = longitude or easting."""
    names = {name: name for name in column_names(table.head)}
    count = _write(table, path, crs, "FlatGeobuf", names, layer=table.head.name)
    return Written(path, count)


def write_shapefile(table: FeatureTable, path: Path, crs: Crs) -> Written:
    """A ZIP of one shapefile in UTF-8 with .cpg; names are cut to 10 bytes and stay different."""
    names = short_names(column_names(table.head))
    with TemporaryDirectory(dir=path.parent) as folder:
        shape = Path(folder) / f"{table.head.name}.shp"
        count = _write(
            _refuse_long_values(table), shape, crs, "ESRI Shapefile", names, encoding="UTF-8"
        )
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for suffix in _SHAPEFILE_PARTS:
                part = shape.with_suffix(suffix)
                if part.exists():
                    archive.write(part, part.name)
    cut = [f"{name} -> {short}" for name, short in names.items() if name != short]
    note = Text(
        zh=f"Shapefile 字段名限 10 字节：{'，'.join(cut)}。",
        en=f"Shapefile names hold 10 bytes: {', '.join(cut)}.",
    )
    return Written(path, count, (note,) if cut else ())


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Each name within 10 bytes of UTF-8, whole characters, different whatever the case.

    >>> short_names(["landuse_code", "landuse_code_2020", "area"])
    {'landuse_code': 'landuse_co', 'landuse_code_2020': 'landuse__1', 'area': 'area'}
    """
    taken: set[str] = set()
    result = {}
    for name in names:
        short, number = _cut(name, _DBF_NAME_BYTES), 0
        while short.lower() in taken:
            number += 1
            tail = f"_{number}"
            short = _cut(name, _DBF_NAME_BYTES - len(tail)) + tail
        taken.add(short.lower())
        result[name] = short
    return result


def _cut(name: str, size: int) -> str:
    return name.encode()[:size].decode("utf-8", "ignore")


def column_names(head: TableHead) -> list[str]:
    """Columns of the file; the feature id is one of its own where no attribute holds it."""
    own = [ID_COLUMN] if head.id_attribute is None else []
    return [*own, *(a.name for a in head.attributes)]


def _refuse_long_values(table: FeatureTable) -> FeatureTable:
    """A DBF field holds 254 bytes; GDAL would cut longer text."""

    def checked() -> Iterator[FeatureBatch]:
        for batch in table.batches:
            for feature_id, row in zip(batch.feature_ids, batch.attributes, strict=True):
                for name, value in row.items():
                    if isinstance(value, str) and len(value.encode()) > _DBF_TEXT_BYTES:
                        raise LimitExceeded(
                            f"Feature {feature_id}: {name} is longer than a shapefile holds "
                            f"({_DBF_TEXT_BYTES} bytes); export as GeoPackage.",
                            f"要素 {feature_id} 的 {name} 超过 Shapefile 的 {_DBF_TEXT_BYTES} "
                            "字节限制；请导出为 GeoPackage。",
                            code="value-too-long",
                        )
            yield batch

    return FeatureTable(table.head, checked())


def _write(
    table: FeatureTable, path: Path, crs: Crs, driver: str, names: dict[str, str], **options: Any
) -> int:
    counted = 0
    schema = arrow_schema(table.head, _GEOMETRY, names)
    failures: list[Exception] = []

    def records() -> Iterator[pa.RecordBatch]:
        nonlocal counted
        try:
            for batch in table.batches:
                counted += len(batch.feature_ids)
                yield arrow_record(batch, table.head, crs, schema)
        except Exception as error:
            failures.append(error)
            raise

    try:
        with warnings.catch_warnings():
            # GDAL tells of fields it widens; what it would lose has been refused before.
            warnings.simplefilter("ignore", RuntimeWarning)
            pyogrio.write_arrow(
                pa.RecordBatchReader.from_batches(schema, records()),
                path,
                driver=driver,
                geometry_name=_GEOMETRY,
                geometry_type=_GEOMETRY_TYPES[table.head.geometry],
                crs=f"EPSG:{crs.srid}" if crs.srid else crs.wkt,
                **options,
            )
    except (DataSourceError, FieldError, RuntimeError) as error:
        if failures:  # pyogrio says only that the stream broke
            raise failures[0] from None
        raise Unavailable(
            f"The {driver} file could not be written.", f"无法写入 {driver} 文件。"
        ) from error
    return counted


def arrow_schema(head: TableHead, geometry: str, names: dict[str, str] | None = None) -> pa.Schema:
    """The columns of a file, under other names if given, and its geometry as WKB."""
    types = {a.name: _ARROW_TYPES[a.type] for a in head.attributes}
    shown = names or {name: name for name in column_names(head)}
    fields = [pa.field(short, types.get(name, pa.string())) for name, short in shown.items()]
    return pa.schema([*fields, pa.field(geometry, pa.binary())])


def arrow_record(
    batch: FeatureBatch, head: TableHead, crs: Crs, schema: pa.Schema
) -> pa.RecordBatch:
    """Features as a batch of that schema, moved to the file's CRS."""
    columns = [
        pa.array([typed(row.get(a.name), a.type) for row in batch.attributes], _ARROW_TYPES[a.type])
        for a in head.attributes
    ]
    if head.id_attribute is None:
        columns.insert(0, pa.array(list(batch.feature_ids), pa.string()))
    moved = _as_written(from_storage(batch.geometries, crs), head)
    encoded = shapely.to_wkb(moved, output_dimension=2, byte_order=1)
    return pa.record_batch([*columns, pa.array(encoded.tolist(), pa.binary())], schema=schema)


def _as_written(geometries: Any, head: TableHead) -> Any:
    """Multi-geometries throughout: a file's table has one type."""
    if head.geometry == "point":
        return geometries
    make: Any = shapely.multipolygons if head.geometry == "polygon" else shapely.multilinestrings
    return np.array([make(shapely.get_parts(one)) for one in geometries], dtype=object)


def typed(value: Any, kind: AttributeType) -> Any:
    """The value of an attribute as its type; dates are text in the library."""
    if value is None:
        return None
    match kind:
        case "date":
            return datetime.date.fromisoformat(value)
        case "number":
            return float(value)
        case "string":
            return str(value)
    return value
