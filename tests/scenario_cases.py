"""Scenarios of one chat class on Llama 3.1 8B, written and loaded; and edges of what a scenario may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.resolve.sizes import alone, open_pools
from simulator.run.loads import loads_of
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.store import Store
from simulator.size.trials import Trials

SMALL = Path(__file__).resolve().parent / "data/scenarios/small.yaml"

Edge = tuple[list[str], list[str], str]
"""Assignments that are refused, their neighbours that are taken, and what is said of the first."""

CHAT = """
schema_version: 1
name: chat
model: llama-3.1-8b-instruct
engine: {{max_model_len: 8192, enable_prefix_caching: false}}
workload:
  classes:
    - name: chat
      arrivals: {{kind: poisson, rate_rps: {rate_rps}}}
      lengths: {{isl: 500, osl: {osl}}}
      slo: {{ttft_s: {{p99: 1.0}}, tpot_s: {{p95: {tpot_s}}}}}
topologies: {{{topologies}}}
study: {{{study}}}
cost: {{draws: {draws}}}
run: {{horizon_s: {horizon_s}, warmup_s: {warmup_s}, replications: {replications}, seed: 5, keep_requests: false}}
"""

SCALED = """autoscaler: {min: auto, max: auto, target_per_replica: auto, period_s: 1, down_window_s: 8},
         cold_start: {provision_s: 5, image_s: 0, weights_s: 0, engine_s: 0}"""
"""A pool whose autoscaler is open and quick."""

BESIDE_AN_API = """
schema_version: 1
name: beside
model: llama-3.1-8b-instruct
engine: {{max_model_len: 4096, enable_prefix_caching: false, max_num_seqs: 128,
  throughput: {{input_tokens_per_s: 5000, output_tokens_per_s: 150, tpot_s: 0.04}}}}
workload:
  classes:
    - name: chat
      arrivals: {{kind: schedule, rate_rps: {rate_rps}, spikes: [{{start_s: 45, duration_s: 30, factor: {peak}}},
        {{start_s: 105, duration_s: 40, factor: {low}}}]}}
      lengths: {{isl: 200, osl: {{kind: lognormal, mean: 40, cv: 0.5, max: 600}}}}
      slo: {{tpot_s: {{p90: {p90_tpot_s}}}}}
topologies:
  t:
    pools:
      - {{name: gpus, gpu: h100-sxm, gpus_per_instance: 1, price_usd_per_gpu_hour: 4.58, failures: false,
         {size}, billing_minimum_s: 0,
         billing_granularity_s: 0, storage_usd_per_gb_month: 0, egress_usd_per_gb: 0}}
    providers:
      - {{name: api, prices: [{{input: 2.27, output: 4.47}}], ttft_s: {{median: 0.2}}, tpot_s: {{median: 0.01}},
         data_classes: [internal, public]}}
    routing: {routing}
study: {{months: 1}}
cost: {{draws: 0}}
run: {{horizon_s: 150, warmup_s: 15, seed: 18, keep_requests: false}}
"""


def beside_an_api(rate_rps: float, peak: float, low: float, p90_tpot_s: float, size: str, routing: str) -> str:
    """Text of a scenario of one pool of given speed beside a token API that could serve all alone."""
    given = {"rate_rps": rate_rps, "peak": peak, "low": low, "p90_tpot_s": p90_tpot_s}
    return BESIDE_AN_API.format(**given, size=size, routing=routing)


def chat(
    *topologies: str,
    study: str,
    rate_rps: float = 15,
    osl: int = 200,
    tpot_s: float = 0.03,
    draws: int = 0,
    horizon_s: float = 60,
    warmup_s: float = 10,
    replications: int = 1,
) -> str:
    """Text of a scenario; a topology is `name: {pools: [...], ...}`."""
    return CHAT.format(
        topologies=", ".join(topologies),
        study=study,
        rate_rps=rate_rps,
        osl=osl,
        tpot_s=tpot_s,
        draws=draws,
        horizon_s=horizon_s,
        warmup_s=warmup_s,
        replications=replications,
    )


def written(folder: Path, text: str, *sets: str) -> LoadedScenario:
    """The scenario of a file with this text."""
    file = folder / "scenario.yaml"
    file.write_text(text)
    return load_scenario(file, sets=sets)


def trials_of(loaded: LoadedScenario, topology: str) -> Trials:
    """Trials of sizes of a topology in the first month, of which nothing is known beforehand."""
    return Trials(
        alone(loaded, topology), topology, open_pools(loaded, topology), loads_of(loaded).first_month, Store()
    )


def check_edge(file: Path, edge: Edge) -> None:
    """What is refused is told at its place, and its neighbour is taken."""
    refused, taken, said = edge
    with pytest.raises(InputError) as caught:
        load_scenario(file, sets=refused)
    assert any(said in str(problem) for problem in caught.value.problems), str(caught.value)
    load_scenario(file, sets=taken)
