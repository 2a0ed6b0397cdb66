"""Drafts beside several KV cache groups: the compiled engine gives what the reference gives, in every step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import configs, random_config, random_requests, step_time, workloads
from hypothesis import given, settings
from hypothesis import strategies as st
from test_laws_drafts_vs_reference import FLIGHTS, drafting
from test_laws_groups_vs_reference import with_groups
from test_laws_kernel_vs_reference import assert_same

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import GroupKind
from simulator.engine.modes.tables.arrays import request_blocks
from simulator.engine.rules import RULE_SETS
from simulator.fleet.single import run_single
from simulator.resolve.engines import plan_engine
from simulator.rng import stream
from simulator.schema.engine import EngineSettings
from simulator.workload.requests import Requests

pytestmark = pytest.mark.rare_kernels

DRAFTERS = {
    "draft model": "draft model",
    "eagle": "hidden states",
    "mtp": "hidden states",
    "modules": "hidden states",
    "n-grams": "n-grams",
}
LAYOUTS = ("window", "windows and full", "two windows", "two lengths", "two lengths of windows", "three lengths")
WITH_CHUNKS = ("chunks", "chunks across blocks", "chunks, windows and full")
"""Not with drafters that read hidden states: vLLM keeps all tokens in every layer there."""
STATES = ("states", "states alone", "states and windows", "saved states", "saved states and windows")


def with_both(config: EngineConfig, layout: str, drafter: str, flight: str, version: str, k: int = 0) -> EngineConfig:
    """The engine with groups and drafts; the last group with all tokens has the layers of `mtp`.

    Several modules read as many tokens ahead as there are drafts, which a block holds.
    """
    grouped = with_groups(config, layout, flight, version)
    if drafter == "modules":
        k = min(max(k or config.num_speculative_tokens, 2), config.block_size)
    drafts = drafting(config, DRAFTERS[drafter], flight, version, k)
    k, spec = drafts.num_speculative_tokens, drafts.modes.drafts
    assert spec is not None
    if drafter == "modules" and k > 1:
        covers = k if version == "0.33.0" else 0
        spec = replace(spec, num_prefill_lookahead_tokens=k, num_hash_lookahead_tokens=covers)
    groups = [
        replace(group, draft_states=k) if group.kind == GroupKind.LINEAR else group for group in grouped.modes.groups
    ]
    if drafter in ("mtp", "modules"):
        last = max(range(len(groups)), key=lambda g: (groups[g].kind == GroupKind.FULL, g))
        groups[last] = replace(groups[last], has_draft_layers=True)
    return replace(
        grouped,
        max_num_batched_tokens=drafts.max_num_batched_tokens,
        num_speculative_tokens=k,
        num_lookahead_tokens=drafts.num_lookahead_tokens,
        draft_slots=drafts.draft_slots,
        draft_acceptance=drafts.draft_acceptance,
        acceptance_by_position=drafts.acceptance_by_position,
        drop_last_hit_block=drafts.drop_last_hit_block,
        modes=replace(grouped.modes, groups=tuple(groups), drafts=spec),
    )


@settings(max_examples=200, deadline=None)
@given(
    configs(),
    workloads(),
    st.sampled_from(LAYOUTS),
    st.sampled_from(sorted(DRAFTERS)),
    st.sampled_from(sorted(FLIGHTS)),
    st.sampled_from(sorted(RULE_SETS)),
)
def test_small_bursts(
    config: EngineConfig, requests: Requests, layout: str, drafter: str, flight: str, version: str
) -> None:
    assert_same(with_both(config, layout, drafter, flight, version), requests)


@settings(max_examples=100, deadline=None)
@given(
    configs(),
    workloads(),
    st.sampled_from(WITH_CHUNKS),
    st.sampled_from(["draft model", "n-grams"]),
    st.sampled_from(sorted(FLIGHTS)),
    st.sampled_from(sorted(RULE_SETS)),
)
def test_small_bursts_with_chunks(
    config: EngineConfig, requests: Requests, layout: str, drafter: str, flight: str, version: str
) -> None:
    assert_same(with_both(config, layout, drafter, flight, version), requests)


@settings(max_examples=250, deadline=None)
@given(
    configs(),
    workloads(),
    st.sampled_from(STATES),
    st.sampled_from(sorted(set(DRAFTERS) - {"modules"})),
    st.sampled_from(sorted(FLIGHTS)),
    st.sampled_from(sorted(RULE_SETS)),
)
def test_small_bursts_with_states(
    config: EngineConfig, requests: Requests, layout: str, drafter: str, flight: str, version: str
) -> None:
    """Not with several modules, whose chunks and those of states can stand still in vLLM."""
    assert_same(with_both(config, layout, drafter, flight, version), requests)


def large_case(seed: int, layout: str, drafter: str, flight: str) -> tuple[EngineConfig, Requests]:
    rng = stream(seed, "kernel", "groups with drafts")
    requests = random_requests(rng, 120, float(rng.choice([2.0, 8.0, 40.0])))
    config = replace(random_config(rng), draft_acceptance=(0.6, 0.9, 0.3)[seed % 3])
    config = replace(config, num_blocks=max(config.num_blocks // (1 + seed % 2), 200 // config.block_size + 2))
    version = sorted(RULE_SETS)[seed % 2]
    made = with_both(config, layout, drafter, flight, version, 1 + int(rng.integers(4)))
    return replace(made, num_blocks=max(made.num_blocks // 3, request_blocks(made, made.max_model_len) + 2)), requests


@pytest.mark.exhaustive
@pytest.mark.parametrize("flight", sorted(FLIGHTS))
@pytest.mark.parametrize("drafter", sorted(DRAFTERS))
@pytest.mark.parametrize("seed", range(3))
def test_large_random_runs(seed: int, drafter: str, flight: str) -> None:
    assert_same(*large_case(seed, LAYOUTS[seed], drafter, flight))


@pytest.mark.exhaustive
@pytest.mark.parametrize("drafter", ["draft model", "n-grams"])
@pytest.mark.parametrize("layout", WITH_CHUNKS)
def test_large_random_runs_with_chunks(layout: str, drafter: str) -> None:
    assert_same(*large_case(1, layout, drafter, "sync"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("flight", ["async", "sync"])
@pytest.mark.parametrize("drafter", ["eagle", "mtp", "n-grams"])
@pytest.mark.parametrize("seed", range(4))
def test_large_random_runs_with_states(seed: int, drafter: str, flight: str) -> None:
    assert_same(*large_case(seed, STATES[seed % 3], drafter, flight))


@pytest.mark.exhaustive
def test_the_large_runs_preempt_and_hit() -> None:
    """What the equality above is worth."""
    for layout in ("windows and full", "states"):
        cases = [large_case(seed, layout, "mtp", "sync") for seed in range(8)]
        runs = [run_single(engine, step_time(engine), requests).records for engine, requests in cases]
        assert any(records["preemptions"].any() for records in runs), layout
        assert any(records["cached_tokens"].any() for records in runs), layout


MODELS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "gpt-oss with EAGLE": ("gpt-oss-20b", 1, {"method": "eagle"}),
    "gpt-oss with EAGLE, 0.32": ("gpt-oss-20b", 1, {"method": "eagle", "version": "0.32.0"}),
    "Gemma 3 with EAGLE": ("gemma-3-27b", 2, {"method": "eagle", "version": "0.32.0"}),
    "Gemma 3 with n-grams": ("gemma-3-27b", 2, {"method": "ngram"}),
    "Qwen3-Next with MTP": ("qwen3-next-80b-a3b", 4, {"method": "mtp"}),
    "Qwen3-Next with MTP, 0.32": ("qwen3-next-80b-a3b", 4, {"method": "mtp", "version": "0.32.0"}),
    "Qwen3-Next with MTP, no prefix cache": (
        "qwen3-next-80b-a3b",
        4,
        {"method": "mtp", "enable_prefix_caching": False},
    ),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("model", sorted(MODELS))
def test_engines_of_the_catalog(model: str) -> None:
    """As a scenario plans them, but with blocks, budget and sequences that random requests fill."""
    name, tp, asked = MODELS[model]
    settings = {key: value for key, value in asked.items() if key != "method"}
    drafts = {"method": asked["method"], "num_speculative_tokens": 3, "acceptance": 0.7}
    engine = EngineSettings.model_validate({**settings, "speculative_config": drafts})
    planned = plan_engine(name, "h100-sxm", tp, 1, engine, Path()).config
    assert planned.modes.groups
    shorter = tuple(
        replace(group, window_tokens=min(group.window_tokens, 48))
        if group.kind == GroupKind.WINDOW
        else replace(group, block_size=4096 if group.kind == GroupKind.LINEAR and not group.aligned else 16)
        for group in planned.modes.groups
    )
    config = replace(
        planned,
        num_blocks=40 + 30 * len(shorter),
        block_size=16,
        max_num_batched_tokens=64,
        max_num_seqs=8,
        max_model_len=4096,
        modes=replace(planned.modes, groups=shorter, max_in_flight_tokens=128),
    )
    run = assert_same(config, random_requests(stream(7, "kernel", model), 120, 4.0))
    assert any(record.cached_tokens for record in run.records) == planned.enable_prefix_caching
    assert np.isfinite([record.finish_s for record in run.records]).all()
