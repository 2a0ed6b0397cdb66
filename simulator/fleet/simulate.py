"""One simulation of one topology: the SimPy control plane over the compiled data plane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.dataplane import Sink
from simulator.fleet.events import control_events
from simulator.fleet.order import Order
from simulator.fleet.simulation import SAMPLE_COLUMNS, Progress, Simulation, most_places
from simulator.study.canonical import canonical
from simulator.study.fleet import FleetSpec
from simulator.study.usage import Usage
from simulator.workload.classified import AT_ONCE_S, classified
from simulator.workload.jobs import later
from simulator.workload.requests import RequestSource


@dataclass(frozen=True, slots=True)
class PoolBalance:
    """Both sides of Little's law of one pool, to the end of the run, for requests that entered it."""

    name: str
    in_system_s: float
    sojourn_s: float
    arrivals: int
    departures: int


@dataclass(frozen=True, slots=True)
class FleetRun:
    """What a simulation leaves behind, apart from the records that went to the sink.

    Attributes
    ----------
    usage : the ledger over [warmup_s, horizon_s]; prices are not known here
    samples : columns of equal length: time_s, pool (index), ready, starting, running, waiting, kv_usage (share of the
        blocks of ready replicas), arrivals and output_tokens since the sample before
    itl_counts : by bin, gaps between tokens from warm-up on; bins are those of `simulator.engine.state`
    events : what happened in the control plane up to horizon_s (dtype EVENT), see `simulator.fleet.events`
    end_s : time at which the last request ended or the drain was cut off
    """

    usage: Usage
    samples: dict[str, NDArray[Any]]
    itl_counts: NDArray[np.int64]
    balances: tuple[PoolBalance, ...]
    events: NDArray[Any]
    end_s: float


def _at_start(spec: FleetSpec) -> FleetSpec:
    """The fleet with as many replicas in scheduled pools as its hour says."""
    pools = (
        replace(pool, replicas=pool.schedule.replicas_at(spec.clock_s)) if pool.schedule else pool
        for pool in spec.pools
    )
    return replace(spec, pools=tuple(pools))


def _timed_out_sooner(spec: FleetSpec, by_s: float) -> FleetSpec:
    """The fleet with timeouts that count from when requests have a target, so much after they were sent."""
    classes = (
        replace(cls, timeout_s=max(cls.timeout_s - by_s, AT_ONCE_S)) if cls.timeout_s > 0 else cls
        for cls in spec.classes
    )
    return replace(spec, classes=tuple(classes))


MOST_SAMPLES = 10_000
"""Of a pool, whatever the horizon."""
_USUAL_SAMPLES = 360
_HAND_OVER_S = 1e-6
"""From the moment in which the last machine is up to that in which a job begins on them."""
_LEAST_FLUSHED = 64
"""Requests that are handed over together at least, before the end: to take in a few costs as much as many."""
_LOOKS = 1000
"""How often in the horizon it is looked whether a job is done."""
JOB_HORIZONS = 100
"""A job that is not done by the horizon is simulated on to its last answer, for so many horizons at most."""


def sample_period_s(sample_s: float | None, horizon_s: float) -> float:
    """Seconds between samples of the fleet: those asked for, unless they would be more than `MOST_SAMPLES`."""
    asked_s = sample_s or max(horizon_s / _USUAL_SAMPLES, 1.0)
    return max(asked_s, horizon_s / MOST_SAMPLES)


