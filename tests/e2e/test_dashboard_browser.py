"""The dashboard as a person uses it, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from bench.browser import server as browser_server
from bench.browser import settle

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
PATIENCE_MS = 240_000
RUN_MS = 240_000
"""For a run that searches its sizes on a machine that is busy."""
SESSIONS = 10


def run_scenario(page: Page, server: str, text: str) -> None:
    """Type a scenario into the editor and run it."""
    page.goto(f"{server}/scenario")
    settle(page)
    area = page.locator(".st-key-scenario-text textarea")
    area.fill(text)
    area.press("Control+Enter")
    expect(page.get_by_text("Valid:")).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()


def slider(page: Page, label: str) -> Locator:
    return page.get_by_test_id("stSlider").filter(has_text=label).get_by_role("slider")


def test_a_scenario_is_run_and_its_result_opened_and_reloaded(page: Page, server: str) -> None:
    run_scenario(page, server, SCENARIO.read_text().replace("name: small", "name: mine"))
    page.get_by_role("link", name="Open the result").click()
    expect(page.locator("h1").first).to_have_text("mine")
    assert "run=mine-" in page.url
    page.reload()
    settle(page)
    expect(page.locator("h1").first).to_have_text("mine")


def test_without_a_run_one_click_leads_to_a_verdict(page: Page, tmp_path: Path) -> None:
    with browser_server(out=tmp_path) as (empty, _):
        page.goto(empty)
        settle(page)
        page.get_by_role("button", name="Run the quickstart").click()
        expect(page.locator("h1").first).to_have_text("quickstart", timeout=RUN_MS)
        expect(page.get_by_text("the cheapest topology that meets the SLO").first).to_be_visible()
        assert "run=quickstart-" in page.url


def test_a_running_job_survives_a_reload_and_can_be_cancelled(page: Page, server: str, runs: Path) -> None:
    long = SCENARIO.read_text().replace("horizon_s: 120", "horizon_s: 150000").replace("name: small", "name: long")
    run_scenario(page, server, long)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    assert "job=" in page.url
    page.reload()
    settle(page)
    expect(page.get_by_text("simulating").first).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled at")).to_be_visible()
    assert list(runs.glob("long-*.partial"))


def test_the_address_names_the_run_on_every_page_and_nobody_else_is_asked(page: Page, server: str, runs: Path) -> None:
    name = next(path.parent.name for path in runs.glob("small-*/manifest.json"))
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2] if "://" in request.url else ""))
    page.goto(f"{server}/?run={name}")
    settle(page)
    page.get_by_role("link", name="Load", exact=True).click()
    expect(page).to_have_url(f"{server}/load?run={name}")
    page.reload()
    expect(page).to_have_url(f"{server}/load?run={name}")
    page.get_by_role("link", name="Latency", exact=True).click()
    expect(page).to_have_url(f"{server}/latency?run={name}")
    for _ in range(6):
        if page.url == f"{server}/?run={name}":
            break
        page.go_back()
        page.wait_for_timeout(2_000)
        expect(page.get_by_test_id("stSidebar").get_by_role("combobox").first).to_have_value(re.compile("^small, "))
    assert page.url == f"{server}/?run={name}"
    page.goto(f"{server}/?run=gone")
    expect(page.get_by_text("no run 'gone' here")).to_be_visible()
    assert hosts - {""} == {server.removeprefix("http://")}


def test_a_slider_moves_the_figures_and_the_address(page: Page, server: str) -> None:
    page.goto(f"{server}/what-if")
    settle(page)
    expect(page.get_by_text("nothing yet")).to_be_visible()
    handle = slider(page, "Demand")
    handle.focus()
    for _ in range(5):
        handle.press("ArrowRight")
    expect(page.get_by_text("arrivals.rate_rps=5")).to_be_visible()
    assert "what_if.demand=1.25" in page.url
    page.reload()
    settle(page)
    expect(page.get_by_text("arrivals.rate_rps=5")).to_be_visible()


def test_what_the_mouse_zooms_into_is_in_the_link(page: Page, server: str) -> None:
    page.goto(f"{server}/load")
    settle(page)
    chart = page.locator(".st-key-wide-load-chart").get_by_test_id("stVegaLiteChart")
    expect(chart).to_be_visible()
    box = chart.bounding_box()
    assert box is not None
    whole = [float(bound) for bound in _bounds(page)]
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 80)
    for _ in range(3):
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(200)
    expect(page).to_have_url(re.compile(r"load\.window=[\d.]+&load\.window=[\d.]+"))
    settle(page)
    begin, end = (float(bound) for bound in _bounds(page))
    assert whole[0] < begin < end < whole[1]
    kept = parse_qs(urlsplit(page.url).query)["load.window"]
    assert [float(minute) for minute in kept] == pytest.approx([begin, end], abs=0.051)
    page.goto(page.url)
    settle(page)
    assert [float(bound) for bound in _bounds(page)] == pytest.approx([begin, end])
    page.get_by_role("link", name="Engine").click()
    expect(page.get_by_role("spinbutton", name="From [s]")).to_be_visible()
    settle(page)
    start_s = float(page.get_by_role("spinbutton", name="From [s]").input_value())
    assert 60 * begin - 0.1 <= start_s <= 60 * end
    page.get_by_role("link", name="Load").click()
    expect(page.get_by_text("Shown minutes")).to_be_visible()
    settle(page)
    assert [float(bound) for bound in _bounds(page)] == pytest.approx([begin, end], abs=0.051)


def _bounds(page: Page) -> list[str]:
    """Minutes at which the handles of Load's slider stand."""
    handles = page.get_by_role("slider")
    expect(handles).to_have_count(2)
    return [handles.nth(k).input_value() for k in range(2)]


