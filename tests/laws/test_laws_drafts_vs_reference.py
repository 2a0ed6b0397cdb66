"""With drafts, in both versions and with plans in flight, the compiled engine gives what the reference gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_cases import configs, random_config, random_requests, workloads
from hypothesis import given, settings
from hypothesis import strategies as st
from parts import few
from test_laws_kernel_vs_reference import assert_same

from simulator.engine.config import Batching, EngineConfig
from simulator.engine.modes.spec import Drafts, Flight, Modes
from simulator.engine.rules import RULE_SETS
from simulator.rng import stream
from simulator.workload.requests import Requests

FLIGHTS = {"sync": None, "async": Flight(2, True), "pipeline": Flight(3, True, eligible_after=2, stages=2)}
DRAFTERS = ("draft model", "hidden states", "n-grams")


def drafting(config: EngineConfig, drafter: str, flight: str, version: str, k: int = 0) -> EngineConfig:
    """The engine with at least one draft, as this version of vLLM has it."""
    k, rules = k or max(config.num_speculative_tokens, 1), RULE_SETS[version]
    reads = drafter == "hidden states"
    covers = int(reads and not rules.drops_last_hit_block)
    slots, lookahead = int(drafter == "draft model"), 0 if drafter == "n-grams" else k
    drafts = Drafts(k, lookahead, reads_hidden_states=reads, num_hash_lookahead_tokens=covers, slots=slots)
    return replace(
        config,
        batching=Batching.CONTINUOUS,
        max_num_batched_tokens=max(config.max_num_batched_tokens, 2 + k),
        num_speculative_tokens=k,
        num_lookahead_tokens=lookahead,
        draft_slots=slots,
        drop_last_hit_block=reads and not covers,
        rules=rules,
        acceptance_by_position=(0.9, 0.5, 0.8, 0.2)[:k] if k % 2 else (),
        drafted_share=config.drafted_share if drafter == "n-grams" and FLIGHTS[flight] is None else 1.0,
        modes=Modes(flight=FLIGHTS[flight], drafts=drafts),
    )


@settings(max_examples=250, deadline=None)
@given(
    configs(),
    workloads(),
    st.sampled_from(DRAFTERS),
    st.sampled_from(sorted(FLIGHTS)),
    st.sampled_from(sorted(RULE_SETS)),
    st.data(),
)
def test_small_bursts(
    config: EngineConfig, requests: Requests, drafter: str, flight: str, version: str, data: st.DataObject
) -> None:
    stops = data.draw(st.lists(st.booleans(), min_size=len(requests), max_size=len(requests)))
    stopping = replace(requests, stops=np.array(stops) & (flight != "sync"))
    assert_same(drafting(config, drafter, flight, version), stopping)


def large_case(seed: int, drafter: str, flight: str) -> tuple[EngineConfig, Requests]:
    rng = stream(seed, "kernel", "drafts")
    requests = random_requests(rng, 200, float(rng.choice([2.0, 8.0, 40.0])))
    config = replace(random_config(rng), draft_acceptance=(0.6, 0.9, 0.3)[seed % 3])
    config = replace(config, num_blocks=max(config.num_blocks // (1 + seed % 2), 200 // config.block_size + 2))
    config = drafting(config, drafter, flight, sorted(RULE_SETS)[seed % 2], 1 + int(rng.integers(4)))
    return config, replace(requests, stops=(rng.random(200) < 0.3) & (flight != "sync"))


@pytest.mark.parametrize("flight", sorted(FLIGHTS))
@pytest.mark.parametrize("drafter", DRAFTERS)
@pytest.mark.parametrize("seed", few(range(4), 0, 1))
def test_large_random_runs(seed: int, drafter: str, flight: str) -> None:
    assert_same(*large_case(seed, drafter, flight))


@pytest.mark.parametrize("flight", sorted(FLIGHTS))
def test_the_large_runs_preempt_and_hit(flight: str) -> None:
    runs = [assert_same(*large_case(seed, "hidden states", flight)).records for seed in range(4)]
    assert any(record.preemptions for records in runs for record in records)
    assert any(record.cached_tokens for records in runs for record in records)
