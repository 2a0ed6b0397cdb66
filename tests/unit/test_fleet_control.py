"""The control plane: scaling decisions, cold starts that are waited for and paid, failures, reclaims, the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from simulator.engine.config import EngineConfig
from simulator.fleet.autoscale import desired_replicas
from simulator.fleet.ledger import by_hour
from simulator.fleet.records import Status
from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.fleet.single import RequestList
from simulator.metrics.laws import check_causality, check_gpu_seconds, check_little
from simulator.perf.steptime import constant_step_time
from simulator.study.choices import TargetRouting
from simulator.study.fleet import Autoscaler, ClassSpec, ColdStart, FleetSpec, PoolSpec, Reliability, RoutingSpec
from simulator.workload.requests import make_requests

SCALER = Autoscaler(min_replicas=0, max_replicas=4, target_per_replica=10.0)


@pytest.mark.parametrize(
    ("ready", "requests", "missed", "desired"),
    [
        (1, 10, 0, 1),
        (2, 21, 0, 2),
        (1, 12, 0, 2),
        (2, 5, 0, 1),
        (2, 0, 0, 0),
        (0, 0, 1, 1),
        (0, 35, 0, 4),
        (4, 99, 0, 4),
    ],
)
def test_desired_replicas(ready: int, requests: int, missed: int, desired: int) -> None:
    assert desired_replicas(SCALER, ready, requests, missed) == desired


def test_hours_split_spans_exactly() -> None:
    spans = [(0.0, 1800.0), (3000.0, 7500.0)]
    assert by_hour(spans, 3).tolist() == [2400.0, 3600.0, 300.0]


def pool(**changes: Any) -> PoolSpec:
    engine = EngineConfig(
        400, max_num_seqs=8, max_num_batched_tokens=512, max_model_len=512, enable_prefix_caching=False
    )
    watts = np.full(9, 500.0)
    watts[0] = 100.0
    return replace(PoolSpec("p", "s", 2, 1, engine, constant_step_time(0.1, 512, 8), watts), **changes)


def serve(
    spec: PoolSpec, arrivals: np.ndarray, horizon_s: float, timeout_s: float = 0.0, drain_s: float = 200.0
) -> tuple[FleetRun, np.ndarray]:
    n = len(arrivals)
    requests = make_requests(arrivals, np.full(n, 20), np.full(n, 10))
    classes = (ClassSpec("c", (True,), timeout_s),)
    fleet = FleetSpec("f", (spec,), (), RoutingSpec(TargetRouting.WEIGHTED, (0,)), classes)
    ended: list[np.ndarray] = []
    run = simulate_fleet(
        fleet, RequestList(requests), horizon_s=horizon_s, drain_s=drain_s, warmup_s=0.0, seed=1, sink=ended.append
    )
    records = np.concatenate(ended)
    check_causality(records)
    check_little(run.balances[0])
    check_gpu_seconds(run.usage.pools[0])
    assert sorted(records["request"]) == list(range(n))
    return run, records


@pytest.mark.parametrize(("drain_s", "end_s"), [(200.0, 110.0), (10.0, 101.0), (0.4, 100.4)])
def test_a_drain_ends_at_the_first_of_its_looks_that_finds_nobody(drain_s: float, end_s: float) -> None:
    """Asked for half a second before the end, ended half a second after it: twenty looks, a second apart or more."""
    run, records = serve(pool(), np.array([99.5]), 100.0, drain_s=drain_s)
    assert run.end_s == pytest.approx(end_s)
    assert (records["status"] == Status.COMPLETED).all() == (drain_s > 0.5)


def test_a_cold_start_is_waited_for_and_paid() -> None:
    spec = pool(replicas=0, autoscaler=SCALER, cold_start=ColdStart(20.0, 10.0, 5.0, 5.0))
    run, records = serve(spec, np.array([1.0, 2.0]), 200.0)
    usage = run.usage.pools[0]
    assert records["first_token_s"].tolist() == pytest.approx([55.1, 55.1])
    assert usage.starting_s == pytest.approx(40.0)
    assert usage.launches == 1
    assert usage.billed_s == pytest.approx(185.0)


def test_a_pool_scales_up_under_load_and_down_after_the_window() -> None:
    spec = pool(autoscaler=replace(SCALER, min_replicas=1, down_window_s=60.0), cold_start=ColdStart(engine_s=10.0))
    run, records = serve(spec, np.linspace(0.0, 120.0, 3600), 900.0)
    ready = run.samples["ready"]
    assert ready.max() == 4
    assert ready[-1] == 1
    assert (records["status"] == Status.COMPLETED).all()
    assert run.usage.pools[0].billed_s < 4 * 900.0
    assert run.usage.pools[0].peak_replicas == 4


def test_an_empty_pool_that_others_stand_in_for_is_launched_for_whom_it_missed() -> None:
    """Nobody waits for it: the other pool answers at once. The scaler's first look is after 15 s."""
    requests = make_requests(np.array([1.0, 40.0]), np.full(2, 20), np.full(2, 10))
    routing = RoutingSpec(TargetRouting.OVERFLOW, (0, 1), overflow_waiting=(0.0, np.inf))
    pools = (pool(replicas=0, autoscaler=SCALER, cold_start=ColdStart(engine_s=10.0)), pool(name="q"))
    ended: list[np.ndarray] = []
    run = simulate_fleet(
        *(FleetSpec("f", pools, (), routing, (ClassSpec("c", (True, True)),)), RequestList(requests)),
        horizon_s=60.0,
        drain_s=60.0,
        warmup_s=0.0,
        seed=1,
        sink=ended.append,
    )
    assert np.sort(np.concatenate(ended), order="request")["target"].tolist() == [1, 0]
    (stay, *_) = run.usage.pools[0].stays
    assert (run.usage.pools[0].launches, stay.state, stay.start_s, stay.end_s) == (1, "starting", 15.0, 25.0)


