"""Weights between models say what each answers, so no search leaves one of them out."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator.resolve.sizes import open_pools
from simulator.run.simulate import simulate

POOLS = (
    "{{name: a, site: lambda, gpu: h100-sxm, replicas: auto}}, "
    "{{name: b, site: lambda, gpu: h100-sxm, replicas: auto{0}}}"
)
OTHER = ", model: qwen2.5-7b-instruct"
API = "providers: [{name: z, offer: openai/gpt-4o-mini}]"
WEIGHTS = "routing: {kind: weighted, weights: {a: 0.7, b: 0.3}}"
OVERFLOW = "routing: {kind: overflow, order: [a, b], when: {outstanding_per_replica: 8}}"


@pytest.mark.parametrize(
    ("other", "rest", "low"),
    [
        (OTHER, WEIGHTS, 1),
        (", model: llama-3.1-8b-instruct", WEIGHTS, 0),
        ("", WEIGHTS, 0),
        (OTHER, OVERFLOW, 0),
        (OTHER, "routing: {kind: weighted}", 0),
        (OTHER, f"{WEIGHTS.replace('0.3}', '0.2, z: 0.1}')}, {API}", 0),
    ],
)
def test_pools_that_may_be_left_out(tmp_path: Path, other: str, rest: str, low: int) -> None:
    loaded = written(tmp_path, chat(f"t: {{pools: [{POOLS.format(other)}], {rest}}}", study=""))
    assert [pool.low for pool in open_pools(loaded, "t")] == [low, low]


@pytest.mark.parametrize(("cache", "said"), [("", True), (", cache: {life_s: 300}", False)])
def test_a_price_of_cached_prompts_without_a_cache_is_told(tmp_path: Path, cache: str, said: bool) -> None:
    """Ten requests alike: with a cache all but the first beginning are paid at a tenth."""
    api = "{name: z, prices: [{input: 1, cached_input: 0.1, output: 1}], ttft_s: {median: 0.1}, tpot_s: {median: 0.001}"
    text = chat(f"t: {{providers: [{api}, data_classes: [internal]{cache}}}]}}", study="", horizon_s=20, warmup_s=0)
    shared = "workload.classes[chat].prefixes={groups: 1, tokens: 480}"
    told = simulate(written(tmp_path, text, shared), tmp_path).summary["topologies"]["t"]
    assert any("z has a price of cached input and no cache" in one["text"] for one in told["warnings"]) == said
    per_million = told["cost"]["usd_per_million_tokens"]
    assert (per_million == pytest.approx(1.0)) == said
