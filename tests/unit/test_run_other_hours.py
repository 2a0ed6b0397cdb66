"""A period that stands for hours in which something else happens than in its simulated time says so."""

from __future__ import annotations

import pytest

from simulator.run.other_hours import other_hours, part_of_the_day
from simulator.schema.scenario import Scenario

HOURLY = [0.5] * 8 + [1.0, 2.0] + [1.5] * 14


def said(
    period: dict[str, object], start: str, horizon_h: float, warmup_h: float = 0.0, hourly: bool = False
) -> list[str]:
    scenario = of_hours(period, start, horizon_h, warmup_h, hourly)
    return other_hours(scenario, scenario.topologies["one"])


def of_hours(
    period: dict[str, object],
    start: str,
    horizon_h: float,
    warmup_h: float = 0.0,
    hourly: bool = False,
    rest: dict[str, object] | None = None,
) -> Scenario:
    pool = {"name": "g", "site": "lambda", "gpu": "h100-sxm"}
    routing = {"kind": "windows", "windows": [{"hours": "9-12", "use": ["g"]}], "otherwise": ["h"]}
    arrivals = {"kind": "schedule", "rate_rps": 10, "hourly": HOURLY} if hourly else {"kind": "poisson", "rate_rps": 1}
    return Scenario.model_validate(
        {
            "schema_version": 1,
            "name": "hours",
            "model": "llama-3.1-8b-instruct",
            "workload": {"classes": [{"name": "chat", "arrivals": arrivals, "lengths": {"isl": 10, "osl": 10}}]},
            "topologies": {"one": {"pools": [pool, pool | {"name": "h"}], "routing": routing}},
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
