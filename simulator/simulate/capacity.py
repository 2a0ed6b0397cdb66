"""A rough capacity before anything runs: enough to warn of a load that can only pile up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr, pdtrc

from simulator.engine.modes.drafts.acceptance import drafts_at, steps_per_token
from simulator.engine.modes.tables.room import requests_at_once
from simulator.resolve.demand import jobs_per_month, request_source
from simulator.resolve.topology import PlannedTopology
from simulator.scenario.load import LoadedScenario
from simulator.study.fleet import FleetSpec, PoolSpec
from simulator.units import rough
from simulator.workload.requests import Requests, RequestSource

KEPT_UP = 0.97
"""Share of the arrivals that were completed in the window, from which a fleet has kept up with its load."""
ROUGH = 0.1
"""Share by which rough capacities may be off."""


def replica_capacity_rps(
    pool: PoolSpec,
    isl: float,
    osl: float,
    *,
    prefill: bool = True,
    decode: bool = True,
    cached_share: float = 0.0,
    context_tokens: float | None = None,
) -> float:
    """Requests per second that one replica can keep up with, from its step time at a full batch.

    In a round each of the B requests that fit gets its tokens, by a plan in each of p pipeline stages, and those that
    end make room for others, whose prompts come with the plans. A plan passes all stages, none overtakes, and so a
    round takes as long as its longest plan: with N_i ~ Poisson(λ) chunks of prompts in plan i, λ = B·c/(p·n),

        1 / (t·E[max N_i]/(λ·p) + n·T(B)/B),  t = isl·(1 - h)·T(budget)/budget + A_p·isl²·(1 - h²)/2.

    B = min(max_num_seqs, KV tokens/context), h is the share of the prompt that is found in the prefix cache, c the
    chunks of the rest; n are the rounds of an answer: `osl`, fewer with drafts, of which T then computes k more for
    each request; T(B) is of plans of B/p requests. Without a pipeline E[max N_i] = λ. A replica that does not
    `prefill`, or not `decode`, spares itself that part; without rounds the sequences of prompts' own steps count.

    A synchronous pipeline gathers its requests in one plan (p = 1) until chunks overfill that: both are weighed by the
    chance that they do in some round of an answer. Long prompts that queue already may spread it further than that.

    Parameters
    ----------
    cached_share : h, for a pool that caches prefixes
    context_tokens : that a request holds, in the mean over its answer; isl + osl/2 unless given, as where all are alike
    """
    engine, step = pool.engine, pool.step_time
    budget = engine.max_num_batched_tokens
    context = isl + osl / 2 if context_tokens is None else context_tokens
    batch = max(min(engine.max_num_seqs, int(requests_at_once(engine, context)), budget), 1)
    if engine.batching == engine.batching.ONE_AT_A_TIME:
        batch = 1
    hit = cached_share if engine.enable_prefix_caching else 0.0
    prefill_s = (
        isl * (1 - hit) * step.prompts_s(budget) / budget + step.prefill_attn_s * isl * isl * (1 - hit * hit) / 2
    )
    drafts = drafts_at(engine, batch)
    steps = osl * steps_per_token(engine, drafts)
    rounds = max(steps, 1.0) if decode else 1.0
    chunk_tokens = max(min(isl * (1 - hit), budget), 1.0)
    chunks = batch / rounds * max(isl * (1 - hit) / budget, 1.0)

    def rate_rps(stages: int) -> float:
        decode_s = steps * replace(step, stages=stages).round_s(np.array(batch), drafts, context) / batch
        request_s = float(prefill_s * (_most_of(chunks / stages, stages) / chunks) * prefill + decode_s * decode)
        return 1.0 / request_s if request_s > 0 else math.inf

    if not decode:  # otherwise its step is one of a round, which has them
        at_once = min(max(int(budget / max(isl * (1 - hit), 1.0)), 1), engine.max_num_seqs)
        prefill_s += float(step.seq_time_s[at_once]) / at_once
    flight = engine.modes.flight
    if step.stages == 1 or flight is None or flight.asynchronous:
        return rate_rps(step.stages)
    overfills = pdtrc(max((budget - batch) // chunk_tokens, 0.0), chunks)
    spread = 1.0 - (1.0 - overfills) ** rounds
    return float((1.0 - spread) * rate_rps(1) + spread * rate_rps(step.stages))


def _most_of(mean: float, n: int) -> float:
    """Mean of the largest of n independent Poisson numbers."""
    if n == 1:
        return mean
    numbers = np.arange(math.ceil(mean + 12.0 * math.sqrt(mean) + 12.0))
    return float(np.sum(1.0 - pdtr(numbers, mean) ** n))


class Load(NamedTuple):
    """Mean rate of arrivals, mean lengths in tokens, and the share of the prompts that a cache could hold at most.

    `context_tokens` is what a request that is being answered holds in the mean, Σ osl·(isl + osl/2) / Σ osl: of answers
    that differ the long ones are there for longer.
    """

    rate_rps: float
    isl: float
    osl: float
    cached_share: float = 0.0
    context_tokens: float | None = None


def offered_load(loaded: LoadedScenario) -> Load | None:
    """The scenario's own load in its first replication, as `load_of`."""
    return load_of(request_source(loaded), loaded.scenario.run.horizon_s)


