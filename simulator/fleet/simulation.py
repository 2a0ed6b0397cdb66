"""Control plane and data plane of one fleet, and how they take turns."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from simulator.engine.modes.flight.arrays import busy_until_s
from simulator.fleet.autoscale import autoscale
from simulator.fleet.dataplane import DataPlane, Sink
from simulator.fleet.ledger import Counts, counts, pool_usage, provider_usage
from simulator.fleet.lifecycle import SERVING, STARTING, PoolControl
from simulator.fleet.outages import OutageClock
from simulator.fleet.records import Status
from simulator.fleet.schedule import keep_schedule
from simulator.fleet.servers import Luck
from simulator.fleet.sites import server_usage, sites
from simulator.fleet.state import WORK_THROWN_INPUT
from simulator.fleet.throttling import begin_throttling
from simulator.rng import stream_seed
from simulator.study.caches import CacheResets
from simulator.study.canonical import pool_lucks
from simulator.study.fleet import FleetSpec, PoolSpec
from simulator.study.usage import PoolUsage, Usage
from simulator.units import SECONDS_PER_HOUR
from simulator.workload.requests import RequestSource

Progress = Callable[[float], None]


SAMPLE_COLUMNS = ("time_s", "pool", "ready", "starting", "running", "waiting", "kv_usage", "arrivals", "output_tokens")


def most_places(pool: PoolSpec) -> int:
    """Most replicas that can exist at once: twice the limit where draining ones overlap with their successors."""
    most = pool.most_replicas
    return 2 * most if pool.autoscaler or pool.schedule or pool.reliability.reclaim_mtbf_s > 0 else most


class Simulation:
    """Control plane and data plane of one fleet; as a context it gives their memory back at the end."""

    def __init__(
        self, spec: FleetSpec, source: RequestSource, seed: int, part: int, sink: Sink, horizon_s: float, is_job: bool
    ) -> None:
        self.spec = spec
        places = tuple(most_places(pool) for pool in spec.pools)
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Processes and planes refer to each other in circles: left alone, their arrays stay until these are found."""
        self.plane.free()

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

    def flush(self, every_s: float, least: int) -> Generator[Any, Any, None]:
        """Hand over what has ended every so often, where it is so much at least."""
        while True:
            yield self.env.timeout(every_s)
            if self.plane.n_ended() >= least:
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
