"""Capabilities in both flavours, held against the figures of other programs."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tiles.matrix_set import Box, load_matrix_sets
from tiles.wmts import Flavour, WmtsLayer, WmtsService, capabilities, exception_report

SETS = load_matrix_sets(Path(__file__).resolve().parents[2] / "config")
NS = {"w": "http://www.opengis.net/wmts/1.0", "ows": "http://www.opengis.net/ows/1.1",
      "xlink": "http://www.w3.org/1999/xlink"}  # fmt: skip


def document(
    grid: str, flavour: Flavour, address: str = "http://t0.example/vec/wmts"
) -> ET.Element:
    layer = WmtsLayer("vec", "vec", 'a < b & "c"', Box(-180, -90, 180, 90), ("tiles",), (grid,))
    service = WmtsService("在线地图服务", "s", ("OGC",), address, (layer,), (SETS[grid],))
    return ET.fromstring(capabilities(service, flavour))


def matrices(root: ET.Element) -> dict[int, tuple[float, float, float]]:
    return {
        int(one.findtext("ows:Identifier", namespaces=NS) or -1): (
            float(one.findtext("w:ScaleDenominator", namespaces=NS) or 0),
            *map(float, (one.findtext("w:TopLeftCorner", namespaces=NS) or "").split()),
        )  # type: ignore[misc]
        for one in root.iterfind(".//w:TileMatrix", NS)
    }


# Published by tianditu (levels 1 and 18 of both its documents).
PUBLISHED = {"96dpi": (2.958293554545656e8, 2256.998866688275),
             "ogc": (2.795411320143589e8, 2132.729583849784)}  # fmt: skip


@pytest.mark.parametrize("grid", ["c", "w"])
@pytest.mark.parametrize("flavour", ["96dpi", "ogc"])
def test_denominators_are_the_published_ones(grid: str, flavour: Flavour) -> None:
    found = matrices(document(grid, flavour))
    first, eighteenth = PUBLISHED[flavour]
    assert found[1][0] == pytest.approx(first, rel=1e-14)
    assert found[18][0] == pytest.approx(eighteenth, rel=1e-14)
    assert (min(found), max(found)) == (1, 18 if flavour == "96dpi" else 20)


def test_the_legacy_document_is_what_maptalks_computes_with() -> None:
    """maptalks: resolution = denominator x 0.0002645833 m, or x 2.3767925e-9 degrees."""
    for grid, factor in (("w", 0.0002645833), ("c", 2.3767925e-9)):
        for z, (denominator, x, y) in matrices(document(grid, "96dpi")).items():
            assert denominator * factor == pytest.approx(SETS[grid].matrix(z).cell_size, rel=1e-6)
            # It turns the corner round when x > 0.
            origin = (y, x) if x > 0 else (x, y)
            west_north = (SETS[grid].matrix(z).west, SETS[grid].matrix(z).north)
            assert origin == pytest.approx(west_north)
    root = document("w", "96dpi")
    assert root.findtext(".//ows:SupportedCRS", namespaces=NS) == "urn:ogc:def:crs:EPSG::900913"
    assert root.findtext(".//ows:ServiceType", namespaces=NS) == "wmts"


def test_the_correct_document_says_its_axes() -> None:
    degrees = document("c", "ogc")
    box = degrees.find(".//w:Layer/ows:BoundingBox", NS)
    assert box is not None
    assert box.get("crs") == "urn:ogc:def:crs:EPSG::4490"
    assert box.findtext("ows:LowerCorner", namespaces=NS) == "-90.0 -180.0"
    assert matrices(degrees)[5][1:] == (90.0, -180.0)
    metres = document("w", "ogc")
    assert metres.findtext(".//ows:SupportedCRS", namespaces=NS) == "urn:ogc:def:crs:EPSG::3857"
    assert matrices(metres)[5][1:] == pytest.approx((-math.pi * 6378137, math.pi * 6378137))
    world = metres.find(".//ows:WGS84BoundingBox", NS)
    assert world is not None
    assert world.findtext("ows:UpperCorner", namespaces=NS) == "180.0 90.0"


@pytest.mark.parametrize(
    ("address", "href"),
    [("http://h/vec_c/wmts", "http://h/vec_c/wmts?"), ("http://h/wmts?tk=K", "http://h/wmts?tk=K")],
)
def test_addresses_end_so_that_arcmap_can_go_on(address: str, href: str) -> None:
    root = document("c", "ogc", address)
    found = {one.get(f"{{{NS['xlink']}}}href") for one in root.iterfind(".//ows:Get", NS)}
    assert found == {href}


def test_text_is_escaped() -> None:
    root = document("c", "ogc")
    assert root.findtext(".//w:Layer/ows:Abstract", namespaces=NS) == 'a < b & "c"'
    report = ET.fromstring(exception_report("InvalidParameterValue", "<x>", "en", 'a"b'))
    assert report.findtext(".//ows:ExceptionText", namespaces=NS) == "<x>"
    assert report.find("ows:Exception", NS).get("locator") == 'a"b'  # type: ignore[union-attr]
