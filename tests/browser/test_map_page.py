"""The planners' map in a real browser, against the running service."""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WEB = Path(__file__).parents[2] / "gis_service" / "web"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
PATIENCE_MS = 60_000
OUTCOMES = {"violation", "undetermined", "conditional", "warning", "pass"}

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser, live_service: str) -> Iterator[Open]:
    """Open the map; afterwards the page must have logged no error and asked no other host."""
    wrong: list[str] = []
    home = urlsplit(live_service).netloc

    def logged(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong.append(message.text)

    def asked(request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in {"data", "blob"} and address.netloc != home:
            wrong.append(f"foreign request: {request.url}")

    contexts = []

    def opened(address: str = "/#lang=zh", *, phone: bool = False) -> Page:
        size = {"width": 390, "height": 844} if phone else {"width": 1440, "height": 900}
        context = browser.new_context(viewport=size, locale="zh-CN", has_touch=phone)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", logged)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", asked)
        page.goto(live_service + address)
        page.wait_for_selector("[data-testid=map][data-ready=true]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def until(page: Page, expression: str, argument: object = None) -> None:
    """Wait until it holds; asked from outside, for the page's policy forbids `eval` inside."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(expression, argument):
        assert time.monotonic() < end, f"never came true: {expression}"
        page.wait_for_timeout(100)


def check_sample(page: Page) -> None:
    page.get_by_test_id("check-sample").click()
    page.get_by_test_id("verdict").wait_for()


def serious_findings(page: Page) -> list[str]:
    """What axe finds serious or critical, as `rule: element`."""
    page.evaluate((WEB / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['html'][:160]}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


def drawn_numbers(page: Page) -> set[int]:
    """The numbers that stand on the map, read from what MapLibre drew."""
    until(page, "__map.loaded() && !__map.isMoving()")
    until(page, "__map.queryRenderedFeatures({layers: ['patch-number-disc']}).length > 0")
    return set(
        page.evaluate(
            "__map.queryRenderedFeatures({layers: ['patch-number-disc']})"
            ".map(feature => feature.properties.number)"
        )
    )


def test_opens_with_welcome_notice_and_coloured_map(open_page: Open) -> None:
    page = open_page()
    expect(page.get_by_test_id("welcome")).to_be_visible()
    expect(page.get_by_test_id("notice")).to_contain_text("演示数据")
    expect(page.get_by_test_id("coordinates")).to_contain_text("CGCS2000")
    expect(page.get_by_test_id("legend").first).to_be_visible()
    drawn = page.evaluate("new Set(__map.queryRenderedFeatures().map(f => f.source)).size")
    assert drawn > 1


def test_toggle_takes_a_layer_off_the_map_and_into_the_address(open_page: Open) -> None:
    page = open_page()
    box = page.locator("[data-testid=layer-toggle]:checked").first
    layer = box.get_attribute("data-layer")
    visible = (
        "id => __map.getStyle().layers.some(l => l.metadata?.['gis:layer'] === id"
        " && l.layout?.visibility !== 'none')"
    )
    assert page.evaluate(visible, layer)
    page.locator(f"[data-layer={layer}]").uncheck()
    until(page, f"id => !({visible})(id)", layer)
    until(page, "id => !location.hash.match(/layers=([^&]*)/)[1].split(',').includes(id)", layer)
    page.reload()
    expect(page.locator(f"[data-layer={layer}]")).not_to_be_checked()


def test_sample_gives_a_verdict_whose_patches_are_on_the_map(open_page: Open) -> None:
    page = open_page()
    check_sample(page)
    verdict = page.get_by_test_id("verdict")
    assert verdict.get_attribute("data-outcome") in OUTCOMES
    assert page.get_by_test_id("finding").count() > 0
    patches = page.get_by_test_id("patch")
    patches.first.wait_for()
    listed = {int(number) for p in patches.all() if (number := p.get_attribute("data-number"))}
    assert 1 in listed
    assert listed <= drawn_numbers(page)


def test_a_patch_in_the_list_lights_its_number_on_the_map(open_page: Open) -> None:
    page = open_page()
    check_sample(page)
    drawn_numbers(page)
    page.get_by_test_id("patch").first.hover()
    lit = "__map.getFeatureState({source: 'patches', id: 1}).lit === true"
    until(page, lit)
    page.get_by_test_id("verdict").hover()
    until(page, f"!({lit})")


def test_a_number_on_the_map_lights_its_line_in_the_list(open_page: Open) -> None:
    page = open_page()
    check_sample(page)
    drawn_numbers(page)
    x, y = page.evaluate(
        """() => {
            const [disc] = __map.queryRenderedFeatures({layers: ['patch-number-disc']})
                .filter(feature => feature.properties.number === 1)
            const at = __map.project(disc.geometry.coordinates)
            const {left, top} = __map.getCanvas().getBoundingClientRect()
            return [left + at.x, top + at.y]
        }"""
    )
    page.mouse.move(x, y, steps=3)
    expect(page.locator("[data-testid=patch][data-number='1']")).to_have_class(
        re.compile(r"\blit\b")
    )


def test_every_finding_opens(open_page: Open) -> None:
    page = open_page()
    check_sample(page)
    page.evaluate("document.querySelectorAll('details').forEach(group => group.open = true)")
    for finding in page.get_by_test_id("finding").all():
        head = finding.get_by_role("button").first
        if head.get_attribute("aria-expanded") == "false":
            head.click()
        expect(head).to_have_attribute("aria-expanded", "true")
        assert finding.get_attribute("data-rule") in finding.inner_text()


def test_the_unit_switch_changes_areas(open_page: Open) -> None:
    page = open_page()
    check_sample(page)
    table = page.get_by_test_id("land-take")
    expect(table).to_contain_text("m²")
    page.get_by_test_id("unit").get_by_text("亩").click()
    expect(table).to_contain_text("亩")


def test_a_report_opens_again_from_its_address(open_page: Open) -> None:
    page = open_page()
    check_sample(page)
    until(page, "location.hash.includes('report=')")
    page.reload()
    expect(page.get_by_test_id("verdict")).to_be_visible(timeout=PATIENCE_MS)


def test_a_click_on_the_map_lists_the_plans_of_the_place(open_page: Open) -> None:
    page = open_page()
    box = page.get_by_test_id("map").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.get_by_test_id("identify")).to_be_visible()
    plans = page.locator("[data-testid=identified-plan]")
    plans.first.wait_for(state="attached")
    named = {plan.get_attribute("data-plan") for plan in plans.all()}
    assert "overall-plan" in named


def test_a_drawn_outline_leads_to_the_form_and_keeps_what_was_typed(open_page: Open) -> None:
    page = open_page()
    page.get_by_test_id("draw-own").click()
    page.get_by_test_id("corners").fill("110.00 19.50\n110.01 19.50\n110.01 19.51")
    page.get_by_test_id("draw").locator("button[type=submit]").click()
    form = page.get_by_test_id("form")
    form.locator("#field-name").fill("试验项目")
    page.get_by_test_id("check").click()
    expect(page.get_by_test_id("verdict")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_test_id("change-answers").click()
    expect(form.locator("#field-name")).to_have_value("试验项目")


def test_drawing_by_hand_makes_an_outline(open_page: Open) -> None:
    page = open_page("/#lang=zh&view=13/19.5/110")
    page.get_by_test_id("draw-own").click()
    # The pen takes the canvas over once it is loaded.
    until(page, "__map.getStyle().layers.some(layer => layer.id.startsWith('td-'))")
    for x, y in [(600, 300), (760, 320), (740, 470), (600, 300)]:
        page.mouse.move(x, y, steps=4)
        page.mouse.click(x, y)
        page.wait_for_timeout(400)
    expect(page.get_by_test_id("form")).to_be_visible()
    until(page, "location.hash.includes('site=')")


def test_a_refused_outline_is_explained_and_kept(open_page: Open) -> None:
    page = open_page()
    page.get_by_test_id("draw-own").click()
    corners = "110.00 19.50\n110.01 19.50\nabc"
    page.get_by_test_id("corners").fill(corners)
    page.get_by_test_id("draw").locator("button[type=submit]").click()
    expect(page.locator("#corners-refused")).not_to_be_empty()
    expect(page.get_by_test_id("corners")).to_have_value(corners)


def test_the_language_switch_turns_the_page(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    chinese = page.get_by_test_id("welcome").inner_text()
    page.get_by_test_id("language").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_test_id("check-sample")).to_contain_text("Check a sample site")
    assert page.get_by_test_id("welcome").inner_text() != chinese
    until(page, "location.hash.includes('lang=en')")


def test_axe_has_no_serious_findings_on_the_way_to_a_verdict(open_page: Open) -> None:
    page = open_page()
    assert serious_findings(page) == []
    check_sample(page)
    assert serious_findings(page) == []
    page.get_by_test_id("change-answers").click()
    page.get_by_test_id("form").wait_for()
    assert serious_findings(page) == []


def test_on_a_phone_the_sheet_holds_the_whole_first_minute(open_page: Open) -> None:
    page = open_page(phone=True)
    expect(page.get_by_test_id("sheet")).to_be_visible()
    assert serious_findings(page) == []
    check_sample(page)
    assert drawn_numbers(page)
    page.get_by_test_id("tab-layers").click()
    expect(page.get_by_test_id("layer-toggle").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
