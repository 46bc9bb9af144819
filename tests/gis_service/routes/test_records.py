"""The catalogue over HTTP: OGC API Records and ISO 19139, on the demo province."""

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from starlette.testclient import TestClient

from gis_service.app import create_app
from gis_service.library import Library
from layers.text import Text

RECORDS = "/ogc/collections/catalogue/items"
REDLINE = "layer.ecological_redline"
NAMES = {"gmd": "http://www.isotc211.org/2005/gmd", "gco": "http://www.isotc211.org/2005/gco"}


def get(client: TestClient, path: str, **parameters: Any) -> Any:
    answer = client.get(path, params=parameters or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(client: TestClient, **parameters: Any) -> set[str]:
    answer = get(client, RECORDS, limit=1000, **parameters)
    found = [one["id"] for one in answer["features"]]
    assert answer["numberMatched"] == answer["numberReturned"] == len(found) == len(set(found))
    return set(found)


def test_the_frame_leads_to_the_catalogue(client: TestClient) -> None:
    landing = get(client, "/ogc", f="json")
    (link,) = (one for one in landing["links"] if one["rel"].endswith("/ogc-catalog"))
    document = get(client, link["href"].removeprefix("http://localhost"))
    assert (document["id"], document["itemType"]) == ("catalogue", "record")
    listed = get(client, "/ogc/collections", f="json")["collections"]
    assert document in listed
    classes = get(client, "/ogc/conformance", f="json")["conformsTo"]
    for name in ("record-core", "record-core-query-parameters", "record-api", "json"):
        assert f"http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/{name}" in classes


def test_a_record_for_each_plan_layer_and_edition(client: TestClient, library: Library) -> None:
    every = ids(client)
    layers = {f"layer.{layer.id}" for layer in library.visible_layers()}
    plans = {f"plan.{plan.id}" for plan in library.catalog.plans}
    assert layers | plans <= every
    editions = every - layers - plans
    assert len(editions) >= len(plans)  # the demo has an edition of each
    assert all(one.startswith("edition.") for one in editions)
    assert ids(client, type="series") == ids(client, type="plan") == plans
    assert ids(client, type="dataset") == layers
    assert ids(client, type="dataset,series") == layers | plans


def test_what_a_record_holds(client: TestClient) -> None:
    one = get(client, f"{RECORDS}/{REDLINE}", lang="en")
    properties = one["properties"]
    assert (one["id"], one["type"], properties["type"]) == (REDLINE, "Feature", "dataset")
    assert properties["title"] == "Ecological redline (synthetic data)"
    assert properties["language"]["code"] == "en"
    assert properties["contacts"][0]["organization"].startswith("Provincial authority")
    assert properties["rights"] == "unclassified"
    assert properties["accuracy"] == [{"layer": "ecological_redline", "standard_deviation_m": 5.0}]
    ring = one["geometry"]["coordinates"][0]
    assert all(107 < lon < 113 and 17 < lat < 21 for lon, lat in ring)
    begins, ends = one["time"]["interval"]
    assert (len(begins), ends) == (10, "..")
    chinese = get(client, f"{RECORDS}/{REDLINE}", lang="zh")["properties"]
    assert chinese["title"] == "生态保护红线（演示数据）"


def test_every_link_of_a_record_leads_somewhere(client: TestClient) -> None:
    edition = next(iter(ids(client, type="edition", q="redline")))
    for name in (REDLINE, "plan.overall-plan", edition):
        one = get(client, f"{RECORDS}/{name}")
        relations = {link["rel"] for link in one["links"]}
        assert {"self", "alternate", "collection", "items"} <= relations
        for link in one["links"]:
            address = link["href"].removeprefix("http://localhost")
            joint = "&" if "?" in address else "?"
            limit = f"{joint}limit=1" if link["rel"] == "items" else ""
            answer = client.get(address + limit)
            assert answer.status_code == 200, (address, answer.text)
            media = {"application/vnd.iso.19139+xml": "application/xml"}.get(
                link["type"], link["type"]
            )
            assert answer.headers["content-type"].split(";")[0] == media, address


@pytest.mark.parametrize(
    ("parameters", "hit"),
    [
        ({"q": "REDLINE"}, True), ({"q": "生态保护"}, True), ({"q": "ecological  redline"}, True),
        ({"q": "redline ecological"}, False),  # words of a term stand together
        ({"q": "nothing,redline"}, True), ({"q": "nothing"}, False),
        ({"bbox": "109,18,110,19"}, True), ({"bbox": "100,10,101,11"}, False),
        ({"ids": f"{REDLINE},layer.county"}, True), ({"ids": "layer.county"}, False),
        ({"datetime": "2099-01-01"}, True), ({"datetime": "1949-10-01"}, False),
        ({"datetime": "../1949-10-01"}, False), ({"datetime": "1949-10-01/.."}, True),
    ],
)  # fmt: skip
def test_the_search_finds_what_fits(
    client: TestClient, parameters: dict[str, str], hit: bool
) -> None:
    assert (REDLINE in ids(client, **parameters)) is hit


def test_pages_hold_each_record_once(client: TestClient) -> None:
    seen: list[str] = []
    answer = get(client, RECORDS, limit=7)
    while True:
        seen += [one["id"] for one in answer["features"]]
        following = [link["href"] for link in answer["links"] if link["rel"] == "next"]
        if not following:
            break
        answer = get(client, following[0].removeprefix("http://localhost"))
    assert len(seen) == len(set(seen)) == answer["numberMatched"]


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        (f"{RECORDS}/{REDLINE}?f=iso", {}), (f"{RECORDS}/{REDLINE}.xml", {}),
        (f"{RECORDS}/{REDLINE}", {"accept": "application/xml"}),
    ],
)  # fmt: skip
def test_the_same_record_as_iso_xml(
    client: TestClient, address: str, headers: dict[str, str]
) -> None:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/xml")
    root = ET.fromstring(answer.content)
    assert root.findtext("gmd:fileIdentifier/gco:CharacterString", None, NAMES) == REDLINE
    title = root.find(".//gmd:CI_Citation/gmd:title", NAMES)
    assert title is not None
    assert title.findtext("gco:CharacterString", None, NAMES) == "生态保护红线"
    addresses = [url.text for url in root.findall(".//gmd:linkage/gmd:URL", NAMES)]
    assert "http://localhost/ogc/collections/ecological_redline/items" in addresses
    # Marked in XML as well as in JSON: the demo is no real plan.
    assert "演示数据" in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{RECORDS}/layer.nothing", 404), (f"{RECORDS}/nothing.xml", 404),
        (f"{RECORDS}/{REDLINE}?f=pdf", 400), (f"{RECORDS}?f=iso", 400),
        (f"{RECORDS}?titel=x", 400), (f"{RECORDS}?bbox=1,2,3", 400),
        (f"{RECORDS}?datetime=2026-02-01/2026-01-01", 400), (f"{RECORDS}?limit=0", 400),
    ],
)  # fmt: skip
def test_refusals_are_problems(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_closed_layer_answers_like_an_unknown_one(library: Library) -> None:
    plans = tuple(
        plan.model_copy(
            update={
                "layers": tuple(
                    layer.model_copy(update={"access": "internal"})
                    if layer.id in ("ecological_redline", "highway") else layer
                    for layer in plan.layers
                )
            }
        )
        for plan in library.catalog.plans
    )  # fmt: skip
    catalog = library.catalog.model_copy(update={"plans": plans}).up_to("open")
    closed = replace(library, catalog=catalog, keepers={"highway": Text(zh="厅", en="office")})
    with TestClient(create_app(closed), base_url="http://localhost") as client:
        unknown = client.get(f"{RECORDS}/layer.nothing").json()
        for form in ("", ".xml", "?f=iso"):
            answer = client.get(f"{RECORDS}/{REDLINE}{form}")
            assert answer.status_code == 404
            assert answer.json()["type"] == unknown["type"]
        everything = client.get(RECORDS, params={"limit": 1000}).text
        assert "ecological_redline" not in everything
        assert "生态保护红线" not in client.get(
            RECORDS, params={"limit": 1000, "type": "dataset,edition", "lang": "zh"}
        ).text.replace("永久基本农田、生态保护红线、城镇开发边界", "")
        assert client.get(f"{RECORDS}/plan.transport-plan").status_code == 404
