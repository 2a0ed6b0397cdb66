"""What the memo says is under commitment, where terms renewed alike are told once, and what moves a month."""

from __future__ import annotations

from typing import Any

from simulator.report.memo import _commitments, _swings


def unit_term(first: int, months: int = 1, units: float = 15.0, usd: float = 10_950.0) -> dict[str, Any]:
    return {"provider": "ptu", "units": units, "term_months": months, "from_month": first, "usd": usd}


def test_units_of_a_month_at_a_time_are_one_line() -> None:
    units = [*(unit_term(month) for month in range(1, 4)), unit_term(4, units=20.0, usd=14_600.0)]
    instances = [
        {"pool": "p", "instances": 2, "term_months": 12, "from_month": first, "usd_per_instance_hour": 30.0}
        for first in (1, 13)
    ]
    cost = {"commitments": instances, "committed_units": units, "liability_usd": 7_300.0}
    assert _commitments(cost) == [
        "instances of p under commitment: 2 for 12 months from month 1, renewed to month 24, at $30.00 an hour; "
        "$7,300 is owed after the study",
        "units of ptu under commitment: 15 for a month from month 1, renewed to month 3, at $10,950 a term, "
        "20 for a month from month 4, at $14,600 a term; $7,300 is owed after the study",
    ]


def test_an_input_that_moves_no_dollar_of_the_month_is_not_told_to_move_it() -> None:
    def swing(name: str, high: float) -> dict[str, Any]:
        return {"input": name, "low": 5.0, "high": 25.0, "usd_per_month_low": 71_941.1, "usd_per_month_high": high}

    (told,) = _swings({"cloud": {"tornado": [swing("onprem.wacc", 71_942.9), swing("traffic.osl", 71_941.3)]}})
    assert told.startswith("cloud: cost of capital from 5 to 25")
    assert told.endswith("moves the month from $71,941 to $71,943.")
