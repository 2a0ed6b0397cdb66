"""One simulation of one topology: the SimPy control plane over the compiled data plane."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.modes.flight.arrays import busy_until_s
from simulator.fleet.autoscale import autoscale
from simulator.fleet.dataplane import DataPlane, Sink
from simulator.fleet.events import control_events
from simulator.fleet.ledger import Counts, counts, pool_usage, provider_usage
from simulator.fleet.lifecycle import SERVING, STARTING, PoolControl
from simulator.fleet.order import Order
from simulator.fleet.outages import OutageClock
from simulator.fleet.records import Status
from simulator.fleet.schedule import keep_schedule
from simulator.fleet.servers import Luck
from simulator.fleet.sites import server_usage, sites
from simulator.fleet.state import WORK_THROWN_INPUT
from simulator.fleet.throttling import begin_throttling
from simulator.rng import stream_seed
from simulator.study.caches import CacheResets
from simulator.study.canonical import canonical, pool_lucks
from simulator.study.fleet import FleetSpec, PoolSpec
from simulator.study.usage import PoolUsage, Usage
from simulator.units import SECONDS_PER_HOUR
from simulator.workload.classified import AT_ONCE_S, classified
from simulator.workload.jobs import later
from simulator.workload.requests import RequestSource

Progress = Callable[[float], None]


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


def _places(pool: PoolSpec) -> int:
    """Most replicas that can exist at once: twice the limit where draining ones overlap with their successors."""
    most = pool.most_replicas
    return 2 * most if pool.autoscaler or pool.schedule or pool.reliability.reclaim_mtbf_s > 0 else most


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


class _Simulation:
    def __init__(
        self, spec: FleetSpec, source: RequestSource, seed: int, part: int, sink: Sink, horizon_s: float, is_job: bool
    ) -> None:
        self.spec = spec
        places = tuple(_places(pool) for pool in spec.pools)
        self.horizon_s = horizon_s
        self.plane = DataPlane(spec, source, places, seed, sink)
        self.controls: list[PoolControl] = []
        faults = stream_seed(seed, "part", part) if part else seed
        self.env, self.sites = sites(spec.pools, faults, is_job)
        servers = {k: site.servers for site in self.sites for k in site.pools}
        lucks = pool_lucks(spec.pools)
        first = 0
        for k, (pool, n) in enumerate(zip(spec.pools, places, strict=True)):
            luck = Luck(faults, ("pool", *lucks[k]))
            control = PoolControl(self.env, self.plane, pool, first, n, servers[k], luck)
            self.controls.append(control)
            control.stand_by()
            first += n
        for site in self.sites:
            begin = [self.controls[k] for k in site.pools]
            site.servers.place_first([replica for control in begin for replica in control.at_start])
        if self.env.now < 0:
            self.env.run(until=0)
        for site in self.sites:
            site.servers.begin()
        self.zones: list[OutageClock] = []
        for k, (pool, control) in enumerate(zip(spec.pools, self.controls, strict=True)):
            control.begin(cold=is_job and not pool.owned)
            zone = Luck(faults, ("outages", pool.zone or pool.site))
            self.zones.append(OutageClock(self.env, pool.outages, zone, control.zone_down, control.zone_up))
            for failure in pool.reliability.known:
                self.env.process(control.fail_one(*failure))
            if pool.autoscaler:
                self.env.process(autoscale(control, pool.autoscaler, k))
            if pool.schedule:
                self.env.process(keep_schedule(control, pool.schedule, spec.clock_s))
            if pool.cache_resets:
                self.env.process(self._reset_caches(control, pool.cache_resets))
        self.outages = [
            OutageClock(
                self.env,
                provider.outages,
                Luck(faults, ("outages", "provider", provider.luck or k)),
                partial(self._provider_down, k),
                partial(self.plane.provider_up, k),
            )
            for k, provider in enumerate(spec.providers)
        ]
        begin_throttling(self.env, self.plane, spec.providers)
        self.samples: list[tuple[float, ...]] = []
        self.last_s = 0.0
        self.broken = np.zeros((len(spec.pools), len(spec.classes)), np.int64)
        self.energy_marks: list[NDArray[np.float64]] = []

    def _reset_caches(self, control: PoolControl, resets: CacheResets) -> Generator[Any, Any, None]:
        while True:
            yield self.env.timeout(resets.every_s)
            for replica in control.replicas:
                if replica.state == SERVING:
                    self.plane.reset_cache(replica.number, self.env.now, resets.running, resets.elsewhere)

    def _provider_down(self, k: int) -> None:
        self.plane.provider_down(k, self.env.now)

    def sample(self, every_s: float) -> Generator[Any, Any, None]:
        before = np.zeros((len(self.controls), 2), np.int64)
        while True:
            for k, control in enumerate(self.controls):
                self._sample_pool(k, control, before)
            yield self.env.timeout(every_s)

    def _sample_pool(self, k: int, control: PoolControl, before: NDArray[np.int64]) -> None:
        engines = self.plane.engines
        replicas = engines.replicas[engines.replicas["pool"] == k]
        pool = engines.pools[k]
        ready = int(pool["n_ready"])
        capacity = max(ready, 1) * max(int(pool["num_blocks"]) - 1, 1)
        used = np.maximum(pool["num_blocks"] - 1 - replicas["free_blocks"], 0)[replicas["state"] != 0].sum()
        totals = np.array([pool["arrivals"], replicas["output_tokens"].sum()])
        self.samples.append(
            (
                self.env.now,
                k,
                control.count(SERVING),
                control.count(STARTING),
                int(replicas["n_running"].sum()),
                int(pool["n_waiting"]),
                float(used / capacity),
                *(totals - before[k]),
            )
        )
        before[k] = totals

    def flush(self, every_s: float) -> Generator[Any, Any, None]:
        while True:
            yield self.env.timeout(every_s)
            self.plane.drain_records()

    def mark_energy(self) -> Generator[Any, Any, None]:
        while True:
            self.energy_marks.append(self.counts().energy_j)
            yield self.env.timeout(SECONDS_PER_HOUR)

    def counts(self) -> Counts:
        return counts(self.plane, self.controls, self.env.now)

    def count_broken(self, records: NDArray[Any]) -> None:
        """Add up what streams that broke off had put out: it was delivered to nobody."""
        broken = records[(records["status"] == Status.FAILED) & (records["target"] < len(self.spec.pools))]
        np.add.at(self.broken, (broken["target"], broken["class_id"]), broken["generated"])

    def run_until(self, until_s: float, progress: Progress | None) -> None:
        """Alternate: the data plane up to the next control event, then that event."""
        env, plane = self.env, self.plane
        while True:
            target = min(env.peek(), until_s)
            emptied = plane.advance(target)
            if emptied is not None:
                replica = plane.engines.replicas[emptied]
                if replica["step_start_s"] > env.now:
                    env.run(until=float(replica["step_start_s"]))
                self.controls[int(replica["pool"])].emptied(emptied)
                continue
            if env.peek() > until_s:
                break
            env.step()
            if progress:
                progress(env.now)
        if env.now < until_s:
            env.run(until=until_s)

    def run_job(self, last_arrival_s: float, until_s: float, look_s: float, progress: Progress | None) -> float:
        """Run to the last answer, or as long as allowed; returns when that was.

        Where the last one to wait leaves, it is the end of the step that still computes for it.
        """
        while self.env.now < until_s and (self.env.now <= last_arrival_s or self.plane.in_flight()):
            self.run_until(min(self.env.now + look_s, until_s), progress)
        self.plane.drain_records()
        if self.plane.in_flight() or not self.last_s:
            return until_s
        engines, flight = self.plane.engines.replicas, self.plane.engines.flight
        while (under_way := busy_until_s(flight, engines["step_end_s"])[engines["in_step"] != 0]).size:
            if self.env.now >= min(float(under_way.max()), until_s):
                break
            self.run_until(min(float(under_way.max()), until_s), progress)
        there = [
            place.number for control in self.controls for place in control.replicas if place.since_s <= self.last_s
        ]
        # where a replica has nothing to do, its step begins when the last one ended
        ended_s = [float(engines[k]["step_start_s"]) for k in there if not engines[k]["in_step"]]
        return max([self.last_s, *ended_s])

    def usage(self, begun: Counts, end_s: float) -> Usage:
        """The ledger from then to `end_s`, after which nothing was served."""
        ended = replace(self.counts(), at_s=end_s)
        marks = np.maximum(np.stack([*self.energy_marks, ended.energy_j]), begun.energy_j)
        done = ended.work - begun.work
        thrown = done[:, :, WORK_THROWN_INPUT:]
        thrown[: len(self.controls), :, 1] += self.broken
        pools: list[PoolUsage] = []
        for k, (control, clock) in enumerate(zip(self.controls, self.zones, strict=True)):
            pools.append(
                replace(
                    pool_usage(control, k, begun, ended, np.diff(marks[:, k])),
                    outages=clock.count(begun.at_s, ended.at_s),
                    zone_down_s=clock.down_s(begun.at_s, ended.at_s),
                    work=done[k, :, :WORK_THROWN_INPUT],
                    thrown_tokens=thrown[k],
                )
            )
        calls = self.plane.calls_made(end_s)
        providers = tuple(
            provider_usage(k, provider, clock, begun, ended, calls[k], thrown[len(pools) + k])
            for k, (provider, clock) in enumerate(zip(self.spec.providers, self.outages, strict=True))
        )
        owned = [site for site in self.sites if self.spec.pools[site.pools[0]].owned]
        servers = tuple(server_usage(site, self.controls, begun.at_s, ended.at_s) for site in owned)
        return Usage(ended.at_s, tuple(pools), providers, servers, begun.at_s)


_SAMPLE_COLUMNS = ("time_s", "pool", "ready", "starting", "running", "waiting", "kv_usage", "arrivals", "output_tokens")


MOST_SAMPLES = 10_000
"""Of a pool, whatever the horizon."""
_USUAL_SAMPLES = 360
_HAND_OVER_S = 1e-6
"""From the moment in which the last machine is up to that in which a job begins on them."""
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
    flush_s : the sink gets what has ended at least so often; when its buffer is full unless told
    progress : called with the simulated time
    job_s : where all that is served is a job: the time of its last arrival. Rented pools then begin with a cold start,
        the job is handed over when all of them are up and is as old as they are, and the last answer is the horizon,
        however late it is, up to `JOB_HORIZONS` of them unless it is a batch's, which is drawn when it is sent; a
        horizon that ends before the hand-over counts from there
    part : of a month, told apart by number: other servers are down at its time 0, and other faults befall them, while
        requests keep their luck
    """
    spec, targets = canonical(_at_start(spec))
    order = Order(targets, tuple(_places(pool) for pool in spec.pools))
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

    simulation = _Simulation(spec, source, seed, part, ended, horizon_s, job_s is not None)
    env, plane = simulation.env, simulation.plane
    plane.count_calls_from(warmup_s)
    env.process(simulation.sample(sample_period_s(sample_s, horizon_s)))
    env.process(simulation.mark_energy())
    if flush_s is not None:
        env.process(simulation.flush(flush_s))
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
    samples = np.array(simulation.samples, float).reshape(-1, len(_SAMPLE_COLUMNS)).T
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
            pool.name, float(row["in_system_s"]), float(row["sojourn_s"]), int(row["arrivals"]), int(row["departures"])
        )
        for pool, row in zip(spec.pools, plane.engines.pools, strict=True)
    )
    columns = dict(zip(_SAMPLE_COLUMNS, samples, strict=True))
    for name in _SAMPLE_COLUMNS:
        if name not in ("time_s", "kv_usage"):
            columns[name] = columns[name].astype(np.int64)
    return order.run(FleetRun(usage, columns, itl_counts, balances, events, end_s))