def test_energy_is_that_of_steps_and_of_idling() -> None:
    run, _ = serve(pool(), np.array([10.0]), 100.0)
    usage = run.usage.pools[0]
    assert usage.busy_s == pytest.approx(1.0)
    assert usage.energy_by_hour_j.sum() == pytest.approx(500.0 * 1.0 + 100.0 * 99.0)


def test_a_failure_breaks_streams_and_the_replica_comes_back() -> None:
    spec = pool(reliability=Reliability(mtbf_s=40.0, mttr_s=20.0), cold_start=ColdStart(engine_s=5.0))
    run, records = serve(spec, np.arange(0.0, 400.0, 0.3), 400.0)
    usage = run.usage.pools[0]
    assert usage.failures >= 2
    down = [stay for stay in usage.stays if stay.state == "down"]
    assert (len(down), usage.down_s) == (usage.failures, pytest.approx(sum(stay.end_s - stay.start_s for stay in down)))
    assert usage.starting_s == pytest.approx(5.0 * sum(stay.end_s < 400.0 for stay in down))
    assert (records["status"] == Status.FAILED).any()
    assert (records["status"] == Status.COMPLETED).sum() > 500
    failed = records[records["status"] == Status.FAILED]
    assert ((failed["generated"] > 0) | (failed["retries"] == 1)).all()


def test_spot_reclaims_are_replaced() -> None:
    spec = pool(
        replicas=2,
        reliability=Reliability(reclaim_mtbf_s=100.0, reclaim_notice_s=10.0),
        cold_start=ColdStart(engine_s=5.0),
    )
    run, records = serve(spec, np.arange(0.0, 600.0, 0.2), 600.0)
    usage = run.usage.pools[0]
    assert usage.reclaims >= 3
    assert usage.launches == usage.reclaims, "the last one, too, before the end"
    assert usage.starting_s == pytest.approx(5.0 * usage.launches)
    assert (records["status"] == Status.COMPLETED).all()


def test_stock_outs_delay_a_launch() -> None:
    spec = pool(
        replicas=0,
        autoscaler=SCALER,
        reliability=Reliability(unavailable_probability=0.9, retry_s=10.0),
    )
    run, records = serve(spec, np.array([1.0]), 2000.0)
    usage = run.usage.pools[0]
    assert usage.stockouts > 2
    assert records["first_token_s"].tolist() == pytest.approx([15.0 + 10.0 * usage.stockouts + 0.1])
    assert usage.launches == 1


def test_whoever_waits_too_long_for_a_first_token_is_dropped() -> None:
    _, records = serve(pool(), np.zeros(40), 100.0, timeout_s=2.05)
    served = records["status"] == Status.COMPLETED
    assert served.sum() == 24
    late = records[~served]
    assert (late["status"] == Status.TIMED_OUT).all()
    assert late["finish_s"].tolist() == pytest.approx([2.05] * 16)


def test_an_overloaded_pool_leaves_requests_unfinished_and_counted() -> None:
    _, records = serve(pool(), np.linspace(0.0, 10.0, 20000), 10.0)
    assert (records["status"] == Status.UNFINISHED).sum() > 15000
