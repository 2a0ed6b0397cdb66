"""Every page as axe-core sees it, in both themes: nothing serious, nothing critical."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from bench.browser import chromium, path_of, settle
from dashboard.pages import PAGES

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
DRAWN_MS = 2_500
OF_THE_MENU = ("list", "listitem")
"""Streamlit's menu with sections lays blocks between the list and its items."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(color_scheme=request.param, reduced_motion="reduce", bypass_csp=True)
    yield context.new_page()
    context.close()


def faults(page: Page) -> list[str]:
    """What keeps people out, an element each."""
    found: list[dict[str, Any]] = axe.Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if not (rule["id"] in OF_THE_MENU and in_menu(page, node["target"][0]))
    ]


def in_menu(page: Page, selector: str) -> bool:
    return bool(page.evaluate("s => !!document.querySelector(s)?.closest('[data-testid=stSidebarNavItems]')", selector))


@pytest.mark.parametrize("view", [entry.view for entry in PAGES])
def test_nothing_on_a_page_keeps_people_out(page: Page, server: str, view: str) -> None:
    page.goto(server + path_of(view))
    settle(page)
    page.wait_for_timeout(DRAWN_MS)
    assert faults(page) == []


def test_what_keeps_people_out_is_found(page: Page, server: str) -> None:
    page.goto(server + path_of("start"))
    settle(page)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<button></button><ul><div>a</div></ul>')")
    assert {fault.partition(":")[0] for fault in faults(page)} >= {"button-name", "list"}
