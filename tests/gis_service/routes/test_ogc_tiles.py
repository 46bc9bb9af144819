"""OGC API - Tiles 1.0 (20-057) and Tile Matrix Sets 2.0, requirement by requirement.

Each test names the requirements it holds by their identifiers in the standard.
"""

import io
import math
from typing import Any

import mapbox_vector_tile
import pytest
import shapely
from PIL import Image
from starlette.testclient import TestClient

from gis_service.library import Library
from tiles.matrix_set import Tile, lonlat_bounds, tile_of

REL = "http://www.opengis.net/def/rel/ogc/1.0/"
SETS = ["CGCS2000Quad", "WebMercatorQuad", "WorldCRS84Quad", "c", "w"]
OF = ["/ogc", "/ogc/collections/county"]


def get(client: TestClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


def link(document: dict[str, Any], rel: str) -> str:
    found = [one["href"] for one in document["links"] if one["rel"] == rel]
    assert found, f"no link {rel}"
    return str(found[0]).removeprefix("http://localhost")


def mercator(lat: float) -> float:
    return math.asinh(math.tan(math.radians(lat)))


def decoded(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = mapbox_vector_tile.decode(
        content, default_options={"y_coord_down": True}
    )
    return found


def test_every_matrix_set_is_listed_and_whole(client: TestClient) -> None:
    """tms/2.0: /req/tilematrixset/…, /req/json-tilematrixset; tiles: /req/core/tms (links)."""
    listed = get(client, "/ogc/tileMatrixSets")
    assert sorted(one["id"] for one in listed["tileMatrixSets"]) == SETS
    for one in listed["tileMatrixSets"]:
        document = get(client, link(one, "self"))
        assert document["id"] == one["id"]
        assert document["crs"] == one["crs"]
        assert len(document["orderedAxes"]) == 2
        for matrix in document["tileMatrices"]:
            assert {"id", "scaleDenominator", "cellSize", "pointOfOrigin", "tileWidth",
                    "tileHeight", "matrixWidth", "matrixHeight"} <= set(matrix)  # fmt: skip
            metres = matrix["cellSize"]
            if "4490" in str(document["crs"]) or "CRS84" in str(document["crs"]):
                metres *= 111319.49079327358
            assert matrix["scaleDenominator"] == pytest.approx(metres / 0.00028, rel=1e-12)
    assert client.get("/ogc/tileMatrixSets/none").status_code == 404


@pytest.mark.parametrize("of", OF)
@pytest.mark.parametrize(("path", "kind"), [("/tiles", "vector"), ("/map/tiles", "map")])
def test_tilesets_are_listed(client: TestClient, of: str, path: str, kind: str) -> None:
    """/req/tilesets-list/tileset-links, /req/dataset-tilesets/…, /req/geodata-tilesets/…."""
    listed = get(client, of + path)["tilesets"]
    assert len(listed) == len(SETS)
    for one in listed:
        assert one["dataType"] == kind
        assert one["crs"]
        assert one["tileMatrixSetURI"]
        assert link(one, REL + "tiling-scheme").startswith("/ogc/tileMatrixSets/")
        detail = get(client, link(one, "self"))
        assert detail["tileMatrixSetURI"] == one["tileMatrixSetURI"]


@pytest.mark.parametrize("of", OF)
@pytest.mark.parametrize("grid", SETS)
def test_a_tileset_leads_to_its_tiles(client: TestClient, of: str, grid: str) -> None:
    """/req/tileset/description, /req/core/tc-op, tc-success; /req/mvt/content; tms limits."""
    tileset = get(client, f"{of}/tiles/{grid}")
    assert tileset["tileMatrixSetId"] == grid
    templates = [one for one in tileset["links"] if one["rel"] == "item"]
    assert all(one["templated"] for one in templates)
    assert templates[0]["type"] == "application/vnd.mapbox-vector-tile"
    limits = {one["tileMatrix"]: one for one in tileset["tileMatrixSetLimits"]}
    limit = limits["8"]
    url = templates[0]["href"].removeprefix("http://localhost")
    seen = 0
    for row in range(limit["minTileRow"], limit["maxTileRow"] + 1):
        for column in range(limit["minTileCol"], limit["maxTileCol"] + 1):
            answer = client.get(url.format(tileMatrix=8, tileRow=row, tileCol=column))
            assert answer.status_code in (200, 204)
            if answer.status_code == 200:
                seen += 1
                assert answer.headers["content-type"] == "application/vnd.mapbox-vector-tile"
                assert "county" in decoded(answer.content) or of == "/ogc"
    assert seen
    # Around the limits is nothing.
    for row, column in (
        (limit["minTileRow"] - 2, limit["minTileCol"]),
        (limit["minTileRow"], limit["maxTileCol"] + 2),
    ):
        assert client.get(url.format(tileMatrix=8, tileRow=row, tileCol=column)).status_code == 204


@pytest.mark.parametrize("grid", SETS)
def test_the_same_county_lies_at_the_same_place_in_every_grid(
    client: TestClient, library: Library, grid: str
) -> None:
    """/req/core/tc-success: the tile of level, row, column; both axes, all orders of axes."""
    matrix_set = client.app.state.map_tiles.matrix_set(grid)  # type: ignore[attr-defined]
    at = tile_of(
        matrix_set, 110.33, 19.9, 9 if grid not in ("WorldCRS84Quad", "CGCS2000Quad") else 8
    )
    answer = client.get(f"/ogc/collections/county/tiles/{grid}/{at.z}/{at.y}/{at.x}")
    assert answer.status_code == 200
    west, south, east, north = lonlat_bounds(matrix_set, at)
    features = decoded(answer.content)["county"]["features"]
    shapes = {one["properties"]["admin_code"]: shapely.geometry.shape(one["geometry"]).buffer(0)
              for one in features}  # fmt: skip
    for step in range(1, 8):
        lon = west + (east - west) * step / 8
        lat = south + (north - south) * step / 8
        x = (lon - west) / (east - west) * 4096
        y = step / 8
        if grid in ("WebMercatorQuad", "w"):  # rows are not even in degrees
            y = (mercator(lat) - mercator(south)) / (mercator(north) - mercator(south))
        spot = shapely.Point(x, (1 - y) * 4096)
        here = client.get(f"/identify?lon={lon}&lat={lat}").json()
        units = {
            one["attributes"][0]["value"]
            for plan in here["plans"] for layer in plan["layers"] if layer["id"] == "county"
            for one in layer["features"]
        }  # fmt: skip
        if any(shape.boundary.distance(spot) < 40 for shape in shapes.values()):
            continue
        assert {code for code, shape in shapes.items() if shape.contains(spot)} == units


@pytest.mark.parametrize(
    "path",
    ["c/8/50/256", "c/8/128/206", "c/0/0/0", "c/21/0/0", "c/8/-1/0", "c/8/a/0", "c/8/1.5/0",
     "none/8/50/206", "WebMercatorQuad/8/113/99999999999"],
)  # fmt: skip
def test_tiles_that_cannot_exist_are_404(client: TestClient, path: str) -> None:
    """/req/core/tc-error."""
    for of in (*OF, "/ogc/collections/nobody"):
        answer = client.get(f"{of}/tiles/{path}")
        assert answer.status_code == 404
        assert answer.json()["status"] == 404


def test_map_tiles_by_suffix_of_f_and_by_accept(client: TestClient) -> None:
    """/req/png/content, /req/jpeg/content; ogcapi-maps tilesets."""
    path = "/ogc/collections/county/map/tiles/c/8/50/206"
    for how, kind in (
        ({}, "PNG"),
        ({"accept": "image/jpeg"}, "JPEG"),
        ({"accept": "text/html, image/webp"}, "WEBP"),
    ):
        answer = client.get(path, headers=how)  # type: ignore[arg-type]
        image = Image.open(io.BytesIO(answer.content))
        assert (image.format, image.size) == (kind, (256, 256))
    jpeg = client.get(path + "?f=jpeg")
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert client.get(path + "?f=mvt").status_code == 400
    assert client.get("/ogc/collections/county/tiles/c/8/50/206?f=png").status_code == 400
    assert client.get(path + "?formt=png").status_code == 400


def test_collections_can_be_chosen(client: TestClient) -> None:
    """/req/collections-selection/collections-parameter."""
    answer = client.get("/ogc/tiles/w/8/113/206?collections=county,coastline")
    assert set(decoded(answer.content)) == {"county", "coastline"}
    whole = client.get("/ogc/tiles/w/8/113/206")
    assert len(decoded(whole.content)) > 5
    assert client.get("/ogc/tiles/w/8/113/206?collections=nobody").status_code == 404


def test_a_day_can_be_chosen(client: TestClient) -> None:
    """/req/datetime/datetime-parameter."""
    path = "/ogc/collections/county/tiles/w/8/113/206"
    today = client.get(path)
    assert client.get(path + "?datetime=2025-06-01").content == today.content
    assert client.get(path + "?datetime=1990-01-01").status_code == 204
    assert client.get(path + "?datetime=soon").status_code == 400


def test_landing_page_and_collections_lead_to_tiles(client: TestClient) -> None:
    """/req/dataset-tilesets/landing-page, /req/geodata-tilesets/desc-links."""
    landing = get(client, "/ogc?f=json")
    assert link(landing, REL + "tilesets-vector") == "/ogc/tiles"
    assert link(landing, REL + "tilesets-map") == "/ogc/map/tiles"
    assert link(landing, REL + "tiling-schemes") == "/ogc/tileMatrixSets"
    collection = get(client, "/ogc/collections/county?f=json")
    assert link(collection, REL + "tilesets-vector") == "/ogc/collections/county/tiles"
    assert link(collection, REL + "tilesets-map") == "/ogc/collections/county/map/tiles"


def test_conformance_and_definition_name_what_is_there(client: TestClient) -> None:
    """/req/core/conformance-success, /req/oas30/completeness."""
    declared = set(get(client, "/ogc/conformance?f=json")["conformsTo"])
    tiles = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/"
    assert {tiles + name for name in (
        "core", "tileset", "tilesets-list", "dataset-tilesets", "geodata-tilesets",
        "collections-selection", "datetime", "oas30", "mvt", "png", "jpeg",
    )} <= declared  # fmt: skip
    paths = client.get("/ogc/api?f=json").json()["paths"]
    for path in ("/tileMatrixSets", "/tileMatrixSets/{set}", "/tiles/{set}/{z}/{row}/{col}",
                 "/collections/{layer}/tiles/{set}/{z}/{row}/{col}",
                 "/collections/{layer}/map/tiles/{set}"):  # fmt: skip
        assert path in paths


def test_etag_and_304(client: TestClient) -> None:
    path = "/ogc/collections/county/tiles/c/8/50/206"
    first = client.get(path)
    again = client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_known_tile_of_haikou(library: Library, client: TestClient) -> None:
    """Golden numbers of tianditu's grids, computed by other programs (tile 10 of 110.33, 20.02)."""
    sets = client.app.state.map_tiles.matrix_sets  # type: ignore[attr-defined]
    assert tile_of(sets["c"], 110.33, 20.02, 10) == Tile(10, 825, 199)
    assert tile_of(sets["w"], 110.33, 20.02, 10) == Tile(10, 825, 453)
