"""A dashboard that really runs, and Debian's Chromium to look at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bench import browser as chrome

VARIABLE = "SERVECAST_E2E"
HERE = Path(__file__).parent
PATIENCE_MS = 240_000
SCENARIO = HERE.parent / "data/scenarios/dashboard.yaml"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = None
    if VARIABLE not in os.environ:
        reason = f"needs a browser: `make test-e2e` ({VARIABLE} is not set)"
    elif chrome.chromium_path() is None:
        reason = "needs Debian's packages chromium and chromium-driver"
    for item in items:
        if reason and HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from simulator.run.simulate import simulate
    from simulator.scenario.load import load_scenario

    folder = tmp_path_factory.mktemp("runs")
    simulate(load_scenario(SCENARIO), folder)
    return folder


@pytest.fixture(scope="module")
def server(runs: Path) -> Iterator[str]:
    """Address of a dashboard that shows `runs` and writes there."""
    with chrome.server(runs, out=runs) as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chrome.chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own, which waits long, since machines are shared."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    found = context.new_page()
    found.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield found
    context.close()
