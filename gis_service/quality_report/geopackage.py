"""The report as a GeoPackage: a layer for each kind of finding, to open beside the data in QGIS."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import shapely

from gis_service.quality_report.document import Document
from gis_service.quality_report.workbook import safe

_NO_NUMBER: Final = np.nan


def write_geopackage(document: Document, path: Path) -> None:
    """Write the file (EPSG:4490); GDAL runs here, so call it in a child of the sandbox.

    A finding without a shape has its place, one without a place is a row without geometry. A
    report without findings has one empty layer, so that the file can be opened.
    """
    from pyogrio.raw import write

    by_code: dict[str, list[Document]] = {}
    for one in document["findings"]:
        by_code.setdefault(one["code"], []).append(one)
    for code, findings in (by_code or {"findings": []}).items():
        columns = _columns(findings)
        write(
            str(path),
            _geometries(findings),
            [values for _, values in columns],
            [name for name, _ in columns],
            layer=code.replace("-", "_"),
            driver="GPKG",
            geometry_type="Unknown",
            crs="EPSG:4490",
            layer_metadata={"IDENTIFIER": code},
        )


def _geometries(findings: list[Document]) -> npt.NDArray[np.object_]:
    result = np.full(len(findings), None, dtype=object)
    for index, one in enumerate(findings):
        if one["geometry"] is not None:
            shape = shapely.from_geojson(orjson.dumps(one["geometry"]))
        elif one["place"] is not None:
            shape = shapely.Point(one["place"])
        else:
            continue
        result[index] = shapely.to_wkb(shape)
    return result


def _columns(findings: list[Document]) -> list[tuple[str, npt.NDArray[Any]]]:
    def text(values: list[Any]) -> npt.NDArray[Any]:
        return np.array([safe(value) for value in values], dtype=object)

    def number(values: list[Any]) -> npt.NDArray[Any]:
        return np.array([_NO_NUMBER if v is None else v for v in values], dtype=np.float64)

    plain = ("code", "severity", "origin", "layer", "other_layer", "field", "value")
    measured = [one["measured"] or {"value": None, "unit": None} for one in findings]
    return [
        ("number", np.array([one["number"] for one in findings], dtype=np.int64)),
        *((name, text([one[name] for one in findings])) for name in plain),
        ("features", text([", ".join(one["feature_ids"]) for one in findings])),
        ("source_row", number([one["row"] for one in findings])),
        ("measured", number([one["value"] for one in measured])),
        ("unit", text([one["unit"] for one in measured])),
        ("width_m", number([one["width_m"] for one in findings])),
        ("reason_zh", text([one["reason"]["zh"] for one in findings])),
        ("reason_en", text([one["reason"]["en"] for one in findings])),
    ]
