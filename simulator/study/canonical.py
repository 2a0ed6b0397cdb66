"""One order of a fleet's targets, whatever order and names they have in the scenario: what is simulated."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum

import numpy as np

from simulator.study.choices import TargetRouting
from simulator.study.fleet import FleetSpec, PoolSpec, RoutingSpec

Luck = tuple[str, str, str, int]
"""Name of a pool's luck: zone, model, role, and number among equals."""


def canonical(fleet: FleetSpec) -> tuple[FleetSpec, tuple[int, ...]]:
    """The fleet with its pools and providers in the order of their luck's names, then of their place, then of content.

    Returns
    -------
    The fleet, and for each of its targets (pools first, then providers) the number that it had before.
    """
    n = len(fleet.pools)
    pools = _sorted([_pool_place(fleet, k) for k in range(n)], lambda k: _pool_content(fleet, k))
    providers = _sorted(
        [_place(fleet, n + k) for k in range(len(fleet.providers))], lambda k: (content(fleet.providers[k]),)
    )
    order = (*pools, *(n + k for k in providers))
    new = {old: k for k, old in enumerate(order)}
    return (
        replace(
            fleet,
            pools=tuple(_renumbered(fleet.pools[k], new) for k in pools),
            providers=tuple(fleet.providers[k] for k in providers),
            routing=_routing(fleet.routing, new),
            classes=tuple(replace(cls, allowed=tuple(cls.allowed[k] for k in order)) for cls in fleet.classes),
        ),
        order,
    )


def _renumbered(pool: PoolSpec, new: dict[int, int]) -> PoolSpec:
    return pool if pool.hands_to is None else replace(pool, hands_to=new[pool.hands_to])


def pool_lucks(pools: Sequence[PoolSpec]) -> list[Luck]:
    """Names of luck of a canonical fleet's pools."""
    seen: Counter[tuple[str, str, str]] = Counter()
    found: list[Luck] = []
    for pool in pools:
        kind = (pool.zone or pool.site, pool.model, pool.role)
        found.append((*kind, seen[kind]))
        seen[kind] += 1
    return found


def content(thing: object) -> bytes:
    """Digest of a noun by its fields, arrays by their bytes; what it is called is no part of it."""
    digest = hashlib.sha256()
    _feed(digest, thing)
    return digest.digest()


def _feed(digest: hashlib._Hash, thing: object) -> None:
    if isinstance(thing, np.ndarray):
        digest.update(f"{thing.dtype}{thing.shape}".encode())
        digest.update(np.ascontiguousarray(thing).tobytes())
    elif is_dataclass(thing):
        digest.update(type(thing).__name__.encode())
        for field in fields(thing):
            if field.name != "name":
                digest.update(field.name.encode())
                _feed(digest, getattr(thing, field.name))
    elif isinstance(thing, tuple):
        digest.update(f"({len(thing)}".encode())
        for part in thing:
            _feed(digest, part)
    else:
        digest.update(f"{type(thing).__name__}{thing.value if isinstance(thing, Enum) else thing!r};".encode())


_Key = tuple[object, ...]


def _sorted(places: Sequence[_Key], contents: Callable[[int], _Key]) -> list[int]:
    """Numbers by place; what stands in one place by content, which takes longer to know."""
    shared = Counter(places)
    return sorted(range(len(places)), key=lambda k: (places[k], contents(k) if shared[places[k]] > 1 else ()))


def _pool_place(fleet: FleetSpec, k: int) -> _Key:
    pool = fleet.pools[k]
    return (pool.zone or pool.site, pool.model, pool.role, *_place(fleet, k))


def _pool_content(fleet: FleetSpec, k: int) -> _Key:
    pool = fleet.pools[k]
    other = () if pool.hands_to is None else (_pool_place(fleet, pool.hands_to), _pool_content(fleet, pool.hands_to))
    unsized = replace(pool, replicas=0, autoscaler=None, schedule=None, hands_to=None)
    return (content(unsized), pool.replicas, content((pool.autoscaler, pool.schedule)), other)


def _place(fleet: FleetSpec, target: int) -> _Key:
    """Where a target stands in a routing that has an order, and what the gateway makes of it."""
    routing = fleet.routing
    at = routing.order.index(target) if target in routing.order else -1
    has_order = routing.kind in (TargetRouting.OVERFLOW, TargetRouting.CASCADE)
    rules = tuple(values[at] for values in _by_position(routing) if values) if at >= 0 else ()
    allowed = tuple(cls.allowed[target] for cls in fleet.classes)
    hours = tuple(opening.targets[target] for opening in routing.openings)
    return (at if has_order else min(at, 0), rules, allowed, hours)


def _by_position(routing: RoutingSpec) -> tuple[tuple[float, ...], ...]:
    return (
        routing.weights,
        routing.overflow_waiting,
        routing.overflow_kv,
        routing.overflow_outstanding,
        routing.max_complexity,
    )


def _routing(routing: RoutingSpec, new: dict[int, int]) -> RoutingSpec:
    """The rule with its targets renumbered; where their places have no meaning, in the order of the targets."""
    places = list(range(len(routing.order)))
    if routing.kind is TargetRouting.WEIGHTED:
        places.sort(key=lambda k: new[routing.order[k]])
    elif routing.kind is TargetRouting.COMPLEXITY:
        places.sort(key=lambda k: (routing.max_complexity[k], new[routing.order[k]]))
    weights, waiting, kv, outstanding, complexity = (
        tuple(values[k] for k in places) if values else () for values in _by_position(routing)
    )
    return replace(
        routing,
        order=tuple(new[routing.order[k]] for k in places),
        weights=weights,
        overflow_waiting=waiting,
        overflow_kv=kv,
        overflow_outstanding=outstanding,
        max_complexity=complexity,
        openings=tuple(
            replace(opening, targets=tuple(opening.targets[old] for old in sorted(new, key=new.__getitem__)))
            for opening in routing.openings
        ),
    )
