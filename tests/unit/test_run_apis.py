"""Token APIs as they bill: cached input, tiers, repeated calls and thrown-away answers in the money of whole runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from priced_cases import priced

from simulator.engine.config import Policy
from simulator.resolve.demand import request_source
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topology
from simulator.scenario.load import load_scenario
from simulator.simulate.demand import demand_of
from simulator.simulate.one import simulate_one, subject_of
from simulator.simulate.priced import Priced

SCENARIO = """
schema_version: 1
name: apis
model: llama-3.1-8b
workload:
  classes:
    - name: chat
      arrivals: {{kind: poisson, rate_rps: 2}}
      lengths: {{isl: 2512, osl: 100}}
      prefixes: {{groups: 1, tokens: 2000}}
      data_class: public
      {more}
topologies: {{t: {{{topology}}}}}
run: {{horizon_s: 900, seed: 4}}
"""
PRICES = "[{{input: 0.15, output: 0.6, cached_input: 0.075{write}}}]"
MINI = "providers: [{{name: mini, offer: openai/gpt-4o-mini, prices: " + PRICES + "}}]"


def run(tmp_path: Path, topology: str, more: str = "") -> Priced:
    path = tmp_path / "apis.yaml"
    path.write_text(SCENARIO.format(topology=topology, more=more))
    loaded = load_scenario(path)
    planned = plan_topology(loaded, "t")
    terms = resolve_terms(planned).terms
    return priced([simulate_one(subject_of(planned), demand_of(loaded), 0)], terms)


def usd(found: Priced, *parts: str) -> float:
    return sum(float(line.usd) for line in found.bill.lines if line.part in parts or line.category in parts)


def test_input_of_shared_prompts_costs_what_the_provider_charges(tmp_path: Path) -> None:
    """2 requests/s of 2,512 tokens with 2,000 shared: 15 steps of 128 cost half, $1,224 a month instead of $1,980."""
    found = run(tmp_path, MINI.format(write=""))
    usage = found.replications[0].usage.providers[0]
    calls, months = int(usage.calls.sum()), 730 * 3600 / 900
    assert usage.cached_tokens == 1920 * (calls - 1)
    prompt_usd = (calls * 2512 * 0.15 - usage.cached_tokens * 0.075) / 1e6 * months
    output_usd = usage.output_tokens * 0.6 / 1e6 * months
    assert found.usd_per_month == pytest.approx(prompt_usd + output_usd)
    assert prompt_usd / (calls * 2512 * 0.15 / 1e6 * months) == pytest.approx(1254 / 2030, abs=0.001)


def test_what_is_put_into_the_cache_has_its_price(tmp_path: Path) -> None:
    found = run(tmp_path, MINI.format(write=", cache_write: 3"))
    usage = found.replications[0].usage.providers[0]
    read, cached, written, _ = usage.tokens.sum(axis=(0, 1)).tolist()
    assert written == 1920
    assert read + cached + written == 2512 * int(usage.calls.sum())
    plain = run(tmp_path, MINI.format(write=""))
    assert found.usd_per_month - plain.usd_per_month == pytest.approx(1920 * (3 - 0.15) / 1e6 * 730 * 3600 / 900)


def test_a_batch_pays_its_prices_and_meets_its_deadline(tmp_path: Path) -> None:
    usual = run(tmp_path, "providers: [{name: mini, offer: openai/gpt-4o-mini}]")
    batch = run(
        tmp_path,
        "providers: [{name: mini, offer: openai/gpt-4o-mini}]",
        "service_tier: batch\n      slo: {e2e_s: {p99: 86400}}",
    )
    for part, share in (("input", 0.5), ("cached input", 1.0), ("output", 0.5)):
        assert usd(batch, part) == pytest.approx(share * usd(usual, part), rel=0.01)
    assert batch.tokens.delivered == pytest.approx(usual.tokens.delivered, rel=0.01)
    (met, *_) = batch.replications[0].metrics.terms()
    assert met["met"]
    assert batch.replications[0].metrics.summary()["e2e_s"]["p50"] > 3600


def test_thrown_away_answers_are_paid_and_not_delivered(tmp_path: Path) -> None:
    two = """
      providers: [{name: small, offer: openai/gpt-4o-mini}, {name: large, offer: openai/gpt-4.1}],
      routing: {kind: cascade, first: small, second: large, escalate: {share: 0.25}}
    """
    found = run(tmp_path, two)
    small, large = found.replications[0].usage.providers
    metrics = found.replications[0].metrics.summary()
    thrown_prompt, thrown_output = small.thrown_tokens.sum(axis=0).tolist()
    assert small.calls.sum() > large.calls.sum() > 0
    assert thrown_output / small.output_tokens == pytest.approx(0.25, abs=0.05)
    assert thrown_prompt / thrown_output == pytest.approx(25.12)
    assert found.tokens.processed > found.tokens.delivered
    assert metrics["statuses"]["completed"] == metrics["arrived"]
    assert small.cached_tokens > 0
    assert large.cached_tokens > 0


def test_results_say_why_requests_were_refused(tmp_path: Path) -> None:
    limited = "providers: [{name: mini, offer: openai/gpt-4o-mini, requests_per_minute: 60, max_wait_s: 0}]"
    metrics = run(tmp_path, limited, "max_retries: 0").replications[0].metrics.summary()
    assert metrics["reasons"]["rejected"] == {"rate_limit": metrics["statuses"]["rejected"]}
    patient = run(tmp_path, limited, "max_retries: 6").replications[0]
    assert patient.metrics.summary()["statuses"]["rejected"] < metrics["statuses"]["rejected"]
    usage = patient.usage.providers[0]
    assert usage.failed_calls.sum() > usage.retried_calls.sum() > 0


TWO = """
schema_version: 1
name: two
model: llama-3.1-8b
{engine}
workload:
  classes:
    - name: chat
      arrivals: {{kind: poisson, rate_rps: 12}}
      lengths: {{isl: 800, osl: 150}}
      priority: 3
    - name: night
      arrivals: {{kind: poisson, rate_rps: 12}}
      lengths: {{isl: 800, osl: 150}}
      service_tier: {tier}
      {more}
