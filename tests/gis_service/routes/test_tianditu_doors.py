"""Clients of tianditu change the host and nothing else."""

import io
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mapbox_vector_tile
import pytest
import shapely
from PIL import Image
from starlette.testclient import TestClient

from gis_service.app import create_app
from gis_service.library import Library
from layers.catalog import Layer

HREF = "{http://www.w3.org/1999/xlink}href"
OWS = "{http://www.opengis.net/ows/1.1}"
TILE = "TILEMATRIX=8&TILEROW=113&TILECOL=206"
SEA = (203, 221, 233)
"""The background of ``vec`` in config/base_maps.yml; a palette is off by a shade."""
Configured = Callable[..., TestClient]


@pytest.fixture
def configured(library: Library) -> Configured:
    """The application with other settings for tianditu's clients."""

    def make(**settings: Any) -> TestClient:
        tianditu = library.config.tianditu.model_copy(update=settings)
        config = library.config.model_copy(update={"tianditu": tianditu})
        app = create_app(replace(library, config=config))
        return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)

    return make


def picture(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize(
    "path",
    [
        "/vec_w/wmts?SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER=vec&STYLE=default"
        f"&TILEMATRIXSET=w&FORMAT=tiles&{TILE}&tk=0123",
        "/vec_w/wmts?tk=0123&layer=vec&style=default&tilematrixset=w&Service=WMTS&Request=GetTile"
        "&Version=1.0.0&Format=tiles&TileMatrix=8&TileCol=206&TileRow=113",
        f"/vec_w/wmts?LAYER=img&TILEMATRIXSET=c&REQUEST=gettile&&{TILE}",
        f"/vec_w/esri/wmts?REQUEST=GetTile&{TILE}",
        "/DataServer?T=vec_w&X=206&Y=113&L=8&tk=0123",
        "/DataServer?t=vec_w&x=206&y=113&l=8",
        f"/t5/vec_w/wmts?REQUEST=GetTile&{TILE}",
        "/t0/DataServer?T=vec_w&x=206&y=113&l=8",
    ],
)
def test_every_door_gives_the_same_tile(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert answer.content[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture(answer.content).size == (256, 256)
    assert answer.content == client.get("/DataServer?T=vec_w&x=206&y=113&l=8").content


def test_the_map_is_where_it_is_on_both_grids(client: TestClient) -> None:
    """Land and sea of the base map, against the county layer, on both axes."""
    for grid, at in (("w", (206, 113)), ("c", (206, 50))):
        answer = client.get(f"/DataServer?T=vec_{grid}&x={at[0]}&y={at[1]}&l=8")
        tile = picture(answer.content).convert("RGB")
        vector = client.get(
            f"/county_{grid}/wmts?FORMAT=application/vnd.mapbox-vector-tile"
            f"&TILEMATRIX=8&TILECOL={at[0]}&TILEROW={at[1]}"
        )
        decoded = mapbox_vector_tile.decode(vector.content, default_options={"y_coord_down": True})[
            "county"
        ]["features"]
        land = shapely.union_all([shapely.geometry.shape(one["geometry"]) for one in decoded])
        right = wrong = 0
        for column in range(8, 256, 16):
            for row in range(8, 256, 16):
                spot = shapely.Point(column * 16, row * 16)
                if land.boundary.distance(spot) < 100:
                    continue
                shades = zip(tile.getpixel((column, row)), SEA, strict=True)  # type: ignore[arg-type]
                is_sea = all(abs(one - other) < 8 for one, other in shades)
                right += is_sea != land.contains(spot)
                wrong += is_sea == land.contains(spot)
        assert right > 20 * max(wrong, 1)


def test_products_keep_their_form_whatever_is_asked(client: TestClient) -> None:
    jpeg = client.get(f"/img_w/wmts?FORMAT=image/png&{TILE}")
    assert (jpeg.content[:3], jpeg.headers["content-type"]) == (b"\xff\xd8\xff", "image/jpeg")
    png = client.get(f"/cva_w/wmts?FORMAT=image/jpeg&{TILE}")
    assert png.content[:4] == b"\x89PNG"
    assert picture(png.content).convert("RGBA").getchannel("A").getextrema()[0] == 0
    webp = client.get(f"/county_w/wmts?FORMAT=image/webp&{TILE}")
    assert webp.content[8:12] == b"WEBP"


@pytest.mark.parametrize(("name", "suffix"), [("vec", "png"), ("img", "jpg")])
def test_base_maps_have_a_tilejson(client: TestClient, name: str, suffix: str) -> None:
    document = client.get(f"/tiles/{name}.json").json()
    assert document["tiles"] == [f"http://localhost/tiles/{name}/{{z}}/{{x}}/{{y}}.{suffix}"]
    tile = client.get(document["tiles"][0].format(z=8, x=206, y=113))
    assert tile.content == client.get(f"/DataServer?T={name}_w&x=206&y=113&l=8").content


def test_level_zero_is_the_key_test_of_the_qgis_plugin(client: TestClient) -> None:
    world = client.get("/vec_w/wmts?REQUEST=GetTile&TILEMATRIX=0&TILEROW=0&TILECOL=0")
    assert world.content[:8] == b"\x89PNG\r\n\x1a\n"
    assert client.get("/vec_c/wmts?TILEMATRIX=0&TILEROW=0&TILECOL=0").status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/vec_w/wmts?REQUEST=GetTile&TILEMATRIX=8&TILEROW=113", 400, "MissingParameterValue"),
        ("/vec_w/wmts?REQUEST=GetTile&TILEMATRIX=a&TILEROW=1&TILECOL=1", 400,
         "InvalidParameterValue"),
        ("/vec_w/wmts?TILEMATRIX=8&TILEROW=113&TILECOL=256", 404, "TileOutOfRange"),
        ("/vec_c/wmts?TILEMATRIX=8&TILEROW=128&TILECOL=3", 404, "TileOutOfRange"),
        ("/vec_c/wmts?TILEMATRIX=21&TILEROW=0&TILECOL=0", 404, "TileOutOfRange"),
        ("/vec_c/wmts?TILEMATRIX=8&TILEROW=-1&TILECOL=0", 404, "TileOutOfRange"),
        ("/nothing_c/wmts?TILEMATRIX=8&TILEROW=1&TILECOL=0", 404, "InvalidParameterValue"),
        ("/vec_c/wmts?REQUEST=GetMap", 400, "OperationNotSupported"),
        ("/vec_w/wmts?FORMAT=image/tiff&REQUEST=GetCapabilities&", 200, None),
        ("/county_w/wmts?FORMAT=image/tiff&TILEMATRIX=8&TILEROW=1&TILECOL=1", 400,
         "InvalidParameterValue"),
        ("/DataServer?x=1&y=1&l=8", 404, "InvalidParameterValue"),
    ],
)  # fmt: skip
def test_errors_are_no_pictures_and_no_success(
    client: TestClient, path: str, status: int, code: str | None
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/xml")
    if code:
        assert answer.headers["cache-control"] == "no-store"
        (fault,) = ET.fromstring(answer.content).iter(f"{OWS}Exception")
        assert fault.get("exceptionCode") == code


def test_outside_can_be_transparent(configured: Configured) -> None:
    answer = configured(outside="transparent").get("/DataServer?T=vec_w&x=256&y=0&l=8")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert picture(answer.content).convert("RGBA").getextrema()[3] == (0, 0)
    assert configured(outside="transparent").get("/DataServer?T=a_w&x=1&y=0&l=8").status_code == 404


def test_headers_for_caches_and_other_pages(client: TestClient) -> None:
    base = client.get("/DataServer?T=vec_w&x=206&y=113&l=8")
    assert base.headers["cache-control"] == "public, max-age=432000"
    # Also without an Origin: a cache hands the same answer to pages of other hosts.
    assert base.headers["access-control-allow-origin"] == "*"
    again = client.get(
        "/DataServer?T=vec_w&x=206&y=113&l=8", headers={"if-none-match": base.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    plan = client.get(f"/county_w/wmts?{TILE}")
    assert plan.headers["cache-control"] == "no-cache"
    assert plan.headers["etag"] != base.headers["etag"]
    asked = client.options(
        "/vec_w/wmts",
        headers={"origin": "https://a.example", "access-control-request-method": "GET",
                 "access-control-request-headers": "x-api-key"},
    )  # fmt: skip
    assert asked.headers["access-control-allow-origin"] == "*"


def test_a_needed_key_is_refused_in_their_words(configured: Configured, library: Library) -> None:
    asking = configured(key_required=True)
    for query in ("", "&tk=", "&tk=0123", f"&tk={'0' * 32}"):
        answer = asking.get(f"/vec_w/wmts?{TILE}{query}")
        assert answer.status_code == 403
        assert answer.json() == {
            "msg": "非法Key", "resolve": "请到API控制台重新申请Key", "code": 1,
        }  # fmt: skip
        assert answer.headers["cache-control"] == "no-store"
    assert asking.get("/v2/search?postStr={}").json()["code"] == 1


def test_capabilities_lead_back_with_the_key(client: TestClient) -> None:
    path = "/vec_c/wmts?service=wmts&request=getcapabilities&tk=0123abc"
    root = ET.fromstring(client.get(path).content)
    found = {one.get(HREF) for one in root.iter(f"{OWS}Get")}
    assert found == {"http://localhost/vec_c/wmts?tk=0123abc"}
    assert not {one.get(HREF) for one in ET.fromstring(
        client.get('/vec_c/wmts?request=GetCapabilities&tk="><a').content
    ).iter(f"{OWS}Get")} - {"http://localhost/vec_c/wmts?"}  # fmt: skip
    esri = ET.fromstring(client.get("/t1/vec_c/esri/wmts").content)
    assert {one.get(HREF) for one in esri.iter(f"{OWS}Get")} == {
        "http://localhost/t1/vec_c/esri/wmts?"
    }


def test_two_flavours_by_address_and_by_word(client: TestClient) -> None:
    def first_scale(path: str) -> float:
        root = ET.fromstring(client.get(path).content)
        scale = root.find(".//{http://www.opengis.net/wmts/1.0}ScaleDenominator")
        assert scale is not None
        return float(scale.text or 0)

    legacy, right = 295829355.4545656, 279541132.0143589
    for path, scale in (
        ("/vec_c/wmts?REQUEST=GetCapabilities", legacy),
        ("/vec_c/wmts?REQUEST=GetCapabilities&dpi=ogc", right),
        ("/vec_c/esri/wmts?REQUEST=GetCapabilities", right),
        ("/vec_c/esri/wmts?REQUEST=GetCapabilities&dpi=96", legacy),
        ("/vec_c/wmts/1.0.0/WMTSCapabilities.xml", right),
        ("/vec_w/wmts", legacy),
    ):
        assert first_scale(path) == pytest.approx(scale, rel=1e-14)


def test_a_hidden_layer_answers_like_one_that_does_not_exist(library: Library) -> None:
    """At every door to tiles, word for word but for the name."""

    def without(layer: Layer) -> Layer:
        return layer.model_copy(update={"access": "restricted"}) if layer.id == HIDDEN else layer

    plans = tuple(
        plan.model_copy(update={"layers": tuple(without(one) for one in plan.layers)})
        for plan in library.catalog.plans
    )
    catalog = library.catalog.model_copy(update={"plans": plans}).up_to("open")
    app = create_app(replace(library, catalog=catalog))
    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    for door in (
        "/{}_w/wmts?" + TILE, "/{}_c/wmts?REQUEST=GetCapabilities", "/{}_c/esri/wmts",
        "/DataServer?T={}_w&x=206&y=113&l=8", "/tiles/{}/8/206/113.mvt", "/tiles/{}.json",
        "/tiles/{},county/8/206/113.mvt", "/ogc/collections/{}/tiles",
        "/ogc/collections/{}/tiles/c", "/ogc/collections/{}/tiles/c/8/50/206",
        "/ogc/collections/{}/map/tiles/c/8/50/206", "/ogc/tiles/c/8/50/206?collections={}",
    ):  # fmt: skip
        hidden, unknown = (client.get(door.format(name)) for name in (HIDDEN, "nobody"))
        assert hidden.status_code == unknown.status_code == 404, door
        if "json" in hidden.headers["content-type"]:
            assert {**hidden.json(), "instance": ""} == {
                **unknown.json(), "instance": "",
                "detail": unknown.json()["detail"].replace("nobody", HIDDEN),
            }  # fmt: skip
        else:
            assert hidden.text == unknown.text.replace("nobody", HIDDEN)


HIDDEN = "ecological_redline"
