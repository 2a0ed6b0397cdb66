"""A scenario of one's own model, GPU and prices, made of answers in a real browser, and run."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from bench.browser import settle
from simulator.catalog.models import models


def answer(page: Page, question: str, value: object) -> None:
    field = page.get_by_label(question)
    field.fill(str(value))
    field.press("Enter")
    settle(page)


def choose(page: Page, question: str, option: str) -> None:
    field = page.get_by_role("combobox", name=question)
    field.click()
    field.fill(option[:10])
    page.get_by_role("option", name=option, exact=True).click()
    settle(page)


def test_models_gpus_and_prices_of_ones_own_run(page: Page, server: str, runs: Path) -> None:
    page.goto(f"{server}/start")
    settle(page)
    expect(page.get_by_text("Default 6: a question every ten minutes.")).to_be_visible()
    choose(page, "Which model do you serve?", "one of my own (config.json)")
    expect(page.get_by_text("upload its config.json, or paste it")).to_be_visible()
    pasted = page.get_by_role("textbox", name="Or paste it")
    pasted.fill(json.dumps(models()["qwen3-8b"].config))
    pasted.press("Control+Enter")
    expect(page.get_by_text("8.19 billion parameters")).to_be_visible()
    answer(page, "How many people use it?", 30)
    answer(page, "If the catalog lacks it: what is it called?", "our card")
    answer(page, "What is its memory's peak bandwidth", -1344)
    field = page.get_by_test_id("stColumn").filter(has=page.get_by_label("What is its memory's peak bandwidth"))
    expect(field.get_by_text("must be above 0 (got -1344)")).to_be_visible()
    answer(page, "What is its memory's peak bandwidth", 1344)
    answer(page, "What do you pay to rent a GPU", 0.7)
    answer(page, "What does a server with its GPUs cost", 9500)
    expect(page).to_have_url(re.compile("9500"))
    page.reload()
    settle(page)
    expect(page.get_by_label("What do you pay to rent a GPU")).to_have_value("0.7")
    pasted.fill(json.dumps(models()["qwen3-8b"].config))
    pasted.press("Control+Enter")
    page.get_by_role("button", name="Write the scenario").click()
    expect(page.get_by_text("Valid:")).to_be_visible()
    expect(page.get_by_text("Beside it lies our-model.json")).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("link", name="Open the result").click()
    expect(page.locator("h1").first).to_have_text("new")
    (folder,) = runs.glob("new-*")
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["topologies"]) == {"on_prem", "cloud", "hybrid"}
    assert "our card" in (folder / "summary.json").read_text()
