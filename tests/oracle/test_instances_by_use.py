"""Instances of autoscaled pools against arithmetic of its own: each size that Lambda sells, by the ledger of use."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.run.simulate import simulate
from simulator.size.found import Limits

LAMBDA_USD_PER_HOUR = {1: 4.29, 2: 8.38, 4: 16.36, 8: 31.92}
"""H100 SXM instances by their GPUs: price page of 2026-09-20, gpu_offers.csv."""
HOURS_PER_MONTH = 730


def pool(scaler: str, given: str = "") -> str:
    return f"t: {{pools: [{{name: p, site: lambda, gpu: h100-sxm, storage_gb: 0, autoscaler: {scaler}{given}}}]}}"


def run(folder: Path, topology: str, **load: Any) -> tuple[dict[str, Any], float]:
    """What is said of the topology, and the least that a month costs on instances of one size, by its own ledger."""
    load = {"rate_rps": 40, "horizon_s": 300, "warmup_s": 100, "study": "months: 1"} | load
    found = simulate(written(folder, chat(topology, **load)), folder, limits=Limits(max_replicas=10))
    ledger = json.loads((found.bundle / "usage.json").read_text())["t"]
    (month,) = ledger["months"]
    uses = [(period["hours"], ledger["usages"][period["usage"]]) for period in month]
    return found.summary["topologies"]["t"], least_usd(uses)


def least_usd(uses: list[tuple[float, dict[str, Any]]]) -> float:
    """Replicas at every moment of the window on as few instances as hold them, at each size; the least of the sizes."""
    totals = dict.fromkeys(LAMBDA_USD_PER_HOUR, 0.0)
    for hours, usage in uses:
        stays = [(stay["start_s"], stay["end_s"]) for stay in usage["pools"][0]["stays"]]
        times = sorted({time for stay in stays for time in stay})
        for begin, end in pairwise(times):
            there = sum(start <= begin and end <= until for start, until in stays)
            part = hours * (end - begin) / (usage["end_s"] - usage["start_s"])
            for gpus, usd in LAMBDA_USD_PER_HOUR.items():
                totals[gpus] += part * math.ceil(there / gpus) * usd
    return min(totals.values())


@pytest.mark.parametrize(
    ("scaler", "gpus"),
    [
        ("{kind: queue, min: 1, max: 8, target_per_replica: 4}", 8),
        ("{kind: queue, min: 7, max: 8, target_per_replica: 500}", 1),
        ("{kind: queue, min: 4, max: 5, target_per_replica: 500}", 4),
    ],
)
def test_a_written_autoscaler_is_on_the_instances_that_its_replicas_cost_least_on(
    tmp_path: Path, scaler: str, gpus: int
) -> None:
    """Eight all the time, seven, four: before the trial single GPUs, one of eight, and single ones were taken."""
    found, least = run(tmp_path, pool(scaler))
    assert found["cost"]["usd_per_month"] == pytest.approx(least)
    named, _ = run(tmp_path, pool(scaler, f", gpus_per_instance: {gpus}"))
    assert named["cost"]["usd_per_month"] == pytest.approx(least)
    assert "gpus_per_instance" not in str(found["warnings"])


@pytest.mark.exhaustive
def test_a_searched_autoscaler_costs_no_more_than_with_its_instances_written(tmp_path: Path) -> None:
    """Four replicas for 23 hours and one for another: an instance of four is $16.36, single GPUs are $16.62 an hour."""
    study = "months: 1, periods: [{name: busy, hours: 1-24, load: 1.5}, {name: night, hours: 0-1, load: 0.1}]"
    scaler = "{kind: queue, min: 1, max: auto, target_per_replica: 20}"
    load = {"study": study, "tpot_s": 0.0095, "horizon_s": 200}
    found, least = run(tmp_path, pool(scaler), **load)
    assert found["metrics"]["slo_met"]
    assert found["cost"]["usd_per_month"] == pytest.approx(least)
    assert found["cost"]["usd_per_month"] == pytest.approx(16.36 * HOURS_PER_MONTH)
    for gpus in (1, 4):
        named, _ = run(tmp_path, pool(scaler, f", gpus_per_instance: {gpus}"), **load)
        assert found["cost"]["usd_per_month"] <= named["cost"]["usd_per_month"] * (1 + 1e-9), gpus
