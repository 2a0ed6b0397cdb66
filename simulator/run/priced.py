"""A trial with its bill."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.cost.report import CostReport
from simulator.fleet.simulate import FleetRun
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.demand import Demand
from simulator.resolve.prices import Prices, cost_of
from simulator.simulate.one import Outcome
from simulator.study.usage import Usage


@dataclass(frozen=True, slots=True)
class Replication:
    """One simulation of one topology, priced."""

    metrics: MetricAccumulator
    usage: Usage
    cost: CostReport
    run: FleetRun
    demand: Demand


def priced(outcome: Outcome, prices: Prices) -> Replication:
    """A trial and what its use costs."""
    cost = cost_of(outcome.usage, outcome.tokens, prices)
    return Replication(outcome.metrics, outcome.usage, cost, outcome.run, outcome.demand)
