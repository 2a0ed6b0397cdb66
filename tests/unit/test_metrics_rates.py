"""Rates are those of the window: what happened in it, whenever its requests came, and the calls made in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fleet_cases import ENGINE, STEP_S, Source, evenly, fleet, poisson, pool, provider
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.fleet.records import RECORD, Escalation, Status
from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.rates import streamed_tokens, time_in_steps
from simulator.metrics.slo import ClassSlo
from simulator.perf.steptime import constant_step_time
from simulator.rng import stream
from simulator.study.fleet import CascadeSpec, ClassSpec, FleetSpec, RoutingSpec, TargetRouting
from simulator.workload.requests import ClosedLoop, Requests

CLASSES = (ClassSlo("a"), ClassSlo("b"))


def measured(
    spec: FleetSpec, source: Source | Requests, horizon_s: float, drain_s: float, warmup_s: float = 0.0
) -> tuple[dict[str, Any], FleetRun, NDArray[Any]]:
    targets = [*(p.name for p in spec.pools), *(p.name for p in spec.providers)]
    metrics = MetricAccumulator(CLASSES, warmup_s, horizon_s, targets, len(spec.pools))
    batches = [np.zeros(0, RECORD)]

    def sink(records: NDArray[Any]) -> None:
        batches.append(records)
        metrics.add(records)

    run = simulate_fleet(
        spec,
        source if isinstance(source, Source) else Source((source,)),
        horizon_s=horizon_s,
        drain_s=drain_s,
        warmup_s=warmup_s,
        seed=1,
        sink=sink,
    )
    metrics.count_tokens(run.usage)
    return metrics.summary(), run, np.concatenate(batches)


@pytest.mark.parametrize("warmup_s", [0.0, 3.0])
def test_tokens_of_long_answers_are_those_of_littles_law_though_none_ends(warmup_s: float) -> None:
    users = 8
    loop = ClosedLoop(np.zeros(users), evenly(users, 0.0, 4, 900))
    found, _, records = measured(fleet((pool(),)), Source((), (loop,)), 10.0, 0.0, warmup_s)
    assert not (records["status"] == Status.COMPLETED).any()
    assert found["throughput_rps"] == 0
    assert found["output_tokens_per_s"] == pytest.approx(users / STEP_S, rel=0.01)


@pytest.mark.parametrize("drain_s", [0.0, 7.0, 1e4])
def test_an_overload_does_not_add_the_drain_to_the_rates(drain_s: float) -> None:
    found, run, _ = measured(fleet((pool(),)), evenly(400, 0.1, 20, 30), 40.0, drain_s)
    usage = run.usage.pools[0]
    assert found["output_tokens_per_s"] == usage.output_tokens / 40.0
    assert found["input_tokens_per_s"] == usage.input_tokens / 40.0
    assert found["output_tokens_per_s"] <= ENGINE.max_num_seqs / STEP_S
    assert found["throughput_rps"] == pytest.approx(found["input_tokens_per_s"] / 20)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.0, 30.0), st.floats(0.0, 100.0), st.integers(0, 5))
def test_rates_are_those_of_the_records_within_the_window(warmup_s: float, drain_s: float, seed: int) -> None:
    requests = poisson(stream(seed, "rates"), 300, 8.0)
    spec = fleet((pool(replicas=2),), (provider(),))
    found, run, records = measured(spec, requests, 31.0, drain_s, warmup_s)
    length_s = 31.0 - warmup_s
    ended = (records["finish_s"] >= warmup_s) & (records["finish_s"] <= 31.0)
    done = records[ended & (records["status"] == Status.COMPLETED)]
    assert found["throughput_rps"] * length_s == pytest.approx(len(done))
    called = records[(records["target"] == 1) & (records["scheduled_s"] >= warmup_s) & (records["scheduled_s"] < 31.0)]
    assert found["answered_rps"] * length_s == pytest.approx((done["target"] == 0).sum() + len(called))
    prompts = done["isl"][done["target"] == 0].sum() + called["isl"].sum()
    assert found["input_tokens_per_s"] * length_s == pytest.approx(prompts)
    assert run.usage.processed_tokens[1].tolist() == [called[name].sum() for name in ("isl", "cached_tokens", "osl")]
    streamed = streamed_tokens(records[records["target"] == 0], warmup_s, 31.0).sum()
    assert run.usage.processed_tokens[0, 2] == pytest.approx(streamed, rel=0.1, abs=40)
    for kind in ("input", "output"):
        parts = sum(row[f"{kind}_tokens_per_s"] for row in found["classes"].values())
        assert parts == pytest.approx(found[f"{kind}_tokens_per_s"])


@pytest.mark.parametrize("first_is_an_api", [False, True])
def test_an_answer_that_a_cascade_throws_away_is_processed_but_not_delivered(first_is_an_api: bool) -> None:
    routing = RoutingSpec(TargetRouting.CASCADE, (1, 0) if first_is_an_api else (0, 1), cascade=CascadeSpec(share=0.5))
    spec = fleet((pool(replicas=4),), (provider(),), routing)
    found, _, records = measured(spec, evenly(200, 0.2, 12, 10), 200.0, 0.0)
    escalated = int((records["escalated"] == Escalation.ESCALATED).sum())
    assert 50 < escalated < 150
    assert (records["status"] == Status.COMPLETED).all()
    assert found["answered_rps"] * 200.0 == pytest.approx(200)
    assert found["output_tokens_per_s"] * 200.0 == pytest.approx(200 * 10)
    assert found["input_tokens_per_s"] * 200.0 == pytest.approx(200 * 12)
    assert found["processed_tokens_per_s"] * 200.0 == pytest.approx((200 + escalated) * 22)


def test_streams_are_cut_at_both_ends_of_the_window() -> None:
    records = np.zeros(5, RECORD)
    records["generated"] = [10, 10, 10, 1, 0]
    records["first_token_s"] = [0.0, 4.0, 20.0, 5.0, np.nan]
    records["finish_s"] = [10.0, 14.0, 30.0, 5.0, 5.0]
    assert streamed_tokens(records, 5.0, 10.0) == pytest.approx([5.0, 5.0, 0.0, 1.0, 0.0])


def test_time_in_steps_is_of_ready_gpus() -> None:
    _, run, _ = measured(fleet((pool(),)), evenly(3, 0.0, 4, 20), 10.0, 0.0)
    usage = run.usage.pools[0]
    assert time_in_steps([usage]) == pytest.approx(usage.busy_s / 10.0)
    late = replace(usage, billed_s=20.0, starting_s=5.0, down_s=5.0)
    assert time_in_steps([late]) == time_in_steps([usage])
    wide = replace(usage, gpus_per_replica=3, busy_s=10.0, idle_s=0.0)
    assert time_in_steps([usage, wide]) == pytest.approx((usage.busy_s + 30.0) / 40.0)
    assert np.isnan(time_in_steps([]))


def test_tokens_are_told_in_the_order_in_which_the_targets_were_given() -> None:
    small, large = pool("z", step_time=constant_step_time(0.2, 128, 8)), pool("a")

    _, one, _ = measured(fleet((small, large)), evenly(200, 0.1, 5, 8), 40.0, 0.0)
    _, other, _ = measured(fleet((large, small)), evenly(200, 0.1, 5, 8), 40.0, 0.0)
    for run in (one, other):
        assert run.usage.processed_tokens[:, 2].tolist() == [usage.output_tokens for usage in run.usage.pools]


def test_a_call_that_is_made_at_the_very_end_of_the_window_is_in_no_count() -> None:
    """Two users whose answers take 1 s each: calls at 0, 1, … 9 s are billed; the one at 10 s belongs to what comes."""
    steady = provider(ttft_median_s=1.0, ttft_sigma=0.0, tpot_median_s=0.0, tpot_sigma=0.0)
    loop = ClosedLoop(np.zeros(2), evenly(2, 0.0, 7, 3))
    found, run, _ = measured(fleet((), (steady,)), Source((), (loop,)), 10.0, 0.0)
    assert found["arrived"] == 2 * 10
    assert run.usage.providers[0].calls.sum() == 2 * 10
    assert found["answered_rps"] * 10.0 == pytest.approx(2 * 10)


def test_what_failed_calls_read_is_processed_but_not_delivered() -> None:
    """Of 200 calls of 7 + 3 tokens some end in an error once their prompt was read; none is repeated."""
    api = provider(error_probability=0.25)
    classes = (ClassSpec("a", (True,), max_retries=0), ClassSpec("b", (True,), max_retries=0))
    found, run, records = measured(fleet((), (api,), classes=classes), evenly(200, 0.1, 7, 3), 20.0, 1e3)
    failed = int((records["status"] == Status.FAILED).sum())
    assert 20 < failed < 80
    assert found["answered_rps"] * 20.0 == pytest.approx(200 - failed)
    assert run.usage.providers[0].failed_tokens.sum() == 7 * failed
    assert found["processed_tokens_per_s"] * 20.0 == pytest.approx(200 * 10 - 3 * failed)
    assert (found["input_tokens_per_s"] + found["output_tokens_per_s"]) * 20.0 == pytest.approx(10 * (200 - failed))
