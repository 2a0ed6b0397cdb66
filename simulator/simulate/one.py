"""One trial: a fleet under one replication of the demand, with the laws checked. No price is known here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.demand import Demand as Arrivals
from simulator.metrics.laws import (
    check_causality,
    check_counts,
    check_gpu_seconds,
    check_little,
    check_roofline,
    check_stays,
)
from simulator.metrics.sketch import Sketch
from simulator.perf.bounds import TokenBound
from simulator.resolve.topology import PlannedTopology
from simulator.simulate.demand import Demand
from simulator.simulate.lasting import later_windows
from simulator.simulate.later import from_second
from simulator.simulate.limits import in_steady_use
from simulator.simulate.settled import settled
from simulator.study.fleet import FleetSpec
from simulator.study.usage import Usage

Records = NDArray[Any]
Keep = Callable[[Records], None]
Progress = Callable[[float], None]

FLUSHES = 24
"""How often in the horizon a trial looks at what has ended, watched or not: sums are made in the same steps."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is simulated.

    Attributes
    ----------
    fleet : at its size
    peaks : by pool, what no engine of it can exceed
    """

    fleet: FleetSpec
    peaks: tuple[TokenBound, ...]

    @property
    def targets(self) -> list[str]:
        """Names of pools, then providers: the order of target indices."""
        return [pool.name for pool in self.fleet.pools] + [provider.name for provider in self.fleet.providers]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one replication on one fleet gave.

    Attributes
    ----------
    number : of the replication
    metrics : counts, service levels and latencies
    usage : the ledger that money is computed from
    run : samples, gaps between tokens, events
    demand : arrivals over time
    """

    number: int
    metrics: MetricAccumulator
    usage: Usage
    run: FleetRun
    demand: Arrivals


def subject_of(planned: PlannedTopology) -> Subject:
    """What of a planned topology is simulated."""
    return Subject(planned.fleet, tuple(engine.bound for engine in planned.engines))


def target_names(planned: PlannedTopology) -> list[str]:
    """Names of pools, then providers: the order of target indices."""
    return subject_of(planned).targets


def simulate_one(
    subject: Subject,
    demand: Demand,
    number: int,
    *,
    keep: Keep | None = None,
    watch: Callable[[MetricAccumulator, float, Sequence[int]], None] | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Simulate replication `number` of a demand; all fleets see the same requests in it.

    Parameters
    ----------
    keep : called with records of ended requests (dtype RECORD), for those who want every row
    watch : called with the metrics so far, the simulated time and the classes whose requests ended since it was called
        last, in order; what it raises ends the trial
    progress : called with the simulated time

    Raises
    ------
    InvariantError : a law was broken: a bug of ours
    """
    fleet = from_second(replace(subject.fleet, clock_s=demand.when.clock_s), demand.start_s)
    fleet = settled(in_steady_use(fleet, demand, number), demand, number)
    targets = subject.targets
    end_s = demand.horizon_s if demand.last_job_s is None else math.inf
    metrics = MetricAccumulator(demand.classes, demand.warmup_s, end_s, targets, len(fleet.pools))
    arrivals = Arrivals(demand.horizon_s, len(targets), demand.gap_cvs)

    def sink(records: Records) -> None:
        check_causality(records)
        metrics.add(records)
        arrivals.add(records)
        if keep:
            keep(records)
        if watch:
            watch(metrics, float(records["finish_s"].max(initial=0.0)), np.unique(records["class_id"]).tolist())

    run = simulate_fleet(
        fleet,
        demand.source(number),
        horizon_s=demand.horizon_s,
        drain_s=demand.drain_s,
        warmup_s=demand.warmup_s,
        seed=demand.replication_seed(number),
        sink=sink,
        sample_s=demand.sample_s,
        flush_s=demand.horizon_s / FLUSHES,
        progress=progress,
        job_s=demand.last_job_s,
        part=demand.part,
    )
    arrived = tuple(tally.arrived for tally in metrics.by_class)
    run = replace(run, usage=replace(run.usage, when=demand.when, requests=arrived))
    if demand.last_job_s is not None:
        metrics.end_s = run.usage.end_s
    metrics.count_tokens(run.usage)
    check_counts(metrics)
    for balance in run.balances:
        check_little(balance)
    check_stays(run.usage, fleet)
    for pool, peak in zip(run.usage.pools, subject.peaks, strict=True):
        check_gpu_seconds(pool)
        check_roofline(pool, peak.computed_tokens_per_gpu_s, peak.output_tokens_per_gpu_s)
    metrics.later = later_windows(fleet, demand, number, metrics, run)
    return Outcome(number, metrics, run.usage, run, arrivals)


def itl(runs: list[FleetRun]) -> Sketch:
    """Gaps between tokens over all classes and replications, of pools (token APIs show only their mean gap)."""
    total = Sketch()
    for run in runs:
        total.merge(Sketch.from_counts(run.itl_counts))
    return total
