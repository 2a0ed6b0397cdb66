"""Verdict, table, months, break-even, capacity and flips of one run never contradict each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenario_cases import written

from simulator.run.simulate import Run, simulate
from simulator.simulate.store import Store

SCENARIO = """
schema_version: 1
name: verdict
model: llama-3.1-8b-instruct
engine: {max_model_len: 8192, enable_prefix_caching: false}
workload:
  classes:
    - name: chat
      arrivals: {kind: poisson, rate_rps: 12}
      lengths:
        isl: {kind: lognormal, mean: 900, cv: 0.8, max: 6000}
        osl: {kind: lognormal, mean: 150, cv: 0.7, max: 1000}
      data_class: public
      slo: {ttft_s: {p95: 1.0}, tpot_s: {p95: 0.06}}
topologies:
  own: {pools: [{name: base, site: datacentre, gpu: l40s, replicas: auto, billing: owned}]}
  rent: {pools: [{name: rented, site: aws-us-east, gpu: l40s, replicas: auto}]}
  api: {providers: [{name: api, offer: openai/gpt-4o-mini}]}
study: {months: 6}
cost: {draws: 50}
run: {horizon_s: 40, warmup_s: 5, replications: 2, seed: 3, keep_requests: false}
"""
RENTED = "{pools: [{name: p, site: aws-us-east, gpu: l40s, replicas: auto}]}"
BREAKS = "{name: less, from_month: 3, topology: rent, change: {pools: [{name: rented, replicas: 1}]}}"
CASES = {
    "plain": (),
    "copies": (f"topologies={{a: {RENTED}, b: {RENTED}, c: {RENTED}}}",),
    "free": ("topologies.api.providers[api].price_scale=0",),
    "nobody comes": ("workload.classes[chat].arrivals.rate_rps=0.0001",),
    "nobody meets": ("workload.classes[chat].slo.ttft_s={p95: 0.001}",),
    "an event breaks one": (f"study.events=[{BREAKS}]",),
    "written sizes are outgrown": (
        "study.growth_per_year=3",
        "topologies.rent.pools[rented].replicas=3",
        "topologies.own.pools[base].replicas=2",
    ),
}


@pytest.fixture(scope="module")
def store() -> Store:
    return Store()


@pytest.mark.parametrize("name", CASES)
def test_what_a_run_says_is_one(name: str, store: Store, tmp_path: Path) -> None:
    run = simulate(written(tmp_path, SCENARIO, *CASES[name]), tmp_path / "runs", store=store, advise=True)
    assert [*_contradictions(run)] == []


def _contradictions(run: Run) -> Iterator[str]:
    decided = run.decision["topologies"]
    for name, told in run.summary["topologies"].items():
        found, months = decided[name], decided[name]["months"]
        met = [month["meets"] for month in months]
        lasts = months[met.index(False)]["month"] - 1 if False in met else None
        meets = False if False in met else None if None in met else True
        if found["meets"] is not meets or told["lasts_until"] != lasts:
            yield f"{name}: {found['meets']}, until {told['lasts_until']}, months {met}"
        if all(met) and told["metrics"]["slo_met"] is not True:
            yield f"{name}: the table misses what all months meet"
        mean = math.fsum(month["usd"] for month in months) / len(months)
        if not told["cost"]["usd_per_month"] == pytest.approx(found["usd_per_month"]) == pytest.approx(mean, abs=0.01):
            yield f"{name}: {told['cost']['usd_per_month']}, {found['usd_per_month']}, {mean}"
        used, shown = found["capacity"], told["metrics"]["slo_met"]
        if used and shown is not None and shown != (used["factor"] >= 1):
            yield f"{name}: meets {shown}, capacity {used}"
        yield from (f"{name}: {p['rival']} misses" for p in found["break_even"] if not decided[p["rival"]]["meets"])
    meeting = {name: found["usd_per_month"] for name, found in decided.items() if found["meets"]}
    if set(run.decision["order"]) != set(meeting):
        yield f"order {run.decision['order']} of {meeting}"
    winners = set(run.decision["winners"])
    if meeting and min(meeting, key=lambda name: meeting[name]) not in winners:
        yield f"winners {winners} of {meeting}"
    if not all(name in run.summary["verdict"] for name in winners):
        yield f"{winners} not in {run.summary['verdict']}"
    for flip in run.decision["flips"]:
        if flip["factor"] is not None and (winners & set(flip["winner"].split(" and ")) or flip["factor"] == 1.0):
            yield f"{flip} with {winners}"
