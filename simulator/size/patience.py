"""Clients who leave before even an engine of their own could have answered them: no size of a fleet mends that."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.single import run_apart
from simulator.metrics.sketch import rank
from simulator.simulate.demand import Demand
from simulator.study.fleet import FleetSpec, PoolSpec
from simulator.workload.requests import Requests

MOST = 5_000
"""Clients who leave, of a class, that are looked at."""


def too_impatient(fleet: FleetSpec, demand: Demand) -> str:
    """Classes of which more clients leave, whatever the size, than the SLO allows, in words; empty where none is known.

    Who leaves misses every term, so of N requests the strictest share q allows N - rank(q, N) of them, as in a trial.
    Counted are those who leave before a replica that is theirs alone has answered, with the prompt but for one token
    in its prefix cache where it has one; the time outside its steps counts as little as in a run. Classes that a token
    API may serve are left out, and so are those whose drafts may be taken more often than in a run alone, and users who
    wait for their answers.
    """
    found, n_pools = [], len(fleet.pools)
    for k, (slo, cls) in enumerate(zip(demand.classes, fleet.classes, strict=True)):
        most = demand.most_requests[k]
        pools = [pool for pool, allowed in zip(fleet.pools, cls.allowed, strict=False) if allowed]
        drafts = any(pool.engine.num_speculative_tokens for pool in pools)
        if not most or not pools or drafts or any(cls.allowed[n_pools:]):
            continue
        gone, asked = _gone(pools, demand, k), max(range(len(slo.shares)), key=lambda j: slo.shares[j])
        allowed = most - rank(slo.shares[asked], most)
        if gone > allowed:
            found.append(
                f"{slo.name}: at least {gone:,} of {most:,} clients leave before a replica of their own could have "
                f"answered them, {slo.words[asked]} allows {allowed:,}"
            )
    return f"clients: {'; '.join(found)}" if found else ""


def _gone(pools: list[PoolSpec], demand: Demand, k: int) -> int:
    """How many of the clients of a class leave before a replica of the quickest pool could have answered them."""
    isl, osl, leaves_s = (np.concatenate(column)[:MOST] for column in zip(*_leavers(demand, k), strict=True))
    if not len(isl):
        return 0
    quickest_s = np.full(len(isl), np.inf)
    for pool in pools:
        read = np.minimum(isl, 1) if pool.engine.names_blocks else isl
        records = run_apart(pool.engine, pool.step_time, read, osl)
        took_s = records["finish_s"] - records["arrival_s"] - pool.step_time.request_overhead_s
        quickest_s = np.minimum(quickest_s, took_s)
    return int((leaves_s < quickest_s).sum())


def _leavers(demand: Demand, k: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]]:
    """Prompt, answer and patience of the clients of a class who leave, and whose requests certainly come and count."""
    yield np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0)
    for number in range(demand.replications):
        for chunk in demand.source(number).chunks():
            leaves_s = _patience_s(chunk)
            counts = (chunk.arrival_s >= demand.warmup_s) & (chunk.arrival_s < demand.horizon_s)
            mine = counts & (chunk.class_id == k) & (leaves_s > 0)
            yield chunk.isl[mine], chunk.osl[mine], leaves_s[mine]


def _patience_s(chunk: Requests) -> NDArray[np.float64]:
    return np.zeros(len(chunk.isl)) if chunk.extras is None else chunk.extras.leaves_s
