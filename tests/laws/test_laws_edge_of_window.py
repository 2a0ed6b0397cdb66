"""Work that an autoscaler leaves for after the window makes no size cheap; targets above what a replica holds do."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import trials_of, written

from simulator.resolve.sizes import Fixed, Scaled, Size
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario
from simulator.size.answer import searched
from simulator.size.found import Limits
from simulator.size.search import search
from simulator.size.trials import Trials

WINDOW_S, HELD = 150, 64
TARGETS = (28, 40, 56, 64, 80, 112, 150, 180, 220)
FLEET = """
schema_version: 1
name: bursts
model: llama-3.1-8b-instruct
engine: {{max_model_len: 4096, enable_prefix_caching: false, max_num_seqs: 64,
  throughput: {{output_tokens_per_s: 300, tpot_s: 0.04, input_tokens_per_s: 20000}}}}
workload:
  classes:
    - name: chat
      arrivals: {{kind: schedule, rate_rps: 2.7, spikes: [{spikes}]}}
      lengths: {{isl: 200, osl: {{kind: lognormal, mean: 80, cv: 0.5, max: 600}}}}
      slo: {{tpot_s: {{p90: 0.5}}}}
topologies:
  rent:
    pools:
      - {{name: gpus, gpu: h100-sxm, gpus_per_instance: 1, price_usd_per_gpu_hour: 3, failures: false,
         autoscaler: {scaler},
         cold_start: {{provision_s: 1, image_s: 0, weights_s: 0, engine_s: 0}}, billing_minimum_s: 0,
         billing_granularity_s: 0, storage_usd_per_gb_month: 0, egress_usd_per_gb: 0}}
study: {{months: 1}}
cost: {{draws: 0}}
run: {{horizon_s: {horizon_s}, warmup_s: 15, seed: 15, keep_requests: false}}
"""
OPEN = "{min: auto, max: auto, target_per_replica: auto, period_s: 3, down_window_s: 8}"


def bursts(folder: Path, windows: int, scaler: str = OPEN) -> LoadedScenario:
    """Two bursts in each window, which only two replicas serve in time; one has room for them after each."""
    at = [(45 + WINDOW_S * k, 30, 3) for k in range(windows)] + [(105 + WINDOW_S * k, 22, 2) for k in range(windows)]
    spikes = ", ".join(f"{{start_s: {s}, duration_s: {long}, factor: {f}}}" for s, long, f in at)
    return written(folder, FLEET.format(spikes=spikes, horizon_s=WINDOW_S * windows, scaler=scaler))


def waiting_share(trials: Trials, size: Size) -> float:
    """Tokens of who came in the window and was not begun in it, by all of who came: plain sums over the outcome."""
    ((outcome,),) = trials((size,)).outcomes
    (course,) = outcome.metrics.courses
    return float(course.grown_tokens / (course.parts.sum() + course.grown_tokens))


def test_a_bill_of_a_window_leaves_out_what_waits_at_its_end(tmp_path: Path) -> None:
    """At 150 requests a replica 14 % wait at the end of one window; in six each window serves what the last one left.

    So the bill of one window is too low by about as much as waits there, while that of 64 requests, which leaves
    nothing, is not.
    """
    short, long = (trials_of(bursts(tmp_path, windows), "rent") for windows in (1, 6))
    sizes = Scaled(0, 2, 64.0), Scaled(0, 2, 150.0)
    one, six = ([trials((size,)).usd_per_month for size in sizes] for trials in (short, long))
    assert [waiting_share(short, size) for size in sizes] == [0.0, pytest.approx(0.14, abs=0.005)]
    assert one[1] < 0.95 * six[1]
    found = searched(short)
    assert found.best is not None
    assert found.best.usd_per_month > one[1]
    scaled = [size for tried in found.by_word("met") for size in tried.point if isinstance(size, Scaled)]
    assert scaled
    assert all(waiting_share(short, size) <= 0.05 for size in scaled)
    assert any("leaves that out" in tried.reason for tried in found.by_word("refused"))
    (text,) = _left_out(bursts(tmp_path, 1, "{min: 0, max: 2, target_per_replica: 150, period_s: 3, down_window_s: 8}"))
    assert text.startswith("14% of what came still waits when the simulated time ends: the bill of gpus leaves out")
    assert not _left_out(bursts(tmp_path, 1, "{min: 0, max: 2, target_per_replica: 64, period_s: 3, down_window_s: 8}"))


def test_a_bill_that_leaves_work_out_beats_nobody_whose_bill_does_not(tmp_path: Path) -> None:
    """A search that ends before it comes to another point has it; of two windows the other's bill is the whole one."""
    loaded, one = bursts(tmp_path, 1), Limits(max_trials=1)
    left, whole = (Scaled(0, 2, 150.0),), trials_of(loaded, "rent")((Scaled(0, 2, 64.0),))
    found = search(trials_of(loaded, "rent"), one, first=[left])
    assert found.best is not None
    assert found.best.point == left
    assert found.best.usd_per_month < whole.usd_per_month
    assert search(trials_of(loaded, "rent"), one, first=[left], rival=whole).best is None


def test_requests_that_may_wait_allow_targets_above_what_a_replica_holds(tmp_path: Path) -> None:
    """The limit on the time of a token lets a replica hold all 64 that it has places for, and lets any number wait."""
    trials = trials_of(bursts(tmp_path, 2), "rent")
    found = searched(trials)
    sizes = [Scaled(0, 2, float(target)) for target in TARGETS]
    usd = [
        tried.usd_per_month
        for size in sizes
        if (tried := trials((size,))).word == "met" and waiting_share(trials, size) <= 0.02
    ]
    assert trials((Fixed(2),)).word == "met"
    assert found.best is not None
    assert isinstance(found.best.point[0], Scaled)
    assert found.best.point[0].target > HELD
    assert found.best.usd_per_month <= 1.05 * min(usd)


def _left_out(loaded: LoadedScenario) -> list[str]:
    topology = simulate(loaded, loaded.path.parent / "out").summary["topologies"]["rent"]
    return [one["text"] for one in topology["warnings"] if "still waits" in one["text"]]
