"""Whether a fleet that met its SLO keeps it: further windows, where one does not fill the batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.course import Course, LaterWindows
from simulator.metrics.slo import slo_met
from simulator.rng import stream_seed
from simulator.simulate.again import coming_again, mean_replicas
from simulator.simulate.capacity import capacity_rps, load_by_target, load_of, target_capacity_rps
from simulator.simulate.demand import Demand
from simulator.simulate.undisturbed import undisturbed
from simulator.study.fleet import FleetSpec
from simulator.workload.requests import RequestSource
from simulator.workload.windows import one_after_another

NEAR = 0.85
"""Share of the rough capacity from which on a load may be beyond the true one."""
WINDOWS = (4, 8, 16)
"""Windows that are simulated, until they tell."""
FURTHER = (32, 64, 128, 256)
"""As many more where more comes than the rough capacity, until a queue grows or no more requests are present."""
MOST_REQUESTS = 500_000
"""Of all windows together; more are not simulated."""
_PARTS = (2, 4)
"""The last half and the last quarter of the windows are looked at."""
_LOOK = 0.05
"""Part of a span over which the requests present are averaged."""


def later_windows(
    fleet: FleetSpec, demand: Demand, number: int, metrics: MetricAccumulator, run: FleetRun
) -> LaterWindows | None:
    """What further windows of the same traffic show of a fleet that may be offered more than it can serve.

    A fleet begins empty, and as long as its batches have room nobody waits, whatever comes. So one that met its SLO in
    the window is simulated on, with the requests of other windows like it, where

    - more comes than its rough capacity, `capacity_rps`, or
    - more comes than 0.85 of it, or one pool was sent more than 0.85 of what that one can do with what its prefix
      cache had, and at the end of the window more requests are present than in its middle, by more than √n/2 of those
      that came between.

    Four windows, then eight, then sixteen: until a queue grows over the last half or quarter of them (`Course`, where
    who finds no room waits for ever), or, unless more comes than its rough capacity, no more requests are present at
    their end than at their half. Where it does come, and sixteen show neither, there are up to 256. Nothing fails in
    them: what is asked is what the fleet can do at its best. Schedules and windows of routing are those of the window,
    again in each (`coming_again`), and the rough capacity is of the replicas that they have in the mean.

    Not asked where everything is a job.

    Parameters
    ----------
    fleet : as it was simulated
    number : of the replication
    metrics, run : what it gave

    Returns
    -------
    None where that is not asked, or would take more than `MOST_REQUESTS`
    """
    if not _may_hide(fleet, demand) or slo_met(metrics.terms(absent=demand.absent)) is False:
        return None
    load = load_of(demand.source(number), demand.horizon_s)
    if load is None:
        return None
    fleet = coming_again(fleet, demand.horizon_s)
    there = mean_replicas(fleet, demand.horizon_s)
    most_rps = capacity_rps(fleet, load, there)
    surely = load.rate_rps > most_rps and not fleet.providers
    if not surely:
        middle_s = (demand.warmup_s + demand.horizon_s) / 2
        if not _grew(run.samples, middle_s, demand.horizon_s, load.rate_rps):
            return None
        if load.rate_rps <= NEAR * most_rps and not _some_pool_is_near(fleet, there, demand, number, metrics):
            return None
    found = None
    for windows in (*WINDOWS, *(FURTHER if surely else ())):
        if found is not None and found.settled and windows in FURTHER:
            break
        if windows * load.rate_rps * demand.horizon_s > MOST_REQUESTS:
            break
        found = _over(fleet, demand, number, windows, 0.0 if surely else load.rate_rps)
        if found.grows or (found.settled and not surely):
            break
    return found


def _may_hide(fleet: FleetSpec, demand: Demand) -> bool:
    return bool(fleet.pools) and demand.last_job_s is None


def _some_pool_is_near(
    fleet: FleetSpec, there: Sequence[float], demand: Demand, number: int, metrics: MetricAccumulator
) -> bool:
    """Whether a pool was sent more than `NEAR` of its rough capacity, with what its prefix cache had."""
    sent = np.array([tally.by_target[:, 0] for tally in metrics.by_class])
    _, _, prompts, cached, _ = metrics.total.by_target.T
    loads = load_by_target(
        demand.source(number), sent, cached / np.maximum(prompts, 1), demand.horizon_s - demand.warmup_s
    )
    pools = range(len(fleet.pools))
    return any(loads[k].rate_rps > NEAR * target_capacity_rps(fleet, k, loads[k], there) for k in pools)


def _over(fleet: FleetSpec, demand: Demand, number: int, windows: int, rate_rps: float) -> LaterWindows:
    """So many windows one after another; `rate_rps` of what comes by chance."""
    end_s = windows * demand.horizon_s
    spans = [tuple(Course(end_s - end_s / part, end_s, losing=True) for part in _PARTS) for _ in demand.classes]

    def sink(records: NDArray[Any]) -> None:
        for k, slo in enumerate(demand.classes):
            its = records[records["class_id"] == k]
            if slo.is_open and len(its):
                for course in spans[k]:
                    course.add(its)

    run = simulate_fleet(
        undisturbed(fleet),
        one_after_another([_window(demand, number, k) for k in range(windows)], demand.horizon_s),
        horizon_s=end_s,
        drain_s=0.0,
        warmup_s=0.0,
        seed=demand.replication_seed(number),
        sink=sink,
        part=demand.part,
    )
    return LaterWindows(spans, not _grew(run.samples, end_s / 2, end_s, rate_rps))


def _window(demand: Demand, number: int, k: int) -> RequestSource:
    """Requests of window k: the first is that of the replication itself."""
    if k == 0:
        return demand.source(number)
    return replace(demand, seed=stream_seed(demand.seed, "window", k), _drawn={}).source(number)


def _grew(samples: dict[str, NDArray[Any]], from_s: float, to_s: float, rate_rps: float) -> bool:
    """Whether more requests are present at pools at `to_s` than at `from_s`, by more than √n/2 of those that came.

    They may be where nothing was sampled near one of them.
    """
    time_s, present = samples["time_s"], samples["running"] + samples["waiting"]
    pools = len(np.unique(samples["pool"]))
    look_s = _LOOK * (to_s - from_s)

    def at(end_s: float) -> float:
        looked = (time_s > end_s - look_s) & (time_s <= end_s)
        return float(present[looked].mean()) * pools if looked.any() else math.nan

    more = at(to_s) - at(from_s)
    return math.isnan(more) or more > math.sqrt(rate_rps * (to_s - from_s)) / 2
