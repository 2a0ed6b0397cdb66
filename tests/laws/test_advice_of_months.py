"""Advice on a written size says how that size fares in the month that asks for the most, as a run of it finds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.run.simulate import simulate

POOL = "name: a, site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: 3, gpus_per_instance: 1"


def run(folder: Path, growth: float, replicas: int, *sets: str) -> dict[str, Any]:
    topology = f"t: {{pools: [{{{POOL}, replicas: {replicas}}}]}}"
    study = f"months: 6, growth_per_year: {growth}"
    text = chat(topology, study=study, rate_rps=25, tpot_s=0.02, horizon_s=20, warmup_s=2)
    return dict(simulate(written(folder, text, "cost.draws=0", *sets), None, advise=True).summary["topologies"]["t"])


def told(found: dict[str, Any]) -> str:
    return next((row["text"] for row in found["warnings"] if "meets the SLO in month 1" in row["text"]), "")


@pytest.mark.parametrize(
    ("growth", "words"),
    [
        (0.05, "; so it does in month 6, which asks for the most; other months were not tried at that size"),
        (20.0, "; in month 6, which asks for the most, that size misses it: replicas: auto finds one for each month"),
        (-0.5, "; other months, none of which asks for more, were not tried at that size"),
    ],
)
def test_what_is_said_of_the_busiest_month_is_what_a_run_of_that_size_finds(
    tmp_path: Path, growth: float, words: str
) -> None:
    said = told(run(tmp_path, growth, 6))
    assert words in said
    number = int(re.findall(r"a (\d+)", said)[0])
    assert number < 6
    again = run(tmp_path, growth, number)
    assert (again["lasts_until"] is None) == ("misses it" not in said)


def test_an_event_of_the_topology_leaves_the_other_months_untried(tmp_path: Path) -> None:
    event = "study.events=[{name: dear, from_month: 3, topology: t, change: {staff: {base_fte: 1}}}]"
    said = told(run(tmp_path, 0.05, 6, event))
    assert said.endswith("; other months were not tried at that size, replicas: auto finds one for each")
    assert "asks for the most" not in said
