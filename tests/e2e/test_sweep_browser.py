"""A planner sweeps a load against a size, names what came of it, and throws it away."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from bench.browser import settle

RUN_MS = 240_000


def test_a_sweep_is_run_named_and_deleted(page: Page, server: str, runs: Path) -> None:
    page.goto(f"{server}/sweep")
    settle(page)
    page.get_by_role("combobox", name="Second value").click()
    page.get_by_role("option", name="own: base, Replicas").click()
    values = page.get_by_role("textbox", name="Its values", exact=True)
    values.fill("3, 5")
    values.press("Enter")
    expect(page.get_by_text("4 points, 3 topologies each")).to_be_visible()
    page.get_by_role("button", name="Run the sweep").click()
    expect(page.get_by_text("The sweep is done.")).to_be_visible(timeout=RUN_MS)
    (folder,) = (path.parent for path in runs.glob("*/sweep.parquet"))
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(2)
    expect(page.get_by_text(f"{folder.name}, colour:")).to_be_visible()
    keep = page.get_by_test_id("stMain").get_by_role("button", name="Name, note or delete")
    keep.click()
    named = page.get_by_role("textbox", name="New name")
    named.fill("load against size")
    named.press("Enter")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_text("load against size, colour:")).to_be_visible()
    assert (runs / "load against size" / "sweep.parquet").is_file()
    assert not folder.exists()
    sure = page.get_by_text("Delete load against size for good")
    if not sure.is_visible():
        keep.click()
    expect(page.get_by_role("button", name="Delete", exact=True)).to_be_disabled()
    sure.click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("What came of it")).to_have_count(0)
    assert not (runs / "load against size").exists()
