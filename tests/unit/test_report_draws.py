"""Charts of draws that are made up: each mark at its figure, with its unit."""

from __future__ import annotations

from typing import Any

from simulator.report.draw_charts import intervals, swings

DRAWN = {"usd_per_month": {"low": 80.0, "median": 100.0, "high": 130.0}}


def rows_of(chart: dict[str, Any]) -> list[dict[str, Any]]:
    (rows,) = chart["datasets"].values()
    return list(rows)


def test_an_interval_has_its_ends_and_its_median_by_topology() -> None:
    found = {"own": {"uncertainty": DRAWN}, "fixed": {"uncertainty": None}}
    chart = intervals(found, list(found)).to_dict()
    assert rows_of(chart) == [{"topology": "own", "low": 80.0, "median": 100.0, "high": 130.0}]
    span, middle = chart["layer"]
    assert (span["mark"]["type"], span["encoding"]["x"]["field"], span["encoding"]["x2"]["field"]) == (
        "rule",
        "low",
        "high",
    )
    assert span["encoding"]["x"]["title"] == "$ per month"
    assert (middle["mark"]["type"], middle["mark"]["filled"], middle["encoding"]["x"]["field"]) == (
        "point",
        True,
        "median",
    )
    for layer in (span, middle):
        assert layer["encoding"]["y"]["sort"] == ["own", "fixed"]
        assert [one["field"] for one in layer["encoding"]["tooltip"]] == ["topology", "low", "median", "high"]


def swing(name: str, low: float, high: float) -> dict[str, Any]:
    ends = {"low": 0.5, "base": 1.0, "high": 2.0}
    usd = {"usd_per_month_low": low, "usd_per_month_base": 100.0, "usd_per_month_high": high}
    return {"input": name, "unit": "", **ends, **usd}


def test_a_swing_goes_from_the_base_to_both_ends_and_ten_are_shown() -> None:
    every = [swing(f"input {k}", 100.0 - k, 100.0 + 2 * k) for k in range(12, 0, -1)]
    chart = swings("own", every).to_dict()
    rows = rows_of(chart)
    assert len(rows) == 2 * 10
    assert [(row["input"], row["end"], row["usd"], row["base"]) for row in rows[:2]] == [
        *(("input 12", "low", 88.0, 100.0), ("input 12", "high", 124.0, 100.0)),
    ]
    encoding = chart["encoding"]
    assert (encoding["x"]["field"], encoding["x2"]["field"]) == ("base", "usd")
    assert encoding["y"]["sort"] == [one["input"] for one in every[:10]]
    assert encoding["x"]["scale"] == {"zero": False}
    assert chart["title"] == {
        "text": "Cost per month with one input at a time",
        "subtitle": "own",
        "subtitleColor": "gray",
    }
