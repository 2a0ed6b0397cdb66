"""The last line of a plan: bills that are equal are said to be."""

from __future__ import annotations

import pytest

from simulator.plan.plan import _verdict


@pytest.mark.parametrize(
    ("usd", "told"),
    [
        (
            {"own": 1308.33, "rent": 2190.0},
            "own: the cheapest fleet that meets the SLO, $1,308 per month; next is rent at $2,190.",
        ),
        (
            {"far": 9000.0, "rent": 2190.0, "own": 1308.33},
            "own: the cheapest fleet that meets the SLO, $1,308 per month; next is rent at $2,190.",
        ),
        (
            {"own": 1308.33, "hybrid": 1308.33, "rent": 2190.0},
            "own: the cheapest fleet that meets the SLO, $1,308 per month; hybrid costs the same; "
            "next is rent at $2,190.",
        ),
        (
            {"own": 1308.33, "hybrid": 1308.33, "copy": 1308.33},
            "own: the cheapest fleet that meets the SLO, $1,308 per month; hybrid, copy cost the same.",
        ),
    ],
)
def test_equal_bills_share_the_first_place(usd: dict[str, float], told: str) -> None:
    rows = [
        {"topology": name, "cheapest": True, "slo_met": True, "slo_attainment": 1.0, "usd_per_month": value}
        for name, value in usd.items()
    ]
    assert _verdict(rows, "") == told


def test_what_has_no_fleet_is_said_and_the_month_where_they_differ() -> None:
    none = {"topology": "small", "cheapest": False}
    fleet = {"topology": "own", "cheapest": True, "slo_met": True, "slo_attainment": 1.0, "usd_per_month": 1308.33}
    text = "own: the cheapest fleet that meets the SLO in month 3, $1,308 per month; small, tiny: infeasible."
    assert _verdict([none, fleet, {**none, "topology": "tiny"}, {**none, "topology": "own"}], " in month 3") == text
    assert _verdict([none], " in month 3") == "No fleet meets the SLO in month 3."
