"""GeoParquet 1.1: Parquet with WKB geometry and the ``geo`` metadata, by pyarrow alone."""

from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pyproj

from layers.crs import Crs
from layers.writers.gdal_files import arrow_record, arrow_schema
from layers.writers.table import FeatureTable, Written

_GEOMETRY: Final = "geometry"
_TYPES: Final = {
    "polygon": ["MultiPolygon"], "line": ["MultiLineString"], "point": ["Point"],
}  # fmt: skip


def write_geoparquet(table: FeatureTable, path: Path, crs: Crs) -> Written:
    """One row group a batch; x = longitude or easting whatever the CRS says, as the format rules.

    The CRS is PROJJSON; CRS84 is left out, which is how the format says it.
    """
    head = table.head
    schema = arrow_schema(head, _GEOMETRY).with_metadata({b"geo": orjson.dumps(_geo(head, crs))})
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as out:
        for batch in table.batches:
            count += len(batch.feature_ids)
            out.write_batch(arrow_record(batch, head, crs, schema))
    return Written(path, count)


def _geo(head: Any, crs: Crs) -> dict[str, Any]:
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": _TYPES[head.geometry],
        "edges": "planar",
    }
    if crs.srid is not None:
        column["crs"] = pyproj.CRS.from_epsg(crs.srid).to_json_dict()
    return {"version": "1.1.0", "primary_column": _GEOMETRY, "columns": {_GEOMETRY: column}}