def test_a_click_on_a_point_shows_its_figures(page: Page, server: str) -> None:
    page.goto(f"{server}/pareto")
    settle(page)
    chart = page.get_by_test_id("stVegaLiteChart")
    expect(chart).to_be_visible()
    page.wait_for_timeout(1500)
    box = chart.bounding_box()
    assert box is not None
    shown = page.get_by_role("heading", level=2)
    expect(shown).to_have_count(0)
    for across in range(2, 98, 1):
        # the points' places depend on the figures: look along the chart until the cursor is over one
        for down in range(4, 96, 3):
            x, y = box["x"] + box["width"] * across / 100, box["y"] + box["height"] * down / 100
            if page.evaluate(
                "([x, y]) => document.elementFromPoint(x, y)?.getAttribute('aria-roledescription') === 'point'", [x, y]
            ):
                page.mouse.click(x, y)
                expect(shown.first).to_be_visible()
                return
    pytest.fail("no point of the chart was found")


def test_the_memo_can_be_downloaded(page: Page, server: str) -> None:
    page.goto(f"{server}/export")
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Memo (Markdown)").click()
    text = Path(download.value.path()).read_text()
    assert "## Comparison" in text


def test_ten_people_at_once_see_their_own_figures(browser: Browser, server: str) -> None:
    contexts = [browser.new_context() for _ in range(SESSIONS)]
    pages = [context.new_page() for context in contexts]
    factors = [round(1.0 + 0.05 * k, 2) for k in range(SESSIONS)]
    for own, factor in zip(pages, factors, strict=True):
        own.set_default_timeout(PATIENCE_MS)
        own.goto(f"{server}/what-if?what_if.demand={factor}")
    for own, factor in zip(pages, factors, strict=True):
        settle(own)
        words = "nothing yet" if factor == 1 else f"arrivals.rate_rps={4 * factor:g}"
        expect(own.get_by_text(words, exact=False).first).to_be_visible()
        expect(own.get_by_test_id("stAlertContentError")).to_have_count(0)
    for context in contexts:
        context.close()
