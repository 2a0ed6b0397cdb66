"""First paint and view switches of the dashboard in Chromium: `python bench/dashboard.py URL` of a running server."""

from __future__ import annotations

import json
import statistics
import sys
import time

from playwright.sync_api import Page, sync_playwright

REPEATS = 5
VIEWS = ("Compare", "Pareto", "Cost", "Break-even", "Load", "Latency", "Calibration", "Export")


def settled(page: Page, heading: str) -> None:
    page.wait_for_selector(f'h1:has-text("{heading}")')
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")


def main(url: str) -> None:
    """Medians over fresh sessions, printed as JSON."""
    first_s: list[float] = []
    switch_s: dict[str, list[float]] = {view: [] for view in VIEWS}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for _ in range(REPEATS):
            context = browser.new_context()
            page = context.new_page()
            began_s = time.perf_counter()
            page.goto(url)
            page.wait_for_selector("text=the cheapest topology")
            first_s.append(time.perf_counter() - began_s)
            for view in VIEWS:
                began_s = time.perf_counter()
                page.get_by_test_id("stSidebarNavLink").filter(has_text=view).first.click()
                settled(page, view)
                switch_s[view].append(time.perf_counter() - began_s)
            context.close()
        browser.close()
    found = {view: round(statistics.median(times), 2) for view, times in switch_s.items()}
    print(json.dumps({"first_paint_s": round(statistics.median(first_s), 2), "switch_s": found}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
