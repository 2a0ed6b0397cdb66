"""What is shown of a decision, of months, break-evens and capacities that are made up."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.report.decision import (
    capacity_notes,
    decision_screen,
    grows,
    month_rows,
    months_met_words,
    months_notes,
    pair_rows,
    used_words,
)
from simulator.report.memo import _speeds


def month(number: int, meets: bool | None, usd: float, **given: Any) -> dict[str, Any]:
    plain = {"servers": 0, "liability_usd": 0.0, "level": [1.0 + 0.5 * number], "binding": f"p95 of month {number}"}
    return {"month": number, "meets": meets, "usd": usd, **plain, **given}


def found(months: list[dict[str, Any]], **given: Any) -> dict[str, Any]:
    met = [one["meets"] for one in months]
    until = months[met.index(False)]["month"] - 1 if False in met else None
    plain = {"months": months, "break_even": [], "capacity": None, "binding": None, "lasts_until": until}
    return {**plain, "meets": all(met), **given}


def pair(rival: str, **given: Any) -> dict[str, Any]:
    none = dict.fromkeys(("months", "months_discounted", "hours_per_day", "hours_below", "volume"))
    return {"rival": rival, **none, **given}


def decision(**topologies: dict[str, Any]) -> dict[str, Any]:
    return {"topologies": topologies, "flips": []}


KEEPS = [month(1, True, 1000.0, servers=1), month(2, True, 1234.5, servers=3, liability_usd=99.5)]


@pytest.mark.parametrize(
    ("months", "said"),
    [
        (KEEPS, "x meets the SLO in all 2 months: $1,000 in the first month, $1,234 in the last."),
        (
            [month(1, True, 1.0), month(2, None, 2.0), month(3, None, 3.0)],
            "x is not known to meet the SLO in 2 of 3 months: p95 of month 2; $1.00 in the first month, $3.00 in the "
            "last.",
        ),
        (
            [month(1, False, 1.0), month(2, False, 2.0)],
            "x misses the SLO in every month, from the first on: p95 of month 1; $1.00 in the first month, $2.00 in "
            "the last.",
        ),
        (
            [month(1, False, 1.0), month(2, True, 2.0), month(3, True, 3.0)],
            "x misses the SLO in month 1 and meets it in 2 of the 3 months from then on: p95 of month 1; $1.00 in the "
            "first month, $3.00 in the last.",
        ),
        (
            [month(1, True, 1.0), month(2, False, 2.0), month(3, False, 3.0)],
            "x meets the SLO until month 1; then p95 of month 2; $1.00 in the first month, $3.00 in the last.",
        ),
        (
            [month(1, True, 1.0), month(2, True, 2.0), month(3, False, 3.0), month(4, True, 4.0)],
            "x meets the SLO until month 2 and meets it in 1 of the 2 months from then on; then p95 of month 3; $1.00 "
            "in the first month, $4.00 in the last.",
        ),
    ],
)
def test_how_a_topology_gets_through_its_months(months: list[dict[str, Any]], said: str) -> None:
    assert months_notes(decision(x=found(months)), ["x"]) == [said]


def test_months_that_are_alike_are_told_once() -> None:
    alike = [month(number, True, 5.0, level=[1.0]) for number in (1, 2)]
    assert not grows(decision(x=found(alike)))
    assert months_notes(decision(x=found(alike)), ["x"]) == []
    for change in ({"level": [2.0]}, {"meets": False}, {"usd": 6.0}):
        assert grows(decision(x=found([alike[0], {**alike[1], **change}])))


def test_a_row_of_months_has_servers_and_costs_of_both_ends() -> None:
    rows = month_rows(decision(a=found(KEEPS), b=found([month(1, False, 5.0), month(2, True, 7.0)])), ["a", "b"])
    assert rows[0][3:] == ["1 to 3", "1,000", "1,234", "99.50"]
    assert rows[1][3:] == ["-", "5.00", "7.00", "0"]
    assert [row[1] for row in rows] == ["2 of 2 months", "1 of 2 months"]
    assert months_met_words([month(1, True, 1.0), month(2, None, 1.0)]) == "1 of 2 months, 1 not known"


@pytest.mark.parametrize(
    ("given", "cells"),
    [
        ({}, ["never", "never", "-", "-"]),
        ({"months": 0.0, "months_discounted": 9.994}, ["the start", "9.99", "-", "-"]),
        ({"months": 10.04, "months_discounted": 9.999}, ["10.0", "10.00", "-", "-"]),
        ({"hours_per_day": 7.5}, ["never", "never", "above 7.50", "-"]),
        ({"hours_below": 2.5}, ["never", "never", "below 2.50", "-"]),
        (
            {"volume": {"factor": 2.0, "side": "above", "tokens_per_month": 3.2e9, "tried": []}},
            ["never", "never", "-", "above × 2, 3,200M tokens a month"],
        ),
        (
            {"volume": {"factor": 0.125, "side": "below", "tokens_per_month": None, "month": 3, "tried": []}},
            ["never", "never", "-", "below × 0.125 of month 3"],
        ),
        (
            {"volume": {"factor": None, "side": "never", "tried": [[0.0625, 1.0, 2.0], [16.0, 1.0, 2.0]]}},
            ["never", "never", "-", "never, × 0.0625 to 16"],
        ),
    ],
)
def test_from_when_a_choice_costs_less(given: dict[str, Any], cells: list[str]) -> None:
    told = decision(a=found(KEEPS, break_even=[pair("b", **given), pair("gone")]), b=found(KEEPS))
    assert pair_rows(told, ["a", "b"]) == [["a", "b", *cells]]
    missing = decision(a=found([month(1, None, 1.0)], break_even=[pair("b", **given)]), b=found(KEEPS))
    assert pair_rows(missing, ["a", "b"]) == [["a (SLO not known)", "b", "-", "-", *cells[2:]]]


def carries(factor: float, fails_at: float | None, low: float, high: float | None, **given: Any) -> dict[str, Any]:
    return {"factor": factor, "fails_at": fails_at, "used_share_low": low, "used_share_high": high, **given}


@pytest.mark.parametrize(
    ("capacity", "said", "used"),
    [
        (
            carries(2.0, 2.5, 0.4, 0.5),
            "x carries between 2.00 and 2.50 times the load within the SLO: 40% to 50% of its capacity is used.",
            "40% to 50%",
        ),
        (
            carries(2.001, 2.004, 0.499, 0.4998),
            "x carries 2.00 times the load within the SLO: 50% of its capacity is used.",
            "50%",
        ),
        (
            carries(64.0, None, 0.0, 1 / 64),
            "x carries at least 64.00 times the load within the SLO: at most 2% of its capacity is used.",
            "at most 2%",
        ),
        (
            carries(2.0, 2.5, 0.4, 0.5, month=3, missed="ttft p95"),
            "x carries between 2.00 and 2.50 times the load of month 3 within the SLO (at 2.5 times ttft p95): 40% to "
            "50% of the capacity that it has in month 3 is used.",
            "40% to 50% in month 3",
        ),
        (
            carries(0.0, 0.015625, 64.0, None),
            "x misses the SLO at 0.016 times the load, too: what it carries within it was not found.",
            "missed at 0.016 × load too",
        ),
        (
            carries(0.0, 0.5, 2.0, None, at_any_load="ttft alone"),
            "x misses the SLO however little comes: ttft alone.",
            "missed at any load",
        ),
    ],
)
def test_how_much_a_fleet_carries(capacity: dict[str, Any], said: str, used: str) -> None:
    told = decision(x=found(KEEPS, capacity=capacity)) | {"time_ended": ["volume"]}
    assert capacity_notes(told, ["x"]) == [said, "Not found, as time ended: volume."]
    assert used_words(capacity) == used


def test_tables_of_the_screen_stand_under_their_headers() -> None:
    alike = [month(1, True, 5.0)]
    screen = decision_screen(decision(a=found(alike, break_even=[pair("b", months=3.0)]), b=found(alike)), ["a", "b"])
    lines = [line.split() for line in screen.split("\n") if line.strip()]
    header = next(k for k, line in enumerate(lines) if line[0] == "against")
    assert lines[header][:3] == ["against", "from", "month"]
    assert lines[header + 2][:3] == ["a", "b", "3.00"]
    assert lines[header - 1][0] == "break-even:"
    assert "months in which something changes:" not in screen
    assert "break-even" not in decision_screen(decision(a=found(alike)), ["a"])


def test_sizes_at_other_speeds_are_told_by_what_they_cost() -> None:
    at_speeds = [
        {"factor": 1.0, "sizes": {"base": 2}, "usd_per_month": 1000.0},
        {"factor": 1.25, "sizes": {"base": 3, "burst": 1}, "usd_per_month": 1500.0},
        {"factor": 0.8, "sizes": {}, "usd_per_month": 1000.0},
        {"factor": 1.5, "sizes": {}, "usd_per_month": None},
    ]
    assert _speeds({"at_speeds": at_speeds}) == [
        "with steps 25% longer than forecast base 3, burst 1 would do, for $1,500; with steps 20% shorter than "
        "forecast the same fleet would do, for $1,000; with steps 50% longer than forecast it misses the SLO"
    ]
    assert _speeds({"at_speeds": at_speeds[:1]}) == []
    assert _speeds({}) == []
