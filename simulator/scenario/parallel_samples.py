"""Classes whose requests ask for several answers: where these go to one replica, as vLLM has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.schema.pool import Pool
from simulator.schema.scenario import Scenario
from simulator.schema.topology import Topology

_ALONE = ("sessions", "closed_loop", "job")


def sampling_problems(scenario: Scenario) -> Iterator[tuple[str, str, Any]]:
    """Problems of classes with `n` above 1, as path, message and value."""
    for k, cls in enumerate(scenario.workload.classes):
        if cls.n == 1:
            continue
        path = f"workload.classes[{k}].n"
        if cls.arrivals.kind in _ALONE:
            yield path, f"{cls.arrivals.kind} arrivals wait for one answer, or count them", cls.n
        for name, topology in scenario.topologies.items():
            reason = _spread_by(topology)
            if reason:
                yield path, f"topology {name}: the answers of a request come from one replica, but {reason}", cls.n


def _spread_by(topology: Topology) -> str:
    if topology.providers:
        return "a token API reads a prompt once for all of them: leave it out"
    if len(topology.pools) > 1:
        return "requests are sent on one by one to several pools: keep one"
    return "".join(_spread_over(pool) for pool in topology.pools)


def _spread_over(pool: Pool) -> str:
    if not _has_one_replica(pool) and pool.routing != "session_sticky":
        return f"routing {pool.routing} spreads them: take session_sticky, or one replica"
    return ""


def _has_one_replica(pool: Pool) -> bool:
    return pool.replicas == 1 and pool.autoscaler is None and not pool.schedule
