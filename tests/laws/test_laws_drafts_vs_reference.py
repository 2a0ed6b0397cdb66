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
from simulator.engine.modes.spec import DraftOdds, Drafts, Flight, Modes
from simulator.engine.rules import RULE_SETS
from simulator.fleet.single import run_single
from simulator.perf.steptime import constant_step_time
from simulator.rng import stream
from simulator.workload.requests import Requests, make_extras, make_requests

FLIGHTS = {"sync": None, "async": Flight(2, True), "pipeline": Flight(3, True, eligible_after=2, stages=2)}
OWN = (DraftOdds(0.9, std=0.1), DraftOdds(by_position=(0.7, 0.2, 0.9, 0.4)), DraftOdds(0.2))
"""Of three classes."""
DRAFTERS = ("draft model", "hidden states", "n-grams")


def drafting(config: EngineConfig, drafter: str, flight: str, version: str, k: int = 0) -> EngineConfig:
    """The engine with at least one draft, as this version of vLLM has it."""
    k, rules = k or max(config.num_speculative_tokens, 1), RULE_SETS[version]
    reads = drafter == "hidden states"
    covers = int(reads and not rules.drops_last_hit_block)
    slots, lookahead = int(drafter == "draft model"), 0 if drafter == "n-grams" else k
    drafts = Drafts(k, lookahead, reads_hidden_states=reads, num_hash_lookahead_tokens=covers, slots=slots)
    plan_tokens = config.modes.max_num_scheduled_tokens if slots else 0
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
        modes=Modes(flight=FLIGHTS[flight], drafts=drafts, max_num_scheduled_tokens=plan_tokens),
    )


def by_class(config: EngineConfig) -> EngineConfig:
    """The engine with other chances for each of three classes; n-grams are found in shares and runs of their own."""
    k, varies = config.num_speculative_tokens, config.drafted_share < 1.0
    found = ((0.8, 6.0), (0.3, 0.0), (1.0, 0.0)) if varies else ((1.0, 0.0),) * 3
    odds = (
        replace(one, by_position=one.by_position[:k], drafted_share=share, run_steps=run)
        for one, (share, run) in zip(OWN, found, strict=True)
    )
    return replace(config, odds_by_class=tuple(odds))


def of_classes(requests: Requests, rng: np.random.Generator) -> Requests:
    """Requests of three classes, some of which tell their own acceptance."""
    n = len(requests)
    acceptance = np.where(rng.random(n) < 0.3, rng.random(n), -1.0)
    return replace(requests, class_id=rng.integers(0, 3, n), extras=make_extras(n, acceptance=acceptance))


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
    config = drafting(config, drafter, flight, version)
    seed = data.draw(st.none() | st.integers(0, 1000))
    if seed is None:
        assert_same(config, stopping)
    else:
        assert_same(by_class(config), of_classes(stopping, stream(seed, "classes")))


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
@pytest.mark.parametrize("seed", range(4))
def test_large_random_runs_of_classes(seed: int, flight: str) -> None:
    config, requests = large_case(seed, "n-grams", flight)
    config = replace(config, drafted_share=0.6 if FLIGHTS[flight] is None else 1.0)
    assert_same(by_class(config), of_classes(requests, stream(seed, "classes")))


@pytest.mark.parametrize("flight", ["sync", "async"])
def test_answers_of_a_class_take_the_steps_of_the_closed_form(flight: str) -> None:
    """Steps of a second, answers of 4,000 tokens: 1 + f·(sum of the acceptances' products) tokens in each."""
    n, osl, k = 24, 4000, 3
    shares, run = ((0.5, 1.0, 0.4), 4.0) if flight == "sync" else ((1.0, 1.0, 1.0), 0.0)
    odds = tuple(
        replace(one, std=0.0, drafted_share=share, run_steps=run) for one, share in zip(OWN, shares, strict=True)
    )
    odds = tuple(replace(one, by_position=one.by_position[:k]) for one in odds)
    config = EngineConfig(
        10_000,
        max_num_batched_tokens=200,
        max_num_seqs=n,
        enable_prefix_caching=False,
        num_speculative_tokens=k,
        odds_by_class=odds,
        modes=Modes(flight=FLIGHTS[flight], drafts=Drafts(k)),
    )
    requests = make_requests(np.zeros(n), np.ones(n, int), np.full(n, osl), class_id=np.arange(n) % 3)
    times = constant_step_time(1.0, 200, n)
    run_of = run_single(config, times, requests)
    steps = np.sort(run_of.records, order="request")["finish_s"]
    for class_id, (one, share) in enumerate(zip(odds, shares, strict=True)):
        accepted = np.cumprod(one.by_position or (one.acceptance,) * k).sum()
        mean = osl / (1 + share * accepted)
        assert steps[class_id::3].mean() == pytest.approx(mean, rel=0.03)


@pytest.mark.parametrize("flight", sorted(FLIGHTS))
def test_the_large_runs_preempt_and_hit(flight: str) -> None:
    runs = [assert_same(*large_case(seed, "hidden states", flight)).records for seed in range(4)]
    assert any(record.preemptions for records in runs for record in records)
    assert any(record.cached_tokens for records in runs for record in records)
