"""An autoscaler beside a target that could serve all alone is at the least of its grid, too."""

from __future__ import annotations

from pathlib import Path

from scenario_cases import trials_of, written

from simulator.resolve.sizes import Fixed, Scaled
from simulator.size.answer import searched

TEXT = """
schema_version: 1
name: beside
model: llama-3.1-8b-instruct
engine: {max_model_len: 4096, enable_prefix_caching: false, max_num_seqs: 128,
  throughput: {input_tokens_per_s: 5000, output_tokens_per_s: 150, tpot_s: 0.04}}
workload:
  classes:
    - name: chat
      arrivals: {kind: schedule, rate_rps: 2.7, spikes: [{start_s: 45, duration_s: 30, factor: 3},
        {start_s: 105, duration_s: 40, factor: 0}]}
      lengths: {isl: 200, osl: {kind: lognormal, mean: 40, cv: 0.5, max: 600}}
      slo: {tpot_s: {p90: 0.5}}
topologies:
  t:
    pools:
      - {name: gpus, gpu: h100-sxm, gpus_per_instance: 1, price_usd_per_gpu_hour: 4.58, failures: false,
         autoscaler: {min: auto, max: auto, target_per_replica: auto, period_s: 1, down_window_s: 8},
         cold_start: {provision_s: 5, image_s: 0, weights_s: 0, engine_s: 0}, billing_minimum_s: 0,
         billing_granularity_s: 0, storage_usd_per_gb_month: 0, egress_usd_per_gb: 0}
    providers:
      - {name: api, prices: [{input: 2.27, output: 4.47}], ttft_s: {median: 0.2}, tpot_s: {median: 0.01},
         data_classes: [internal, public]}
    routing: {kind: overflow, order: [gpus, api]}
study: {months: 1}
cost: {draws: 0}
run: {horizon_s: 150, warmup_s: 15, seed: 18, keep_requests: false}
"""
TARGETS = (2, 5, 10, 20, 40, 65)


def test_one_replica_that_an_api_stands_beside_goes_where_nobody_comes(tmp_path: Path) -> None:
    """The API alone meets the SLO, so no number of replicas is the fewest that is enough; one costs less than none."""
    trials = trials_of(written(tmp_path, TEXT), "t")
    found = searched(trials)
    fixed = {n: trials((Fixed(n),)) for n in range(3)}
    assert all(one.word == "met" for one in fixed.values())
    assert min(fixed, key=lambda n: fixed[n].usd_per_month) == 1
    grid = [trials((Scaled(least, most, float(t)),)) for least, most in ((0, 1), (0, 2), (1, 2)) for t in TARGETS]
    least_usd = min(one.usd_per_month for one in grid if one.word == "met")
    assert least_usd < 0.97 * fixed[1].usd_per_month
    assert found.best is not None
    assert found.best.usd_per_month <= least_usd + 0.01
