"""Prefill and decode on different replicas: the compiled fleet gives what the plain-Python reference gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_cases import configs, random_config, random_requests, step_time, workloads
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.config import EngineConfig
from simulator.engine.reference.disaggregation import DisaggregatedRun, KvLink, run_disaggregated
from simulator.engine.speculation import accepted_drafts
from simulator.fleet.records import Status
from simulator.fleet.single import SingleRun, run_replicas
from simulator.fleet.spec import ClassSpec, FleetSpec, KvTransfer, PoolSpec, RoutingSpec, TargetRouting
from simulator.rng import stream
from simulator.workload.requests import Requests

LINKS = st.builds(
    KvLink, st.sampled_from([0.0, 1.0, 40.0]), st.sampled_from([1.0, 8.0]), st.sampled_from([0.0, 0.25, 3.0])
)


def pair(prefill: EngineConfig, decode: EngineConfig, link: KvLink) -> FleetSpec:
    transfer = KvTransfer(link.block_bytes, link.bytes_per_s, link.latency_s, 30.0)
    pools = tuple(
        PoolSpec(name, "", 1, 1, config, step_time(config), np.zeros(config.max_num_seqs + 1), hands_to=hands_to)
        for name, config, hands_to in (("prefill", prefill, 1), ("decode", decode, None))
    )
    pools = tuple(replace(pool, kv_transfer=transfer) for pool in pools)
    routing = RoutingSpec(TargetRouting.WEIGHTED, (0,))
    return FleetSpec("pair", pools, (), routing, (ClassSpec("a", (True, True)),))


def assert_same(prefill: EngineConfig, decode: EngineConfig, link: KvLink, requests: Requests) -> DisaggregatedRun:
    decode = replace(decode, block_size=prefill.block_size, draft_acceptance=prefill.draft_acceptance)

    def accept(number: int, generated: int, drafted: int) -> int:
        return int(accepted_drafts(number, generated, drafted, decode.draft_acceptance))

    expected = run_disaggregated((prefill, step_time(prefill)), (decode, step_time(decode)), link, requests, accept)
    spec = pair(prefill, decode, link)
    logged = run_replicas(spec, requests, log=True)
    assert_same_steps(expected, logged)
    assert_same_records(expected, logged)
    assert_same_records(expected, run_replicas(spec, requests))
    return expected


def assert_same_steps(expected: DisaggregatedRun, run: SingleRun) -> None:
    for replica, steps in enumerate((expected.prefill_steps, expected.decode_steps)):
        actual = [
            (step.start_s, step.scheduled, step.preempted, step.free_blocks)
            for step in run.steps
            if step.replica == replica
        ]
        assert actual == [(step.start_s, step.scheduled, step.preempted, step.free_blocks) for step in steps]


def assert_same_records(expected: DisaggregatedRun, run: SingleRun) -> None:
    records = sorted(expected.records, key=lambda record: record.row)
    actual = np.sort(run.records, order="request")
    assert len(actual) == len(records)
    assert (actual["status"] == Status.COMPLETED).tolist() == [record.status == "completed" for record in records]
    for name in ("generated", "cached_tokens", "preemptions"):
        assert actual[name].tolist() == [getattr(record, name) for record in records], name
    for name in ("arrival_s", "scheduled_s", "prefilled_s", "transferred_s", "first_token_s", "finish_s"):
        times = np.array([getattr(record, name) for record in records], float)
        np.testing.assert_array_equal(actual[name], times, err_msg=name)


@settings(max_examples=200, deadline=None)
@given(configs(), configs(), LINKS, workloads())
def test_small_bursts(prefill: EngineConfig, decode: EngineConfig, link: KvLink, requests: Requests) -> None:
    assert_same(prefill, decode, link, requests)


def large_case(seed: int) -> tuple[EngineConfig, EngineConfig, KvLink, Requests]:
    rng = stream(seed, "kernel", "disaggregation")
    prefill, decode = random_config(rng), random_config(rng)
    size = prefill.block_size
    decode = replace(decode, block_size=size, num_blocks=int(rng.integers(240, 700)) // size + 2)
    link = KvLink(size * float(rng.choice([0.0, 0.05, 0.3])), 1.0, float(rng.choice([0.0, 0.5])))
    return prefill, decode, link, random_requests(rng, 120, float(rng.choice([2.0, 8.0, 30.0])))


@pytest.mark.parametrize("seed", range(24))
def test_large_random_runs(seed: int) -> None:
    assert_same(*large_case(seed))
