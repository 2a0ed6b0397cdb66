"""What is written in the editor outlives a reload, and two who write at once see each other."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Locator, Page, expect

from bench.browser import settle

PATIENCE_MS = 120_000


def opened(browser: Browser, address: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page.goto(address)
    settle(page)
    return page


def text_of(page: Page) -> Locator:
    return page.locator(".st-key-scenario-text textarea")


def shows(page: Page, name: str) -> None:
    expect(text_of(page)).to_have_value(re.compile(f"^name: {name}$", re.MULTILINE))


def write(page: Page, before: str, after: str) -> None:
    area = text_of(page)
    expect(area).to_have_value(re.compile(f"^{before}$", re.MULTILINE))
    area.fill(area.input_value().replace(before, after))
    area.press("Control+Enter")
    page.wait_for_timeout(500)
    settle(page)


def test_steps_of_a_scenario_survive_a_reload(browser: Browser, server: str) -> None:
    page = opened(browser, f"{server}/scenario")
    assert "draft=" not in page.url
    write(page, "name: quickstart", "name: first")
    expect(page).to_have_url(re.compile("draft="))
    write(page, "name: first", "name: second")
    page.reload()
    settle(page)
    shows(page, "second")
    for name in ("first", "quickstart"):
        page.get_by_role("button", name="Undo").click()
        settle(page)
        shows(page, name)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.context.close()


def test_of_two_editors_neither_loses_a_word(browser: Browser, server: str) -> None:
    mine = opened(browser, f"{server}/scenario")
    write(mine, "name: quickstart", "name: ours")
    expect(mine.get_by_text("Valid:")).to_be_visible()
    theirs = opened(browser, mine.url)
    write(theirs, "name: ours", "name: theirs")
    expect(mine.get_by_text("Two pages edit this scenario.")).to_be_visible()
    expect(mine.get_by_text("your page still shows the version before")).to_be_visible()
    write(mine, "name: ours", "name: mine")
    expect(mine.get_by_text("your change is not saved over theirs")).to_be_visible()
    mine.get_by_role("button", name="Keep mine").click()
    expect(mine.get_by_text("Two pages edit this scenario.")).to_have_count(0)
    shows(mine, "mine")
    expect(theirs.get_by_text("Two pages edit this scenario.")).to_be_visible()
    theirs.get_by_role("button", name="Take theirs").click()
    expect(theirs.get_by_text("Two pages edit this scenario.")).to_have_count(0)
    settle(theirs)
    shows(theirs, "mine")
    theirs.get_by_role("button", name="Undo").click()
    settle(theirs)
    shows(theirs, "theirs")
    mine.context.close()
    theirs.context.close()
