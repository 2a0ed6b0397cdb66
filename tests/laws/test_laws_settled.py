"""An autoscaled pool begins as its traffic has had it for a while: no warm-up decides whether it meets its SLO."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.resolve.topology import plan_topology
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.demand import demand_of
from simulator.simulate.one import Outcome, simulate_one, subject_of
from simulator.simulate.settled import settled
from simulator.study.fleet import FleetSpec

RATE_RPS, TARGET = 12.0, 20.0
SCENARIO = """
schema_version: 1
name: settled
model: llama-3.1-8b
engine: {max_model_len: 4096}
workload:
  classes:
    - name: chat
      arrivals: {kind: gamma, rate_rps: 12, cv: 0.01}
      lengths: {isl: 800, osl: 600}
      data_class: public
      slo: {ttft_s: {p99: 0.5}, tpot_s: {p95: 0.0085}}
topologies:
  auto:
    pools:
      - name: rented
        site: lambda
        gpu: h100-sxm
        autoscaler: {min: 1, max: 8, target_per_replica: 20}
run: {horizon_s: 1200, seed: 3}
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedScenario:
    file = tmp_path_factory.mktemp("settled") / "settled.yaml"
    file.write_text(SCENARIO)
    return load_scenario(file)


def fleet_of(loaded: LoadedScenario) -> FleetSpec:
    return plan_topology(loaded, "auto").fleet


def run(loaded: LoadedScenario, warmup_s: float, window_s: float = 240.0) -> Outcome:
    demand = replace(demand_of(loaded), horizon_s=warmup_s + window_s, warmup_s=warmup_s, _drawn={})
    return simulate_one(subject_of(plan_topology(loaded, "auto")), demand, 0)


@pytest.mark.parametrize("warmup_s", [0.0, 30.0])
def test_a_warm_up_shorter_than_the_cold_start_changes_no_verdict(loaded: LoadedScenario, warmup_s: float) -> None:
    """A steady load has one number of replicas at all times, so a short run has what a long one has."""
    assert warmup_s < fleet_of(loaded).pools[0].cold_start.total_s
    short, long = run(loaded, warmup_s), run(loaded, 960.0)
    for one in (short, long):
        assert [term["met"] for term in one.metrics.terms()] == [True, True, True]
    per_s = [one.usage.pools[0].billed_s / one.usage.span_s for one in (short, long)]
    assert per_s[0] == pytest.approx(per_s[1])


def test_a_pool_begins_with_what_littles_law_asks(loaded: LoadedScenario) -> None:
    """Requests in it = rate x stay, by the target, within the tolerance of the rule."""
    one = run(loaded, 960.0)
    stay_s = one.run.balances[0].sojourn_s / one.run.balances[0].departures
    wanted = RATE_RPS * stay_s / TARGET
    (pool,) = settled(fleet_of(loaded), demand_of(loaded), 0).pools
    assert pool.replicas >= 2
    assert math.ceil(wanted / 1.1) <= pool.replicas <= math.ceil(wanted * 1.1)


def test_a_rush_that_comes_later_is_not_foreseen(loaded: LoadedScenario, tmp_path: Path) -> None:
    """Two minutes are looked at; what comes after them finds what the traffic before it had."""

    def begins(start_s: int) -> int:
        rush = f"{{kind: schedule, rate_rps: 12, spikes: [{{start_s: {start_s}, duration_s: 90, factor: 6}}]}}"
        file = tmp_path / "rush.yaml"
        file.write_text(SCENARIO.replace("{kind: gamma, rate_rps: 12, cv: 0.01}", rush))
        rushed = load_scenario(file)
        (pool,) = settled(fleet_of(rushed), demand_of(rushed), 0).pools
        return pool.replicas

    assert begins(20) > begins(125) == begins(1100)


def test_what_fails_later_does_not_change_how_it_begins(loaded: LoadedScenario) -> None:
    fleet, demand = fleet_of(loaded), demand_of(loaded)
    broken = replace(
        fleet,
        pools=tuple(
            replace(
                pool,
                reliability=replace(pool.reliability, reclaim_mtbf_s=60.0, known=((10.0, 900.0),)),
                outages=replace(pool.outages, windows=((5.0, 500.0),)),
            )
            for pool in fleet.pools
        ),
    )
    assert settled(broken, demand, 0).pools[0].replicas == settled(fleet, demand, 0).pools[0].replicas


def test_fixed_pools_and_idle_ones_begin_as_written(loaded: LoadedScenario) -> None:
    fleet, demand = fleet_of(loaded), demand_of(loaded)
    fixed = replace(fleet, pools=tuple(replace(pool, replicas=3, autoscaler=None) for pool in fleet.pools))
    assert settled(fixed, demand, 0) is fixed
    nobody = replace(demand, horizon_s=1e-3, _drawn={})
    assert settled(fleet, nobody, 0).pools[0].replicas == 1
