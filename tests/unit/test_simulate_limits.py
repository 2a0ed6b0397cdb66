"""Rate limits of token APIs when a run begins: as steady use leaves them; a short run says what a long one says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scenario_cases import chat, written

from simulator.resolve.topology import plan_topology
from simulator.simulate.demand import demand_of
from simulator.simulate.limits import _repeated, in_steady_use
from simulator.simulate.one import simulate_one, subject_of
from simulator.study.fleet import ProviderSpec

API = "name: api, offer: openai/gpt-4o-mini, max_wait_s: 0"
OWN = "pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]"
PUBLIC = ("workload.classes[chat].data_class=public", "workload.classes[chat].max_retries=0")


def begins(folder: Path, topology: str, *sets: str, rate_rps: float = 20, horizon_s: float = 60) -> ProviderSpec:
    text = chat(f"t: {{{topology}}}", study="months: 1", rate_rps=rate_rps, horizon_s=horizon_s, warmup_s=0)
    loaded = written(folder, text, *PUBLIC, *sets)
    return in_steady_use(plan_topology(loaded, "t").fleet, demand_of(loaded), 0).providers[0]


@pytest.mark.parametrize(
    ("limit", "served"),
    [
        ("requests_per_minute: 600", 10.0),
        ("tokens_per_minute: 420000", 10.0),
        ("input_tokens_per_minute: 300000", 10.0),
        ("output_tokens_per_minute: 120000", 10.0),
        ("input_tokens_per_minute: 300000, output_tokens_per_minute: 96000", 8.0),
        ("tokens_per_minute: 420000, reserved_output_tokens: 900", 5.0),
        ("tokens_per_minute: 420000, reserved_output_tokens: 200", 10.0),
        ("output_tokens_per_minute: 120000, reserved_output_tokens: 400", 5.0),
    ],
)
def test_a_short_run_is_served_at_the_rate_of_the_limit(tmp_path: Path, limit: str, served: float) -> None:
    """20 requests of 500 + 200 tokens a second, 10 let through: a full bucket would serve all of the first minute.

    Where 900 tokens are asked for, each takes 1,400.
    """
    text = chat(f"t: {{providers: [{{{API}, {limit}}}]}}", study="months: 1", rate_rps=20, warmup_s=0)
    loaded = written(tmp_path, text, *PUBLIC)
    outcome = simulate_one(subject_of(plan_topology(loaded, "t")), demand_of(loaded), 0)
    statuses = outcome.metrics.summary()["statuses"]
    assert statuses["completed"] + statuses["failed"] == pytest.approx(served * 60, abs=3)
    assert statuses["rejected"] > 500


def test_a_short_run_does_not_hide_refusals_behind_a_queue_that_fills(tmp_path: Path) -> None:
    """11 calls a second where 10 are let through: 30 seconds' worth of them may wait, which take 300 s to come."""
    api = "name: api, offer: openai/gpt-4o-mini, max_wait_s: 30, requests_per_minute: 600"
    text = chat(f"t: {{providers: [{{{api}}}]}}", study="months: 1")
    even = "workload.classes[chat].arrivals={kind: gamma, rate_rps: 11, cv: 0.001}"
    loaded = written(tmp_path, text, *PUBLIC, even, "run.horizon_s=100", "run.warmup_s=0")
    metrics = simulate_one(subject_of(plan_topology(loaded, "t")), demand_of(loaded), 0).metrics
    statuses = metrics.summary()["statuses"]
    assert statuses["completed"] + statuses["failed"] == pytest.approx(1000, abs=3)
    assert metrics.summary()["ttft_s"]["p50"] == pytest.approx(30, abs=2)


def test_below_the_limit_what_is_taken_is_what_waits_in_the_mean(tmp_path: Path) -> None:
    """The bucket's level, followed call by call over half an hour, against the closed form."""
    lengths = "workload.classes[chat].lengths={isl: {kind: lognormal, mean: 500, cv: 1}, osl: 200}"
    limit_per_s, horizon_s = 20_000.0, 1800.0
    api = f"providers: [{{{API}, tokens_per_minute: {60 * limit_per_s}}}]"
    found = begins(tmp_path, api, lengths, horizon_s=horizon_s)
    loaded = written(tmp_path, (tmp_path / "scenario.yaml").read_text(), *PUBLIC, lengths)
    (chunk,) = demand_of(loaded).source(0).chunks()
    lacking, area = 0.0, 0.0
    gaps_s = np.diff(chunk.arrival_s, append=horizon_s)
    for tokens, gap_s in zip(chunk.isl + chunk.osl, gaps_s, strict=True):
        lacking += float(tokens)
        after = max(lacking - limit_per_s * gap_s, 0.0)
        area += (lacking + after) / 2 * min(gap_s, lacking / limit_per_s)
        lacking = after
    assert found.taken[1] == pytest.approx(area / horizon_s, rel=0.1)
    assert 0 < found.taken[1] < 0.01 * found.tokens_per_minute


