"""A load is called unstable where it is one: with what prompts share, and where the fleet did not keep up."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fleet_cases import ENGINE, fleet, pool, provider
from hypothesis import given
from hypothesis import strategies as st

from simulator.fleet.records import Status
from simulator.fleet.single import RequestList, run_single
from simulator.perf.device import BatchLimits
from simulator.resolve.engines import plan_engine
from simulator.resolve.given import NO_BOUND, given_step_time
from simulator.run import summary
from simulator.run.remarks import turns_apart
from simulator.schema.engine import EngineSettings, Throughput
from simulator.simulate.capacity import (
    Load,
    _most_cached_share,
    capacity_rps,
    kept_up,
    load_by_target,
    load_of,
    load_warnings,
    replica_capacity_rps,
)
from simulator.study.choices import TargetRouting
from simulator.study.fleet import Autoscaler, CascadeSpec, RoutingSpec
from simulator.workload.requests import make_requests

CACHING = pool()
COLD = pool(engine=ENGINE.__class__(200, 16, 128, 8, 1000, enable_prefix_caching=False))


def test_prefix_hits_spare_prompts_alone() -> None:
    cold = replica_capacity_rps(CACHING, 120.0, 1.0, decode=False)
    assert replica_capacity_rps(CACHING, 120.0, 1.0, decode=False, cached_share=0.75) == pytest.approx(4 * cold)
    assert replica_capacity_rps(COLD, 120.0, 1.0, decode=False, cached_share=0.75) == pytest.approx(cold)
    answers = replica_capacity_rps(CACHING, 120.0, 9.0, prefill=False)
    assert replica_capacity_rps(CACHING, 120.0, 9.0, prefill=False, cached_share=0.9) == answers


@pytest.mark.parametrize(
    ("prompt_tokens_per_s", "expected_rps"), [(None, 500.0), (10_000.0, 1 / (99 / 10_000 + 1 / 500))]
)
def test_prompts_alone_take_what_is_given_for_their_first_tokens(
    prompt_tokens_per_s: float | None, expected_rps: float
) -> None:
    """Where prompts take no time, as many are done as first tokens are made."""
    limits = BatchLimits(CACHING.engine.max_num_batched_tokens, CACHING.engine.max_num_seqs)
    rates = Throughput(output_tokens_per_s=500.0, input_tokens_per_s=prompt_tokens_per_s)
    given_rates = replace(CACHING, step_time=given_step_time(rates, limits, NO_BOUND, 1))
    assert replica_capacity_rps(given_rates, 100.0, 9.0, decode=False) == pytest.approx(expected_rps)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30)), min_size=1, max_size=12))
def test_an_endless_cache_finds_no_more_than_is_said(rows: list[tuple[int, int]]) -> None:
    ids, tokens = np.array(rows).T
    n = len(rows)
    requests = make_requests(
        np.arange(n, dtype=float),
        tokens + 5,
        np.ones(n, np.int64),
        segment_start=np.arange(n + 1),
        segment_id=ids,
        segment_tokens=tokens,
    )
    longest: dict[int, int] = {}
    found = 0
    for key, length in rows:
        found += min(longest.get(key, 0), length)
        longest[key] = max(longest.get(key, 0), length)
    assert found / (tokens + 5).sum() <= _most_cached_share(requests) + 1e-12
    in_order = all(a[1] <= b[1] for a, b in itertools.pairwise(sorted(rows, key=lambda row: row[0])) if a[0] == b[0])
    if in_order:
        assert found / (tokens + 5).sum() == pytest.approx(_most_cached_share(requests))


def test_a_fleet_keeps_up_where_as_much_ends_as_comes() -> None:
    assert kept_up({"throughput_rps": 9.8}, 10.0)
    assert not kept_up({"throughput_rps": 9.0}, 10.0)
    assert kept_up({"throughput_rps": 0.0}, 0.0)


def test_topologies_that_were_asked_different_things_are_told_apart() -> None:
    assert turns_apart([1_000, 1_010]) == []
    assert turns_apart([]) == []
    assert turns_apart([0, 0]) == []
    (words,) = turns_apart([9_054, 5_053])
    assert "5,053 to 9,054 requests" in words


@pytest.mark.parametrize(
    ("told", "isl", "osl"), [(None, 256, 128), (False, 256, 128), (None, 1024, 16), (False, 64, 256)]
)
def test_a_pipeline_serves_what_its_capacity_says_where_requests_come_one_by_one(
    told: bool | None, isl: int, osl: int
) -> None:
    settings = EngineSettings(async_scheduling=told, enable_prefix_caching=False, max_num_seqs=64)
    engine = plan_engine("llama-3.1-8b", "h100-sxm", 1, 4, settings, Path())
    planned = replace(CACHING, engine=engine.config, step_time=engine.step_time)
    capacity_rps = replica_capacity_rps(planned, isl, osl)
    n = 1200
    requests = make_requests(np.arange(n) / (3 * capacity_rps), np.full(n, isl), np.full(n, osl))
    finish_s = np.sort(run_single(engine.config, engine.step_time, requests).records["finish_s"])
    served_rps = (n // 2) / (finish_s[3 * n // 4] - finish_s[n // 4])
    assert served_rps == pytest.approx(capacity_rps, rel=0.3)


@pytest.mark.parametrize(("order", "times"), [((0, 1), 1.0), ((1, 0), 4.0)])
def test_a_cascade_with_a_token_api_does_what_its_pool_does(order: tuple[int, int], times: float) -> None:
    """All requests begin at the pool, or a quarter of them go on to it."""
    routing = RoutingSpec(TargetRouting.CASCADE, order, cascade=CascadeSpec(share=0.25))
    spec = fleet((COLD,), (provider(),), routing)
    load = Load(1.0, 100.0, 10.0, 0.0, 105.0)
    assert capacity_rps(spec, load) == pytest.approx(times * replica_capacity_rps(COLD, 100.0, 10.0))


def test_long_answers_hold_their_context_for_longer() -> None:
    """Answers of 10 and of 190 tokens after 10: 19 of 20 steps are of the long one, 100.5 tokens are held, not 60."""
    requests = make_requests(np.array([0.0, 1.0]), np.array([10, 10]), np.array([10, 190]))
    load = load_of(RequestList(requests), 10.0)
    assert load is not None
    assert load.context_tokens == pytest.approx((10 * 15 + 190 * 105) / 200)
    few = replace(COLD, engine=replace(COLD.engine, num_blocks=13, max_num_seqs=64))
    capacity = replica_capacity_rps(few, 10.0, 100.0, context_tokens=load.context_tokens)
    assert capacity < replica_capacity_rps(few, 10.0, 100.0)


def test_the_load_of_a_target_is_what_it_was_sent_as_long_as_its_classes_are() -> None:
    """Of a (isl 10, osl 20) it was sent 30, of b (40, 100 or 300) 10, in 20 s: 2 a second, of 17.5 and 65 tokens."""
    requests = make_requests(
        np.arange(3.0), np.array([10, 40, 40]), np.array([20, 100, 300]), class_id=np.array([0, 1, 1], np.int32)
    )
    sent = np.array([[30, 0, 30], [10, 0, 0]])
    both, none, short = load_by_target(RequestList(requests), sent, [0.25, 0.0, 0.0], 20.0)
    held = (30 * 20 * 20 + 5 * 100 * 90 + 5 * 300 * 190) / (30 * 20 + 5 * 100 + 5 * 300)
    assert both == pytest.approx((2.0, 17.5, 65.0, 0.25, held))
    assert none.rate_rps == 0.0
    assert short == pytest.approx((1.5, 10.0, 20.0, 0.0, 20.0))


def ran(completed: int, input_tokens: int, output_tokens: int, cached_tokens: int) -> Any:
    """A replication that completed so many requests and lost as many."""
    statuses = np.zeros(len(Status), np.int64)
    statuses[[Status.COMPLETED, Status.FAILED]] = completed
    total = SimpleNamespace(
        statuses=statuses, input_tokens=input_tokens, output_tokens=output_tokens, cached_tokens=cached_tokens
    )
    return SimpleNamespace(metrics=SimpleNamespace(total=total))


def test_the_capacity_in_a_summary_is_for_requests_as_long_as_those_that_were_completed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(summary, "replica_capacity_rps", lambda *given, **more: asked.append((*given, more)) or 7.0)
    prompts, answers, both = (SimpleNamespace(hands_to=to) for to in (1, None, None))
    planned: Any = SimpleNamespace(fleet=SimpleNamespace(pools=(prompts, answers, both)))
    runs = [ran(3, 1000, 90, 300), ran(1, 600, 30, 100)]
    assert [summary._replica_capacity_rps(planned, runs, k) for k in range(3)] == [7.0, 7.0, 7.0]
    sides = ((True, False), (False, True), (True, True))
    assert asked == [
        (pool, 400.0, 30.0, {"prefill": prefill, "decode": decode, "cached_share": 0.25})
        for pool, (prefill, decode) in zip((prompts, answers, both), sides, strict=True)
    ]
    assert summary._replica_capacity_rps(planned, [ran(0, 0, 0, 0)], 0) is None


def test_a_request_of_one_token_takes_the_time_of_its_prompt_and_of_one_step_in_a_pipeline_too() -> None:
    """One round: as many chunks come with it as there are requests, whether or not answers are counted."""
    two = replace(CACHING, step_time=replace(CACHING.step_time, stages=2))
    for isl in (40.0, 120.0):
        whole, prompts, answers = (
            1.0 / replica_capacity_rps(two, isl, 1.0, prefill=prefill, decode=decode)
            for prefill, decode in ((True, True), (True, False), (False, True))
        )
        assert whole == pytest.approx(prompts + answers)


def test_equal_pools_can_do_what_one_of_their_size_can_and_an_autoscaler_what_its_most_replicas_can() -> None:
    load = Load(1.0, 100.0, 20.0)
    scaled = pool(replicas=1, autoscaler=Autoscaler(min_replicas=1, max_replicas=4, target_per_replica=8.0))
    alone = capacity_rps(fleet((pool(replicas=4),)), load)
    assert alone == pytest.approx(4 * replica_capacity_rps(pool(), 100.0, 20.0))
    assert capacity_rps(fleet((pool(replicas=2), pool("q", replicas=2))), load) == pytest.approx(alone)
    assert capacity_rps(fleet((scaled,)), load) == pytest.approx(alone)


@pytest.mark.parametrize(
    ("share", "met", "said"),
    [
        (0.99, None, ""),
        (1.05, None, "may be a tenth off: a run tells whether the queue grows"),
        (1.15, None, "unstable"),
        (1.05, False, "unstable"),
        (1.15, True, "whether it lasts is not known"),
    ],
)
def test_within_a_tenth_of_the_rough_capacity_a_run_decides(
    share: float, met: bool | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(load_warnings.__globals__, "jobs_per_month", lambda scenario: 0.0)
    spec = fleet((pool(replicas=2),))
    load = Load(share * capacity_rps(spec, Load(1.0, 120.0, 9.0, 0.0)), 120.0, 9.0, 0.0)
    planned: Any = SimpleNamespace(fleet=spec, loaded=SimpleNamespace(scenario=None))
    told = load_warnings(load, planned, met)
    assert bool(told) == bool(said)
    assert all(said in text for text in told)
    assert said == "unstable" or not any("unstable" in text for text in told)
