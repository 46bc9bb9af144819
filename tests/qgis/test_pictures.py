"""Map pictures and vector tiles in QGIS lie where the features are.

The oracle: the features as the service gives them (CRS84), moved by pyproj into the CRS of the
drawing and turned into a mask of pixels by Shapely.
"""

from collections.abc import Callable
from typing import Any

import httpx2
import numpy as np
import pytest
import shapely
from pyproj import Transformer

Ask = Callable[..., Any]
LAYER = "forest_land"
PLACE = (108.9, 18.5, 110.3, 19.4)
SIZE = 280
STEP = 7
NEAR_PX = 3


def wmts(grid: str, crs: str) -> str:
    return (
        f"contextualWMSLegend=0&crs={crs}&dpiMode=7&format=image/png&layers={LAYER}"
        f"&styles=default&tileMatrixSet={grid}"
        "&url={address}/wmts?SERVICE%3DWMTS%26REQUEST%3DGetCapabilities"
    )


VECTOR = f"type=xyz&url={{address}}/tiles/{LAYER}/%7Bz%7D/%7Bx%7D/%7By%7D.mvt&zmax=22&zmin=5"
SOURCES = {
    "xyz": ("raster", VECTOR.replace(".mvt&zmax=22", ".png&zmax=18")),
    "wmts c": ("raster", wmts("c", "EPSG:4490")),
    "wmts w": ("raster", wmts("w", "EPSG:3857")),
    "vector tiles": ("vector-tile", f"{VECTOR}&styleUrl={{address}}/styles/{LAYER}.json"),
}  # fmt: skip


def shapes(address: str, crs: str) -> shapely.Geometry:
    """Everything the layer has, in the CRS of the drawing."""
    answer = httpx2.get(
        f"{address}/ogc/collections/{LAYER}/items", params={"limit": "10000"}, timeout=60
    )
    found = [shapely.geometry.shape(one["geometry"]) for one in answer.json()["features"]]
    move = Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
    moved: shapely.Geometry = shapely.transform(
        shapely.union_all(found), lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1]))
    )
    return moved


@pytest.mark.parametrize("crs", ["EPSG:4490", "EPSG:3857"])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_picture_lies_where_the_features_are(
    live_service: str, in_qgis: Ask, kind: str, crs: str
) -> None:
    extent = Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform_bounds(*PLACE)
    west, south, east, north = extent
    # QGIS widens the shorter side of an extent: the picture has its shape.
    height = round(SIZE * (north - south) / (east - west))
    pixel = (east - west) / SIZE
    pixels = [(x, y) for y in range(0, height, STEP) for x in range(0, SIZE, STEP)]
    form, source = SOURCES[kind]

    drawn = in_qgis(
        "draws", kind=form, source=source.format(address=live_service), crs=crs,
        extent=extent, size=[SIZE, height], pixels=pixels,
    )  # fmt: skip

    there = shapes(live_service, crs)
    at = shapely.points([(west + (x + 0.5) * pixel, north - (y + 0.5) * pixel) for x, y in pixels])
    inside = shapely.contains(shapely.buffer(there, -NEAR_PX * pixel), at)
    outside = ~shapely.intersects(shapely.buffer(there, NEAR_PX * pixel), at)
    assert outside[0]  # the empty ground: a style may have a background of its own
    painted = np.array([one != drawn["pixels"][0] for one in drawn["pixels"]])
    assert inside.sum() > 50
    assert outside.sum() > 50
    assert painted[inside].mean() > 0.99
    assert painted[outside].mean() < 0.01
