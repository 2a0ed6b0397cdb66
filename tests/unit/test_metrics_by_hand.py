"""Shares, rates and ranges of made-up requests, over one replication and several: each by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scenario_cases import chat, written

from simulator.fleet.records import RECORD, Escalation, Reason, Status
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.demand import COUNTS, LOST, Demand
from simulator.metrics.sketch import RELATIVE_ERROR, Sketch
from simulator.metrics.slo import ClassSlo
from simulator.plan.month import all_months_alike, in_month, plan_month
from simulator.run.loads import loads_of
from simulator.run.summary import _replica_range
from simulator.simulate.one import itl


def gaps(*values: float) -> Any:
    sketch = Sketch()
    sketch.add(np.array(values))
    return SimpleNamespace(itl_counts=sketch.counts)


def test_gaps_between_tokens_are_those_of_all_replications() -> None:
    found = itl([gaps(0.01, 0.01, 0.01), gaps(), gaps(0.04, 2.0)])
    assert found.n == 5
    assert [found.quantile(share) for share in (0.5, 0.8, 1.0)] == pytest.approx([0.01, 0.04, 2.0], rel=RELATIVE_ERROR)


def ended(n: int, **columns: Any) -> NDArray[Any]:
    """Requests that come a second apart from 0 s on, answer after half a second and have all after two."""
    out = np.zeros(n, RECORD)
    arrival_s = np.arange(n, dtype=np.float64)
    base = {"isl": 10, "osl": 5, "generated": 5, "arrival_s": arrival_s, "scheduled_s": arrival_s + 0.25}
    base |= {"first_token_s": arrival_s + 0.5, "finish_s": arrival_s + 2.0, "request": np.arange(n)}
    for name in ("transferred_s", "prefilled_s"):
        out[name] = np.nan
    for name, values in {**base, **columns}.items():
        out[name] = values
    return out


TEN = ended(
    10,
    status=[*[Status.COMPLETED] * 6, Status.REJECTED, Status.REJECTED, Status.TIMED_OUT, Status.FAILED],
    reason=[*[0] * 6, Reason.TOO_LONG, Reason.RATE_LIMIT, 0, Reason.ERROR],
    escalated=[Escalation.ESCALATED] * 3 + [Escalation.DENIED] * 2 + [0] * 4 + [Escalation.ESCALATED],
    overflowed=[1, 1, 0, 0, 0, 0, 1, 0, 0, 0],
    cached_tokens=[4, 8, 0, 0, 0, 0, 10, 10, 10, 10],
    retries=[0, 2, 0, 0, 0, 0, 0, 1, 0, 0],
    preemptions=[1] * 10,
    unsent_turns=[0] * 9 + [2],
)


def counted(*replications: NDArray[Any], warmup_s: float = 0.0, end_s: float = 10.0) -> dict[str, Any]:
    found = []
    for records in replications:
        one = MetricAccumulator((ClassSlo("a"),), warmup_s, end_s, (), 0)
        one.add(records)
        found.append(one)
    return MetricAccumulator.of(found).summary(found)


def test_shares_are_of_all_that_arrived_and_hits_of_what_was_answered() -> None:
    found = counted(TEN)
    assert (found["arrived"], found["slo_attainment"]) == (10, pytest.approx(0.6))
    assert found["escalated_share"] == pytest.approx(0.4)
    assert found["overflow_share"] == pytest.approx(0.3)
    assert found["cached_share"] == pytest.approx(12 / 60)
    assert (found["retries"], found["preemptions"], found["unsent_turns"]) == (3, 10, 2)
    assert found["served_share"] == pytest.approx(6 / 12)
    assert found["statuses"] == {"completed": 6, "rejected": 2, "failed": 1, "timed_out": 1, "unfinished": 0}
    assert found["reasons"] == {"rejected": {"too_long": 1, "rate_limit": 1}, "failed": {"error": 1}}
    shares = counted(TEN[:0])
    assert (shares["escalated_share"], shares["overflow_share"], shares["cached_share"]) == (0.0, 0.0, 0.0)


def test_warm_up_is_left_out_of_shares() -> None:
    found = counted(TEN, warmup_s=3.0)
    assert (found["arrived"], found["escalated_share"], found["overflow_share"]) == (7, 1 / 7, 1 / 7)


def test_rates_of_several_replications_are_their_mean() -> None:
    """Answers end from 2 to 7 s: six in ten seconds; of a second replication three."""
    one, both = counted(TEN), counted(TEN, TEN[:3])
    assert one["throughput_rps"] == pytest.approx(0.6)
    assert one["goodput_rps"] == pytest.approx(0.6)
    assert both["throughput_rps"] == pytest.approx((6 + 3) / 20)
    assert both["goodput_rps"] == pytest.approx((6 + 3) / 20)
    assert both["escalated_share"] == pytest.approx((4 + 3) / 13)
    assert counted(TEN, TEN)["throughput_rps"] == pytest.approx(one["throughput_rps"])


@pytest.mark.parametrize(
    ("horizon_s", "period_s", "periods"),
    [(0.5, 1.0, 1), (100.0, 1.0, 100), (100.5, 1.0, 101), (360.0, 1.0, 360), (7200.0, 20.0, 360)],
)
def test_demand_has_periods_of_at_least_a_second_and_360_at_most(
    horizon_s: float, period_s: float, periods: int
) -> None:
    found = Demand(horizon_s, 2)
    assert (found.period_s, found.counts.shape) == (period_s, (periods, 3, len(COUNTS)))


def test_demand_counts_each_request_in_its_period_at_its_last_target() -> None:
    found = Demand(6.0, 2)
    records = TEN.copy()
    records["target"] = [0, 0, 1, 1, 1, 0, -1, 1, 0, 1]
    found.add(records[:5])
    found.add(records[5:])
    arrived, overflowed = found.counts[:, :, 0], found.counts[:, :, 1]
    assert arrived.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0], [2, 2, 1]], (
        "the last holds the rest"
    )
    assert overflowed.tolist() == [[1, 0, 0], [1, 0, 0], *[[0, 0, 0]] * 3, [0, 0, 1]]
    lost = {name: found.counts[:, :, k + 2].sum(axis=0).tolist() for k, name in enumerate(LOST)}
    assert {name: each for name, each in lost.items() if any(each)} == {
        "too_long": [0, 0, 1],
        "rate_limit": [0, 1, 0],
        "error": [0, 1, 0],
        "timed_out": [1, 0, 0],
    }


def samples(*rows: tuple[float, int]) -> Any:
    times, ready = zip(*rows, strict=True) if rows else ((), ())
    return SimpleNamespace(run=SimpleNamespace(samples={"time_s": np.array(times), "ready": np.array(ready)}))


def test_replicas_of_a_topology_are_those_of_all_its_pools_at_one_time() -> None:
    """Two pools at 0 s and 5 s: 2 + 3 and 4 + 4 are ready; in another replication 1 + 3."""
    one, other = samples((0.0, 2), (0.0, 3), (5.0, 4), (5.0, 4)), samples((0.0, 1), (0.0, 3))
    assert _replica_range([one]) == (5, 8)
    assert _replica_range([one, other]) == (4, 8)
    assert _replica_range([samples(), other]) == (4, 4)
    assert _replica_range([samples()]) is None


GROWS = (
    "months: 4, load_steps: [{from_month: 2, load: 2}, {from_month: 4, load: 1.5}], "
    "events: [{name: late, from_month: 3, topology: own, change: {pools: [{name: p, replicas: 5}]}}, "
    "{name: early, from_month: 2, topology: own, change: {pools: [{name: p, replicas: 3}]}}]"
)


@pytest.mark.parametrize(
    ("asked", "number", "load", "binds", "done", "later", "replicas"),
    [
        (None, 2, 2.0, True, ["early"], ["late"], 3),
        (1, 1, 1.0, False, [], ["early", "late"], 1),
        (3, 3, 2.0, True, ["early", "late"], [], 5),
        (4, 4, 1.5, False, ["early", "late"], [], 5),
    ],
)
def test_a_plan_is_for_the_month_that_asks_for_the_most_unless_another_is_asked_for(
    tmp_path: Path,
    asked: int | None,
    number: int,
    load: float,
    binds: bool,
    done: list[str],
    later: list[str],
    replicas: int,
) -> None:
    loaded = written(tmp_path, chat("own: {pools: [{name: p, site: lambda, gpu: h100-sxm, replicas: 1}]}", study=GROWS))
    loads = loads_of(loaded)
    month = plan_month(loaded, loads, asked)
    assert (month.number, month.of, month.load, month.binds) == (number, 4, (load,), binds)
    assert month.since_first == (load, load)
    assert ([event.name for event in month.done], [event.name for event in month.later]) == (done, later)
    assert in_month(loaded, month).scenario.topologies["own"].pools[0].replicas == replicas
    assert not all_months_alike(loads)


@pytest.mark.parametrize(("batches", "p50_s", "unfelt"), [((), 0.5, []), ((1,), 0.5, ["b"]), ((0, 1), 0.5, [])])
def test_latencies_of_all_leave_out_batches_beside_others(
    batches: tuple[int, ...], p50_s: float, unfelt: list[str]
) -> None:
    """Three that wait half a second, and two that come back together after a day: p99 is either's."""
    records = ended(5, class_id=[0, 0, 0, 1, 1], status=Status.COMPLETED)
    records["first_token_s"][3:] = records["finish_s"][3:] = records["arrival_s"][3:] + 86_400.0
    classes = tuple(ClassSlo(name, is_batch=k in batches) for k, name in enumerate("ab"))
    found = MetricAccumulator(classes, 0.0, 10.0, (), 0)
    found.add(records)
    told = MetricAccumulator.of([found]).summary([found])
    assert told["unfelt"] == unfelt
    assert told["ttft_s"]["p50"] == pytest.approx(p50_s, rel=RELATIVE_ERROR)
    assert told["ttft_s"]["p99"] == pytest.approx(0.5 if unfelt else 86_400.0, rel=RELATIVE_ERROR)
    assert told["e2e_s"]["p99"] == pytest.approx(2.0 if unfelt else 86_400.0, rel=RELATIVE_ERROR)
    assert told["arrived"] == 5
    assert told["classes"]["b"]["ttft_s"]["p50"] == pytest.approx(86_400.0, rel=RELATIVE_ERROR)
