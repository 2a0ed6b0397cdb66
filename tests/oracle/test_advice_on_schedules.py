"""Advice on pools that are scaled by the clock: another number in their busiest hours, by the bill of its own run."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator.run.simulate import Run, simulate

BUSY = "hours: 0-0:30"
REST = "hours: 0:30-24"


def run(folder: Path, topology: str, *sets: str) -> Run:
    text = chat(topology, study="", rate_rps=20, osl=100, tpot_s=0.05, horizon_s=3_600, warmup_s=0)
    return simulate(written(folder, text, *sets), folder / "runs", advise=True)


def advised(found: Run) -> list[str]:
    texts = (one["text"] for one in found.summary["topologies"]["pool"]["warnings"])
    return [text for text in texts if "meets the SLO for" in text]


def pool(outside: int, schedule: str) -> str:
    head = "name: base, site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: 3"
    return f"pool: {{pools: [{{{head}, replicas: {outside}, schedule: [{schedule}]}}]}}"


@pytest.mark.parametrize(
    ("outside", "schedule", "fewer"),
    [
        (1, f"{{{BUSY}, replicas: 4}}", "pools[base].schedule[0].replicas"),
        (4, f"{{{REST}, replicas: 1}}", "pools[base].replicas"),
    ],
)
def test_the_largest_number_of_a_schedule_is_tried_at_others(
    tmp_path: Path, outside: int, schedule: str, fewer: str
) -> None:
    """Four in half of the hour, and one in the rest, cost 3 · 730 · 2.5 = 5,475; fewer do in the busy half, too."""
    found = run(tmp_path, pool(outside, schedule))
    cost = found.summary["topologies"]["pool"]["cost"]["usd_per_month"]
    (said,) = advised(found)
    number = int(said.removeprefix("base ").split(" ")[0])
    assert said.startswith(f"base {number} where its schedule has 4 meets the SLO for ")
    assert number < 4
    other = run(tmp_path, pool(outside, schedule), f"topologies.pool.{fewer}={number}")
    usd = other.summary["topologies"]["pool"]["cost"]["usd_per_month"]
    assert other.summary["topologies"]["pool"]["metrics"]["slo_met"]
    assert f"${usd:,.0f} per month, {1 - usd / cost:.0%} less" in said


def test_a_schedule_with_too_few_at_all_hours_is_told_how_many_do(tmp_path: Path) -> None:
    sets = "workload.classes[chat].arrivals.rate_rps=90", "run.horizon_s=120"
    found = run(tmp_path, pool(1, f"{{{BUSY}, replicas: 1}}"), *sets)
    (said,) = advised(found)
    assert said.startswith("misses the SLO as written; base ")
    assert " where its schedule has 1 meets the SLO for $" in said
