"""Prefill and decode apart with plans in flight: the compiled fleet gives what the plain-Python reference gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_cases import configs, workloads
from fleet_cases import poisson, serve
from hypothesis import given, settings
from hypothesis import strategies as st
from parts import few
from test_laws_disaggregation import LINKS, assert_same, disaggregated, large_case

from simulator.engine.config import Batching, EngineConfig, Policy
from simulator.engine.modes.spec import Flight, Modes
from simulator.engine.reference.disaggregation import KvLink
from simulator.engine.rules import RULE_SETS
from simulator.engine.state import FREE
from simulator.fleet.records import Status
from simulator.rng import stream
from simulator.study.fleet import FleetSpec
from simulator.workload.requests import Requests, make_requests

LINK = KvLink(1.0, 1.0, 0.0)
FLIGHTS = {"sync": None, "async": Flight(2, True), "pipeline": Flight(3, True, eligible_after=2, stages=2)}


def in_flight(config: EngineConfig, flight: str, version: str) -> EngineConfig:
    modes = Modes(flight=FLIGHTS[flight], connector=True)
    return replace(config, batching=Batching.CONTINUOUS, modes=modes, rules=RULE_SETS[version])


@settings(max_examples=100, deadline=None)
@given(
    configs(),
    configs(),
    LINKS,
    workloads(),
    st.sampled_from(["async, async", "async, sync", "sync, async", "pipeline, async", "async, pipeline"]),
    st.sampled_from(sorted(RULE_SETS)),
    st.data(),
)
def test_small_bursts(
    prefill: EngineConfig,
    decode: EngineConfig,
    link: KvLink,
    requests: Requests,
    flights: str,
    version: str,
    data: st.DataObject,
) -> None:
    first, second = flights.split(", ")
    stops = data.draw(st.lists(st.booleans(), min_size=len(requests), max_size=len(requests)))
    stopping = replace(requests, stops=np.array(stops) & (second != "sync"))
    assert_same(in_flight(prefill, first, version), in_flight(decode, second, version), link, stopping)


def test_who_is_left_out_of_a_plan_finds_its_blocks_again() -> None:
    """No block is free for request 7 in one plan, where nobody may be preempted, and in the next it gives up its own.

    The block that its last token filled was lost there: it was in the lane, where blocks become findable with plans.
    """
    prefill = EngineConfig(
        num_blocks=7,
        block_size=8,
        max_num_batched_tokens=27,
        max_num_seqs=6,
        max_model_len=200,
        reserve_full_isl=False,
        enable_prefix_caching=False,
        enable_chunked_prefill=False,
        long_prefill_token_threshold=5,
        policy=Policy.PRIORITY,
        num_speculative_tokens=1,
    )
    decode = EngineConfig(
        num_blocks=9,
        block_size=8,
        max_num_batched_tokens=27,
        max_num_seqs=6,
        max_model_len=200,
        reserve_full_isl=False,
        enable_prefix_caching=True,
        batching=Batching.STATIC,
        drop_last_hit_block=True,
    )
    n = 10
    requests = make_requests(
        np.zeros(n),
        np.array([1, 12, 1, 17, 17, 8, 1, 6, 1, 1]),
        np.array([3, 8, 12, 12, 1, 7, 3, 12, 2, 10]),
        priority=np.array([2] + [0] * (n - 1)),
    )
    run = assert_same(in_flight(prefill, "sync", "0.33.0"), in_flight(decode, "async", "0.33.0"), LINK, requests)
    assert any(row == 7 and computed == 8 for step in run.decode_steps for row, _, computed in step.scheduled)


@pytest.mark.parametrize("flights", ["async, async", "pipeline, pipeline"])
@pytest.mark.parametrize("seed", few(range(12), 0, 1))
def test_large_random_runs(seed: int, flights: str) -> None:
    prefill, decode, link, requests = large_case(seed)
    first, second = flights.split(", ")
    stops = stream(seed, "kernel", "stops").random(len(requests)) < (0.0, 0.4)[seed % 2]
    version = sorted(RULE_SETS)[seed // 2 % 2]
    run = assert_same(
        in_flight(prefill, first, version), in_flight(decode, second, version), link, replace(requests, stops=stops)
    )
    assert all(np.isfinite(record.finish_s) for record in run.records)


@settings(max_examples=60, deadline=None)
@given(disaggregated(), st.integers(0, 10), st.sampled_from([2.0, 1e5]), st.integers(-1, 4), st.floats(0.1, 8.0))
def test_nothing_is_lost_whatever_fails(spec: FleetSpec, seed: int, until_s: float, lost: int, lost_s: float) -> None:
    """One status for each request, whole answers, and all blocks and slots come back on both sides."""
    flights = sorted(FLIGHTS)
    pools = tuple(
        replace(pool, engine=in_flight(pool.engine, flights[(seed + k) % 3], sorted(RULE_SETS)[seed % 2]))
        for k, pool in enumerate(spec.pools)
    )
    rng = stream(seed, "laws", "disaggregation in flight")
    stops = (rng.random(120) < 0.4) & (pools[0].engine.modes.flight is not None)
    requests = replace(poisson(rng, 120, 25.0, priority=rng.integers(0, 3, 120)), stops=stops)
    n_replicas = sum(pool.replicas for pool in pools)
    lose = (lost, min(lost_s, until_s)) if 0 <= lost < n_replicas else None
    run = serve(replace(spec, pools=pools), requests, until_s=until_s, lose=lose)
    records, engines = run.records, run.plane.engines
    assert sorted(records["request"]) == list(range(int((requests.arrival_s <= until_s).sum())))
    assert (engines.slots["state"] == FREE).all()
    done = records[records["status"] == Status.COMPLETED]
    assert (done["generated"] == requests.osl[done["request"]]).all()
    if until_s == 1e5 and lose is None:
        assert not (records["status"] == Status.UNFINISHED).any()
    for r, replica in enumerate(engines.replicas):
        if until_s == 1e5 and (lose is None or lose[0] != r):
            assert replica["free_blocks"] == pools[replica["pool"]].engine.num_blocks - 1
        assert replica["n_kept"] == replica["n_holding"] == replica["n_received"] == 0
