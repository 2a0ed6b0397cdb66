"""A bill's split by class and token kind is that of the GPU time of each simulated step, within a hundredth of all."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.bill.split import KINDS, step_cost, work_seconds
from simulator.engine.modes.drafts.acceptance import steps_per_token
from simulator.perf.steptime import StepTime
from simulator.resolve.topology import plan_topology
from simulator.results.bundle import read_bundle
from simulator.run.loads import loads_of
from simulator.run.simulate import simulate
from simulator.run.steps import replica_steps
from simulator.scenario.load import load_scenario
from simulator.simulate.one import simulate_one, subject_of

SCENARIO = """
schema_version: 1
name: split
model: llama-3.1-8b-instruct
engine: {max_model_len: 32768, enable_prefix_caching: false}
workload:
  classes:
    - name: chat
      arrivals: {kind: poisson, rate_rps: 6}
      lengths: {isl: {kind: lognormal, mean: 800, cv: 1.0}, osl: {kind: lognormal, mean: 250, cv: 0.8}}
      slo: {ttft_s: {p95: 5.0}}
    - name: documents
      arrivals: {kind: poisson, rate_rps: 1}
      lengths: {isl: {kind: lognormal, mean: 8000, cv: 0.5}, osl: 40}
      slo: {ttft_s: {p95: 5.0}}
topologies:
  own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: 1, billing: owned}]}
cost: {draws: 0}
run: {horizon_s: 420, warmup_s: 20, seed: 5}
"""
RATE = "workload.classes[chat].arrivals.rate_rps"
OF_ONE_CLASS = "workload.classes[documents]=null"
DRAFTS = "engine.speculative_config={method: eagle, num_speculative_tokens: 4, acceptance: 0.6}"
CASES = {
    "chat": [OF_ONE_CLASS],
    "light": [OF_ONE_CLASS, f"{RATE}=0.5"],
    "near its capacity": [OF_ONE_CLASS, f"{RATE}=14"],
    "prefixes in the cache": [
        OF_ONE_CLASS,
        "engine.enable_prefix_caching=true",
        "workload.classes[chat].prefixes={groups: 3, tokens: 600, share: 0.9}",
    ],
    "long and short": [],
    "experts": [OF_ONE_CLASS, "model=qwen3-30b-a3b"],
    "70B in fp8": [
        "model=llama-3.1-70b-instruct",
        "engine.quantization=fp8",
        "topologies.own.pools[base].tensor_parallel_size=4",
        f"{RATE}=4",
    ],
    "slow": ["topologies.own.pools[base].gpu=l40s", f"{RATE}=1", "workload.classes[documents].arrivals.rate_rps=0.2"],
    "static": [OF_ONE_CLASS, "engine.batching=static", "engine.max_num_seqs=32", f"{RATE}=4"],
    "drafts": [OF_ONE_CLASS, DRAFTS],
    "drafts, long and short": [DRAFTS],
}
COSTLY = {*CASES} - {"light", "long and short"}


def by_step(steps: pd.DataFrame, parts: pd.DataFrame, time: StepTime, from_s: float) -> dict[tuple[str, str], float]:
    """Seconds by class and kind: of each step answers take what they would alone, prompts what it takes longer.

    Parameters
    ----------
    parts : a request's part of a step, with its `class`
    """
    found: dict[tuple[str, str], float] = defaultdict(float)
    cached: dict[int, int] = {}
    of_step: dict[float, list[Any]] = defaultdict(list)
    for part in parts.itertuples():
        of_step[part.start_s].append(part)
        cached.setdefault(part.request, part.before if part.kind == "prefill" else 0)
    for start_s, duration_s in zip(steps["start_s"], steps["duration_s"], strict=True):
        answers = [part for part in of_step[start_s] if part.kind == "decode"]
        prompts = [part for part in of_step[start_s] if part.kind == "prefill"]
        read_s = [time.decode_attn_s * (part.before + part.tokens) for part in answers]
        pairs_s = [time.prefill_attn_s * part.tokens * (part.before + (part.tokens + 1) / 2) for part in prompts]
        shared_s = alone_s = max(duration_s - sum(read_s) - sum(pairs_s), 0.0)
        if prompts:
            tokens = sum(part.tokens for part in answers)
            alone_s = min(time.mean_step_s(len(answers), tokens), shared_s) if answers else 0.0
        if start_s < from_s:
            continue
        for part, own_s in zip(answers, read_s, strict=True):
            found[part.cls, "output"] += alone_s / len(answers) + own_s
        computed = sum(part.tokens for part in prompts)
        for part, own_s in zip(prompts, pairs_s, strict=True):
            with_cached_s = time.prefill_attn_s * part.tokens * cached[part.request]
            found[part.cls, "uncached input"] += (shared_s - alone_s) * part.tokens / computed + own_s - with_cached_s
            found[part.cls, "cached input"] += with_cached_s
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.exhaustive) if name in COSTLY else name for name in CASES]
)
def test_a_split_is_that_of_the_steps(name: str, tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    loaded = load_scenario(tmp_path / "scenario.yaml", sets=CASES[name])
    run, planned = loaded.scenario.run, plan_topology(loaded, "own")
    pool, classes = planned.fleet.pools[0], [cls.name for cls in loaded.scenario.workload.classes]
    bundle = read_bundle(simulate(loaded, tmp_path).bundle)
    view = replica_steps(bundle, "own", "base", 0, 0.0, run.horizon_s)
    assert view.deviation_s < 1e-6
    rows = bundle.table("requests")
    of = dict(zip(rows["request"], rows["class"].astype(str), strict=True))
    steps = by_step(
        view.steps, view.requests.assign(cls=view.requests["request"].map(of)), pool.step_time, run.warmup_s
    )
    used = simulate_one(subject_of(planned), loads_of(loaded).shown.demand, 0).usage.pools[0]
    cost = step_cost([used], pool.step_time, pool.engine.num_speculative_tokens, 1.0 / steps_per_token(pool.engine))
    rule = work_seconds(used.work.astype(float), cost)
    exact = np.array([[steps[cls, kind] for kind in KINDS] for cls in classes])
    np.testing.assert_allclose(rule / rule.sum(), exact / exact.sum(), rtol=0, atol=0.01)
    assert exact.sum() == pytest.approx(used.busy_s, rel=0.02)
