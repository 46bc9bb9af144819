"""What applies at a place: features, nothing, no data."""

from typing import Any

from shapely.geometry import shape
from starlette.testclient import TestClient


def layers_at(client: TestClient, lon: float, lat: float) -> dict[str, dict[str, Any]]:
    answer = client.get("/identify", params={"lon": lon, "lat": lat, "zoom": 14})
    assert answer.status_code == 200, answer.text
    return {layer["id"]: layer for plan in answer.json()["plans"] for layer in plan["layers"]}


def test_the_feature_under_a_click(client: TestClient) -> None:
    items = client.get("/ogc/collections/permanent_basic_farmland/items?limit=1").json()
    farmland = items["features"][0]
    place = shape(farmland["geometry"]).representative_point()
    layer = layers_at(client, place.x, place.y)["permanent_basic_farmland"]
    assert layer["state"] == "features"
    assert farmland["id"] in {one["feature_id"] for one in layer["features"]}
    (found,) = [one for one in layer["features"] if one["feature_id"] == farmland["id"]]
    assert found["area_m2"] > 0
    code = next(a for a in found["attributes"] if a["name"] == "landuse_code")
    assert code["label"]["zh"]
    assert client.get(found["href"]).json()["id"] == farmland["id"]


def test_nothing_is_not_no_data(client: TestClient) -> None:
    at_sea = layers_at(client, 108.2, 20.5)
    assert at_sea["permanent_basic_farmland"]["state"] == "nothing"  # speaks for the whole region
    assert at_sea["current_landuse"]["state"] == "no-data"  # speaks for the land only
    abroad = layers_at(client, 100.0, 10.0)
    assert {layer["state"] for layer in abroad.values()} == {"no-data"}


def test_bad_places(client: TestClient) -> None:
    for query in ("", "lon=110", "lon=a&lat=1", "lon=NaN&lat=1", "lon=200&lat=1",
                  "lon=110&lat=19&x=1"):  # fmt: skip
        assert client.get(f"/identify?{query}").status_code == 400
