"""A hybrid whose burst may be none costs no more than its owned pool alone: that is one of its own sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import written

from simulator.run.evaluate import evaluate
from simulator.run.simulate import simulate

OWNED = "{name: base, gpu: h100-sxm, billing: owned, site: datacentre, replicas: auto, failures: false}"
SCENARIO = f"""
schema_version: 1
name: hybrid
model: llama-3.1-8b-instruct
engine: {{max_model_len: 4096, enable_prefix_caching: false, throughput: {{output_tokens_per_s: 200, tpot_s: 0.1}}}}
workload:
  classes:
    - name: chat
      arrivals: {{kind: poisson, rate_rps: 1.7}}
      lengths: {{isl: 100, osl: 200}}
      data_class: internal
      slo: {{tpot_s: {{p95: 0.3}}}}
topologies:
  owned: {{pools: [{OWNED}]}}
  hybrid:
    pools:
      - {OWNED}
      - name: burst
        gpu: h100-sxm
        gpus_per_instance: 1
        price_usd_per_gpu_hour: 2.5
        replicas: auto
        failures: false
        cold_start: {{provision_s: 30, image_s: 0, weights_s: 0, engine_s: 20}}
    routing: {{kind: overflow, order: [base, burst], when: {{outstanding_per_replica: 12}}}}
study: {{STUDY}}
cost: {{draws: 0}}
run: {{horizon_s: 600, warmup_s: 60, keep_requests: false}}
"""
PERIODS = (
    "first_month: 2027-01, periods: [{name: ordinary}, {name: peak, hours_per_month: 200, load: 2.2, quarters: [4]}]"
)
SEASON = f"months: 12, {PERIODS}"
GROWTH = f"months: 12, growth_per_year: 0.6, {PERIODS}"
EVENT = (
    f"months: 12, {PERIODS}, events: [{{name: cheaper, from_month: 6, topology: hybrid, "
    "change: {pools: [{name: burst, price_usd_per_gpu_hour: 2.4}]}}]"
)

API = """
  hybrid:
    pools:
      - {name: base, gpu: h100-sxm, billing: owned, site: datacentre, replicas: auto, failures: false}
    providers:
      - name: api
        ttft_s: {median: 0.5, sigma: 0.3}
        tpot_s: {median: 0.01, sigma: 0.3}
        data_classes: [internal]
        prices: [{input: 2.5, output: 10}]
    routing: {kind: overflow, order: [base, api], when: {outstanding_per_replica: 60}}
"""


def text(study: str) -> str:
    return SCENARIO.replace("STUDY", study)


@pytest.mark.parametrize(
    ("study", "sets"),
    [
        (SEASON, ["run.seed=5"]),
        (SEASON, ["run.seed=6", "workload.classes[chat].arrivals.rate_rps=0.9"]),
        (GROWTH, ["run.seed=7", "workload.classes[chat].arrivals.rate_rps=1.3"]),
        ("months: 24, growth_per_year: 0.8", ["run.seed=8"]),
        (EVENT, ["run.seed=5"]),
    ],
)
def test_a_hybrid_costs_no_more_than_its_owned_pool(tmp_path: Path, study: str, sets: list[str]) -> None:
    loaded = written(tmp_path, text(study), *sets)
    owned, hybrid = (evaluate(loaded, name) for name in ("owned", "hybrid"))
    assert owned.slo_met
    assert hybrid.slo_met
    assert hybrid.summary.row()["cost"]["usd_per_month"] <= owned.summary.row()["cost"]["usd_per_month"] * (1 + 1e-9)


def test_without_its_burst_it_is_the_owned_fleet_and_says_so(tmp_path: Path) -> None:
    """1.7 answers of a replica's second each need 2, the season 4: a mean month would have these from month 1 on."""
    run = simulate(written(tmp_path, text(SEASON), "run.seed=5"), tmp_path / "runs")
    owned, hybrid = (run.decision["topologies"][name]["months"] for name in ("owned", "hybrid"))
    assert [month["usd"] for month in hybrid] == pytest.approx([month["usd"] for month in owned])
    assert run.summary["topologies"]["hybrid"]["search"]["sizes"] == {"base": "2", "burst": "0"}
    assert "hybrid is the same fleet as owned" in run.summary["verdict"]


def of_written_base(study: str) -> str:
    return text(study).replace("site: datacentre, replicas: auto", "site: datacentre, replicas: 2")


def test_beside_a_written_number_of_owned_replicas_the_burst_is_there_in_the_season_alone(tmp_path: Path) -> None:
    """2 replicas are enough beside the season, which needs 4: nothing is left open without the burst."""
    run = simulate(written(tmp_path, of_written_base(SEASON), "run.seed=5"), tmp_path / "runs")
    bursts = [month["replicas"][1] for month in run.decision["topologies"]["hybrid"]["months"]]
    assert bursts[:9] == [0] * 9
    assert min(bursts[9:]) >= 1


def test_an_event_may_write_the_number_of_owned_replicas(tmp_path: Path) -> None:
    """From the season's 4 on, nothing is left open without the burst."""
    event = "change: {pools: [{name: base, replicas: 4}]}"
    study = EVENT.replace("change: {pools: [{name: burst, price_usd_per_gpu_hour: 2.4}]}", event)
    assert event in study
    assert evaluate(written(tmp_path, text(study), "run.seed=5"), "hybrid").slo_met


@pytest.mark.parametrize("seed", [5, 6])
def test_servers_of_a_season_beside_a_token_api_cost_no_more_than_alone(tmp_path: Path, seed: int) -> None:
    """With 60 answers at 0.3 s a token a replica is full, so what it may hold before others come is its capacity.

    Alone, 7 replicas are on one server until the season needs 15; a mean month has both or none.
    """
    before, after = text(SEASON).split("  hybrid:\n")
    both = before + API.lstrip("\n") + after[after.index("study:") :]
    loaded = written(tmp_path, both, f"run.seed={seed}", "workload.classes[chat].arrivals.rate_rps=6.8")
    owned, hybrid = (evaluate(loaded, name) for name in ("owned", "hybrid"))
    assert owned.slo_met
    assert hybrid.slo_met
    assert hybrid.summary.row()["cost"]["usd_per_month"] <= owned.summary.row()["cost"]["usd_per_month"] * (1 + 1e-9)
