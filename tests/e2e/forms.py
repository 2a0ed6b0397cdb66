"""Answering questions on a page of the dashboard, as a person does."""

from __future__ import annotations

import csv
import math
import random
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from bench.browser import settle

RUN_MS = 900_000
BY_DAY_S = 86_400


def say(page: Page, question: str, value: object) -> None:
    field = page.get_by_label(question)
    field.fill(str(value))
    field.press("Enter")
    page.wait_for_timeout(300)
    settle(page)


def choose(page: Page, question: str, option: str) -> None:
    field = page.get_by_role("combobox", name=question)
    field.click()
    field.fill(option)
    page.get_by_role("option", name=option, exact=True).click()
    settle(page)


def write_scenario(page: Page, written: str, instead: str) -> None:
    """Write the scenario of the answers, and change one text of it in the editor."""
    page.get_by_role("button", name="Write the scenario").click()
    area = page.locator(".st-key-scenario-text textarea")
    expect(area).to_have_value(re.compile(re.escape(written)))
    area.fill(area.input_value().replace(written, instead))
    area.press("Control+Enter")


def run_it(page: Page, told: str) -> None:
    """Run what the editor holds, once it is told to be valid, and open the result."""
    expect(page.get_by_text(told)).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("link", name="Open the result").click(timeout=RUN_MS)
    expect(page.locator("h1").first).to_have_text("new")


def run_shorter(page: Page, horizon_s: int) -> None:
    """Write the scenario of the answers, shorten its horizon in the editor, run it, open the result."""
    write_scenario(page, "horizon_s: 1800, warmup_s: 300", f"horizon_s: {horizon_s}, warmup_s: 60")
    run_it(page, f"{horizon_s // 60} min × 1")


def write_log(file: Path) -> int:
    """Three days of an access log: busy by day, quiet at night; each row names its request, as logs do."""
    draw, at_s, count = random.Random(7), 0.0, 0
    with file.open("w", newline="") as log:
        rows = csv.writer(log)
        rows.writerow(["arrival_s", "input_tokens", "output_tokens", "request_id"])
        while at_s < 3 * BY_DAY_S:
            hour = at_s / 3600 % 24
            at_s += draw.expovariate(0.05 + (0.45 * math.sin((hour - 7) / 13 * math.pi) if 7 < hour < 20 else 0.0))
            rows.writerow([f"{at_s:.3f}", draw.randint(50, 1800), draw.randint(20, 600), f"chatcmpl-{count:032x}"])
            count += 1
    return count
