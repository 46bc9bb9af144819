"""WMTS 1.0.0 (OGC 07-057r7): by key and value, RESTful, exceptions; clauses are named."""

import io
import xml.etree.ElementTree as ET

import mapbox_vector_tile
import pytest
import shapely
from PIL import Image
from starlette.testclient import TestClient

from layers.catalog import Catalog

NS = {"w": "http://www.opengis.net/wmts/1.0", "ows": "http://www.opengis.net/ows/1.1",
      "xlink": "http://www.w3.org/1999/xlink"}  # fmt: skip
HREF = f"{{{NS['xlink']}}}href"
BASE = "/wmts?SERVICE=WMTS&VERSION=1.0.0&REQUEST=GetTile&LAYER=vec&STYLE=default"
TILE = "&TILEMATRIXSET=c&TILEMATRIX=8&TILEROW=50&TILECOL=206&FORMAT=image/png"

INFO = BASE.replace("GetTile", "GetFeatureInfo").replace("vec", "county") + TILE


def document(client: TestClient, path: str) -> ET.Element:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    return ET.fromstring(answer.content)


@pytest.mark.parametrize(
    "path",
    [
        "/wmts?SERVICE=WMTS&REQUEST=GetCapabilities",
        "/wmts?service=wmts&request=getcapabilities&acceptversions=1.0.0",
        "/wmts/1.0.0/WMTSCapabilities.xml",
    ],
)
def test_capabilities_name_all_layers_and_grids(
    client: TestClient, path: str, catalog: Catalog
) -> None:
    """7.1: operations, layers with style, formats, links; matrix sets with their matrices."""
    root = document(client, path)
    assert root.get("version") == "1.0.0"
    operations = {one.get("name") for one in root.iterfind(".//ows:Operation", NS)}
    assert operations == {"GetCapabilities", "GetTile", "GetFeatureInfo"}
    layers = {one.findtext("ows:Identifier", namespaces=NS): one
              for one in root.iterfind(".//w:Layer", NS)}  # fmt: skip
    assert {"vec", "cva", "img", "cia", "ter", "cta"} <= set(layers)
    assert {layer.id for _, layer in catalog.layers()} <= set(layers)
    sets = {one.findtext("ows:Identifier", namespaces=NS): one
            for one in root.iterfind(".//w:Contents/w:TileMatrixSet", NS)}  # fmt: skip
    assert set(sets) == {"c", "w", "CGCS2000Quad", "WorldCRS84Quad", "WebMercatorQuad"}
    for layer in layers.values():
        linked = {one.findtext("w:TileMatrixSet", namespaces=NS)
                  for one in layer.iterfind("w:TileMatrixSetLink", NS)}  # fmt: skip
        assert linked == set(sets)
        assert layer.find("w:Style[@isDefault='true']", NS) is not None
        formats = {one.text for one in layer.iterfind("w:Format", NS)}
        tiles = layer.iterfind("w:ResourceURL[@resourceType='tile']", NS)
        assert {one.get("format") for one in tiles} == formats
    box = layers["county"].find("ows:WGS84BoundingBox/ows:LowerCorner", NS)
    assert box is not None
    west, south = map(float, (box.text or "").split())
    assert (107 < west < 110, 17 < south < 20) == (True, True)


def test_a_resource_is_the_tile_of_key_and_value(client: TestClient) -> None:
    """10.2: the template filled in gives what GetTile gives."""
    root = document(client, "/wmts/1.0.0/WMTSCapabilities.xml")
    (layer,) = [one for one in root.iterfind(".//w:Layer", NS)
                if one.findtext("ows:Identifier", namespaces=NS) == "county"]  # fmt: skip
    values = {"TileMatrixSet": "c", "TileMatrix": 8, "TileRow": 50, "TileCol": 206}
    for one in layer.iterfind("w:ResourceURL[@resourceType='tile']", NS):
        form = one.get("format") or ""
        by_path = client.get((one.get("template") or "").format(**values))
        assert by_path.headers["content-type"] == form
        query = BASE.replace("vec", "county") + TILE.replace("image/png", form)
        assert client.get(query).content == by_path.content
        if "vector" in form:
            assert "county" in mapbox_vector_tile.decode(by_path.content)
        else:
            assert Image.open(io.BytesIO(by_path.content)).size == (256, 256)
    legend = layer.find(".//w:LegendURL", NS)
    assert legend is not None
    assert client.get(legend.get(HREF) or "").content[:4] == b"\x89PNG"


def test_double_density(client: TestClient) -> None:
    """The same place with 512 pixels."""
    for path in ("/wmts/1.0.0/vec/default/c/8/50/206{}.png", "/tiles/vec/8/206/113{}.png"):
        once = Image.open(io.BytesIO(client.get(path.format("")).content)).convert("RGB")
        twice = Image.open(io.BytesIO(client.get(path.format("@2x")).content)).convert("RGB")
        assert (once.size, twice.size) == ((256, 256), (512, 512))
        small = twice.resize((256, 256), Image.Resampling.BOX)
        off = sum(
            sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 60
            for one, other in zip(
                once.get_flattened_data(), small.get_flattened_data(), strict=True
            )
        )
        assert off < 0.05 * 256 * 256


