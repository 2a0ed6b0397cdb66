"""Settings of an autoscaler under a loose limit per token: replicas are full long before they hold so many requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import written

from simulator.run.simulate import simulate

SCENARIO = """
schema_version: 1
name: loose
model: llama-3.1-8b-instruct
engine: {max_model_len: 4096, enable_prefix_caching: false, throughput: {output_tokens_per_s: 200, tpot_s: 0.1}}
workload:
  classes:
    - name: chat
      arrivals: {kind: poisson, rate_rps: 2.5}
      lengths: {isl: 100, osl: 200}
      slo: {tpot_s: {p95: 0.5}}
topologies:
  rent:
    pools:
      - name: gpus
        gpu: h100-sxm
        gpus_per_instance: 1
        price_usd_per_gpu_hour: 3
        autoscaler: SCALER
        failures: false
        cold_start: {provision_s: 400, image_s: 0, weights_s: 0, engine_s: 200}
        billing_minimum_s: 0
        billing_granularity_s: 0
        storage_usd_per_gb_month: 0
        egress_usd_per_gb: 0
study: {months: 1, periods: [{name: busy, hours_per_month: 200}, {name: quiet, load: 0.1}]}
cost: {draws: 0}
run: {horizon_s: 3000, warmup_s: 300, seed: 5, keep_requests: false}
"""


def test_targets_below_what_a_replica_holds_at_its_limit_are_found(tmp_path: Path) -> None:
    """2.5 answers of a second of a replica each a second need 3, which hold fewer than 25 each; at the limit it is 100.

    With one replica in quiet hours that is 3 · $3 · 200 + $3 · 530 = $3,390, where 3 all the time are $6,570.
    """
    bills = {}
    for name, scaler in (("auto", "auto"), ("by hand", "{kind: queue, min: 1, max: 3, target_per_replica: 20}")):
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        run = simulate(written(folder, SCENARIO.replace("SCALER", scaler)), folder)
        assert run.summary["topologies"]["rent"]["metrics"]["slo_met"]
        bills[name] = run.summary["topologies"]["rent"]["cost"]["usd_per_month"]
    assert bills["by hand"] == pytest.approx(3390, rel=0.03)
    assert bills["auto"] <= bills["by hand"] * (1 + 1e-9)


def test_an_instance_that_one_replica_pays_for_is_given_back_where_nobody_comes(tmp_path: Path) -> None:
    """Three replicas on one instance of four GPUs cost what one of them does: $12 an hour, in the 200 busy hours alone.

    One replica and three that are always there are both $12 · 730; that one is no sign that one is enough.
    """
    text = SCENARIO.replace("SCALER", "auto").replace("gpus_per_instance: 1", "gpus_per_instance: 4")
    run = simulate(written(tmp_path, text.replace("load: 0.1", "load: 0")), tmp_path)
    found = run.summary["topologies"]["rent"]
    assert found["metrics"]["slo_met"]
    assert found["search"]["sizes"]["gpus"].startswith("0 to ")
    assert found["cost"]["usd_per_month"] == pytest.approx(12 * 200, rel=0.03)


def test_targets_of_requests_that_wait_go_down_to_one(tmp_path: Path) -> None:
    """350 tokens a second are one replica's, thrice or 2.5 times as many for 300 and for 200 seconds two replicas'.

    Where few may wait, a second one comes with the first that do: $3 · 730 · (1 + (500 s of rush and 60 s after each) /
    1,400 s). A replica runs 60 requests before any waits; so many that wait, or a quarter of these, are too late.
    """
    rush = "{start_s: 300, duration_s: 300, factor: 3}, {start_s: 900, duration_s: 200, factor: 2.5}"
    scaler = "{min: auto, max: auto, target_per_replica: auto, metric: waiting, period_s: 5, down_window_s: 60}"
    text = SCENARIO.replace("SCALER", scaler)
    for old, new in (
        ("output_tokens_per_s: 200", "output_tokens_per_s: 600"),
        ("max_model_len: 4096", "max_model_len: 4096, max_num_seqs: 60"),
        ("{kind: poisson, rate_rps: 2.5}", f"{{kind: schedule, rate_rps: 3.5, spikes: [{rush}]}}"),
        ("osl: 200", "osl: 100"),
        ("tpot_s: {p95: 0.5}", "ttft_s: {p95: 2}"),
        ("provision_s: 400", "provision_s: 5"),
        ("engine_s: 200", "engine_s: 0"),
        ("{months: 1, periods: [{name: busy, hours_per_month: 200}, {name: quiet, load: 0.1}]}", "{months: 1}"),
        ("horizon_s: 3000, warmup_s: 300, seed: 5", "horizon_s: 1500, warmup_s: 100, seed: 3"),
    ):
        assert old in text
        text = text.replace(old, new)
    found = simulate(written(tmp_path, text), tmp_path).summary["topologies"]["rent"]
    assert found["metrics"]["slo_met"]
    assert found["cost"]["usd_per_month"] == pytest.approx(3 * 730 * (1 + (500 + 2 * 60) / 1400), rel=0.05)


def test_what_goes_down_to_none_has_neighbours_too(tmp_path: Path) -> None:
    """From none on, more at most let a replica have more requests: the least of what is written costs no less."""
    rush = "{start_s: 72, duration_s: 48, factor: 3}, {start_s: 168, duration_s: 36, factor: 0}"
    around = "{{kind: lognormal, mean: {}, cv: 0.5, max: {}}}".format
    text = SCENARIO
    for old, new in (
        (
            "throughput: {output_tokens_per_s: 200, tpot_s: 0.1}",
            "max_num_seqs: 64, throughput: {output_tokens_per_s: 150",
        ),
        ("}\nworkload", ", tpot_s: 0.04, input_tokens_per_s: 5000}}\nworkload"),
        ("{kind: poisson, rate_rps: 2.5}", f"{{kind: schedule, rate_rps: 6, spikes: [{rush}]}}"),
        ("isl: 100, osl: 200", f"isl: {around(200, 2000)}, osl: {around(40, 600)}"),
        ("tpot_s: {p95: 0.5}", "ttft_s: {p95: 1}, tpot_s: {p95: 0.3}"),
        ("provision_s: 400", "provision_s: 1"),
        ("engine_s: 200", "engine_s: 0"),
        ("{months: 1, periods: [{name: busy, hours_per_month: 200}, {name: quiet, load: 0.1}]}", "{months: 1}"),
        ("horizon_s: 3000, warmup_s: 300", "horizon_s: 240, warmup_s: 24"),
    ):
        assert old in text
        text = text.replace(old, new)
    given = "period_s: 1, down_window_s: 20"
    bills = {}
    for most, target in (("auto", "auto"), (5, 14), (5, 20), (6, 27), (6, 34)):
        least = "auto" if most == "auto" else 0
        scaler = f"{{min: {least}, max: {most}, target_per_replica: {target}, {given}}}"
        folder = tmp_path / f"{most}-{target}"
        folder.mkdir()
        found = simulate(written(folder, text.replace("SCALER", scaler)), folder).summary["topologies"]["rent"]
        if found["metrics"]["slo_met"]:
            bills[most, target] = found["cost"]["usd_per_month"]
    assert len(bills) > 2, "the searched one and several of those that are written"
    assert bills["auto", "auto"] <= min(bills.values()) * (1 + 1e-9)