def simulate_fleet(
    spec: FleetSpec,
    source: RequestSource,
    *,
    horizon_s: float,
    drain_s: float,
    warmup_s: float,
    seed: int,
    sink: Sink,
    sample_s: float | None = None,
    flush_s: float | None = None,
    progress: Progress | None = None,
    job_s: float | None = None,
    part: int = 0,
) -> FleetRun:
    """Serve `source` on `spec` for `horizon_s` seconds, then let what is in flight end for at most `drain_s` more.

    What is simulated is the canonical fleet, so neither names nor the order of pools and providers change a result.
    Usage is that of the window from warm-up to horizon, samples end at the horizon; requests that arrived by
    the horizon and end during the drain count as served.

    Parameters
    ----------
    warmup_s : usage, calls of token APIs and gaps between tokens are counted from here on
    sink : called with records of ended requests (dtype RECORD)
    sample_s : seconds between samples; a 360th of the horizon unless told, at least a `MOST_SAMPLES`th
    flush_s : the sink gets what has ended so often, where it is more than a few; when its buffer is full unless told
    progress : called with the simulated time
    job_s : where all that is served is a job: the time of its last arrival. Rented pools then begin with a cold start,
        the job is handed over when all of them are up and is as old as they are, and the last answer is the horizon,
        however late it is, up to `JOB_HORIZONS` of them unless it is a batch's, which is drawn when it is sent; a
        horizon that ends before the hand-over counts from there
    part : of a month, told apart by number: other servers are down at its time 0, and other faults befall them, while
        requests keep their luck
    """
    spec, targets = canonical(_at_start(spec))
    order = Order(targets, tuple(most_places(pool) for pool in spec.pools))
    ready_s, classify_s = 0.0, spec.routing.classify_s
    if classify_s:
        source, spec = classified(source, classify_s), _timed_out_sooner(spec, classify_s)
        job_s = None if job_s is None else job_s + classify_s
    if job_s is not None:
        rented = [pool for pool in spec.pools if pool.replicas and not pool.owned]
        ready_s = max((pool.cold_start.total_s + _HAND_OVER_S for pool in rented), default=0.0)
        source, job_s = later(source, ready_s), job_s + ready_s
        if job_s >= horizon_s:
            horizon_s += job_s

    def ended(records: NDArray[Any]) -> None:
        simulation.count_broken(records)
        if ready_s or classify_s:
            records = records.copy()
            records["arrival_s"] -= ready_s + classify_s
            records["no_replica_s"] += ready_s
        simulation.last_s = max(simulation.last_s, float(records["finish_s"].max(initial=0.0)))
        sink(order.records(records))

    with Simulation(spec, source, seed, part, ended, horizon_s, job_s is not None) as simulation:
        env, plane = simulation.env, simulation.plane
        plane.count_calls_from(warmup_s)
        env.process(simulation.sample(sample_period_s(sample_s, horizon_s)))
        env.process(simulation.mark_energy())
        if flush_s is not None:
            env.process(simulation.flush(flush_s, _LEAST_FLUSHED))
        begun = simulation.counts()
        if warmup_s > 0:
            simulation.run_until(warmup_s, progress)
            plane.drain_records()
            begun = simulation.counts()
            simulation.broken[:] = 0
            plane.engines.itl_counts[plane.engines.itl_counts.any(axis=1)] = 0  # untouched pages stay none
        if job_s is None:
            simulation.run_until(horizon_s, progress)
            plane.drain_records()
        else:
            horizon_s = simulation.run_job(job_s, horizon_s * JOB_HORIZONS, horizon_s / _LOOKS, progress)
        usage = simulation.usage(begun, horizon_s)
        events = control_events(simulation.controls, simulation.zones, simulation.outages, spec, begun.at_s, horizon_s)
        samples = np.array(simulation.samples, float).reshape(-1, len(SAMPLE_COLUMNS)).T
        itl_counts = plane.engines.itl_counts.sum(axis=0)
        if classify_s and job_s is None:
            simulation.run_until(horizon_s + classify_s, None)
        plane.stop_arrivals()
        end_s = env.now
        while plane.in_flight() and end_s < horizon_s + drain_s:
            end_s = min(end_s + max(drain_s / 20, 1.0), horizon_s + drain_s)
            simulation.run_until(end_s, None)
        plane.close(end_s)
        plane.touch_clock(end_s)
        balances = tuple(
            PoolBalance(
                pool.name,
                float(row["in_system_s"]),
                float(row["sojourn_s"]),
                int(row["arrivals"]),
                int(row["departures"]),
            )
            for pool, row in zip(spec.pools, plane.engines.pools, strict=True)
        )
    columns = dict(zip(SAMPLE_COLUMNS, samples, strict=True))
    for name in SAMPLE_COLUMNS:
        if name not in ("time_s", "kv_usage"):
            columns[name] = columns[name].astype(np.int64)
    return order.run(FleetRun(usage, columns, itl_counts, balances, events, end_s))
