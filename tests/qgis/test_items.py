"""OGC API Features in QGIS: what it reads, and what it asks for to get it."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from pyproj import Transformer

from layers.catalog import Catalog

Ask = Callable[..., Any]
LAND_USE = "planned_landuse"
BOX = (109.45, 19.45, 109.75, 19.65)


def source(address: str, layer_id: str) -> str:
    return (
        f" pagingEnabled='true' restrictToRequestBBOX='1' typename='{layer_id}'"
        f" url='{address}/ogc' version='OGC_API_FEATURES'"
    )


def stored(address: str, **query: str) -> dict[str, Any]:
    """What the service itself says, by the simplest request."""
    answer = httpx2.get(f"{address}/ogc/collections/{LAND_USE}/items", params=query, timeout=60)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def test_qgis_lists_the_collections_by_their_titles(
    live_service: str, in_qgis: Ask, catalog: Catalog
) -> None:
    served = httpx2.get(f"{live_service}/ogc/collections", timeout=60).json()["collections"]
    listed = in_qgis("collections", address=f"{live_service}/ogc")
    assert len(served) >= len(list(catalog.up_to("open").layers()))
    assert listed == [one["title"] for one in served]


def test_qgis_reads_page_after_page_and_each_feature_once(live_service: str, in_qgis: Ask,
                                                          recorder: Any) -> None:  # fmt: skip
    total = stored(live_service, limit="1")["numberMatched"]
    read = in_qgis("items", source=source(recorder.address, LAND_USE))
    names = [one["id"] for one in read["features"]]
    assert len(names) == len(set(names)) == total
    pages = recorder.queries(f"/{LAND_USE}/items")
    assert len(pages) > 2  # a first look, and more than one page


def test_a_box_and_where_qgis_can_a_filter_are_asked_of_the_service(
    live_service: str, in_qgis: Ask, recorder: Any
) -> None:
    read = in_qgis(
        "items", source=source(recorder.address, LAND_USE), filter="\"landuse_code\" = '0201'",
        bbox=BOX,
    )  # fmt: skip
    wanted = stored(live_service, landuse_code="0201", bbox=",".join(map(str, BOX)), limit="10000")
    assert {one["id"] for one in read["features"]} == {
        one["properties"]["parcel_id"] for one in wanted["features"]
    }
    asked = [one for one in recorder.queries(f"/{LAND_USE}/items") if "bbox" in one]
    assert asked
    for one in asked:
        # Before 3.32 QGIS sends no filter on attributes: it sieves what the box gave.
        if read["version"] >= 33200:
            assert one["filter-lang"] == "cql2-text"
            assert "0201" in one["filter"]
        west, south, east, north = map(float, one["bbox"].split(","))
        assert west <= BOX[0] < BOX[2] <= east
        assert south <= BOX[1] < BOX[3] <= north
        assert (east - west) * (north - south) < 0.5  # a view, not the province


@pytest.mark.parametrize("crs", ["OGC:CRS84", "EPSG:4490", "EPSG:3857"])
def test_a_box_in_any_crs_lands_on_the_same_place(
    live_service: str, in_qgis: Ask, crs: str
) -> None:
    to_crs = Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
    box = to_crs.transform_bounds(*BOX)
    read = in_qgis("items", source=source(live_service, LAND_USE), bbox=box, crs=crs)
    wanted = stored(live_service, bbox=",".join(map(str, BOX)), limit="10000")
    names = {one["properties"]["parcel_id"] for one in wanted["features"]}
    assert {one["id"] for one in read["features"]} == names
    for one in read["features"]:
        longitude, latitude = one["center"]
        assert 108 < longitude < 112
        assert 17 < latitude < 21
