"""How fast the dashboard is in Chromium, and what ten sessions take: `python -m bench.dashboard RUNS`, JSON.

Views are switched and values of What-if changed ten times each on a server that has nothing else to do, and again while
six runs are under way on it.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.browser import chromium, pss_bytes, server, settle
from bench.under_way import runs_under_way
from dashboard.pages import PAGES

REPEATS = 10
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


def what_if(browser: Any, address: str) -> list[float]:
    """Seconds from a demand that is typed into What-if until its answer is shown, once for each of ten demands."""
    page = browser.new_context().new_page()
    page.goto(f"{address}/what-if")
    settle(page)
    found = []
    for k in range(REPEATS + 1):
        field = page.get_by_label("Demand ×: typed")
        words = f"rate_scale={4 * (1.2 + 0.1 * k):g}"
        field.fill(f"{1.2 + 0.1 * k:.2f}")
        began_s = time.perf_counter()
        field.press("Enter")
        page.wait_for_selector(f'[data-testid="stCaptionContainer"]:has-text("{words}")', timeout=120_000)
        settle(page)
        found.append(time.perf_counter() - began_s)
    page.context.close()
    return found


def times_of(browser: Any, address: str) -> dict[str, list[float]]:
    """Seconds of ten fresh sessions: of each view that is switched to, and of changes of What-if behind the first."""
    times: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        page = browser.new_context().new_page()
        page.goto(address)
        settle(page)
        for view in VIEWS:
            times.setdefault(f"switch to {view}", []).append(switch(page, view))
        page.context.close()
    first, *others = what_if(browser, address)
    return times | {"first change of What-if": [first], "change of What-if": others}


def of_ten(times: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Median and worst of each."""
    return {
        name: {"median_s": round(statistics.median(values), 2), "worst_s": round(max(values), 2)}
        for name, values in times.items()
    }


def main(runs: Path) -> None:
    """Median and worst of all, in seconds, quiet and beside runs, then memory after ten sessions; printed as JSON."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        out = Path(folder)
        shutil.copytree(runs, out, dirs_exist_ok=True)
        with server(out, out=out) as (address, pid):
            first_paint(browser, address)
            found["load before"] = os.getloadavg()[0]
            found["quiet"] = of_ten(times_of(browser, address))
            with runs_under_way(out):
                found["six runs under way"] = of_ten(times_of(browser, address))
            sessions(browser, address)
            found["memory_mib"] = round(pss_bytes(pid) / 2**20)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
