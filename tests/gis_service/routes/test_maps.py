"""Catalogue, styles, TileJSON and tiles over HTTP."""

import gzip
import json
from typing import Any

import mapbox_vector_tile
import pytest
from starlette.testclient import TestClient


def get(client: TestClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_catalogue_lists_all_plans_with_editions_and_legends(client: TestClient) -> None:
    catalog = get(client, "/catalog")
    assert catalog["service"]["synthetic"] is True
    assert "演示" in catalog["service"]["notice"]["zh"]
    plans = {plan["id"]: plan for plan in catalog["plans"]}
    assert {"overall-plan", "detailed-plan", "forest-plan", "marine-plan", "transport-plan"} <= set(
        plans
    )
    landuse = next(x for x in plans["overall-plan"]["layers"] if x["id"] == "planned_landuse")
    assert landuse["feature_count"] > 1000
    assert plans["overall-plan"]["edition"]["synthetic"] is True
    assert {"symbol": "fill"}.items() <= landuse["legend"][0].items()
    assert {"01", "07", "17"} <= {entry["code"] for entry in landuse["legend"]}
    assert next(iter(plans)) == "overall-plan", "what prevails comes first"


def test_style_points_to_our_own_tiles_only(client: TestClient) -> None:
    style = get(client, "/styles/map.json")
    assert style["version"] == 8
    for layer_id, source in style["sources"].items():
        assert source["url"] == f"http://localhost/tiles/{layer_id}.json"
    # The guide's colour of cultivated land (tianditu.md, section 8).
    assert "#F5F8DC" in json.dumps(style).upper()
    for layer in style["layers"]:
        if layer["type"] != "background":
            assert layer["source"] in style["sources"]
            assert layer["metadata"]["gis:layer"] == layer["source"]
    index = get(client, "/sprites/map.json")
    patterns = [
        layer["paint"]["fill-pattern"]
        for layer in style["layers"]
        if "fill-pattern" in layer.get("paint", {})
    ]
    assert patterns
    assert set(patterns) <= set(index)
    sheet = client.get("/sprites/map@2x.png").content
    assert sheet.startswith(b"\x89PNG")


def test_tilejson_leads_to_tiles_that_never_change(client: TestClient) -> None:
    document = get(client, "/tiles/county.json")
    assert document["tilejson"] == "3.0.0"
    url = document["tiles"][0].format(z=8, x=206, y=114)
    answer = client.get(url)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"  # httpx has unpacked it
    decoded = mapbox_vector_tile.decode(answer.content)
    names = {feature["properties"]["name"] for feature in decoded["county"]["features"]}
    assert any("演示" in name for name in names)
    again = client.get(url, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    # Without the edition in the address a client has to ask again.
    assert client.get("/tiles/county/8/206/114.mvt").headers["cache-control"] == "no-cache"
    plain = client.get(url, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == answer.content


def test_several_layers_in_one_tile(client: TestClient) -> None:
    answer = client.get("/tiles/county,coastline,planned_landuse/8/206/114.mvt")
    assert {"county", "coastline", "planned_landuse"} <= set(
        mapbox_vector_tile.decode(answer.content)
    )


def test_an_empty_tile_is_204(client: TestClient) -> None:
    answer = client.get("/tiles/county/12/0/0.mvt")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "path",
    ["county/5/32/0", "county/5/0/-1", "county/23/0/0", "county/a/0/0", "county/1.5/0/0",
     "county/5/9223372036854775808/0", "nobody/5/1/1"],
)  # fmt: skip
def test_tiles_that_cannot_exist_are_404(client: TestClient, path: str) -> None:
    answer = client.get(f"/tiles/{path}.mvt")
    assert answer.status_code == 404
    assert answer.json()["status"] == 404


def test_legends(client: TestClient) -> None:
    image = client.get("/legends/planned_landuse.png")
    assert image.content.startswith(b"\x89PNG")
    assert get(client, "/legends/forest_land.json")


def test_gzip_is_the_stored_form(client: TestClient) -> None:
    with client.stream("GET", "/tiles/county/8/206/114.mvt") as answer:
        raw = b"".join(answer.iter_raw())
    assert mapbox_vector_tile.decode(gzip.decompress(raw))
