"""How fast the dashboard is in Chromium, and what ten sessions take: `python -m bench.dashboard RUNS`, JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from bench.browser import chromium, pss_bytes, server, settle
from dashboard.pages import PAGES

REPEATS = 5
SESSIONS = 10
VIEWS = tuple(entry.title for entry in PAGES[1:])
_VISITED = VIEWS[:5]
_VERDICT, _CHART = '[data-testid="stAlert"]', '[data-testid="stVegaLiteChart"] svg'


def first_paint(browser: Any, address: str) -> tuple[float, float]:
    """Seconds of a fresh session until the Overview's verdict is shown, and until its chart is drawn."""
    context = browser.new_context()
    page = context.new_page()
    began_s = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(_VERDICT)
    verdict_s = time.perf_counter() - began_s
    page.wait_for_selector(_CHART)
    chart_s = time.perf_counter() - began_s
    context.close()
    return verdict_s, chart_s


def switch(page: Any, view: str) -> float:
    """Seconds from the click on a view in the menu until its script has run."""
    began_s = time.perf_counter()
    page.get_by_test_id("stSidebarNavLink").filter(has_text=view).first.click()
    page.wait_for_selector(f'h1:has-text("{view}")', timeout=120_000)
    settle(page)
    return time.perf_counter() - began_s


def sessions(browser: Any, address: str) -> None:
    """Ten sessions, each with a demand of its own in What-if, then through some views."""
    pages = [browser.new_context().new_page() for _ in range(SESSIONS)]
    for k, page in enumerate(pages):
        page.goto(f"{address}/what-if?what_if.demand={1 + 0.05 * k:.2f}")
    for page in pages:
        settle(page)
    for view in _VISITED:
        for page in pages:
            switch(page, view)
    for page in pages:
        page.context.close()


def main(runs: Path) -> None:
    """First visit to a new server, then medians over fresh sessions, then memory; printed as JSON."""
    with server(runs, out=runs) as (address, pid), chromium() as browser:
        cold = first_paint(browser, address)
        warm = [first_paint(browser, address) for _ in range(REPEATS)]
        times: dict[str, list[float]] = {view: [] for view in VIEWS}
        for _ in range(REPEATS):
            page = browser.new_context().new_page()
            page.goto(address)
            settle(page)
            for view in VIEWS:
                times[view].append(switch(page, view))
            page.context.close()
        sessions(browser, address)
        found = {
            "cold_verdict_s": cold[0],
            "cold_chart_s": cold[1],
            "verdict_s": statistics.median(verdict for verdict, _ in warm),
            "chart_s": statistics.median(chart for _, chart in warm),
            "first_switch_s": {view: seconds[0] for view, seconds in times.items()},
            "switch_s": {view: statistics.median(seconds) for view, seconds in times.items()},
            "memory_mib": pss_bytes(pid) / 2**20,
        }
    print(json.dumps(_rounded(found), indent=1))


def _rounded(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _rounded(value) for key, value in node.items()}
    return round(node, 2)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