topologies: {{t: {{pools: [{{name: own, site: datacentre, gpu: l40s, billing: owned}}]}}}}
run: {{horizon_s: 60, seed: 4}}
"""


@pytest.mark.parametrize(
    ("tier", "more", "engine", "priorities", "policy"),
    [
        ("batch", "", "", {3, 4}, Policy.PRIORITY),
        ("batch", "priority: 0", "", {3, 0}, Policy.FCFS),
        ("batch", "", "engine: {scheduling_policy: fcfs}", {3, 4}, Policy.FCFS),
        ("standard", "", "", {3, 0}, Policy.FCFS),
    ],
)
def test_a_batch_waits_behind_the_others_on_pools_of_ones_own(
    tmp_path: Path, tier: str, more: str, engine: str, priorities: set[int], policy: Policy
) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(TWO.format(tier=tier, more=more, engine=engine))
    loaded = load_scenario(path)
    assert {int(p) for chunk in request_source(loaded).chunks() for p in set(chunk.priority.tolist())} == priorities
    assert plan_topology(loaded, "t").fleet.pools[0].engine.policy == policy


def test_a_batch_waits_so_that_others_do_not(tmp_path: Path) -> None:
    """A replica that is asked for more than it can: without a batch both wait alike."""
    ttft: dict[str, list[float]] = {}
    for tier in ("standard", "batch"):
        path = tmp_path / "two.yaml"
        path.write_text(TWO.format(tier=tier, more="", engine="engine: {max_num_seqs: 16}"))
        loaded = load_scenario(path)
        found = simulate_one(subject_of(plan_topology(loaded, "t")), demand_of(loaded), 0).metrics
        ttft[tier] = [tally.sketches["ttft_s"].quantiles((0.5,))["p50"] for tally in found.by_class]
    assert ttft["batch"][0] < 0.5 * ttft["standard"][0]
    assert ttft["batch"][1] > 2.0 * ttft["batch"][0]
