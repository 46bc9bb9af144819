"""OGC API Maps on the demo: size, place, CRS, background, time; forms of styles."""

import io
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pyproj
import pytest
from PIL import Image
from starlette.testclient import TestClient

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
HAIKOU = "110.2,19.9,110.5,20.1"


def picture(client: TestClient, address: str, **headers: str) -> Any:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200, answer.text[:300]
    image = Image.open(io.BytesIO(answer.content))
    assert answer.headers["content-type"] == f"image/{(image.format or '').lower()}"
    return np.asarray(image.convert("RGBA"))


def test_a_map_has_the_size_asked_for_and_keeps_its_aspect(client: TestClient) -> None:
    address = f"/ogc/map?bbox={HAIKOU}"
    assert picture(client, f"{address}&width=300&height=150").shape == (150, 300, 4)
    assert picture(client, f"{address}&width=300").shape == (200, 300, 4)
    assert picture(client, f"{address}&height=100").shape == (100, 150, 4)
    assert max(picture(client, address).shape) == 1024


@pytest.mark.parametrize("code", ["4490", "3857", "4547", "4525"])
def test_the_same_place_in_every_crs_and_its_order_of_axes(client: TestClient, code: str) -> None:
    """A box written as the authority has it: latitude or northing first where it says so."""
    to_crs = pyproj.Transformer.from_crs(4490, int(code), always_xy=True)
    x, y = to_crs.transform(110.33, 20.02)
    half = 0.05 if code == "4490" else 5_500
    box = (x - half, y - half, x + half, y + half)
    if code != "3857":
        box = (box[1], box[0], box[3], box[2])
    text = ",".join(str(side) for side in box)
    answer = client.get(
        f"/ogc/collections/county/map?bbox={text}&bbox-crs={EPSG}{code}&crs={EPSG}{code}&width=200"
    )
    assert answer.headers["content-crs"] == f"<{EPSG}{code}>"
    assert [float(side) for side in answer.headers["content-bbox"].split(",")] == pytest.approx(box)
    seen = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    # The sea lies in the north of Haikou: nothing there; land in the south.
    assert seen[5, 100, 3] == 0
    assert seen[195, 100, 3] > 0


def test_the_background_is_as_asked(client: TestClient) -> None:
    sea = "/ogc/collections/county/map?bbox=111.4,17.8,111.8,18.0&width=64"
    assert picture(client, sea)[..., 3].max() == 0
    assert picture(client, f"{sea}&transparent=false")[10, 10].tolist() == [255, 255, 255, 255]
    assert picture(client, f"{sea}&bgcolor=0x336699")[10, 10].tolist() == [0x33, 0x66, 0x99, 255]
    jpeg = picture(client, f"{sea}&f=jpeg&bgcolor=0x336699")[10, 10].astype(int)
    assert np.abs(jpeg[:3] - [0x33, 0x66, 0x99]).max() < 6


def test_the_form_follows_accept(client: TestClient) -> None:
    address = f"/ogc/collections/county/map?bbox={HAIKOU}&width=64"
    assert client.get(address, headers={"Accept": "image/webp"}).content[8:12] == b"WEBP"
    assert client.get(address, headers={"Accept": "image/jpeg"}).content[:2] == b"\xff\xd8"
    assert client.get(f"{address}&f=png").content[:4] == b"\x89PNG"


def test_the_scale_is_the_denominator_asked_for(client: TestClient) -> None:
    address = f"/ogc/map?center=110.33,20.02&crs={EPSG}4547&width=200&scale-denominator=10000"
    answer = client.get(address)
    south, west, north, east = map(float, answer.headers["content-bbox"].split(","))
    assert east - west == pytest.approx(200 * 0.28e-3 * 10_000)
    assert north - south == pytest.approx(east - west)