def test_tokens_of_answers_take_by_their_weight(tmp_path: Path) -> None:
    """500 + 4 · 200 of 20 calls a second at a limit of 52,000: 26,000 · 1,300 / (2 · 26,000)."""
    api = f"providers: [{{{API}, tokens_per_minute: {60 * 52_000}, limit_weights: {{output: 4}}}}]"
    found = begins(tmp_path, api, "workload.classes[chat].lengths={isl: 500, osl: 200}", horizon_s=1800)
    assert found.taken[1] == pytest.approx(650, rel=0.05)


def test_the_longest_answer_asked_for_takes_as_a_longer_answer_does(tmp_path: Path) -> None:
    """500 + 800 of 20 calls a second at a limit of 52,000: 26,000 · 1,300 / (2 · 26,000)."""
    api = f"providers: [{{{API}, tokens_per_minute: {60 * 52_000}, reserved_output_tokens: 800}}]"
    found = begins(tmp_path, api, "workload.classes[chat].lengths={isl: 500, osl: 200}", horizon_s=1800)
    assert found.taken[1] == pytest.approx(650, rel=0.05)


@pytest.mark.parametrize(
    ("weight", "least", "taken"),
    # 500 + 200 tokens of 20 calls a second at a limit of 12,000, of which 400 are those of an earlier call
    [
        ("0", 0, 20 * 300**2 / (2 * (12_000 - 6_000))),
        ("0.25", 0, 20 * 400**2 / (2 * (12_000 - 8_000))),
        ("1", 0, 720_000),
        ("0", 401, 720_000),
    ],
)
def test_cached_tokens_take_by_their_weight(tmp_path: Path, weight: str, least: int, taken: float) -> None:
    cache = f"cache: {{life_s: 300, least_tokens: {least}}}, limit_weights: {{cached_input: {weight}}}"
    api = f"providers: [{{{API}, tokens_per_minute: 720000, {cache}}}]"
    sets = ["lengths={isl: 500, osl: 200}", "prefixes={groups: 1, tokens: 400}"]
    found = begins(tmp_path, api, *(f"workload.classes[chat].{one}" for one in sets), horizon_s=1800)
    assert found.taken[1] == pytest.approx(taken, rel=0.05)


def test_prompts_and_answers_take_from_limits_of_their_own(tmp_path: Path) -> None:
    """Of 20 calls a second 500 - 400 + 100 tokens with what is cached by a quarter, and 200, whatever they weigh."""
    limits = "input_tokens_per_minute: 720000, output_tokens_per_minute: 480000"
    cache = "cache: {life_s: 300, least_tokens: 0}, limit_weights: {cached_input: 0.25}"
    sets = ["lengths={isl: 500, osl: 200}", "prefixes={groups: 1, tokens: 400}"]
    places = [f"workload.classes[chat].{one}" for one in sets]
    found = begins(tmp_path, f"providers: [{{{API}, {limits}, {cache}}}]", *places, horizon_s=1800)
    prompts, answers = 20 * 200**2 / (2 * (12_000 - 4_000)), 20 * 200**2 / (2 * (8_000 - 4_000))
    assert found.taken[1:] == pytest.approx((0.0, prompts, answers), rel=0.05)


def test_nothing_is_taken_by_what_did_not_come_before(tmp_path: Path) -> None:
    limited = f"providers: [{{{API}, requests_per_minute: 600}}]"
    full = begins(tmp_path, limited)
    assert full.taken[0] == full.requests_per_minute == 600
    half = begins(tmp_path, f"{OWN}, {limited}, routing: {{kind: weighted, weights: {{base: 3, api: 1}}}}")
    assert half.taken[0] == pytest.approx(5 / (2 * (10 - 5)), rel=0.3)
    behind = begins(tmp_path, f"{OWN}, {limited}, routing: {{kind: overflow, when: {{outstanding_per_replica: 4}}}}")
    job = begins(tmp_path, limited, "workload.classes[chat].arrivals={kind: job, requests: 900, deadline_s: 50}")
    assert (behind.taken[0], job.taken[0]) == (0.0, 0.0)
    assert begins(tmp_path, f"providers: [{{{API}, requests_per_minute: 0}}]").taken[0] == 0.0


def test_tokens_that_came_before_are_those_of_pieces_that_an_earlier_request_had() -> None:
    """Piece 7 opens three prompts and 9 ends two; a request without pieces has none of it."""
    chunk: Any = SimpleNamespace(
        segment_id=np.array([7, 8, 7, 9, 7, 9]),
        segment_tokens=np.array([100, 20, 100, 30, 100, 30]),
        segment_start=np.array([0, 2, 4, 4, 6]),
    )
    assert _repeated(chunk).tolist() == [0.0, 100.0, 0.0, 130.0]
