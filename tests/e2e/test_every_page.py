"""Every page as a browser and axe-core see it: no error, and in both themes nothing serious, nothing critical."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from bench.browser import chromium, path_of, settle
from dashboard.components.wide_chart import LABELS_PX
from dashboard.pages import PAGES

PATIENCE_MS = 240_000
DRAWN_MS = 2_500
THEMED_MS = 1_000
"""Until all is drawn anew in another theme."""
ORDERED = "heading-order"
"""Of no great harm to axe-core, but what people who hear a page find their way by."""
OF_THE_MENU = ("list", "listitem")
"""Streamlit's menu with sections lays blocks between the list and its items."""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """One for all: what every page needs of Streamlit is loaded once."""
    with chromium() as browser:
        context = browser.new_context(reduced_motion="reduce", bypass_csp=True)
        found = context.new_page()
        found.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield found
        context.close()


def faults(page: Page) -> list[str]:
    """What keeps people out, an element each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    found: list[dict[str, Any]] = axe.Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical") or rule["id"] == ORDERED
        for node in rule["nodes"]
        if not (rule["id"] in OF_THE_MENU and in_menu(page, node["target"][0]))
    ]


def in_menu(page: Page, selector: str) -> bool:
    return bool(page.evaluate("s => !!document.querySelector(s)?.closest('[data-testid=stSidebarNavItems]')", selector))


def contrast(element: Locator) -> float:
    """WCAG's ratio of the luminances of an element's words and of what they stand on: axe looks at no chosen tag."""
    colours = element.evaluate("e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
    dark, light = sorted(luminance(colour) for colour in colours)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_chosen_can_be_read(page: Page, server: str, theme: Any) -> None:
    page.emulate_media(color_scheme=theme)
    page.goto(server + path_of("start"))
    settle(page)
    tag = page.locator("[data-tag]").first
    expect(tag).to_be_visible()
    assert contrast(tag) >= 4.5


def faults_in(page: Page, theme: Any) -> list[str]:
    page.emulate_media(color_scheme=theme)
    expect(page.get_by_test_id("stApp")).to_have_css("color-scheme", theme)
    page.wait_for_timeout(THEMED_MS)
    return faults(page)


@pytest.mark.parametrize("view", [entry.view for entry in PAGES])
def test_a_page_shows_itself_and_keeps_nobody_out(page: Page, server: str, view: str) -> None:
    wrong: list[str] = []

    def note(error: Any) -> None:
        wrong.append(str(error))

    page.on("pageerror", note)
    page.goto(server + path_of(view))
    settle(page)
    main = page.get_by_test_id("stMainBlockContainer")
    first = main.get_by_test_id("stHeading").or_(main.get_by_test_id("stMarkdown")).first
    expect(first.locator("h1")).to_be_visible()
    page.wait_for_timeout(DRAWN_MS)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)
    entry = next(entry for entry in PAGES if entry.view == view)
    assert page.title().startswith(entry.title)
    assert page.title().endswith(" · servecast")
    assert not entry.needs_run or " of small-" in page.title()
    for chart in page.get_by_test_id("stVegaLiteChart").all():
        words, told, _ = (chart.get_attribute("aria-label") or "").partition("; its values follow as a table")
        assert told, "a chart says what it shows"
        expect(page.get_by_text(f"Values: {words}", exact=True)).to_be_visible()
    assert {theme: faults_in(page, theme) for theme in ("light", "dark")} == {"light": [], "dark": []}
    page.remove_listener("pageerror", note)
    assert wrong == []


def test_hours_of_ones_own_keep_nobody_out(page: Page, server: str) -> None:
    page.goto(f"{server}{path_of('start')}?answers={quote(json.dumps({'busy': 'own_hours', 'users': 40}))}")
    settle(page)
    page.get_by_role("button", name="More hours").click()
    expect(page.get_by_label("Hours 2: to [h]")).to_be_visible()
    assert {theme: faults_in(page, theme) for theme in ("light", "dark")} == {"light": [], "dark": []}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_keeps_people_out_is_found(page: Page, server: str, theme: str) -> None:
    page.goto(server + path_of("start"))
    settle(page)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<button></button><ul><div>a</div></ul><h6>a</h6>')")
    assert {fault.partition(":")[0] for fault in faults_in(page, theme)} >= {"button-name", "list", ORDERED}


def test_a_chart_over_time_is_as_wide_as_the_page(page: Page, server: str) -> None:
    left_px = []
    for width in (1280, 1920, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(server + path_of("load"))
        settle(page)
        place = page.locator(".st-key-wide-load-chart")
        drawn = place.locator("canvas.marks, svg.marks")
        expect(drawn).to_be_visible()
        page.wait_for_timeout(DRAWN_MS)
        seen, whole = place.evaluate("e => [e.clientWidth, e.scrollWidth]")
        chart = drawn.evaluate("e => e.clientWidth")
        assert whole >= chart
        left_px.append(seen - chart)
    assert all(0 <= left < LABELS_PX for left in left_px), "no more is left than the room for numbers of the axis"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
