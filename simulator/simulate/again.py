"""A fleet in a window that comes again and again: what goes by the clock in it does so in each of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from simulator.study.fleet import FleetSpec, Opening, PoolSpec, RoutingSpec
from simulator.study.schedule import Schedule


def coming_again(fleet: FleetSpec, window_s: float) -> FleetSpec:
    """The fleet with schedules and openings of the window from its clock on, which begin anew after it.

    Where one holds for the whole window it holds for ever.
    """
    pools = tuple(_pool_again(pool, fleet.clock_s, window_s) for pool in fleet.pools)
    routing = _openings_again(fleet.routing, fleet.clock_s, window_s)
    return replace(fleet, pools=pools, routing=routing, clock_s=0.0)


def mean_replicas(fleet: FleetSpec, window_s: float) -> list[float]:
    """Replicas of each pool of such a fleet that are there while it gets requests, in the mean over the window."""
    edges_s = {edge for pool in fleet.pools if pool.schedule is not None for edge in pool.schedule.edges}
    starts_s = sorted({0.0, *edges_s, *(row.start_s for row in fleet.routing.openings)} - {window_s})
    spans = list(pairwise([*starts_s, window_s]))
    return [
        math.fsum(_there(fleet, k, start_s) * (end_s - start_s) for start_s, end_s in spans) / window_s
        for k in range(len(fleet.pools))
    ]


def _there(fleet: FleetSpec, k: int, at_s: float) -> int:
    """Replicas of pool k; none while neither it nor a pool that hands requests to it is open."""
    pool, routing = fleet.pools[k], fleet.routing
    senders = [j for j, one in enumerate(fleet.pools) if one.hands_to == k] or [k]
    if routing.openings and not any(_open_at(routing, at_s)[j] for j in senders):
        return 0
    return pool.most_replicas if pool.schedule is None else pool.schedule.replicas_at(at_s)


def _pool_again(pool: PoolSpec, clock_s: float, window_s: float) -> PoolSpec:
    schedule = pool.schedule
    if schedule is None:
        return pool
    starts_s = _within(schedule.edges, clock_s, window_s, schedule.cycle_s)
    numbers = [schedule.replicas_at(clock_s + at_s) for at_s in starts_s]
    if len(set(numbers)) == 1 and numbers[0]:
        return replace(pool, schedule=None, replicas=numbers[0])
    spans = pairwise([*starts_s, window_s])
    windows = tuple((start_s, end_s, n) for (start_s, end_s), n in zip(spans, numbers, strict=True))
    return replace(pool, schedule=Schedule(windows, numbers[-1], schedule.start_early_s, window_s))


def _openings_again(routing: RoutingSpec, clock_s: float, window_s: float) -> RoutingSpec:
    if not routing.openings:
        return routing
    starts_s = _within((row.start_s for row in routing.openings), clock_s, window_s, routing.cycle_s)
    rows = tuple(Opening(at_s, _open_at(routing, clock_s + at_s)) for at_s in starts_s)
    return replace(routing, openings=rows, cycle_s=window_s)


def _open_at(routing: RoutingSpec, clock_s: float) -> tuple[bool, ...]:
    begun = [row for row in routing.openings if row.start_s <= clock_s % routing.cycle_s]
    first = routing.openings[0] if math.isinf(routing.cycle_s) else routing.openings[-1]
    return (begun[-1] if begun else first).targets


def _within(edges: Iterable[float], clock_s: float, window_s: float, cycle_s: float) -> list[float]:
    """Seconds after the clock, below those of the window, at which something begins; 0 first."""
    found = {0.0}
    for edge in edges:
        at_s = (edge - clock_s) % cycle_s
        while at_s < window_s:
            found.add(at_s)
            at_s += cycle_s
    return sorted(found)
