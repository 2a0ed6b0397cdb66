"""Rate limits of token APIs in steady use: what earlier calls have taken out of their buckets when a run begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.simulate.demand import Demand
from simulator.study.choices import LIMITS, TargetRouting
from simulator.study.fleet import FleetSpec, ProviderSpec
from simulator.units import SECONDS_PER_MINUTE
from simulator.workload.jobs import JobWorkload
from simulator.workload.requests import Requests


def in_steady_use(fleet: FleetSpec, demand: Demand, number: int) -> FleetSpec:
    """The fleet with the buckets of its token APIs as calls at the mean rate of replication `number` leave them.

    A bucket that is filled at r a second, and from which calls take x each at λ a second, lacks in the mean what waits
    before a server of that rate (Pollaczek and Khinchine, calls at random times):

        taken = λ E[x²] / (2 (r − λ E[x])),  at most all that it holds and what waits for it: (60 + w) r,

    also where λ E[x] ≥ r; calls that would wait longer than w seconds (`max_wait_s`) are refused.

    Nothing has been taken by batches, for which no limit holds, by jobs, of which none came before, by users who wait
    for their answers, nor at targets that take over from others or are open by the hour: how much they get is known
    only when it is simulated. Cached are, where that counts, the parts of prompts that an earlier request had, however
    long ago.
    """
    if not any(any(one.limits_per_minute) for one in fleet.providers):
        return fleet
    taken = np.zeros((len(fleet.providers), len(LIMITS), 2))
    for chunk in demand.source(number).chunks():
        taken += _calls(fleet, demand, chunk)
    rates = taken / demand.horizon_s
    providers = (_taken_from(one, rate) for one, rate in zip(fleet.providers, rates, strict=True))
    return replace(fleet, providers=tuple(providers))


def _calls(fleet: FleetSpec, demand: Demand, chunk: Requests) -> NDArray[np.float64]:
    """What calls take by token API and limit, and squares of it: shape (providers, limits, 2)."""
    found = np.zeros((len(fleet.providers), len(LIMITS), 2))
    repeated = _repeated(chunk) if any(map(_weighs_hits, fleet.providers)) else np.zeros(len(chunk.isl))
    for k, workload in enumerate(demand.workload.classes):
        if isinstance(workload, JobWorkload):
            continue
        mine = chunk.class_id == k
        isl, osl, hits = chunk.isl[mine].astype(np.float64), chunk.osl[mine], repeated[mine]
        for j, share in enumerate(_shares(fleet, k)[len(fleet.pools) :]):
            provider = fleet.providers[j]
            cached = hits * (hits >= provider.cache.least_tokens) if _weighs_hits(provider) else 0.0 * hits
            prompt = isl - (1.0 - provider.cached_weight) * cached
            answer = np.maximum(osl, provider.reserved_tokens)
            each = np.stack([np.ones(len(osl)), prompt + provider.output_weight * answer, prompt, answer])
            if not provider.tier_by_class or provider.tier_by_class[k].batch_window_s == 0.0:
                found[j] += share * np.stack([each.sum(axis=1), (each**2).sum(axis=1)], axis=1)
    return found


def _weighs_hits(provider: ProviderSpec) -> bool:
    return provider.cached_weight != 1.0 and provider.cache.life_s > 0.0


def _repeated(chunk: Requests) -> NDArray[np.float64]:
    """Prompt tokens of each request in segments that an earlier one of the chunk had, too."""
    tokens = chunk.segment_tokens.astype(np.float64)
    tokens[np.unique(chunk.segment_id, return_index=True)[1]] = 0.0
    before = np.concatenate(([0.0], np.cumsum(tokens)))
    return np.asarray(np.diff(before[chunk.segment_start]))


def _shares(fleet: FleetSpec, k: int) -> list[float]:
    """Share of a class's requests that each target gets whatever the others do, pools first."""
    routing, n = fleet.routing, len(fleet.pools) + len(fleet.providers)
    shares = [0.0] * n
    open_to = [target for target in routing.order if fleet.classes[k].allowed[target]]
    if not open_to or routing.openings:
        return shares
    if routing.kind == TargetRouting.WEIGHTED:
        weights = dict(zip(routing.order, routing.weights or (1.0,) * len(routing.order), strict=True))
        total = sum(weights[target] for target in open_to)
        for target in open_to:
            shares[target] = weights[target] / total if total else 0.0
    elif routing.kind != TargetRouting.COMPLEXITY:
        shares[open_to[0]] = 1.0
    return shares


def _taken_from(provider: ProviderSpec, rate: NDArray[np.float64]) -> ProviderSpec:
    requests, tokens, prompts, answers = (
        _taken(limit, used, squares, provider.max_wait_s)
        for limit, (used, squares) in zip(provider.limits_per_minute, rate.tolist(), strict=True)
    )
    return replace(provider, taken=(requests, tokens, prompts, answers))


def _taken(per_minute: float, used_per_s: float, squares_per_s: float, max_wait_s: float) -> float:
    spare_per_s = per_minute / SECONDS_PER_MINUTE - used_per_s
    most = per_minute * (1.0 + max_wait_s / SECONDS_PER_MINUTE)
    return float(min(squares_per_s / (2.0 * spare_per_s), most)) if spare_per_s > 0.0 else most