@pytest.mark.parametrize(("grid", "row"), [("c", 50), ("w", 113)], ids=["degrees", "metres"])
def test_what_lies_under_a_pixel(client: TestClient, grid: str, row: int) -> None:
    """7.3: the features that the vector tile has under the same pixel; hit and miss."""
    vector = client.get(f"/wmts/1.0.0/county/default/{grid}/8/{row}/206.mvt")
    features = mapbox_vector_tile.decode(vector.content, default_options={"y_coord_down": True})[
        "county"
    ]["features"]
    shapes = {one["properties"]["admin_code"]: shapely.geometry.shape(one["geometry"]).buffer(0)
              for one in features}  # fmt: skip
    base = BASE.replace("GetTile", "GetFeatureInfo").replace("vec", "county")
    base += f"&TILEMATRIXSET={grid}&TILEMATRIX=8&TILEROW={row}&TILECOL=206"
    hits = misses = 0
    for i, j in ((x, y) for x in range(20, 256, 43) for y in range(20, 256, 43)):
        spot = shapely.Point(i * 16 + 8, j * 16 + 8)
        if any(one.boundary.distance(spot) < 16 for one in shapes.values()):
            continue
        answer = client.get(f"{base}&I={i}&J={j}&INFOFORMAT=application/json")
        found = {one["properties"]["admin_code"] for one in answer.json()["features"]}
        assert found == {code for code, one in shapes.items() if one.contains(spot)}
        by_path = client.get(f"/wmts/1.0.0/county/default/{grid}/8/{row}/206/{j}/{i}.json")
        assert by_path.content == answer.content
        hits, misses = hits + bool(found), misses + (not found)
    assert hits > 3
    assert misses > 3


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("/wmts?SERVICE=WMTS", 400, "MissingParameterValue"),
        ("/wmts?SERVICE=WMTS&REQUEST=GetFeature", 400, "OperationNotSupported"),
        ("/wmts?SERVICE=WMS&REQUEST=GetCapabilities", 400, "InvalidParameterValue"),
        (BASE, 400, "MissingParameterValue"),
        (BASE + TILE.replace("TILEROW=50", ""), 400, "MissingParameterValue"),
        (BASE + TILE.replace("TILEROW=50", "TILEROW=x"), 400, "InvalidParameterValue"),
        (BASE + TILE.replace("TILEROW=50", "TILEROW=128"), 400, "TileOutOfRange"),
        (BASE + TILE.replace("TILECOL=206", "TILECOL=256"), 400, "TileOutOfRange"),
        (BASE + TILE.replace("TILEMATRIX=8", "TILEMATRIX=21"), 400, "TileOutOfRange"),
        (BASE + TILE.replace("SET=c", "SET=none"), 400, "InvalidParameterValue"),
        (BASE.replace("vec", "nobody") + TILE, 400, "InvalidParameterValue"),
        (BASE.replace("default", "night") + TILE, 400, "InvalidParameterValue"),
        (BASE + TILE.replace("image/png", "image/gif"), 400, "InvalidParameterValue"),
        (BASE + TILE.replace("image/png", "application/vnd.mapbox-vector-tile"), 400,
         "InvalidParameterValue"),
        (INFO + "&I=256&J=0", 400, "PointIJOutOfRange"),
        (INFO + "&I=0", 400, "MissingParameterValue"),
        (INFO + "&I=0&J=0&INFOFORMAT=text/xml", 400, "InvalidParameterValue"),
        ("/wmts/1.0.0/county/default/c/8/50/206/999/0.json", 400, "PointIJOutOfRange"),
        ("/wmts/1.0.0/vec/default/c/8/128/206.png", 404, "TileOutOfRange"),
        ("/wmts/1.0.0/vec/default/c/8/x/206.png", 404, "InvalidParameterValue"),
        ("/wmts/1.0.0/vec/night/c/8/50/206.png", 404, "InvalidParameterValue"),
        ("/wmts/1.0.0/nobody/default/c/8/50/206.png", 404, "InvalidParameterValue"),
        ("/wmts/1.0.0/vec/default/none/8/50/206.png", 404, "InvalidParameterValue"),
    ],
)  # fmt: skip
def test_exceptions(client: TestClient, query: str, status: int, code: str) -> None:
    """7.2.3, table 25; 10.4: a report with the code, never a picture or a success."""
    answer = client.get(query)
    assert answer.status_code == status
    root = ET.fromstring(answer.content)
    assert root.tag == f"{{{NS['ows']}}}ExceptionReport"
    fault = root.find("ows:Exception", NS)
    assert fault is not None
    assert fault.get("exceptionCode") == code
    assert fault.findtext("ows:ExceptionText", namespaces=NS)
