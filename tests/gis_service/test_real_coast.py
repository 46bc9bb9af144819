"""The real coast of Hainan (Natural Earth) from file to map: import, publish, tile, items."""

import datetime
from pathlib import Path

import mapbox_vector_tile
import numpy as np
import pyogrio.raw
import pytest
import shapely
from shapely.geometry import shape
from starlette.testclient import TestClient

from gis_service import start
from gis_service.app import create_app
from gis_service.settings import Settings
from layers.area import area_m2
from layers.catalog import Catalog
from layers.database import connect
from layers.editions import publish
from layers.plan_import import import_file
from layers.sandbox import Sandbox

REGION = (107.9, 17.6, 111.9, 20.7)


@pytest.fixture
def land_file(shared_data: Path, tmp_path: Path) -> Path:
    """The main island with the fields of a county layer; the file itself is read in place."""
    source = shared_data / "natural-earth-hainan" / "ne_10m_land_hainan.geojson"
    _, _, encoded, _ = pyogrio.raw.read(str(source), columns=[])
    shapes = shapely.get_parts(shapely.from_wkb(encoded))
    inside = [one for one in shapes if shapely.box(*REGION).contains(one)]
    target = tmp_path / "land.gpkg"
    names = np.array([f"land {i}" for i in range(len(inside))], dtype=object)
    codes = np.array([f"46{i:04}" for i in range(len(inside))], dtype=object)
    pyogrio.raw.write(
        target, shapely.to_wkb(np.array(inside)), [codes, names], ["admin_code", "name"],
        geometry_type="Polygon", crs="EPSG:4326", driver="GPKG",
    )  # fmt: skip
    return target


def test_the_real_coast_from_file_to_map(
    database: str, catalog: Catalog, sandbox: Sandbox, land_file: Path
) -> None:
    with connect(database) as connection:
        report = import_file(
            connection, sandbox, catalog, land_file, plan_id="administrative-divisions",
            layer_id="county", valid_from=datetime.date(2026, 1, 1), region_bbox=REGION,
        )  # fmt: skip
        assert (report.refused, report.accepted) == (0, report.read)
        publish(connection, "administrative-divisions")
    settings = Settings(check_processes=1, pool_size=2)
    with (
        start.library(settings, database) as library,
        TestClient(create_app(library), base_url="http://localhost") as client,
    ):
        items = client.get("/ogc/collections/county/items").json()
        assert items["numberMatched"] == report.accepted
        island = max((shape(f["geometry"]) for f in items["features"]), key=lambda one: one.area)
        # The description of the data: 33,858 km2 in the plane of EPSG:4546, parts in ten
        # thousand more than on the ellipsoid.
        assert area_m2(island) / 1e6 == pytest.approx(33_858, rel=2e-3)
        template = client.get("/tiles/county.json").json()["tiles"][0]
        tile = client.get(template.format(z=7, x=103, y=57))
        drawn = mapbox_vector_tile.decode(tile.content)["county"]["features"]
        assert max(shape(one["geometry"]).area for one in drawn) > 1e6
        # z14 on the north coast: land and sea meet in the tile.
        tile = client.get(template.format(z=14, x=13213, y=7266))
        assert tile.status_code in (200, 204)
        here = client.get("/identify?lon=109.8&lat=19.2").json()["plans"]
        county = next(x for plan in here for x in plan["layers"] if x["id"] == "county")
        assert county["state"] == "features"
