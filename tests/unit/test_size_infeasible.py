"""Why no size meets the SLO: each cause by a fleet that has it, and several at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from simulator.size.found import Limits

HEAD = """
schema_version: 1
name: infeasible
model: llama-3.1-8b-instruct
engine: {max_model_len: 2048, enable_prefix_caching: false}
cost: {draws: 0}
run: {horizon_s: 25, warmup_s: 5, replications: 1, seed: 5, keep_requests: false}
workload:
  classes:
    - {name: chat, arrivals: {kind: poisson, rate_rps: 60}, lengths: {isl: 300, osl: 20}, slo: {ttft_s: {p95: 0.4}}}
"""
BATCH = """
    - name: batch
      arrivals: {kind: poisson, rate_rps: 4}
      lengths: {isl: {kind: uniform, low: 100, high: 3000}, osl: 10}
      slo: {ttft_s: {p95: 5}}
"""
FAST = """
    - {name: fast, arrivals: {kind: poisson, rate_rps: 4}, lengths: {isl: 30, osl: 9}, slo: {tpot_s: {p95: 0.001}}}
"""
SLUGGISH = "autoscaler: {min: 1, max: auto, target_per_replica: 9000}"
SPLIT = """
topologies:
  t:
    pools:
      - {{name: prompts, site: lambda, gpu: h100-sxm, role: prefill, hands_to: answers, {prompts}}}
      - {{name: answers, site: datacentre, gpu: h100-sxm, role: decode, billing: owned, replicas: {answers},
         kv_transfer: {{latency_s: {latency_s}}}}}
"""
ONE = "topologies: {{t: {{pools: [{{name: base, site: lambda, gpu: h100-sxm, {pool}}}]}}}}"


def summary(tmp_path: Path, *texts: str, sets: tuple[str, ...] = (), most: int = 2) -> dict[str, Any]:
    file = tmp_path / "scenario.yaml"
    file.write_text("".join((HEAD, *texts)))
    run = simulate(load_scenario(file, sets=sets), tmp_path, limits=Limits(most))
    return dict(run.summary["topologies"]["t"])


def why(tmp_path: Path, *texts: str, sets: tuple[str, ...] = ()) -> str:
    return str(summary(tmp_path, *texts, sets=sets)["search"]["infeasible"])


def misses(found: dict[str, Any]) -> float:
    rows = found["metrics"]["slo_terms"]
    return sum(row["of"] * (1 - row["share"]) for row in rows if row["met"] is False)


def test_an_autoscaler_that_never_launches_is_named(tmp_path: Path) -> None:
    busy = ("workload.classes[chat].arrivals.rate_rps=200",)
    said = why(tmp_path, ONE.format(pool=SLUGGISH), sets=busy)
    assert said.startswith("autoscaler: without it 2 replicas would do; chat: ")
    assert summary(tmp_path, ONE.format(pool="replicas: 2"), sets=busy)["metrics"]["slo_met"]


def test_a_link_that_is_too_slow_is_named_however_many_replicas_there_are(tmp_path: Path) -> None:
    said = why(tmp_path, SPLIT.format(prompts="replicas: auto", answers="auto", latency_s=0.5))
    assert said.startswith("link: without it 2 + 2 replicas would do; chat: ttft p95 ≤ 0.4 s is missed by ")


def test_a_site_that_is_too_far_is_named(tmp_path: Path) -> None:
    said = why(tmp_path, ONE.format(pool="replicas: auto, network_s: 0.5"))
    assert said.startswith("network: without it 2 replicas would do; chat: ")


def test_an_outage_of_the_zone_is_named_and_not_the_cold_start_after_it(tmp_path: Path) -> None:
    away = "replicas: auto, outages: {windows: [{start_s: 8, duration_s: 8}]}"
    assert why(tmp_path, ONE.format(pool=away)).startswith("outages: without it 2 replicas would do; chat: ")


@pytest.mark.parametrize(("share", "may_do"), [(0.0, True), (1.0, False)], ids=["one by one", "all at once"])
def test_more_replicas_are_hinted_at_where_a_reclaim_leaves_some(share: float, may_do: bool, tmp_path: Path) -> None:
    spot = "replicas: auto, billing: spot, price_usd_per_gpu_hour: 2, gpus_per_instance: 1, reliability: "
    pool = spot + f"{{reclaim_mtbf_h: 0.003, reclaim_notice_s: 0, reclaim_correlation: {share}}}"
    text = why(tmp_path, ONE.format(pool=pool))
    assert text.startswith("spot reclaims: without it 2 replicas would do")
    assert ("may be raised" in text) == may_do


def test_two_causes_are_both_named_with_what_each_has_of_the_misses(tmp_path: Path) -> None:
    """No size meets without one of them alone; what then is left is what the fleet as it would be misses."""
    slow = ("workload.classes[chat].arrivals.rate_rps=200",)
    text = SPLIT.format(prompts=SLUGGISH, answers=3, latency_s=0.5)
    said = why(tmp_path, text, sets=slow)
    as_it_is, quick, many = (
        misses(summary(tmp_path, SPLIT.format(prompts=prompts, answers=3, latency_s=latency_s), sets=slow))
        for prompts, latency_s in (
            (SLUGGISH.replace("auto,", "2,"), 0.5),
            (SLUGGISH.replace("auto,", "2,"), 0.0),
            ("replicas: 2", 0.5),
        )
    )
    ended = [f"{max(1 - left / as_it_is, 0):.0%}" for left in (many, quick)]
    assert said.startswith(
        f"autoscaler and link: without both 2 replicas would do; without the autoscaler alone {ended[0]} of the misses "
        f"end, without the link alone {ended[1]} of the misses end"
    )
    both = summary(tmp_path, SPLIT.format(prompts="replicas: 2", answers=3, latency_s=0.0), sets=slow)
    assert both["metrics"]["slo_met"]


@pytest.mark.parametrize(("slow", "cause"), [(False, ""), (True, "; autoscaler: without it 2 replicas would do for")])
def test_what_no_trial_mends_hides_no_other_cause(slow: bool, cause: str, tmp_path: Path) -> None:
    """One class misses on an empty engine, one is too long, and a third waits for an autoscaler where there is one."""
    pool = SLUGGISH if slow else "replicas: auto"
    said = why(tmp_path, BATCH, FAST, ONE.format(pool=pool), sets=("workload.classes[chat].arrivals.rate_rps=200",))
    assert said.startswith("GPU: fast: tpot p95 of an empty engine is ")
    assert "; length: batch: " in said
    assert said.partition(cause or "autoscaler")[1] == cause
    assert ("chat: ttft p95 ≤ 0.4 s" in said) == slow
