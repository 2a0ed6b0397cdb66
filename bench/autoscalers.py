"""What settings of autoscalers that are searched cost above the least of a grid: `python -m bench.autoscalers`.

Small fleets of a given throughput under bursts, drawn by seed; each is searched, then a grid of fewest, most and target
is simulated with the same requests, and the cheapest that meets the SLO is taken.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from simulator.resolve.sizes import Fixed, Scaled, alone, open_pools
from simulator.rng import stream
from simulator.run.loads import loads_of
from simulator.scenario.load import load_scenario
from simulator.simulate.store import Store
from simulator.size.answer import searched
from simulator.size.trials import Point, Trials, Tried

TARGETS = (1, 2, 3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160)
SCENARIO = """
schema_version: 1
name: fleet
model: llama-3.1-8b-instruct
engine: {{max_model_len: 4096, enable_prefix_caching: false, max_num_seqs: 64,
  throughput: {{output_tokens_per_s: 300, tpot_s: 0.04, input_tokens_per_s: 10000}}}}
workload:
  classes:
    - name: chat
      arrivals: {{kind: schedule, rate_rps: {rate}, spikes: [{{start_s: 50, duration_s: 40, factor: {factor}}},
        {{start_s: 140, duration_s: 50, factor: {later}}}]}}
      lengths: {{isl: 200, osl: {{kind: lognormal, mean: 40, cv: 0.5, max: 600}}}}
      slo: {slo}
topologies:
  rent:
    pools:
      - {{name: gpus, gpu: h100-sxm, gpus_per_instance: {gpus}, price_usd_per_gpu_hour: 3, failures: false,
         autoscaler: {{min: auto, max: auto, target_per_replica: auto, metric: {metric}, period_s: 2,
           down_window_s: 15}},
         cold_start: {{provision_s: {cold_s}, image_s: 0, weights_s: 0, engine_s: 0}}, billing_minimum_s: 0,
         billing_granularity_s: 0, storage_usd_per_gb_month: 0, egress_usd_per_gb: 0}}
study: {{months: 1}}
cost: {{draws: 0}}
run: {{horizon_s: 240, warmup_s: 24, seed: 5, keep_requests: false}}
"""
CHOICES = {
    "rate": (4, 8, 12),
    "factor": (2, 3),
    "later": (0, 1.5, 2.5),
    "slo": (
        "{tpot_s: {p95: 0.1}}",
        "{ttft_s: {p95: 1}, tpot_s: {p95: 0.3}}",
        "{e2e_s: {p95: 8}}",
        "{ttft_s: {p95: 3}}",
    ),
    "gpus": (1, 1, 2, 4),
    "metric": ("outstanding", "waiting"),
    "cold_s": (1, 5, 15, 40),
}


def trials_of(seed: int, folder: Path) -> Trials:
    """The fleet of a seed, of which nothing is tried yet."""
    rng = stream(seed, "fleet")
    file = folder / f"{seed}.yaml"
    file.write_text(SCENARIO.format(**{key: values[rng.integers(len(values))] for key, values in CHOICES.items()}))
    loaded = load_scenario(file)
    return Trials(alone(loaded, "rent"), "rent", open_pools(loaded, "rent"), loads_of(loaded).first_month, Store())


def grid(enough: int) -> Iterator[list[Point]]:
    """Fixed numbers and settings around the number that is enough at all times, by rising target."""
    yield from ([(Fixed(n),)] for n in range(1, enough + 2))
    for most in range(max(enough - 1, 1), 2 * enough + 1):
        for fewest in range(min(most, enough + 1)):
            yield [(Scaled(fewest, most, float(target)),) for target in TARGETS]


def least(trials: Trials, enough: int) -> Tried | None:
    """The cheapest point of the grid that meets the SLO; after three targets in a row that miss it come no more."""
    best: Tried | None = None
    for points in grid(enough):
        missed = 0
        for point in points:
            if missed == 3 or (best is not None and trials.bound_usd(point) >= best.usd_per_month):
                break
            tried = trials(point, best)
            missed = 0 if tried.word == "met" else missed + 1
            best = tried if tried.word == "met" and (best is None or tried.beats(best)) else best
    return best


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fleets", type=int, default=12)
    parser.add_argument("--first", type=int, default=0, help="seed of the first one")
    given = parser.parse_args()
    gaps = []
    print("| fleet | searched | $ | tried | least of the grid | $ |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.first, given.first + given.fleets):
            trials = trials_of(seed, Path(folder))
            found = searched(trials)
            if found.best is None:
                continue
            tried = trials.simulated
            fixed = [one.replicas for one in found.trail if one.word == "met" and isinstance(one.point[0], Fixed)]
            enough = min(fixed, default=found.best.replicas)
            best = least(trials, min(enough, 8)) or found.best
            gaps.append(100 * (found.best.usd_per_month / best.usd_per_month - 1))
            bills = (f"{one} | {one.usd_per_month:,.0f}" for one in (found.best, best))
            print(f"| {seed} | {next(bills)} | {tried} | {next(bills)} |", flush=True)
    median, most = np.percentile(gaps, (50, 90))
    print(f"{len(gaps)} fleets: median {median:.1f} %, 90 % below {most:.1f} %, at most {max(gaps):.1f} % dearer")


if __name__ == "__main__":
    main()
