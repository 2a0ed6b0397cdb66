"""Pools by the time of the week: launched in time, drained at the end, scaled to zero, at places of the scenario."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleet_cases import classes, evenly, fleet, pool, provider
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.fleet.records import Status
from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.fleet.single import RequestList
from simulator.metrics.laws import check_gpu_seconds
from simulator.plan.candidate import candidates
from simulator.resolve.clock import DAYS, week_spans, week_time_s
from simulator.resolve.sizes import open_pools
from simulator.resolve.topology import plan_topology
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.schema.clock import WeekWindow
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ColdStart, FleetSpec, Reliability, RoutingSpec
from simulator.study.schedule import Schedule
from simulator.units import SECONDS_PER_WEEK

HOUR_S, DAY_S = 3600.0, 86400.0
COLD = ColdStart(provision_s=60.0, engine_s=40.0)


def run(spec: FleetSpec, horizon_s: float, requests: Any = None) -> tuple[FleetRun, np.ndarray]:
    ended: list[np.ndarray] = []
    found = simulate_fleet(
        spec,
        RequestList(evenly(1, 1.0) if requests is None else requests),
        horizon_s=horizon_s,
        drain_s=10.0,
        warmup_s=0.0,
        seed=1,
        sink=ended.append,
        sample_s=horizon_s,
    )
    for usage in found.usage.pools:
        check_gpu_seconds(usage)
    return found, np.sort(np.concatenate(ended), order="request")


def serving(found: FleetRun) -> list[tuple[float, float]]:
    return sorted((stay.start_s, stay.end_s) for stay in found.usage.pools[0].stays if stay.state == "serving")


@pytest.mark.parametrize(("early_s", "ready_s"), [(None, 0.0), (0.0, 100.0), (300.0, -200.0)])
def test_replicas_are_ready_as_early_as_asked(early_s: float | None, ready_s: float) -> None:
    schedule = Schedule(((8 * HOUR_S, 10 * HOUR_S, 3), (10 * HOUR_S, 11 * HOUR_S, 1)), 0, early_s)
    found, _ = run(fleet((pool(cold_start=COLD, schedule=schedule),), classes=classes(1)), 12 * HOUR_S)
    usage = found.usage.pools[0]
    start_s = 8 * HOUR_S + ready_s
    assert serving(found) == [(start_s, 10 * HOUR_S), (start_s, 10 * HOUR_S), (start_s, 11 * HOUR_S)]
    assert usage.starting_s == pytest.approx(300.0)
    assert (usage.launches, usage.peak_replicas) == (3, 3)


def test_a_simulation_may_begin_anywhere_in_the_week() -> None:
    """Friday 9:00: in the window at first, then nothing over the weekend, and ready again on Monday at 8:00."""
    working = tuple((day * DAY_S + 8 * HOUR_S, day * DAY_S + 20 * HOUR_S, 2) for day in range(5))
    spec = fleet((pool(cold_start=COLD, schedule=Schedule(working, 0)),), classes=classes(1))
    begin_s = 4 * DAY_S + 9 * HOUR_S
    monday_s = SECONDS_PER_WEEK + 8 * HOUR_S - begin_s
    found, _ = run(FleetSpec(spec.name, spec.pools, (), spec.routing, spec.classes, clock_s=begin_s), monday_s + HOUR_S)
    assert serving(found) == [(0.0, 11 * HOUR_S)] * 2 + [(monday_s, monday_s + HOUR_S)] * 2


def test_the_second_week_is_as_the_first() -> None:
    schedule = Schedule(((DAY_S, DAY_S + HOUR_S, 1), (5 * DAY_S, 5 * DAY_S + HOUR_S, 2)), 0)
    found, _ = run(fleet((pool(cold_start=COLD, schedule=schedule),), classes=classes(1)), 2 * SECONDS_PER_WEEK)
    spans = serving(found)
    assert len(spans) == 6
    assert spans[3:] == [(start + SECONDS_PER_WEEK, end + SECONDS_PER_WEEK) for start, end in spans[:3]]


def test_a_window_that_ends_lets_requests_end() -> None:
    """Steps take 0.05 s: what runs at the end is served to its end, what comes later waits for the next window."""
    schedule = Schedule(((0.0, 100.0, 1), (200.0, 300.0, 1)), 0)
    spec = fleet((pool(cold_start=ColdStart(engine_s=5.0), schedule=schedule),), classes=classes(1))
    found, records = run(spec, 300.0, evenly(400, 0.5, isl=5, osl=30))
    assert (records["status"] == Status.COMPLETED).all()
    late = records[(records["arrival_s"] > 100.0) & (records["arrival_s"] < 200.0)]
    assert (late["first_token_s"] > 200.0).all()
    first = [stay for stay in found.usage.pools[0].stays if stay.start_s < 150.0]
    assert [stay.state for stay in first] == ["serving", "leaving"]
    assert 100.0 < first[-1].end_s < 102.0


def test_outside_its_hours_requests_overflow() -> None:
    schedule = Schedule(((0.0, 100.0, 1),), 0)
    calm = provider(ttft_median_s=0.1, ttft_sigma=0.0)
    routing = RoutingSpec(TargetRouting.OVERFLOW, (0, 1), overflow_waiting=(50.0, 50.0))
    spec = fleet((pool(schedule=schedule),), (calm,), routing, classes(2))
    _, records = run(spec, 200.0, evenly(390, 0.5, isl=5, osl=5))
    assert (records["status"] == Status.COMPLETED).all()
    np.testing.assert_array_equal(records["target"], (records["arrival_s"] > 100.0).astype(int))


def test_a_schedule_replaces_what_fails_or_is_reclaimed() -> None:
    schedule = Schedule(((0.0, 5000.0, 3),), 1)
    faults = Reliability(mtbf_s=500.0, mttr_s=20.0, reclaim_mtbf_s=400.0, reclaim_notice_s=5.0)
    spec = fleet((pool(cold_start=COLD, schedule=schedule, reliability=faults),), classes=classes(1))
    found, _ = run(spec, 10_000.0)
    assert found.usage.pools[0].reclaims > 10
    for from_s, until_s, replicas in ((0.0, 5000.0, 3), (5000.0, 10_000.0, 1)):
        held = sum(
            min(stay.end_s, until_s) - max(stay.start_s, from_s)
            for stay in found.usage.pools[0].stays
            if stay.start_s < until_s and stay.end_s > from_s and stay.state != "leaving"
        )
        assert held / (until_s - from_s) == pytest.approx(replicas, rel=0.05)


@pytest.mark.parametrize(
    ("days", "hours", "spans"),
    [
        ("mon", "8-20", [(8.0, 20.0)]),
        ("tue, fri", "8:30-9", [(32.5, 33.0), (104.5, 105.0)]),
        ("sat-mon", "0-24", [(0.0, 24.0), (120.0, 144.0), (144.0, 168.0)]),
        ("sun", "22-6", [(0.0, 6.0), (166.0, 168.0)]),
        ("wed", "22-6", [(70.0, 78.0)]),
    ],
)
def test_windows_of_the_week(days: str, hours: str, spans: list[tuple[float, float]]) -> None:
    found = week_spans(WeekWindow(days=days, hours=hours))
    assert found == [(start * HOUR_S, end * HOUR_S) for start, end in spans]


@given(st.sampled_from(DAYS), st.sampled_from(DAYS), st.integers(0, 23), st.integers(1, 24))
def test_windows_last_as_long_as_their_hours_on_all_their_days(first: str, last: str, begin: int, end: int) -> None:
    days = (DAYS.index(last) - DAYS.index(first)) % 7 + 1
    if begin == end:
        with pytest.raises(InputError):
            week_spans(WeekWindow(days=f"{first}-{last}", hours=f"{begin}-{end}"))
        return
    spans = week_spans(WeekWindow(days=f"{first}-{last}", hours=f"{begin}-{end}"))
    assert all(0 <= start_s < end_s <= SECONDS_PER_WEEK for start_s, end_s in spans)
    assert sum(end_s - start_s for start_s, end_s in spans) == days * ((end - begin) % 24 or 24) * HOUR_S


def test_times_of_the_week() -> None:
    assert (week_time_s("mon"), week_time_s("tue 8:30"), week_time_s("sun 24:00")) == (0.0, 32.5 * HOUR_S, 0.0)


SCENARIO = """
schema_version: 1
name: hours
model: llama-3.1-8b-instruct
workload: {{classes: [{{name: chat, arrivals: {{kind: poisson, rate_rps: 1}}, lengths: {{isl: 100, osl: 10}}}}]}}
topologies: {{t: {{pools: [{{name: p, site: lambda, gpu: h100-sxm, {pool}}}]}}}}
run: {{horizon_s: 60, start: tue 8:30}}
"""


def loaded_with(tmp_path: Path, text: str) -> LoadedScenario:
    path = tmp_path / "hours.yaml"
    path.write_text(SCENARIO.format(pool=text))
    return load_scenario(path)


def planned(tmp_path: Path, text: str) -> FleetSpec:
    return plan_topology(loaded_with(tmp_path, text), "t").fleet


def test_a_scenario_s_schedule(tmp_path: Path) -> None:
    text = "replicas: 1, schedule: [{days: mon-tue, hours: 8-20, replicas: 4}, {days: sun, replicas: 0}], zone: b"
    spec = planned(tmp_path, text)
    assert spec.clock_s == 32.5 * HOUR_S
    (found,) = spec.pools
    assert (found.zone, found.model, found.gpu) == ("b", "llama-3.1-8b-instruct", "h100-sxm")
    assert found.schedule is not None
    at = [found.schedule.replicas_at(hour * HOUR_S) for hour in (7, 8, 19.9, 20, 33, 50, 144, 167.9, 168 + 9)]
    assert at == [1, 4, 4, 1, 4, 1, 0, 0, 4]
    assert (found.least_replicas, found.most_replicas) == (0, 4)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("schedule: [{hours: 8-8, replicas: 4}]", "schedule[0].hours"),
        ("schedule: [{hours: 8-10, replicas: 4}, {days: sun, hours: 9-11, replicas: 4}]", "schedule[1]"),
        ("schedule: [{days: sun, hours: 22-9, replicas: 4}, {days: mon, hours: 8-11, replicas: 4}]", "schedule[1]"),
        ("schedule: [{hours: 8-25, replicas: 4}]", "schedule[0].hours"),
        ("schedule: [{days: weekend, replicas: 4}]", "schedule[0].days"),
        ("schedule: [{replicas: 4}], autoscaler: {min: 1, max: 2, target_per_replica: 4}", "schedule"),
        ("schedule: [{replicas: 4000}]", "schedule[0].replicas"),
        ("reclaims: true", "reclaims"),
    ],
)
def test_bad_schedules_are_refused_at_their_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(InputError) as caught:
        planned(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.path == f"topologies.t.pools[0].{place}"
    assert problem.line == 6


@pytest.mark.parametrize(
    ("text", "fails", "reclaimed"),
    [
        ("billing: spot", False, True),
        ("billing: spot, failures: true", True, True),
        ("billing: spot, reclaims: false, failures: true", True, False),
        ("billing: spot, reclaims: false, reliability: {reclaim_mtbf_h: 3}", False, False),
        ("billing: spot, failures: false, reliability: {reclaim_correlation: 0.5}", False, True),
        ("failures: true", True, False),
        ("reliability: {mtbf_h: 100}", True, False),
        ("failures: false, reliability: {mtbf_h: 100, unavailable_probability: 0.1}", False, False),
    ],
)
def test_reclaims_and_failures_have_switches_of_their_own(
    tmp_path: Path, text: str, fails: bool, reclaimed: bool
) -> None:
    found = planned(tmp_path, text).pools[0].reliability
    assert (found.mtbf_s > 0, found.reclaim_mtbf_s > 0) == (fails, reclaimed)
    assert fails or found.unavailable_probability == 0
    assert found.reclaim_correlation == (0.5 if "correlation" in text else 0.0)


@pytest.mark.parametrize(
    ("clock_s", "length_s", "numbers"),
    [
        (0.0, 8.0, [1]),
        (0.0, 8.5, [1, 3]),
        (8.0, 9.0, [3, 3]),
        (8.0, 9.5, [1, 3, 3]),
        (40.0, 17.0, [1, 3]),
        (40.0, 48.0, [1, 1, 3]),
        (-5.0, 1000.0, [1, 1, 3]),
    ],
)
def test_numbers_within_a_time_are_those_before_its_end(clock_s: float, length_s: float, numbers: list[int]) -> None:
    """Three from hour 8 to 17 of each two days, else one; an hour at which the time ends is not in it."""
    every = Schedule(((8.0, 17.0, 3),), 1, cycle_s=48.0)
    assert sorted(every.numbers(clock_s, length_s)) == numbers
    assert set(every.numbers(clock_s, length_s)) == {
        every.replicas_at(clock_s + length_s * k / 997) for k in range(997)
    }


def test_windows_that_do_not_come_again_are_not_ahead_of_later_times() -> None:
    once = Schedule(((8.0, 17.0, 3),), 1, cycle_s=math.inf)
    assert once.numbers(0.0, 10.0) == [1, 3]
    assert once.numbers(20.0, 1e9) == [1]


@pytest.mark.parametrize("asked", [open_pools, lambda loaded, name: candidates(loaded, name, (), (), ())[0].pools()])
def test_one_number_is_open_inside_or_outside_of_the_windows(tmp_path: Path, asked: Any) -> None:
    """Both at once got one number at all hours: three around the clock where one is enough outside of 7 to 19."""
    inside, outside = "schedule: [{hours: 7-19, replicas: auto}]", "schedule: [{hours: 7-19, replicas: 3}]"
    for text in (f"replicas: 1, {inside}", f"replicas: auto, {outside}"):
        (found,) = asked(loaded_with(tmp_path, text), "t")
        assert found.name == "p"
    with pytest.raises(InputError, match="a window's are auto: give a number") as caught:
        asked(loaded_with(tmp_path, f"replicas: auto, {inside}"), "t")
    assert [problem.path for problem in caught.value.problems] == ["topologies.t.pools[0].replicas"]
