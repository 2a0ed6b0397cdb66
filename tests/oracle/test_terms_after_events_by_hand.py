"""Terms that begin before an event, with it and after it, each paid to its end: by a plain table of months."""

from __future__ import annotations

from pathlib import Path

import pytest
from agreement import second_bill
from test_units_found_by_hand import SPILL, run, text, units_by_month

from simulator.run.simulate import Run

USD = 73.0
"""A unit at $0.1 an hour for a month."""


def paid(wanted: list[int], usd: list[float], term: int) -> list[float]:
    """What runs in each month: so many units as are missing begin a term at the price of their month."""
    bill = [0.0] * len(wanted)
    there = [0] * len(wanted)
    for month, units in enumerate(wanted):
        begin = max(units - there[month], 0)
        for later in range(month, min(month + term, len(wanted))):
            there[later] += begin
            bill[later] += begin * usd[month]
    return bill


def after_the_study(wanted: list[int], usd: list[float], term: int) -> float:
    """What is still owed at its end, of a month of the study."""
    longer = [*wanted, *([0] * term)]
    return sum(paid(longer, [*usd, *([0.0] * term)], term)[len(wanted) :]) / len(wanted)


def months(found: Run) -> list[dict[str, float]]:
    return found.decision["topologies"]["spill"]["months"]


def study(months_: int, loads: dict[int, float], *events: tuple[int, float]) -> str:
    steps = ", ".join(f"{{from_month: {month}, load: {load}}}" for month, load in loads.items())
    changes = ", ".join(
        f"{{name: price-{month}, from_month: {month}, topology: spill, "
        f"change: {{providers: [{{name: api, usd_per_unit_hour: {usd}}}]}}}}"
        for month, usd in events
    )
    return f"months: {months_}, load_steps: [{steps}], events: [{changes}]"


def test_units_that_an_event_buys_run_on_where_the_load_falls_after_it(tmp_path: Path) -> None:
    """Month 2 makes units cheaper and doubles the load: what is missing begins there, and serves months 4 to 6."""
    found = run(tmp_path, text(SPILL, "term_months: 12, ", study(6, {2: 2, 4: 0.5}, (2, 0.05))))
    units = units_by_month(found, "spill")
    assert units[0] < units[1] == units[2]
    assert units[3] < units[0]
    usd = [USD, *([USD / 2] * 5)]
    owed = after_the_study(units, usd, 12)
    lines = paid(units, usd, 12)
    assert lines[3] == lines[1], "all of them are paid"
    assert [month["usd"] for month in months(found)[3:]] == pytest.approx([line + owed for line in lines[3:]]), (
        "no call goes to the API behind them while units that are paid lie idle"
    )
    assert all(month["usd"] >= line + owed - 1e-6 for month, line in zip(months(found), lines, strict=True))
    assert all(month["meets"] for month in months(found))
    texts = [one["text"] for one in found.summary["topologies"]["spill"]["warnings"]]
    assert f"months 4 to 6: {units[1]} units of api are there, since terms that are paid run on" in texts
    bill = second_bill(found.bundle, "spill").mean_lines()
    assert sum(row["usd"] for row in bill) == pytest.approx(
        found.summary["topologies"]["spill"]["cost"]["usd_per_month"]
    )


def test_what_one_event_buys_is_paid_and_serves_after_the_next(tmp_path: Path) -> None:
    """Twice the load from month 2 on, half of it from month 4, when units are dearer: none begins there."""
    found = run(tmp_path, text(SPILL, "term_months: 4, ", study(7, {2: 2, 4: 0.5}, (2, 0.05), (4, 0.2))))
    units = units_by_month(found, "spill")
    usd = [USD, *([USD / 2] * 2), *([USD * 2] * 4)]
    lines = paid(units, usd, 4)
    owed = after_the_study(units, usd, 4)
    assert units[2] > units[0]
    assert [month["usd"] for month in months(found)[3:5]] == pytest.approx([line + owed for line in lines[3:5]])
    assert lines[5] < lines[3], "the last of them end with month 5"
    assert units[5] < units[0]


def test_an_event_with_more_load_buys_what_is_missing_beside_what_runs(tmp_path: Path) -> None:
    """Held to the units that run, it would pay by the token for what comes above them."""
    found = run(tmp_path, text(SPILL, "term_months: 12, ", study(4, {3: 2}, (3, 0.05))))
    units = units_by_month(found, "spill")
    assert units[2] > 1.7 * units[0]
    usd = [USD, USD, USD / 2, USD / 2]
    owed = after_the_study(units, usd, 12)
    fixed = [line + owed for line in paid(units, usd, 12)]
    spilled = [month["usd"] - line for month, line in zip(months(found), fixed, strict=True)]
    assert min(spilled) >= -1e-6
    assert spilled[2] < 2 * USD * 5, "the rest is less than what a few more units would cost"
