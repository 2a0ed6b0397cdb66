"""The hybrid rule against the simulator: the number to own that it names is the cheapest of all that were simulated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fleet_cases import ENGINE, Source, fleet, pool
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.decide.volumes import owned_units
from simulator.fleet.simulate import simulate_fleet
from simulator.perf.steptime import constant_step_time
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ClassSpec, RoutingSpec
from simulator.study.usage import PoolUsage
from simulator.workload.requests import make_requests

HOUR_S = 100.0
"""An hour of the rule, shortened."""
USE_S = 90.0
"""A request takes one replica for as long, so that it has left when the next hour begins."""
MOST = 5


def busy_hours(demand: list[int], owned: int) -> tuple[float, float]:
    """Replica-hours in use of `owned` replicas of one's own, and of rented ones that take what overflows."""
    engine = replace(ENGINE, max_num_seqs=1)
    step = constant_step_time(USE_S / 9, engine.max_num_batched_tokens, 1)
    kind = {"engine": engine, "step_time": step, "power_w_by_seqs": np.zeros(2)}
    base, burst = pool("base", owned, **kind), pool("burst", MOST, **kind)
    full = (owned - 1) / owned if owned else 0.0
    routing = RoutingSpec(TargetRouting.OVERFLOW, (0, 1), overflow_outstanding=(full, np.inf))
    arrivals = np.repeat(np.arange(len(demand)) * HOUR_S + 1.0, demand) if sum(demand) else np.zeros(0)
    n = len(arrivals)
    source = Source((make_requests(arrivals, np.full(n, 8), np.full(n, 9)),), class_names=("a",))
    run = simulate_fleet(
        fleet((base, burst), routing=routing, classes=(ClassSpec("a", (True, True)),)),
        source,
        horizon_s=(len(demand) + 1) * HOUR_S,
        drain_s=0.0,
        warmup_s=0.0,
        seed=1,
        sink=lambda records: None,
    )
    mine, rented = (_hours(usage) for usage in run.usage.pools)
    return mine, rented


def _hours(usage: PoolUsage) -> float:
    return usage.busy_s / USE_S


@given(
    demand=st.lists(st.integers(0, MOST), min_size=4, max_size=12),
    fixed=st.floats(100.0, 60_000.0),
    rented=st.floats(0.5, 8.0),
    owned=st.floats(0.0, 2.0),
)
@settings(max_examples=12, deadline=None)
def test_the_rule_names_the_cheapest_number_that_was_simulated(
    demand: list[int], fixed: float, rented: float, owned: float
) -> None:
    costs = []
    for k in range(MOST + 1):
        mine, other = busy_hours(demand, k)
        assert mine + other == pytest.approx(sum(demand))
        assert mine == pytest.approx(np.minimum(demand, k).sum())
        costs.append(fixed * k + 8760 * (owned * mine + rented * other) / len(demand))
    found = owned_units(demand, fixed, rented, owned)
    assert costs[found] == pytest.approx(min(costs), rel=1e-9)
    assert all(cost > costs[found] - 1e-6 for cost in costs[:found])
