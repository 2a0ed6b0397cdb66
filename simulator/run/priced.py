"""A trial with its bill."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.cost.report import CostReport, MonthlyTokens
from simulator.fleet.simulate import FleetRun
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.demand import Demand
from simulator.resolve.prices import Prices, cost_of
from simulator.simulate.one import Outcome
from simulator.study.usage import Usage
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR


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
    cost = cost_of(outcome.usage, outcome.tokens, prices, _monthly(outcome.metrics))
    return Replication(outcome.metrics, outcome.usage, cost, outcome.run, outcome.demand)


def _monthly(metrics: MetricAccumulator) -> MonthlyTokens:
    """Tokens of a month at the rates of the window: those that the table shows by the second."""
    rates = metrics.summary()
    names = ("input_tokens_per_s", "output_tokens_per_s", "processed_tokens_per_s")
    return MonthlyTokens(*(rates[name] * HOURS_PER_MONTH * SECONDS_PER_HOUR for name in names))
