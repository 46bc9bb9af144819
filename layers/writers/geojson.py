"""GeoJSON as RFC 7946 has it: longitude, latitude, no crs member, outer rings counter-clockwise."""

from pathlib import Path

import orjson
import shapely

from layers.crs import Crs
from layers.errors import CrsRefused
from layers.writers.table import FeatureTable, Written


def write_geojson(table: FeatureTable, path: Path, crs: Crs) -> Written:
    """A feature collection, one feature a line; a projected CRS is refused."""
    if crs.kind != "geographic":
        raise CrsRefused(
            f"GeoJSON holds longitude and latitude only (RFC 7946), not {crs.code}; export as "
            "GeoPackage or shapefile.",
            f"GeoJSON 只能为经纬度（RFC 7946），不能为 {crs.code}；请导出为 GeoPackage 或 "
            "Shapefile。",
            code="format-without-crs",
        )
    names = [attribute.name for attribute in table.head.attributes]
    count = 0
    with path.open("wb") as out:
        out.write(b'{"type":"FeatureCollection","name":' + orjson.dumps(table.head.title.zh))
        out.write(b',"features":[')
        for batch in table.batches:
            shapes = shapely.to_geojson(shapely.orient_polygons(batch.geometries))
            rows = zip(batch.feature_ids, batch.attributes, shapes.tolist(), strict=True)
            for feature_id, attributes, shape in rows:
                properties = {name: attributes.get(name) for name in names}
                out.write(b"," if count else b"")
                out.write(
                    b'\n{"type":"Feature","id":%b,"properties":%b,"geometry":%b}'
                    % (orjson.dumps(feature_id), orjson.dumps(properties), shape.encode())
                )
                count += 1
        out.write(b"\n]}\n")
    return Written(path, count)
