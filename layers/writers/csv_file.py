"""CSV (RFC 4180) in UTF-8 with a byte order mark, without which spreadsheets garble Chinese."""

import csv
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely

from layers.crs import Crs, from_storage
from layers.writers.gdal_files import column_names
from layers.writers.table import ID_COLUMN, FeatureTable, Written

_WKT: Final = "wkt"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def write_csv(table: FeatureTable, path: Path, crs: Crs) -> Written:
    """A row a feature: its attributes, then the geometry as WKT (x = longitude or easting).

    Text that a spreadsheet would run as a formula begins with an apostrophe.
    """
    names = column_names(table.head)
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([*names, _WKT])
        for batch in table.batches:
            moved = np.asarray(from_storage(batch.geometries, crs), dtype=object)
            shapes = shapely.to_wkt(moved, rounding_precision=9 if crs.kind == "geographic" else 4)
            rows = zip(batch.feature_ids, batch.attributes, shapes.tolist(), strict=True)
            for feature_id, attributes, shape in rows:
                values = {ID_COLUMN: feature_id, **attributes}
                writer.writerow([*(_cell(values.get(name)) for name in names), shape])
                count += 1
    return Written(path, count)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
