"""A topology at the sizes that a run found for its months: none is searched."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from simulator.resolve.agreed import Spell
from simulator.resolve.sizes import Fixed, Scaled, Size, with_sizes
from simulator.resolve.topology import PlannedTopology, plan_topology
from simulator.run.loads import Loads
from simulator.run.months import Journey, Known, walk_months
from simulator.scenario.load import LoadedScenario
from simulator.schema.pool import Pool, QueueAutoscaler
from simulator.study.decision import Served, Sizes, Walked

ByMonth = Mapping[int, Sizes]
"""Replicas of each pool, the most where they change, by the month from which there are so many."""


def found_by_month(loaded: LoadedScenario, decision: Mapping[str, Any]) -> dict[str, ByMonth]:
    """The sizes of the topologies of a run of which they change; without those whose events or units change them.

    Parameters
    ----------
    loaded : the scenario that the run resolved, with the sizes of month 1
    decision : `decision.json` of the run
    """
    changed = {event.topology for event in loaded.scenario.study.events}
    found: dict[str, ByMonth] = {}
    for name, topology in loaded.scenario.topologies.items():
        months = decision["topologies"][name]["months"]
        if name in changed or len({tuple(month["units"].values()) for month in months}) > 1:
            continue
        spells = groupby(months, key=lambda month: tuple(month["replicas"]))
        sizes = {next(group)["month"]: size for size, group in spells}
        if len(sizes) > 1 and {len(size) for size in sizes.values()} == {len(topology.pools)}:
            found[name] = sizes
    return found


def served_by_month(
    changed: LoadedScenario, plain: LoadedScenario, name: str, sizes: ByMonth, loads: Loads, base: Served, known: Known
) -> Journey:
    """All months of a topology of a changed run at the run's sizes; what a change adds to a pool, it adds in each.

    Parameters
    ----------
    plain : the run as it is, at the sizes of month 1
    base : what the changed topology gave in month 1
    """
    months: list[Walked] = []
    spells: list[Spell] = []
    near: dict[int, PlannedTopology] = {}
    for first, here in _parts(sizes, loads):
        planned = planned_with(changed, plain, name, sizes[first])
        then = walk_months(here, planned, base if first == min(sizes) else None, known=known)
        months += then.months
        spells += then.spells
        near |= then.near
    return Journey(tuple(months), tuple(spells), near=near)


def parts(sizes: ByMonth, months: float) -> list[tuple[int, int]]:
    """First and last month of each size within so many months."""
    firsts = [first for first in sorted(sizes) if first <= math.ceil(months)]
    return list(zip(firsts, [first - 1 for first in firsts[1:]] + [math.ceil(months)], strict=True))


def planned_with(changed: LoadedScenario, plain: LoadedScenario, name: str, sizes: Sizes) -> PlannedTopology:
    """A changed topology with the sizes of a month; a pool that only the change has stays as it is written."""
    known = {pool.name: (pool, then) for pool, then in zip(plain.scenario.topologies[name].pools, sizes, strict=True)}
    found: dict[int, Size] = {}
    for k, pool in enumerate(changed.scenario.topologies[name].pools):
        size = _size(pool, *known[pool.name]) if pool.name in known else None
        if size is not None:
            found[k] = size
    return plan_topology(with_sizes(changed, name, found), name)


def with_sizes_as_events(
    changed: LoadedScenario, plain: LoadedScenario, sizes: Mapping[str, ByMonth]
) -> list[dict[str, Any]]:
    """The events of a changed run, and one for each month from which a topology has another size.

    Parameters
    ----------
    plain : the run as it is, at the sizes of month 1
    sizes : of the topologies that have others in later months
    """
    events: list[dict[str, Any]] = [
        event.model_dump(mode="json", exclude_unset=True) for event in changed.scenario.study.events
    ]
    for name, by_month in sizes.items():
        for first in sorted(by_month)[1:]:
            there = {pool.name: pool for pool in planned_with(changed, plain, name, by_month[first]).settings.pools}
            pools = [_sized(pool, there.get(pool.name)) for pool in changed.scenario.topologies[name].pools]
            change = {"pools": [pool for pool in pools if pool]}
            events.append({"name": f"size-of-month-{first}", "from_month": first, "topology": name, "change": change})
    last = math.ceil(changed.scenario.study.months)
    return [event for event in events if event["from_month"] <= last]


def _sized(pool: Pool, then: Pool | None) -> dict[str, Any]:
    """What is laid over a pool for its size of a month; empty where its schedule says it."""
    if pool.schedule:
        return {}
    if then is None:
        return {"name": pool.name, "replicas": 0, "autoscaler": None}
    if isinstance(scaler := then.autoscaler, QueueAutoscaler):
        written = pool.autoscaler
        kept = written.model_dump(mode="json", exclude_unset=True) if isinstance(written, QueueAutoscaler) else {}
        limits = {"kind": "queue", "min": scaler.min, "max": scaler.max}
        return {"name": pool.name, "replicas": pool.replicas, "autoscaler": {**kept, **limits}}
    return {"name": pool.name, "replicas": then.replicas}


def _size(changed: Pool, plain: Pool, then: int) -> Size | None:
    """Size of a pool in a month, of a change to none none; None where its schedule says it."""
    if changed.schedule:
        return None
    now, was = changed.autoscaler, plain.autoscaler
    if isinstance(now, QueueAutoscaler) and isinstance(was, QueueAutoscaler):
        numbers = (now.min, now.max, now.target_per_replica, was.max)
        if any(isinstance(number, str) for number in numbers):
            return None
        least, most, target, before = (float(number) for number in numbers)
        if not then and most <= before:
            return Fixed(0)
        return Scaled(int(least), int(max(then + most - before, least, 1)), target)
    if now is not None or was is not None or not isinstance(changed.replicas, int):
        return None
    more = changed.replicas - int(plain.replicas)
    if more and not changed.replicas:
        return Fixed(0)
    return Fixed(max(then + more, min(then, 1)))


def _parts(sizes: ByMonth, loads: Loads) -> Iterator[tuple[int, Loads]]:
    found = parts(sizes, loads.horizon.months)
    for first, last in found:
        until = loads.horizon.months if last == found[-1][1] else float(last)
        yield first, replace(loads, horizon=replace(loads.horizon, from_month=first, months=until))
