"""Real map clients, written for tianditu and changed by host only, in a real browser.

Each draws the base map around a corner of the island. Pixels near the coast, on both sides of it,
must be land or sea as the county layer says for the place that the client itself names for that
pixel; a picture moved by some pixels along either axis must agree less.
"""

import io
import mimetypes
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx2
import numpy as np
import pytest
import shapely
from PIL import Image
from playwright.sync_api import Browser, Page, Route, sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HERE = Path(__file__).parent / "clients"
MODULES = {
    "/modules/": HERE / "node_modules",
    "/web-modules/": Path(__file__).parents[2] / "gis_service" / "web" / "node_modules",
}
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    # The pages come from nowhere (`local_file`), the tiles from this machine: not from "outside".
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
]  # fmt: skip
PAGES = "http://clients.example"
"""Another host than the service's: what is not for other hosts' pages fails here."""
SIZE = (800, 600)
PATIENCE_S = 150
SEA = np.array([203, 221, 233])
LIKE_SEA = 32
"""Palettes are off by a shade; the nearest colours on land, rivers and woods, by 40 and 54."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def land(live_service: str) -> shapely.Geometry:
    """The counties as the service gives them, in longitude and latitude."""
    page = httpx2.get(
        f"{live_service}/ogc/collections/county/items?limit=1000&f=json", timeout=120
    ).json()
    counties = [shapely.geometry.shape(one["geometry"]) for one in page["features"]]
    return shapely.union_all(counties)


def local_file(route: Route) -> None:
    path = urlsplit(route.request.url).path
    file = HERE / path.lstrip("/")
    for prefix, folder in MODULES.items():
        if path.startswith(prefix):
            file = folder / path.removeprefix(prefix)
    if not file.is_file():
        route.fulfill(status=404)
        return
    kind = "text/javascript" if file.suffix == ".mjs" else mimetypes.guess_type(file.name)[0]
    route.fulfill(body=file.read_bytes(), content_type=kind or "application/octet-stream")


def opened(browser: Browser, service: str, page_name: str, **query: str) -> Page:
    if not (HERE / "node_modules").is_dir():
        pytest.fail("the clients are not there: run `npm ci` in tests/browser/clients")
    context = browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]})
    page = context.new_page()
    page.route(f"{PAGES}/**", local_file)
    page.goto(f"{PAGES}/{page_name}.html?{urlencode({'service': service, **query})}")
    end = time.monotonic() + PATIENCE_S
    while not page.evaluate("window.ready === true"):
        assert time.monotonic() < end, f"{page_name} never drew its tiles"
        page.wait_for_timeout(200)
    return page


def agreement(
    picture: np.ndarray, pixels: np.ndarray, is_land: np.ndarray, shift: tuple[int, int] = (0, 0)
) -> float:
    """The share of pixels whose colour is that of land where there is land, of sea elsewhere."""
    x, y = pixels[:, 0] + shift[0], pixels[:, 1] + shift[1]
    colours = picture[np.clip(y, 0, SIZE[1] - 1), np.clip(x, 0, SIZE[0] - 1)].astype(int)
    looks_sea = np.abs(colours - SEA).sum(axis=1) < LIKE_SEA
    return float((looks_sea != is_land).mean())


CASES = [
    ("leaflet", {}),
    ("openlayers", {"grid": "c", "from": "hand"}),
    ("openlayers", {"grid": "w", "from": "hand"}),
    ("openlayers", {"grid": "c", "from": "capabilities"}),
    ("openlayers", {"grid": "w", "from": "capabilities"}),
    ("maplibre", {}),
    ("cesium", {"grid": "c"}),
    ("cesium", {"grid": "w"}),
]


@pytest.mark.parametrize(("client", "query"), CASES, ids=lambda part: "-".join(part.values())
                         if isinstance(part, dict) else part)  # fmt: skip
def test_the_coast_is_on_the_right_pixels(
    browser: Browser, live_service: str, land: shapely.Geometry, client: str, query: dict[str, str]
) -> None:
    page = opened(browser, live_service, client, **query)
    assert page.evaluate("window.failed") == []
    shot = page.screenshot()
    if folder := os.environ.get("CLIENT_SHOTS"):
        Path(folder, "-".join([client, *query.values()]) + ".png").write_bytes(shot)
    picture = np.array(Image.open(io.BytesIO(shot)).convert("RGB"))
    columns, rows = np.meshgrid(np.arange(20, 780, 4), np.arange(20, 580, 4))
    pixels = np.column_stack((columns.ravel(), rows.ravel()))
    found = page.evaluate("(pixels) => window.places(pixels)", pixels.tolist())
    page.context.close()
    known = np.array([place is not None for place in found])
    pixels, places = pixels[known], np.array([place for place in found if place is not None])
    # Degrees of longitude a pixel, and latitudes stretched to be as long.
    pixel_deg = 4 * np.ptp(places[:, 0]) / np.ptp(pixels[:, 0]) / 4
    spots = shapely.points(places)
    distance_px = shapely.distance(spots, land.boundary) / pixel_deg
    near = (distance_px > 2.5) & (distance_px < 9)
    pixels, is_land = pixels[near], shapely.contains(land, spots[near])
    assert min(is_land.sum(), (~is_land).sum()) > 100, "both sides of the coast are seen"
    right = agreement(picture, pixels, is_land)
    assert right > 0.97
    for shift in ((7, 0), (-7, 0), (0, 7), (0, -7)):
        assert agreement(picture, pixels, is_land, shift) < right - 0.05
    page.context.close()
