"""Classes whose requests ask for several answers: where these go to one replica, as vLLM has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.schema.pool import Pool
from simulator.schema.scenario import Scenario
from simulator.schema.topology import Topology

_ALONE = ("sessions", "closed_loop", "job")
_MOST_BY_PRIORITY = 10
"""Answers whose names, `index_request`, have the order of their numbers as text, too."""


def sampling_problems(scenario: Scenario) -> Iterator[tuple[str, str, Any]]:
    """Problems of classes with `n` above 1, as path, message and value."""
    for k, cls in enumerate(scenario.workload.classes):
        if cls.n == 1:
            continue
        path = f"workload.classes[{k}].n"
        if cls.arrivals.kind in _ALONE:
            yield path, f"{cls.arrivals.kind} arrivals wait for one answer, or count them", cls.n
        for name, topology in scenario.topologies.items():
            reason = _spread_by(scenario, topology, cls.n)
            if reason:
                yield path, f"topology {name}: the answers of a request come from one replica, but {reason}", cls.n


def _spread_by(scenario: Scenario, topology: Topology, n: int) -> str:
    if topology.providers:
        return "a token API reads a prompt once for all of them: leave it out"
    if len(topology.pools) > 1:
        return "requests are sent on one by one to several pools: keep one"
    return "".join(_spread_over(scenario, pool, n) for pool in topology.pools)


def _spread_over(scenario: Scenario, pool: Pool, n: int) -> str:
    engine = pool.engine if pool.engine and "scheduling_policy" in pool.engine.model_fields_set else scenario.engine
    if engine.scheduling_policy == "priority" and n > _MOST_BY_PRIORITY:
        return f"vLLM orders more than {_MOST_BY_PRIORITY} as text, 10 before 2: take fewer, or scheduling_policy fcfs"
    if not _has_one_replica(pool) and pool.routing != "session_sticky":
        return f"routing {pool.routing} spreads them: take session_sticky, or one replica"
    return ""


def _has_one_replica(pool: Pool) -> bool:
    return pool.replicas == 1 and pool.autoscaler is None and not pool.schedule
