"""Advice on a written size says how that size fares in all months of a study, as a run of it finds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.resolve.topology import plan_topology
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario

AUTO = "replicas: auto finds one for each month"
POOL = "name: a, site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: 3, gpus_per_instance: 1"


def run(folder: Path, growth: float, size: int | str, *sets: str) -> dict[str, Any]:
    topology = f"t: {{pools: [{{{POOL}, {size if isinstance(size, str) else f'replicas: {size}'}}}]}}"
    study = f"months: 6, growth_per_year: {growth}"
    text = chat(topology, study=study, rate_rps=25, tpot_s=0.02, horizon_s=20, warmup_s=2)
    return dict(simulate(written(folder, text, "cost.draws=0", *sets), None, advise=True).summary["topologies"]["t"])


def told(found: dict[str, Any]) -> str:
    return next((row["text"] for row in found["warnings"] if "meets the SLO in month 1" in row["text"]), "")


@pytest.mark.parametrize("growth", [0.05, 20.0, -0.5])
@pytest.mark.parametrize("event", ["", "{staff: {base_fte: 1}}", "{pools: [{name: a, engine: {max_num_seqs: 2}}]}"])
def test_what_is_said_of_the_other_months_is_what_a_run_of_that_size_finds(
    tmp_path: Path, growth: float, event: str
) -> None:
    """Of 25 requests a second, a load that grows twentyfold a year, and an event that lets two run at a time."""
    sets = [f"study.events=[{{name: new, from_month: 3, topology: t, change: {event}}}]"] if event else []
    was = run(tmp_path, growth, 6, *sets)
    said = told(was)
    number = int(re.findall(r"a (\d+)", said)[0])
    assert number < 6
    again = run(tmp_path, growth, number, *sets)
    if again["lasts_until"] is not None:
        assert said.endswith(f"; in month {again['lasts_until'] + 1} that size misses it: {AUTO}")
    else:
        usd, before = (one["cost"]["usd_per_month"] for one in (again, was))
        less = f", {1 - usd / before:.0%} less than as written" if was["lasts_until"] is None else ""
        assert said.endswith(f"; so it does in all 6 months, for ${usd:,.0f} per month{less}")
    assert (again["lasts_until"] is None) == (growth < 1 and "max_num_seqs" not in event)


def test_an_event_alone_makes_months_differ(tmp_path: Path) -> None:
    """Nothing grows: without the event the sentence is of all months, with it of month 1 and then of the others."""
    dear = "study.events=[{name: dear, from_month: 3, topology: t, change: {staff: {base_fte: 1}}}]"
    assert told(run(tmp_path, 0.0, 6)) == ""
    assert "; so it does in all 6 months, for $" in told(run(tmp_path, 0.0, 6, dear))


def test_other_months_of_too_many_requests_are_said_not_to_be_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Months 1 and 6 of some 450 requests each, as 25 a second over 18 seconds that count, are simulated."""
    monkeypatch.setattr("simulator.run.advised.MOST_REQUESTS", 800)
    said = told(run(tmp_path, 0.05, 6))
    count = re.findall(r"; other months were not tried at that size: about ([\d,]+) requests are more than 800$", said)
    assert 800 < float(count[0].replace(",", "")) < 1100


def test_of_an_autoscaler_all_months_are_counted_as_each_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six months of some 450 requests, each of a few more than the one before; the size that is asked is as written."""

    def as_written(loaded: LoadedScenario, name: str, *rest: Any) -> str:
        return f"it meets the SLO in month 1{rest[-1](plan_topology(loaded, name))}"

    monkeypatch.setattr("simulator.run.advised.MOST_REQUESTS", 2000)
    monkeypatch.setattr("simulator.run.advised.advice", as_written)
    said = told(run(tmp_path, 0.05, "autoscaler: {min: 6, max: 8, target_per_replica: 64, period_s: 5}"))
    (count,) = re.findall(r"; other months were not tried at that size: about ([\d,]+) requests are more than", said)
    assert 2600 < float(count.replace(",", "")) < 3100
