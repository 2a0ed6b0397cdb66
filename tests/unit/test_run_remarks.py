"""What a run says of itself: months that are scaled from a part of a cycle."""

from __future__ import annotations

import pytest

from simulator.run.remarks import beyond_the_clock, part_of_the_week
from simulator.schema.scenario import RunSettings
from simulator.schema.topology import Topology
from simulator.workload.spec import ClassWorkload, Constant, Poisson, Schedule, WorkloadSpec

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("windows", "simulated_s", "cycle"),
    [
        ([], 200.0, None),
        ([{"hours": "9-17"}], 200.0, "days"),
        ([{"hours": "9-17"}], DAY_S, None),
        ([{"hours": "9-17"}, {"days": "sun", "hours": "0-24"}], DAY_S, "weeks"),
        ([{"days": "mon-fri", "hours": "9-17"}], 14 * DAY_S, None),
    ],
)
def test_windows_are_judged_by_whole_cycles(
    windows: list[dict[str, str]], simulated_s: float, cycle: str | None
) -> None:
    routing = {"kind": "windows", "windows": [{**one, "use": ["g"]} for one in windows], "otherwise": ["g"]}
    pool = {"name": "g", "site": "lambda", "gpu": "h100-sxm"}
    by_routing = Topology.model_validate({"pools": [pool], **({"routing": routing} if windows else {})})
    schedule = [{**one, "replicas": 1} for one in windows]
    by_schedule = Topology.model_validate({"pools": [{**pool, "replicas": 0, "schedule": schedule}]})
    for topology in (by_routing, by_schedule):
        found = beyond_the_clock(topology, simulated_s)
        assert len(found) == (cycle is not None)
        assert all(f"no whole number of {cycle}:" in text for text in found)


@pytest.mark.parametrize(
    ("start_h", "hours", "warmup_h", "rates"),
    [
        (0.0, 168.0, 0.0, None),
        (9.0, 2.0, 0.0, ("20", "7.86")),
        (8.0, 2.0, 1.0, ("20", "7.86")),
        (8.0, 2.0, 0.0, ("12", "7.86")),
        (120.0, 24.0, 0.0, ("4.58", "7.86")),
    ],
)
def test_load_by_the_hour_says_what_it_is_scaled_from(
    start_h: float, hours: float, warmup_h: float, rates: tuple[str, str] | None
) -> None:
    """10/s: 0.4 of it by night, twice from 9 to 17, and half on Saturday and Sunday: 11/12 x 6/7 of it in the mean."""
    hourly = tuple(2.0 if 9 <= hour < 17 else 0.4 if hour < 9 else 2.4 / 7 for hour in range(24))
    weekly = (1.0,) * 5 + (0.5,) * 2
    schedule = Schedule(10.0, hourly, weekly, clock_s=start_h * 3_600)
    assert sum(hourly) / 24 == pytest.approx(11 / 12)
    classes = (
        ClassWorkload("even", Poisson(3.0), Constant(9), Constant(9)),
        ClassWorkload("hourly", schedule, Constant(9), Constant(9)),
    )
    run = RunSettings(horizon_s=hours * 3_600, warmup_s=warmup_h * 3_600)
    found = part_of_the_week(WorkloadSpec(classes), run)
    if rates is None:
        assert found == []
    else:
        (text,) = found
        assert f"hourly is scaled from {rates[0]} requests/s" in text
        assert f"week is {rates[1]}:" in text
