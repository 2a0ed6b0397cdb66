"""Token APIs that answer 429 at known times, and launches that find no capacity at known times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fleet_cases import Source, evenly, fleet, pool, provider

from simulator.fleet.events import KINDS
from simulator.fleet.records import Reason, Status
from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.fleet.spans import covers, union
from simulator.fleet.throttling import throttled_shares
from simulator.simulate.later import from_second
from simulator.study.choices import TargetRouting
from simulator.study.fleet import (
    Autoscaler,
    ClassSpec,
    ColdStart,
    FleetSpec,
    Reliability,
    RetryDelay,
    RoutingSpec,
    ServiceTier,
)

CALM = {"ttft_median_s": 0.5, "ttft_sigma": 0.0, "tpot_median_s": 0.01, "tpot_sigma": 0.0, "error_probability": 0.0}
N, UNTIL_S = 400, 100.0


def classes(targets: int = 1, retries: int = 0) -> tuple[ClassSpec, ...]:
    return tuple(ClassSpec(name, (True,) * targets, max_retries=retries) for name in ("a", "b"))


def served(spec: FleetSpec, n: int = N, horizon_s: float = 200.0) -> tuple[FleetRun, np.ndarray]:
    batches: list[np.ndarray] = []
    run = simulate_fleet(
        spec,
        Source((evenly(n, UNTIL_S / n, 5, 2, class_id=np.arange(n) % 2),)),
        horizon_s=horizon_s,
        drain_s=0.0,
        warmup_s=0.0,
        seed=1,
        sink=batches.append,
    )
    return run, np.sort(np.concatenate(batches), order="request")


def within(records: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    return (records["arrival_s"] >= start_s) & (records["arrival_s"] < end_s)


def test_a_vendor_that_answers_429_refuses_its_share_of_the_calls_then_and_no_other() -> None:
    api = provider(**CALM, throttling=((20.1, 80.1, 0.3),))
    run, records = served(fleet((), (api,), classes=classes()))
    inside = within(records, 20.1, 80.1)
    refused = records["status"] == Status.REJECTED
    assert not refused[~inside].any()
    assert abs(refused[inside].mean() - 0.3) < 0.09, "three standard deviations of 240 calls"
    assert (records["reason"][refused] == Reason.RATE_LIMIT).all()
    usage = run.usage.providers[0]
    assert (usage.calls.sum(), usage.failed_calls.sum()) == ((~refused).sum(), refused.sum())
    assert usage.failed == 0, "no outage ended them"
    kind = KINDS.index("throttling")
    assert run.events[run.events["kind"] == kind][["start_s", "end_s"]].tolist() == [(20.1, 80.1)]


def test_of_times_that_overlap_the_largest_share_holds() -> None:
    api = provider(**CALM, throttling=((10.0, 50.0, 1e-9), (20.1, 30.1, 1.0), (25.0, 60.0, 1e-9)))
    _, records = served(fleet((), (api,), classes=classes()))
    assert ((records["status"] == Status.REJECTED) == within(records, 20.1, 30.1)).all()


def test_refused_calls_come_again_with_back_off_until_the_storm_is_over() -> None:
    """All are refused until 40.1 s, with pauses of 1, 2, 4, 8 s and then 8 s each: from 21 s on it is 44 s."""
    retry = RetryDelay(initial_s=1.0, max_s=8.0)
    api = provider(**CALM, throttling=((20.1, 40.1, 1.0),), retry=retry)
    run, records = served(fleet((), (api,), classes=classes(retries=9)))
    assert (records["status"] == Status.COMPLETED).all()
    steps = np.cumsum([0.0, 1.0, 2.0, 4.0, 8.0, 8.0])
    for row in records[within(records, 20.1, 40.1)]:
        made = row["arrival_s"] + steps
        first = int(np.argmax(made >= 40.1))
        assert (row["retries"], row["scheduled_s"]) == (first, pytest.approx(made[first]))
    usage = run.usage.providers[0]
    assert usage.failed_calls.sum() == usage.retried_calls.sum() == records["retries"].sum() > 0
    assert usage.calls.sum() == N


def test_another_target_takes_what_is_refused_and_batches_are_not() -> None:
    api, other = provider(**CALM, throttling=((20.1, 80.1, 0.5),)), provider(**CALM, luck="other")
    first = RoutingSpec(TargetRouting.OVERFLOW, (0, 1))
    _, records = served(fleet((), (api, other), first, classes(2)))
    assert (records["status"] == Status.COMPLETED).all()
    inside = within(records, 20.1, 80.1)
    sent_on = records["overflowed"] == 1
    assert not sent_on[~inside].any()
    assert abs(sent_on[inside].mean() - 0.5) < 0.1
    batch = replace(
        api, tier_by_class=(ServiceTier(batch_window_s=50.0), ServiceTier()), throttling=((0.0, 200.0, 1.0),)
    )
    _, records = served(fleet((), (batch,), classes=classes()))
    assert ((records["status"] == Status.COMPLETED) == (records["class_id"] == 0)).all()


def test_a_storm_is_met_at_its_time_where_what_is_simulated_begins_later() -> None:
    api = provider(**CALM, throttling=((20.0, 40.0, 0.5), (50.0, 80.0, 0.25)))
    (later,) = from_second(fleet((), (api,), classes=classes()), 60.0).providers
    assert later.throttling == ((0.0, 20.0, 0.25),)
    lacking = pool(reliability=Reliability(stock_outs=((20.0, 40.0), (50.0, 80.0))))
    (moved,) = from_second(fleet((lacking,), (), classes=classes()), 60.0).pools
    assert moved.reliability.stock_outs == ((0.0, 20.0),)


def test_no_launch_finds_capacity_while_it_is_out_of_stock() -> None:
    """The first request, at second 0, asks for a replica; tries come each 7 s: the first after second 60 is at 63 s."""
    scaler = Autoscaler(min_replicas=0, max_replicas=1, target_per_replica=10.0, period_s=1.0)
    started: list[float] = []
    for spans in ((), ((0.0, 60.0),)):
        lacking = pool(
            replicas=0,
            autoscaler=scaler,
            reliability=Reliability(retry_s=7.0, stock_outs=spans),
            cold_start=ColdStart(engine_s=5.0),
        )
        run, records = served(fleet((lacking,), (), classes=classes()), n=5, horizon_s=300.0)
        usage = run.usage.pools[0]
        assert (usage.launches, usage.stockouts) == (1, 9 if spans else 0)
        assert (records["status"] == Status.COMPLETED).all()
        started.append(float(records["scheduled_s"].min()))
        kind = KINDS.index("no_capacity")
        assert run.events[run.events["kind"] == kind][["start_s", "end_s"]].tolist() == list(spans)
    assert started[1] - started[0] == pytest.approx(63.0)


@pytest.mark.parametrize("moment_s", range(12))
def test_a_moment_is_out_of_stock_by_any_of_the_times(moment_s: int) -> None:
    """Times that overlap, touch, lie within others and come in no order, against a look at every one."""
    times = [(8.0, 9.0), (1.0, 6.0), (2.0, 3.0), (6.0, 7.0), (2.0, 4.0)]
    assert covers(union(times), moment_s) == any(start_s <= moment_s < end_s for start_s, end_s in times)


def test_many_times_without_capacity_are_not_looked_through_at_each_try() -> None:
    scaler = Autoscaler(min_replicas=0, max_replicas=1, target_per_replica=10.0, period_s=1.0)
    spans = Counted((0.25 * k, 0.25 * k + 0.25) for k in range(400))
    lacking = pool(replicas=0, autoscaler=scaler, reliability=Reliability(retry_s=0.1, stock_outs=spans))
    run, _ = served(fleet((lacking,), (), classes=classes()), n=5, horizon_s=300.0)
    assert run.usage.pools[0].stockouts >= 900
    assert 0 < spans.rounds < 10


class Counted(tuple[Any, ...]):
    """Spans that know how often they were gone through."""

    rounds = 0

    def __iter__(self) -> Iterator[Any]:
        self.rounds += 1
        return super().__iter__()


@pytest.mark.parametrize("seed", range(5))
def test_of_spans_that_overlap_the_largest_share_holds_at_every_moment(seed: int) -> None:
    """Against a look at every span for every moment; moments are few, so that many begin and end together."""
    rng = np.random.default_rng(seed)
    starts_s, lengths_s = rng.integers(0, 20, 40), rng.integers(1, 9, 40)
    shares = rng.integers(1, 5, 40) / 4
    spans = [(float(s), float(s + n), float(x)) for s, n, x in zip(starts_s, lengths_s, shares, strict=True)]
    found = list(throttled_shares(spans))
    moments = sorted({moment for start_s, end_s, _ in spans for moment in (start_s, end_s)})
    assert [moment_s for moment_s, _ in found] == moments
    for moment_s, share in found:
        assert share == max((x for start_s, end_s, x in spans if start_s <= moment_s < end_s), default=0.0)


def test_many_times_of_429_are_not_looked_through_at_each_of_them() -> None:
    """Of a scenario of 20,000 times each was compared with all at each: a run of 20 s that did not end."""
    spans = Counted((0.25 * k, 0.25 * k + 0.2, 0.5) for k in range(400))
    served(fleet((), (provider(**CALM, throttling=spans),), classes=classes()))
    assert 0 < spans.rounds < 10
