"""A period that stands for hours in which something else happens than in its simulated time says so."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.resolve.clock import clock_of, period_clock_s
from simulator.run.other_hours import other_hours, part_of_the_day
from simulator.scenario.week import week_time_words
from simulator.schema.scenario import Scenario

HOURLY = [0.5] * 8 + [1.0, 2.0] + [1.5] * 14


def said(
    period: dict[str, object], start: str, horizon_h: float, warmup_h: float = 0.0, hourly: bool = False
) -> list[str]:
    scenario = of_hours(period, start, horizon_h, warmup_h, hourly, {"hours_per_month": 1})
    return other_hours(scenario, scenario.topologies["one"])


def of_hours(
    period: dict[str, object],
    start: str,
    horizon_h: float,
    warmup_h: float = 0.0,
    hourly: bool = False,
    rest: dict[str, object] | None = None,
    schedule: str = "",
    owned: bool = False,
) -> Scenario:
    pool: dict[str, object] = {"name": "g", "site": "lambda", "gpu": "h100-sxm"}
    if owned:
        pool |= {"site": "datacentre", "billing": "owned"}
    if schedule:
        pool |= {"replicas": 0, "schedule": [{"days": "mon-fri", "hours": schedule, "replicas": 1}]}
    routing = {"kind": "windows", "windows": [{"hours": "9-12", "use": ["g"]}], "otherwise": ["h"]}
    arrivals = {"kind": "schedule", "rate_rps": 10, "hourly": HOURLY} if hourly else {"kind": "poisson", "rate_rps": 1}
    return Scenario.model_validate(
        {
            "schema_version": 1,
            "name": "hours",
            "model": "llama-3.1-8b-instruct",
            "workload": {"classes": [{"name": "chat", "arrivals": arrivals, "lengths": {"isl": 10, "osl": 10}}]},
            "topologies": {"one": {"pools": [pool, pool | {"name": "h", "schedule": ()}], "routing": routing}},
            "study": {"periods": [{"name": "some"} | period, {"name": "rest"} | (rest or {})]},
            "run": {"start": start, "horizon_s": horizon_h * 3600, "warmup_s": warmup_h * 3600},
        }
    )


@pytest.mark.parametrize(
    ("period", "start", "horizon_h", "warmup_h", "shares"),
    [
        ({"days": "mon-fri", "hours": "8-12"}, "mon", 0.25, 0.0, ("75%", "0%")),
        ({"days": "mon-fri", "hours": "8-12"}, "mon", 4.0, 0.0, None),
        ({"hours": "9-12"}, "mon", 0.25, 0.0, None),
        ({"hours": "8-12"}, "mon", 4.0, 2.0, ("75%", "100%")),
        ({"hours": "22-10"}, "sun", 12.0, 0.0, None),
        ({"hours": "22-10", "start": "sun 22"}, "mon", 6.0, 0.0, ("8%", "0%")),
        ({"days": "sun"}, "mon", 24.0, 0.0, None),
        ({"days": "sun"}, "mon", 6.0, 0.0, ("12%", "0%")),
        ({"hours_per_month": 100, "start_hour": 8}, "mon", 0.25, 0.0, None),
    ],
)
def test_windows_that_hold_for_another_share_of_the_time(
    period: dict[str, object], start: str, horizon_h: float, warmup_h: float, shares: tuple[str, str] | None
) -> None:
    found = said(period, start, horizon_h, warmup_h)
    assert len(found) == (shares is not None)
    if shares:
        assert f"holds for {shares[0]} of the hours of some and for {shares[1]} of the time" in found[0]


def test_load_by_the_hour_of_other_hours() -> None:
    """From 8 to 10 the mean is 1.5 of 10/s; the first hour alone has 1."""
    assert said({"hours": "8-10"}, "mon", 2.0, hourly=True) == []
    window, load = said({"hours": "8-10"}, "mon", 1.0, hourly=True)
    assert "holds for 50% of the hours of some and for 0%" in window
    assert "hours with 15 requests/s of chat by its schedule and simulates 10:" in load


@pytest.mark.parametrize(
    ("rest", "horizon_h", "part"),
    [
        ({"hours_per_month": 730 * 98 / 168}, 1.0, True),
        ({}, 1.0, False),
        ({"hours": "18-8"}, 1.0, False),
        ({"days": "sat-sun"}, 1.0, False),
        ({"hours_per_month": 730 * 98 / 168}, 24.0, False),
    ],
)
def test_use_is_of_a_part_of_the_day_unless_all_periods_name_their_hours(
    rest: dict[str, object], horizon_h: float, part: bool
) -> None:
    """What is priced by the hour is spread over the hours that a period names, or that such periods leave to it."""
    assert part_of_the_day(of_hours({"hours": "8-18"}, "mon", horizon_h, rest=rest)) is part


def test_hours_that_others_leave_are_known_too() -> None:
    """Besides mon-fri 8-18 there are 118 hours: in 10 of them a pool stands, and in 6, at the weekend, a window holds.

    Hours of factor 0.5, 1, 2 and 1.5 by day make 1.19 on average; simulated is the first of Monday, with 0.5.
    """
    office: dict[str, object] = {"days": "mon-fri", "hours": "8-18"}
    scenario = of_hours(office, "mon", 1.0, hourly=True, schedule="7-19")
    window, pool, load = (one for one in other_hours(scenario, scenario.topologies["one"]) if "rest" in one)
    assert "routing.windows[0] (mon-sun 9-12) holds for 5% of the hours of rest and for 0% of the time" in window
    assert "pools[0].schedule[0] (mon-fri 7-19) holds for 8% of the hours of rest and for 0% of the time" in pool
    rates = 10 * (7 * 8 * 0.5 + 2 * 1.0 + 2 * 2.0 + (2 * 14 + 5 * 6) * 1.5) / 118
    assert f"rest stands for hours with {rates:.3g} requests/s of chat by its schedule and simulates 5:" in load


@pytest.mark.parametrize(("owned", "schedule", "told"), [(True, "7-19", 1), (True, "8-18", 0), (False, "7-19", 0)])
def test_where_nobody_comes_only_the_power_of_owned_pools_is_told(owned: bool, schedule: str, told: int) -> None:
    """What is rented is paid by the schedule, whatever was simulated."""
    office: dict[str, object] = {"days": "mon-fri", "hours": "8-18"}
    scenario = of_hours(office, "mon", 1.0, hourly=True, rest={"load": 0}, schedule=schedule, owned=owned)
    found = [one for one in other_hours(scenario, scenario.topologies["one"]) if "rest" in one]
    assert len(found) == told
    assert all("pools[0].schedule[0]" in one for one in found)


def test_rent_of_hours_without_anybody_is_told_where_a_schedule_holds_for_too_much_of_the_month() -> None:
    """An hour of Monday from 9 on stands for 118 hours of the week in which no pool is there; from 18 on none is."""
    office: dict[str, object] = {"days": "mon-fri", "hours": "8-18"}
    for start, told in (("mon 9", True), ("mon 18", False)):
        scenario = of_hours(office, "mon", 10.0, rest={"load": 0, "start": start}, schedule="8-18")
        found = [one for one in other_hours(scenario, scenario.topologies["one"]) if "rest" in one]
        assert len(found) == told
        assert not found or "(mon-fri 8-18) holds for 0% of the hours of rest and for 90% of the time" in found[0]


@pytest.mark.parametrize(
    ("start", "some", "begins"),
    [
        ("mon", {"days": "mon-fri", "hours": "8-20"}, "mon 0:00"),
        ("mon 8:00", {"days": "mon-fri", "hours": "8-20"}, "mon 20:00"),
        ("wed 19:30", {"days": "mon-fri", "hours": "8-20"}, "wed 20:00"),
        ("fri 9:00", {"days": "mon-fri"}, "sat 0:00"),
        ("sun 23:00", {"hours": "22-2"}, "mon 2:00"),
        ("sat 5:00", {"days": "sat-sun"}, "mon 0:00"),
        ("2026-03-02 8:00", {"days": "mon-fri", "hours": "8-20"}, "mon 20:00"),
        ("2026-03-07 9:00", {"days": "sat-mon"}, "tue 0:00"),
        ("mon 8:00", {"hours_per_month": 200}, "mon 8:00"),
    ],
)
def test_a_period_with_the_hours_that_others_leave_begins_with_the_first_of_them(
    start: str, some: dict[str, object], begins: str
) -> None:
    """As one that names hours begins with these: else a pool that is closed then would be paid for all of them."""
    scenario = of_hours(some, start, 1.0)
    clock = clock_of(scenario)
    at_s = period_clock_s(scenario, scenario.study.periods[1], clock)
    assert week_time_words(float(clock.week_s(np.array([at_s]))[0])) == begins
    assert at_s >= clock.at(start) or not clock.has_dates


@pytest.mark.parametrize(
    ("hours", "rest", "told"),
    [
        (220, {"load": 0}, "for 100% of the month"),
        (730 * 50 / 168, {"load": 0, "start": "sat 10"}, ""),
        (400, {"load": 0, "start": "sat 10"}, "for 55% of the month"),
    ],
)
def test_a_schedule_that_holds_for_another_share_of_a_month_whose_periods_do_not_say_when_they_are(
    hours: float, rest: dict[str, object], told: str
) -> None:
    """Ten hours on five days are 30% of a week; an hour of Monday from 9 on is in them, one of Saturday is not."""
    scenario = of_hours({"hours_per_month": hours}, "mon 9:00", 1.0, rest=rest, schedule="8-18")
    found = [one for one in other_hours(scenario, scenario.topologies["one"]) if "of a week" in one]
    assert len(found) == bool(told)
    assert not found or f"pools[0].schedule[0] (mon-fri 8-18) holds for 30% of a week and {told}" in found[0]