def test_a_map_can_be_asked_for_again_with_its_tag(client: TestClient) -> None:
    address = f"/ogc/collections/planned_landuse/map?bbox={HAIKOU}&width=200"
    first = client.get(address)
    again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(f"{address}&bgcolor=white")
    assert other.headers["etag"] != first.headers["etag"]
    assert client.get(address).content == first.content


def test_a_map_of_some_collections_is_not_that_of_all(client: TestClient) -> None:
    few = picture(client, f"/ogc/map?bbox={HAIKOU}&width=200&collections=county,highway")
    one = picture(client, f"/ogc/collections/county/map?bbox={HAIKOU}&width=200")
    whole = picture(client, f"/ogc/map?bbox={HAIKOU}&width=200")
    assert (few != one).any()
    assert (few != whole).any()


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("bbox=1,2,3", 400, "bad-parameter"),
        ("bbox=110.5,19.9,110.2,20.1", 400, "bad-parameter"),
        (f"bbox={HAIKOU}&width=5000", 400, "bad-parameter"),
        (f"bbox={HAIKOU}&width=0", 400, "bad-parameter"),
        (f"bbox={HAIKOU}&crs={EPSG}2380", 400, "crs-not-offered"),
        (f"bbox={HAIKOU}&bgcolor=blueish", 400, "bad-parameter"),
        (f"bbox={HAIKOU}&transparent=yes", 400, "bad-parameter"),
        (f"bbox={HAIKOU}&f=gif", 400, "unknown-map-format"),
        (f"bbox={HAIKOU}&style=night", 404, "no-style"),
        (f"bbox={HAIKOU}&collections=nothing_here", 404, "not-found"),
        (f"box={HAIKOU}", 400, "unknown-parameter"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    client: TestClient, query: str, status: int, code: str
) -> None:
    answer = client.get(f"/ogc/map?{query}")
    assert answer.status_code == status
    assert answer.json()["type"].endswith(code)


def test_styles_lead_to_all_their_forms(client: TestClient) -> None:
    (style,) = client.get("/ogc/collections/ecological_redline/styles").json()["styles"]
    forms = {link["type"]: link["href"] for link in style["links"] if link["rel"] == "stylesheet"}
    assert len(forms) == 3
    for media_type, address in forms.items():
        answer = client.get(address)
        assert answer.status_code == 200
        if media_type.endswith("+xml") or "sld" in media_type:
            ET.fromstring(answer.content)
        assert "D7191C".lower() in answer.text.lower() or "215,25,28" in answer.text
    asked = client.get(
        "/ogc/styles/ecological_redline?f=qml", headers={"Accept": "*/*"}, follow_redirects=False
    )
    assert asked.status_code == 303
    assert asked.headers["location"].endswith("/styles/ecological_redline.qml")
    listed = client.get("/ogc/styles").json()["styles"]
    assert {one["id"] for one in listed} >= {"planned_landuse", "county"}
    assert client.get("/styles/no_such_layer.sld").status_code == 404


def test_a_report_shows_the_plan_layer_under_each_finding(client: TestClient) -> None:
    site = client.get(client.get("/samples").json()[0]["href"]).json()
    report = client.post(
        "/ogc/processes/conflict-check/execution", json={"inputs": {"submission": site}}
    ).json()
    drawn = {f["rule_id"] for f in report["findings"] if f["patches"]}
    assert drawn
    address = f"/reports/{report['report_id']}.html"
    page = client.get(address).text
    # One picture for the overview, one for each finding with patches that is shown in full.
    shown = [f for f in report["findings"] if f["patches"]
             and f["outcome"] not in ("pass", "not-applicable")]  # fmt: skip
    assert page.count("data:image/png;base64,") == len(shown) + 1
    assert client.get(address).text == page, "the same report has the same maps"
    pdf = client.get(f"/reports/{report['report_id']}.pdf").content
    assert pdf.count(b"/Subtype /Image") + pdf.count(b"/Subtype/Image") >= len(shown)
