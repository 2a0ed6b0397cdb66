"""Owned machines that are powered and serve nobody are in the bill of electricity; those that are down are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from agreement import second_bill
from fleet_cases import WATTS, classes, evenly, fleet, pool

from simulator.fleet.simulate import simulate_fleet
from simulator.fleet.single import RequestList
from simulator.results.bundle import read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from simulator.study.fleet import Reliability

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
SETS = (
    "run={horizon_s: 60, warmup_s: 0, seed: 3}",
    "cost.draws=0",
    "study={months: 1, periods: [{name: work, hours_per_month: 220}, {name: night, load: 0}]}",
    "topologies.own.pools[0].failures=false",
)


def test_a_night_in_which_nobody_comes_pays_for_idle_power(tmp_path: Path) -> None:
    """Hosts draw their 2 kW for all 730 hours, the GPU its idle power for the 510 of the night."""
    study = simulate(load_scenario(SCENARIO, sets=list(SETS)).only("own"), tmp_path)
    second = second_bill(read_bundle(study.bundle).path, "own")
    usd = {row["part"]: row["usd"] for row in second.mean_lines() if row["category"] == "electricity"}
    (month,) = second.months.use
    watts = {
        period["hours"]: usage["pools"][0]["energy_by_hour_j"][0] / (usage["end_s"] - usage["start_s"])
        for period, usage in month
    }
    per_kwh = 1.54 * 0.12
    assert watts[510.0] == pytest.approx(138.0)
    assert watts[220.0] > watts[510.0]
    assert usd["hosts"] == pytest.approx(2.0 * 730 * per_kwh)
    assert usd["gpus"] == pytest.approx((0.138 * 510 + watts[220.0] / 1000 * 220) * per_kwh)


def test_a_machine_that_is_down_draws_nothing() -> None:
    """Of 100 s it is down for 30 and starts its engine in one more: 70 s at the 100 W of an idle replica."""
    spec = pool(replicas=1, gpus_per_server=1, owned=True)
    failing = replace(spec, reliability=Reliability(known=((20.0, 50.0),)))
    joules = {}
    for name, one in (("up", spec), ("failing", failing)):
        found = simulate_fleet(
            fleet((one,), classes=classes(1)),
            RequestList(evenly(1, 1.0)),
            horizon_s=100.0,
            drain_s=0.0,
            warmup_s=0.0,
            seed=3,
            sink=lambda records: None,
            sample_s=100.0,
        ).usage
        joules[name] = float(found.pools[0].energy_by_hour_j.sum())
        assert found.servers[0].powered_s_by_hour.sum() == pytest.approx(70.0 if name == "failing" else 100.0)
    assert joules["up"] - joules["failing"] == pytest.approx(30.0 * WATTS[0])
