"""A slower engine needs no smaller fleet, and its hardware costs what it costs."""

from __future__ import annotations

from pathlib import Path

from simulator.scenario.load import load_scenario
from simulator.simulate.demand import demand_of, whole_month
from simulator.simulate.store import Store
from simulator.size.found import Limits
from simulator.size.speeds import at_speeds

SIZED = Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml"
SHORT = ["run.horizon_s=30", "run.warmup_s=5", "run.replications=2"]


def test_an_error_of_the_speed_moves_the_size_and_no_price() -> None:
    sets = ["topologies.own.pools[base].replicas=auto", "workload.classes[chat].arrivals.rate_rps=60", *SHORT]
    scenario = load_scenario(SIZED, sets=sets)
    store = Store()
    slow, middle, fast = at_speeds(scenario, "own", whole_month(demand_of(scenario)), store, 0.6)
    assert (slow.factor, middle.factor, fast.factor) == (1.6, 1.0, 0.4)
    replicas = [int(one.sizes["base"]) for one in (slow, middle, fast)]
    assert replicas == sorted(replicas, reverse=True)
    assert replicas[0] > replicas[2]
    late = Limits(seconds=-1.0)
    assert at_speeds(scenario, "own", whole_month(demand_of(scenario)), Store(), 0.6, late) == ()
    same = at_speeds(scenario, "own", whole_month(demand_of(scenario)), store, 0.0)
    assert {(one.sizes["base"], one.usd_per_month) for one in same} == {(middle.sizes["base"], middle.usd_per_month)}


def test_a_written_size_keeps_or_misses_its_slo() -> None:
    sets = ["topologies.own.pools[base].replicas=1", "workload.classes[chat].arrivals.rate_rps=20", *SHORT]
    scenario = load_scenario(SIZED, sets=sets)
    slow, middle, fast = at_speeds(scenario, "own", whole_month(demand_of(scenario)), Store(), 0.95)
    assert middle.usd_per_month is not None
    assert fast.usd_per_month is not None
    assert fast.sizes == middle.sizes == {}
    assert fast.usd_per_month <= middle.usd_per_month * 1.01
    assert slow.usd_per_month is None or slow.usd_per_month >= middle.usd_per_month
