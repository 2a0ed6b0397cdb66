"""Pools and token APIs that routing sends requests to, and a topology without one of them."""

from __future__ import annotations

from collections.abc import Iterable

from simulator.schema.routing import OverflowRouting, Routing, WeightedRouting
from simulator.schema.topology import Topology


def goes_on_without(topology: Topology, name: str) -> bool:
    """Whether there are other targets at all hours, as far as the rules of routing name them."""
    return bool(routed(topology) - {name}) and not any(use == (name,) for use in _uses(topology.routing))


def routed(topology: Topology) -> set[str]:
    """Names of the pools and token APIs that get requests by the rule of the routing."""
    routing = topology.routing
    if isinstance(routing, OverflowRouting) and routing.order is not None:
        return set(routing.order)
    if isinstance(routing, WeightedRouting) and routing.weights is not None:
        return {name for name, weight in routing.weights.items() if weight > 0}
    return {pool.name for pool in topology.pools} | {provider.name for provider in topology.providers}


def without(topology: Topology, gone: str) -> Topology:
    """The topology without a pool or token API; a target that is left alone needs no rules."""

    def others(targets: Iterable[str]) -> tuple[str, ...]:
        return tuple(target for target in targets if target != gone)

    pools = tuple(pool for pool in topology.pools if pool.name != gone)
    providers = tuple(api for api in topology.providers if api.name != gone)
    routing = topology.routing
    if len(pools) + len(providers) == 1:
        routing = WeightedRouting()
    elif routing.kind == "weighted" and routing.weights is not None:
        kept = {target: weight for target, weight in routing.weights.items() if target != gone}
        routing = routing.model_copy(update={"weights": kept})
    elif routing.kind == "overflow" and routing.order is not None:
        routing = routing.model_copy(update={"order": others(routing.order)})
    windows = tuple(window.model_copy(update={"use": others(window.use)}) for window in routing.windows)
    hours = {"windows": windows, "otherwise": routing.otherwise and others(routing.otherwise)}
    changed = {"pools": pools, "providers": providers, "routing": routing.model_copy(update=hours)}
    return topology.model_copy(update=changed)


def _uses(routing: Routing) -> tuple[tuple[str, ...], ...]:
    """Targets that are open in each window, and at all other hours where these are listed."""
    return (*(window.use for window in routing.windows), *((routing.otherwise,) if routing.otherwise else ()))
