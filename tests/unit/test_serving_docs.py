"""The section on published results and its plots say what the comparison found, number by number."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calibrate.serving import docs
from calibrate.serving.charts import TITLES, scatter, write_scatter
from calibrate.serving.docs import serving_section
from calibrate.serving.knee import Knee
from calibrate.serving.measured import Excluded
from calibrate.serving.read import read_tables
from calibrate.serving.report import Comparison, as_json, compare_rows
from calibrate.serving.score import BELOW
from calibrate.serving.steps import catalog_steps
from simulator.catalog.overheads import FIGURES, overhead_rows

POINTS = Path(__file__).parents[1] / "data" / "serving" / "points.csv"
KNEES = (
    Knee("one", (1.0, 2.0, 4.0), 1, 2),
    Knee("two", (1.0, 8.0, 16.0), 0, 2),
)
LEFT_OUT = ("no such GPU", "two images", "no such GPU")


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    found = compare_rows(read_tables([POINTS]), catalog_steps)
    return replace(found, knees=KNEES, excluded=tuple(Excluded("f.csv:1", "r", why) for why in LEFT_OUT))


@pytest.fixture(scope="module")
def section(comparison: Comparison) -> str:
    wider = as_json(comparison)
    return serving_section(comparison, {"half as wide": wider})


def table(section: str, title: str, number: int = 0) -> list[list[str]]:
    """Cells of the table below a heading, the header first."""
    below = section.split(f"### {title}\n", 1)[1].split("\n### ", 1)[0]
    tables = [list(lines) for starts, lines in groupby(below.splitlines(), lambda line: line[:1] == "|") if starts]
    lines = [line for line in tables[number] if set(line) - set("|-: ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def by_hand(lines: pd.DataFrame, metric: str) -> str:
    """Median and ninth of ten of what is off, the median of its sign, how many, and how many keep what is stated."""
    of = lines[(lines["metric"] == metric) & ((metric != "ttft") | lines["documented"])]
    errors = [simulated / measured - 1 for simulated, measured in zip(of["simulated"], of["measured"], strict=True)]
    if not errors:
        return ""
    median, p90 = np.percentile(np.abs(errors), [50, 90])
    stated = of["stated_p90"].to_list()
    kept = [abs(error) <= most for error, most in zip(errors, stated, strict=True) if most == most]
    told = f", {100 * sum(kept) / len(kept):.0f} %" if kept else ""
    return f"{100 * median:.1f} / {100 * p90:.0f} / {100 * np.median(errors):+.0f} ({len(errors)}{told})"


def test_each_cell_is_the_errors_of_its_rows(comparison: Comparison, section: str) -> None:
    lines = comparison.lines
    header, *rows = table(section, "In short")
    metrics = [cell.removesuffix(" error") for cell in header[1:]]
    assert metrics == ["tpot", "throughput", "ttft", "e2e"]
    for title, regime in (("below saturation", BELOW), ("saturated", "saturated"), ("burst", "burst")):
        (row,) = (row for row in rows if row[0] == title)
        scored = metrics if regime == BELOW else ["tpot", "throughput"]
        part = lines[(lines["regime"] == regime) & lines["metric"].isin(scored)]
        assert row[1:] == [by_hand(part, metric) for metric in metrics]
    below = lines[lines["regime"] == BELOW]
    for title, column, place in (
        ("By GPU, below saturation", "gpu", 0),
        ("By source, below saturation", "dataset", 0),
        ("By load level: requests in flight, below saturation", "level", 0),
    ):
        _, *groups = table(section, title, place)
        assert {row[0] for row in groups} == {str(name) for name in below[column]}
        for row in groups:
            part = below[below[column].astype(str) == row[0]]
            assert row[1:] == [by_hand(part, metric) for metric in metrics]


def test_knees_are_counted_where_they_are_within_one_rate(section: str) -> None:
    assert "part. 1 of 2 series have it within one rate" in section
    assert table(section, "The knee")[1:] == [
        ["one", "1, 2, 4", "2", "4"],
        ["two", "1, 8, 16", "1", "16"],
    ]


def test_what_is_left_out_is_counted_by_reason_the_most_frequent_first(section: str) -> None:
    assert table(section, "Rows left out")[1:] == [["2", "no such GPU"], ["1", "two images"]]


def test_the_largest_errors_come_first_in_milliseconds(comparison: Comparison, section: str) -> None:
    tpot = comparison.lines[comparison.lines["metric"] == "tpot"].assign(size=lambda of: of["error"].abs())
    first = tpot.sort_values("size", ascending=False).iloc[0]
    row = table(section, "Largest errors of TPOT")[1]
    assert row[0] == first["row_id"][:48]
    assert row[2] == f"{first['gpus']} x {first['gpu']}"
    assert row[-3:] == [
        f"{1000 * first['measured']:.1f}",
        f"{1000 * first['simulated']:.1f}",
        f"{100 * first['error']:+.0f} %",
    ]


def test_overheads_stand_with_their_bounds_in_microseconds(section: str) -> None:
    header, *rows = table(section, "Fitted overheads")
    versions = overhead_rows()
    assert header[1:] == [f"from vLLM {version.since}" for version in versions]
    assert [row[0] for row in rows] == list(FIGURES)
    for row in rows:
        for cell, version in zip(row[1:], versions, strict=True):
            quantity = getattr(version, row[0])
            assert float(cell.split()[0]) == pytest.approx(1e6 * quantity.value, rel=5e-3)
            if quantity.low is not None:
                low, high = cell.split("(")[1].rstrip(")").split(" to ")
                assert (float(low), float(high)) == pytest.approx((1e6 * quantity.low, 1e6 * quantity.high), rel=5e-2)


def test_only_its_section_of_a_document_changes(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.md"
    path.write_text(f"# A\n\nbefore\n\n{docs.BEGIN}\nold\n{docs.END}\n\nafter\n", encoding="utf-8")
    docs.write_docs(path, "new\n")
    text = path.read_text(encoding="utf-8")
    assert "old" not in text
    assert [part in text for part in ("before", "new", "after", docs.BEGIN, docs.END)] == [True] * 5
    assert text.index("before") < text.index("new") < text.index("after")


def panels(lines: pd.DataFrame) -> list[dict[str, Any]]:
    return scatter(lines).to_dict()["concat"]


def test_plots_show_measured_along_simulated_with_the_line_on_which_both_are_equal(
    comparison: Comparison, tmp_path: Path
) -> None:
    whole = scatter(comparison.lines).to_dict()
    for panel, (metric, title) in zip(whole["concat"], TITLES.items(), strict=True):
        points, line = panel["layer"]
        lines = comparison.lines[comparison.lines["metric"] == metric]
        drawn = whole["datasets"][points["data"]["name"]]
        assert sorted(each["measured"] for each in drawn) == sorted(lines["measured"])
        assert (points["encoding"]["x"]["field"], points["encoding"]["y"]["field"]) == ("measured", "simulated")
        assert points["encoding"]["x"]["title"] == f"measured {title}"
        both = [*lines["measured"], *lines["simulated"]]
        ends = whole["datasets"][line["data"]["name"]]
        assert ends == [{"measured": end, "simulated": end} for end in (min(both), max(both))]
    page = tmp_path / "folder" / "plots.html"
    write_scatter(comparison.lines, page)
    assert "cdn." not in page.read_text(encoding="utf-8")


def test_a_metric_without_rows_has_an_empty_panel(comparison: Comparison) -> None:
    lines = comparison.lines
    assert len(panels(lines[lines["metric"] == "ttft"])) == len(TITLES)
