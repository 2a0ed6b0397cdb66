"""Topologies at their best size in one month, under other loads and limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from simulator.decide.explore import Answered, Asked, OutOfTime, Serve
from simulator.metrics.slo import ClassSlo
from simulator.resolve.sizes import alone, open_pools
from simulator.run.loads import demand_at
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import Demand, PeriodDemand
from simulator.simulate.priced import tokens_per_month
from simulator.simulate.store import Store
from simulator.size.assumed import Assumed
from simulator.size.found import Limits
from simulator.size.search import search
from simulator.size.trials import Trials
from simulator.study.demand import Load


def asked_demand(demand: Demand, asked: Asked) -> Demand:
    """The demand at a multiple of its load, under a multiple of its latency limits."""
    return with_limits(demand_at(demand, Load((asked.load,) * len(demand.classes))), asked.limits)


def with_limits(demand: Demand, factor: float) -> Demand:
    """The demand under a multiple of its latency limits; itself where nothing changes."""
    if factor == 1.0:
        return demand
    return replace(demand, classes=tuple(_loosened(slo, factor) for slo in demand.classes))


def _loosened(slo: ClassSlo, factor: float) -> ClassSlo:
    return replace(slo, terms=tuple(replace(term, limit_s=term.limit_s * factor) for term in slo.terms))


def at_best_size(
    loaded: LoadedScenario,
    periods: Sequence[PeriodDemand],
    store: Store,
    limits: Limits | None = None,
) -> Serve:
    """Each topology at the cheapest size that meets the SLO in all periods, or at the size that is written.

    It raises `OutOfTime` where the time that is left ends a search.

    Parameters
    ----------
    periods : what a month asks, the busiest first
    limits : of each search but its time, which is what is left of that for all of them
    """

    def serve(asked: Asked, left_s: float) -> Answered:
        name = asked.topology
        there = [PeriodDemand(one.period, asked_demand(one.demand, asked)) for one in periods]
        assumed = Assumed(asked.steps, asked.acceptance, asked.passed_on)
        found = Trials(alone(loaded, name), name, open_pools(loaded, name), there, store, assumed=assumed)
        searched = search(found, replace(limits or Limits(), seconds=left_s))
        if not searched.is_finished:
            raise OutOfTime
        best = searched.best
        if best is None:
            return Answered(False, None)
        hours = math.fsum(one.period.hours for one in found.periods)
        tokens = math.fsum(
            one.period.hours / hours / len(gave) * tokens_per_month(at.metrics, one.demand.jobs_per_month).delivered
            for one, gave in zip(found.periods, best.outcomes, strict=True)
            for at in gave
        )
        return Answered(True, best.usd_per_month, tokens, usd_by_replication=best.usd)

    return serve
