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
from calibrate.serving.report import (
    GROUPS,
    HEADERS,
    Comparison,
    as_json,
    compare_rows,
    line_rows,
    table_rows,
    worst,
)
from calibrate.serving.score import BELOW, BURST, SATURATED
from calibrate.serving.steps import catalog_steps
from simulator.catalog.overheads import (
    FIGURES,
    expert_rows,
    family_rows,
    front_end,
    host_rows,
    link_rows,
    overhead_rows,
    penalty_seq_s,
)
from simulator.catalog.quantity import Quantity

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
            cell = cell.replace(",", "")
            assert float(cell.split()[0]) == pytest.approx(1e6 * quantity.value, rel=5e-3)
            if quantity.low is not None:
                low, high = cell.split("(")[1].rstrip(")").split(" to ")
                assert (float(low), float(high)) == pytest.approx((1e6 * quantity.low, 1e6 * quantity.high), rel=5e-3)


def shown(quantity: Quantity) -> str:
    """A share with its bounds, by the words that stand in the section."""
    return (
        f"{quantity.value:.2f} ({quantity.low:.2f} to {quantity.high:.2f})"
        if quantity.low
        else (f"{quantity.value:.2f}")
    )


def test_shares_of_experts_families_links_and_hosts_stand_beside_the_overheads(section: str) -> None:
    header, *rows = table(section, "Fitted overheads", 1)
    formats = list(expert_rows()[0].shares)
    assert header == ["", *formats]
    kinds = [
        (row.since, kind, of)
        for row in expert_rows()
        for kind, of in (("", row.shares), (", products", row.products), (", tuned products", row.tuned))
        if of
    ]
    assert rows == [
        [f"from vLLM {since}{kind}", *(shown(of[name]) if name in of else "" for name in formats)]
        for since, kind, of in kinds
    ]
    assert [kind for _, kind, _ in kinds[:3]] == ["", ", products", ", tuned products"]
    header, *rows = table(section, "Fitted overheads", 2)
    assert header == ["family", "GPUs", "compute"]
    assert rows == [[row.name, ", ".join(row.gpus), shown(row.compute)] for row in family_rows()]
    told = section.split("### Fitted overheads\n", 1)[1].split("\n### ", 1)[0]
    own, template = front_end().own_s.value, front_end().template_s.value
    assert f"takes {1000 * template:.1f} ms for each chat by a model's template, {1000 * own:.1f} ms where" in told
    assert f"adds {1_000_000 * penalty_seq_s().value:.0f} µs to each sequence" in told
    assert all(f"{'/'.join(row.gpus)}: {shown(row.share)}" in told for row in link_rows())
    assert all(f"{'/'.join(row.gpus)}: {row.factor.value:.2g}" in told for row in host_rows())


def test_stated_errors_of_other_sources_are_told_by_regime(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {
        BELOW: {"tpot": {"rows": 40, "coverage": 0.9}},
        SATURATED: {},
        BURST: {"throughput": {"rows": 3, "coverage": 1}},
    }
    bare = {BELOW: {"tpot": {"rows": 8, "coverage": 0.5}}, SATURATED: {}, BURST: {}}
    monkeypatch.setattr("calibrate.serving.docs.coverage", lambda lines: {"all": held, "one": bare})
    found = table(serving_section(comparison, {}), "Stated errors, from other sources")
    assert found == [
        ["source", "tpot, below saturation", "throughput, burst"],
        ["all", "90 % of 40", "100 % of 3"],
        ["one", "50 % of 8", ""],
    ]


def test_a_figure_stands_with_its_bounds_where_it_has_some() -> None:
    known = {"unit": "s", "kind": "derived", "source": "here", "date": "2026-11-30"}
    bounded = Quantity(value=2e-6, low=5e-7, high=4e-6, **known)
    assert docs._range(bounded) == "2 (0.5 to 4)"
    assert docs._range(Quantity(value=2e-6, **known)) == "2"
    assert docs._range(Quantity(value=8.06e-3, low=1.8e-4, high=9.3e-3, **known)) == "8,060 (180 to 9,300)"
    assert docs._share(Quantity(value=0.9, low=0.5, high=1.25, **known)) == "0.90 (0.50 to 1.25)"
    assert docs._share(Quantity(value=0.9, **known)) == "0.90"


LINE = {
    "row_id": "a",
    "dataset": "iog",
    "model": "m",
    "dtype": "fp8",
    "gpus": 4,
    "gpu": "h100",
    "load": "OpenLoop",
    "amount": 2.5,
    "regime": BELOW,
    "metric": "tpot",
    "statistic": "mean",
    "measured": 0.0125,
    "simulated": 0.015,
    "error": 0.2,
    "stated_p90": 0.25,
}


def test_a_row_is_printed_with_its_load_and_the_error_that_is_stated() -> None:
    (row,) = line_rows(pd.DataFrame([LINE]))
    names = ["a", "iog", "m fp8", "4 x h100", "OpenLoop 2.5", BELOW, "tpot mean"]
    assert row == [*names, "12.5", "15", "+20.0%", "±25%"]
    other = {"metric": "throughput", "amount": np.nan, "stated_p90": np.nan, "load": "Burst", "error": -0.05}
    (row,) = line_rows(pd.DataFrame([LINE | other | {"measured": 1234.0, "simulated": 0.5}]))
    assert row[4:] == ["Burst", BELOW, "throughput mean", "1234", "0.5", "-5.0%", ""]


def test_groups_are_printed_in_percent_and_a_metric_without_rows_as_none() -> None:
    known = {"rows": 3, "median_abs_error": 0.05, "p90_abs_error": 0.125, "bias": -0.02, "coverage": 0.5}
    result = {key: {} for key in ("overall", "saturated", "burst", *(key for key, _ in GROUPS))}
    result["overall"] = {"tpot": known}
    result["by_gpu"] = {"h100": {"e2e": known}}
    told = ["3", "5.0%", "12.5%", "-2.0%", "50%"]
    first, *_, last = table_rows(result)
    assert first == ["all rows below saturation", *told, *["-"] * 15]
    assert last == ["GPU h100", *["-"] * 15, *told]
    assert len(HEADERS) == len(first)


def test_the_largest_errors_of_either_sign_come_first() -> None:
    errors = [0.1, -0.4, 0.3, -0.4, 0.2]
    lines = pd.DataFrame([LINE | {"row_id": f"{at}", "error": error} for at, error in enumerate(errors)])
    lines = pd.concat([lines, pd.DataFrame([LINE | {"metric": "ttft", "error": 9.0}])], ignore_index=True)
    assert [row["row_id"] for row in worst(lines, 4)] == ["1", "3", "2", "4"]
    assert len(worst(pd.concat([lines] * 4, ignore_index=True))) == 15


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
