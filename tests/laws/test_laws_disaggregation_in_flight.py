"""Prefill and decode apart with plans in flight: the compiled fleet gives what the plain-Python reference gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_cases import configs, workloads
from hypothesis import given, settings
from hypothesis import strategies as st
from test_laws_disaggregation import LINKS, assert_same, large_case

from simulator.engine.config import Batching, EngineConfig
from simulator.engine.modes.spec import Flight, Modes
from simulator.engine.reference.disaggregation import KvLink
from simulator.engine.rules import RULE_SETS
from simulator.rng import stream
from simulator.workload.requests import Requests

FLIGHTS = {"sync": None, "async": Flight(2, True), "pipeline": Flight(3, True, eligible_after=2, stages=2)}


def in_flight(config: EngineConfig, flight: str, version: str) -> EngineConfig:
    modes = Modes(flight=FLIGHTS[flight], connector=True)
    return replace(config, batching=Batching.CONTINUOUS, modes=modes, rules=RULE_SETS[version])


@settings(max_examples=150, deadline=None)
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


@pytest.mark.parametrize("flights", ["async, async", "pipeline, pipeline"])
@pytest.mark.parametrize("seed", range(12))
def test_large_random_runs(seed: int, flights: str) -> None:
    prefill, decode, link, requests = large_case(seed)
    first, second = flights.split(", ")
    stops = stream(seed, "kernel", "stops").random(len(requests)) < (0.0, 0.4)[seed % 2]
    version = sorted(RULE_SETS)[seed % 2]
    run = assert_same(
        in_flight(prefill, first, version), in_flight(decode, second, version), link, replace(requests, stops=stops)
    )
    assert all(np.isfinite(record.finish_s) for record in run.records)
