"""Outages: a token API or a zone that is down takes nothing, what can be served elsewhere is, the rest is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import simpy
from fleet_cases import classes, evenly, fleet, pool, provider

from simulator.fleet.outages import OutageClock
from simulator.fleet.records import Status
from simulator.fleet.servers import Luck
from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.fleet.single import RequestList
from simulator.metrics.laws import check_causality, check_gpu_seconds, check_little
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ColdStart, FleetSpec, Outages, RoutingSpec

CALM = {"ttft_median_s": 1.0, "ttft_sigma": 0.0, "tpot_median_s": 0.5, "tpot_sigma": 0.0}
DOWN = Outages(windows=((10.0, 20.0),))


def served(spec: FleetSpec, n: int = 60, gap_s: float = 0.5) -> tuple[FleetRun, np.ndarray]:
    """`n` requests of 10 output tokens, one each `gap_s`."""
    ended: list[np.ndarray] = []
    run = simulate_fleet(
        spec,
        RequestList(evenly(n, gap_s, isl=5, osl=10)),
        horizon_s=100.0,
        drain_s=100.0,
        warmup_s=0.0,
        seed=1,
        sink=ended.append,
    )
    records = np.sort(np.concatenate(ended), order="request")
    check_causality(records)
    for balance, usage in zip(run.balances, run.usage.pools, strict=True):
        check_little(balance)
        check_gpu_seconds(usage)
    assert records["request"].tolist() == list(range(n))
    return run, records


def overflow(*targets: int) -> RoutingSpec:
    return RoutingSpec(TargetRouting.OVERFLOW, targets)


def test_requests_pass_over_a_provider_that_is_down() -> None:
    providers = (provider(**CALM, outages=DOWN), replace(provider(**CALM), name="other"))
    run, records = served(fleet((), providers, overflow(0, 1), classes(2)))
    arrived = records["arrival_s"]
    during = (arrived >= 10.0) & (arrived < 20.0)
    assert (records["target"][during] == 1).all()
    assert (records["overflowed"][during] == 1).all()
    assert (records["status"][during] == Status.COMPLETED).all()
    assert (records["target"][(arrived < 4.0) | (arrived > 20.0)] == 0).all()
    assert (run.usage.providers[0].outages, run.usage.providers[0].down_s) == (1, 10.0)
    assert (run.usage.providers[1].outages, run.usage.providers[1].down_s) == (0, 0.0)


def test_what_has_not_streamed_is_sent_again_and_streams_break() -> None:
    """TTFT 1 s, a token each 0.5 s: at 10 s those that came from 9.5 s on wait, those from 4.5 s on stream."""
    providers = (provider(**CALM, outages=DOWN), replace(provider(**CALM), name="other"))
    run, records = served(fleet((), providers, overflow(0, 1), classes(2)))
    arrived = records["arrival_s"]
    again = records[(arrived > 9.0) & (arrived < 10.0)]
    assert (again["retries"] == 1).all()
    assert (again["target"] == 1).all()
    assert again["first_token_s"] == pytest.approx(11.0)
    broken = records[records["status"] == Status.FAILED]
    assert broken["arrival_s"].tolist() == [5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0]
    assert broken["generated"].tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert (broken["finish_s"] == 10.0).all()
    assert run.usage.providers[0].failed == len(broken)
    assert run.usage.providers[1].failed == 0


def test_without_another_target_requests_fail_and_are_counted() -> None:
    run, records = served(fleet((), (provider(**CALM, outages=DOWN),), classes=classes(1)))
    arrived = records["arrival_s"]
    during = (arrived >= 10.0) & (arrived < 20.0)
    assert (records["status"][during] == Status.FAILED).all()
    assert (records["finish_s"] == arrived)[during].all()
    assert (records["status"][arrived > 20.0] == Status.COMPLETED).all()
    assert run.usage.providers[0].failed == (records["status"] == Status.FAILED).sum()


def test_a_pool_that_is_starting_is_better_than_a_provider_that_is_down() -> None:
    standby = pool(replicas=0)
    spec = fleet((standby,), (provider(**CALM, outages=Outages(windows=((0.0, 1e6),))),), overflow(1, 0), classes(2))
    _, records = served(spec)
    assert (records["target"] == 0).all()
    assert (records["status"] == Status.UNFINISHED).all()


def test_retries_run_out() -> None:
    providers = (provider(**CALM, outages=DOWN), replace(provider(**CALM), name="other"))
    _, records = served(fleet((), providers, overflow(0, 1), classes(2, max_retries=0)))
    late = records[(records["arrival_s"] > 9.0) & (records["arrival_s"] < 10.0)]
    assert (late["status"] == Status.FAILED).all()
    assert (late["generated"] == 0).all()


def test_an_outage_that_hits_nobody_changes_nothing() -> None:
    calm, hit = (
        served(fleet((), (provider(**CALM, outages=outages),), classes=classes(1)))[1]
        for outages in (Outages(), Outages(windows=((90.0, 95.0),)))
    )
    for name in calm.dtype.names or ():
        np.testing.assert_array_equal(calm[name], hit[name])


def test_a_zone_takes_its_replicas_along_and_they_start_again() -> None:
    zone = pool(replicas=2, outages=DOWN, cold_start=ColdStart(engine_s=3.0))
    run, records = served(fleet((zone,), classes=classes(1)))
    usage = run.usage.pools[0]
    assert (usage.outages, usage.zone_down_s, usage.launches) == (1, 10.0, 2)
    assert usage.billed_s == pytest.approx(2 * 90.0)
    assert usage.starting_s == pytest.approx(2 * 3.0)
    arrived = records["arrival_s"]
    during = records[(arrived >= 10.0) & (arrived < 20.0)]
    assert (during["status"] == Status.COMPLETED).all()
    assert (during["first_token_s"] >= 23.0).all()
    lost = records[records["status"] == Status.FAILED]
    assert (lost["finish_s"] == 10.0).all()
    assert (lost["generated"] > 0).all()


def test_down_time_is_that_of_the_union_of_windows() -> None:
    clock, calls = clock_of(Outages(windows=((5.0, 9.0), (7.0, 12.0), (20.0, 21.0))), 30.0)
    assert clock.count(0.0, 30.0) == 2
    assert clock.down_s(0.0, 30.0) == pytest.approx(8.0)
    assert [clock.down_s(since_s, 30.0) for since_s in (10.0, 12.0, 15.0, 20.5, 25.0)] == [3.0, 1.0, 1.0, 0.5, 0.0]
    assert calls == [("down", 5.0), ("up", 12.0), ("down", 20.0), ("up", 21.0)]


def test_random_outages_have_the_availability_of_their_means() -> None:
    """Up 9 of 10 s in the mean; over n cycles the share has a standard error of about sqrt(2/n) * 0.09."""
    clock, _ = clock_of(Outages(mtbf_s=90.0, mttr_s=10.0), 400_000.0)
    error = np.sqrt(2.0 / clock.count(0.0, 400_000.0)) * 0.09
    assert clock.down_s(0.0, 400_000.0) / 400_000.0 == pytest.approx(0.1, abs=4 * error)


def clock_of(outages: Outages, until_s: float) -> tuple[OutageClock, list[tuple[str, float]]]:
    env, calls = simpy.Environment(), []
    clock = OutageClock(
        env,
        outages,
        Luck(1, ("outages",)),
        lambda: calls.append(("down", env.now)),
        lambda: calls.append(("up", env.now)),
    )
    env.run(until=until_s)
    return clock, calls