def load_of(source: RequestSource, horizon_s: float) -> Load | None:
    """Load by the first chunk of requests; None where users wait for their answers."""
    first = next(iter(source.chunks()), None)
    if first is None or first.n_open < 2:
        return None
    span_s = min(float(first.arrival_s[first.n_open - 1]), horizon_s)
    return _load(first, len(first) / max(span_s, 1e-9), _most_cached_share(first))


def load_by_target(
    source: RequestSource, sent: NDArray[np.int64], cached: Sequence[float], span_s: float
) -> list[Load]:
    """What each target was sent, with the lengths that each class has in the first chunk of requests.

    Parameters
    ----------
    sent : shape (classes, targets), requests in `span_s`
    cached : by target the share of its prompts that was in the prefix cache

    Returns
    -------
    by target; at a rate of 0 where nothing is known
    """
    first = next(iter(source.chunks()))
    numbers = np.maximum(np.bincount(first.class_id, minlength=len(sent)), 1)
    found = []
    for at_target, share in zip(sent.T, cached, strict=True):
        weights = (at_target / numbers)[first.class_id]
        known = bool(weights.any())
        found.append(_load(first, float(at_target.sum()) / span_s, share, weights) if known else Load(0.0, 1.0, 1.0))
    return found


def _load(requests: Requests, rate_rps: float, cached_share: float, weights: NDArray[np.float64] | None = None) -> Load:
    isl, osl = requests.isl.astype(np.float64), requests.osl.astype(np.float64)
    prompt, answer = (float(np.average(tokens, weights=weights)) for tokens in (isl, osl))
    held = float(np.average(isl + osl / 2, weights=osl if weights is None else osl * weights))
    return Load(rate_rps, prompt, answer, cached_share, held)


def _most_cached_share(requests: Requests) -> float:
    """Share of the prompt tokens that an endless cache would find: of a shared text all but its longest part, once."""
    shared = int(requests.segment_tokens.sum())
    if not shared:
        return 0.0
    _, place = np.unique(requests.segment_id, return_inverse=True)
    longest = np.zeros(int(place.max()) + 1, np.int64)
    np.maximum.at(longest, place, requests.segment_tokens)
    return float((shared - longest.sum()) / requests.isl.sum())


def load_warnings(load: Load | None, planned: PlannedTopology, met: bool | None = None) -> list[str]:
    """A warning when the load exceeds what all replicas can serve, though all that prompts share were in the cache.

    *Unstable* is a fleet whose queue grows, and which misses the SLO by that. Of one that meets it in all that was
    simulated it is said that the rough capacity does not agree, not that the queue will grow.

    Parameters
    ----------
    met : whether it met the SLO; None where it was not simulated, so that a load near the capacity decides nothing
    """
    if load is None or planned.fleet.providers or not planned.fleet.pools or jobs_per_month(planned.loaded.scenario):
        return []
    capacity = capacity_rps(planned.fleet, load)
    if load.rate_rps <= capacity:
        return []
    words = f"{rough(load.rate_rps)} requests/s are offered, about {rough(capacity)} can be served"
    if met:
        return [f"{words} by step times alone, yet what was simulated meets the SLO: whether it lasts is not known"]
    if met is None and load.rate_rps <= (1 + ROUGH) * capacity:
        return [f"{words} by step times alone, which may be a tenth off: a run tells whether the queue grows"]
    return [f"unstable: {words}; the queue will only grow"]


def kept_up(metrics: Mapping[str, Any], arrived_rps: float) -> bool:
    """Whether a fleet completed about as many requests in the window as came in it: its queue did not grow."""
    return bool(metrics["throughput_rps"] >= KEPT_UP * arrived_rps)


def capacity_rps(fleet: FleetSpec, load: Load, replicas: Sequence[float] | None = None) -> float:
    """All replicas together; where prompts and answers have pools of their own, the scarcer of them decides.

    In a cascade everything is answered by the first target; how much goes on to the second is known of its share alone.
    What token APIs can do has no bound here.

    Parameters
    ----------
    replicas : of each pool; the most that it has at once unless given
    """
    if fleet.routing.cascade is not None:
        first, second = (
            _most_rps(fleet, k, load, replicas) if k < len(fleet.pools) else math.inf for k in fleet.routing.order
        )
        share = fleet.routing.cascade.share
        return float(min(first, second / share if share else math.inf))
    return float(sum(target_capacity_rps(fleet, k, load, replicas) for k in range(len(fleet.pools))))


def target_capacity_rps(fleet: FleetSpec, k: int, load: Load, replicas: Sequence[float] | None = None) -> float:
    """Of pool k, with the pools that compute prompts for it, which have none of their own."""
    if fleet.pools[k].hands_to is not None:
        return 0.0
    behind = [j for j, one in enumerate(fleet.pools) if one.hands_to == k]
    if not behind:
        return _most_rps(fleet, k, load, replicas)
    prompts = sum(_most_rps(fleet, j, load, replicas, decode=False) for j in behind)
    return min(prompts, _most_rps(fleet, k, load, replicas, prefill=False))


def _most_rps(fleet: FleetSpec, k: int, load: Load, replicas: Sequence[float] | None, **parts: bool) -> float:
    pool, hits, held = fleet.pools[k], load.cached_share, load.context_tokens
    each = replica_capacity_rps(pool, load.isl, load.osl, cached_share=hits, context_tokens=held, **parts)
    return (pool.most_replicas if replicas is None else replicas[k]) * each
