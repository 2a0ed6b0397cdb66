"""The months of a topology: further trials at the loads that are simulated, none where nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from simulator.decide.months import walk
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import binding_term, slo_met
from simulator.simulate.demand import Demand
from simulator.simulate.one import Outcome, Subject, simulate_one
from simulator.simulate.priced import tokens_per_month, with_peaks
from simulator.study.decision import Served, Sizes, Walked
from simulator.study.demand import Horizon, Load
from simulator.workload.levels import at_level

Progress = Callable[[str, float], None]


def demand_at(demand: Demand, load: Load) -> Demand:
    """The demand under another load; itself where nothing changes. A window has its warm-up before it, if it can."""
    found = demand
    if any(factor != 1.0 for factor in load.level):
        found = replace(found, workload=at_level(demand.workload, load.level), _drawn={})
    if load.window_s is not None:
        first, last = load.window_s
        start_s = max(first - demand.warmup_s, 0.0)
        warmup_s = first - start_s if first > 0 else demand.warmup_s
        found = replace(found, start_s=start_s, warmup_s=warmup_s, horizon_s=last - start_s, _drawn={})
    return found


def walk_months(
    horizon: Horizon, subject: Subject, demand: Demand, base: Served, progress: Progress | None = None
) -> list[Walked]:
    """The months of a topology whose size stays.

    Parameters
    ----------
    base : what it gave under the scenario's own load, which is not simulated again
    """
    name = subject.fleet.name

    def trial(sizes: Sizes, load: Load) -> Served:
        there = demand_at(demand, load)
        if there is demand:
            return base
        if progress:
            progress(f"{name}, {' and '.join(f'{factor:.3g}' for factor in load.level)} times the load", 0.0)
        return served([simulate_one(subject, there, k) for k in range(there.replications)])

    return walk(horizon, trial, replicas(subject))


def replicas(subject: Subject) -> Sizes:
    """Replicas of each pool, the most where it is autoscaled."""
    return tuple(
        pool.replicas if pool.autoscaler is None else pool.autoscaler.max_replicas for pool in subject.fleet.pools
    )


def served(outcomes: Sequence[Outcome]) -> Served:
    """What a fleet gave under one load, replications pooled."""
    metrics = [outcome.metrics for outcome in outcomes]
    first = metrics[0]
    whole = MetricAccumulator(first.classes, first.warmup_s, first.end_s, first.targets, first.n_pools)
    for found in metrics:
        whole.merge(found)
    terms = whole.terms(metrics)
    near = binding_term(terms)
    words = "no request was measured"
    if near:
        kept = f"kept by {near['share']:.2%} of the requests, {near['required']:.0%} have to"
        words = f"{near['class']}: {near['term']} is {kept}"
    arrived = whole.total.arrived
    return Served(
        slo_met(terms) is True,
        whole.total.good / arrived if arrived else 0.0,
        words,
        tuple(with_peaks([outcome.usage for outcome in outcomes])),
        tuple(tokens_per_month(one) for one in metrics),
    )
