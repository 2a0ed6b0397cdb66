"""Where a search starts. It only orders trials: no answer rests on it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.modes.tables.room import requests_at_once
from simulator.perf.steptime import StepTime
from simulator.simulate.capacity import replica_capacity_rps
from simulator.simulate.demand import Demand
from simulator.simulate.one import Subject
from simulator.study.fleet import PoolSpec
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR, SECONDS_PER_MINUTE
from simulator.workload.requests import Requests

_BUSIEST_S = 600.0
_LEAST_ROOM = 1e-9
_TARGETS = (0.35, 0.48, 0.61, 0.74, 0.87, 1.0)
"""Set points of an autoscaler, as shares of the requests that one replica holds at its SLO."""
_WAITING = 3
"""Requests that wait before a replica, at most, by those that it holds."""
_LOWER, _LOWEST, _HALF, _FEW = 0.72, 0.25, 0.5, 4
"""Ratio of further ones below these, down to such a share of the requests that a replica has at the busy load; and of
those below that, which keep more replicas in quiet hours, down to one request: from a few on all."""


class BusyLoad(NamedTuple):
    """Rate of the busiest ten minutes, mean lengths, and the prompt tokens that an endless prefix cache would spare."""

    rate_rps: float
    isl: float
    osl: float
    cached: float


def busy_load(demand: Demand) -> BusyLoad | None:
    """Load of the first replication by its first chunk; None where users wait for their answers."""
    first = next(iter(demand.source(0).chunks()), None)
    if first is None or first.n_open < 2:
        return None
    if demand.last_job_s is not None:
        return _of_job(demand, first)
    arrival_s = first.arrival_s[: first.n_open]
    span_s = max(float(arrival_s[-1] - arrival_s[0]), 1e-9)
    width_s = min(_BUSIEST_S, span_s)
    within = np.searchsorted(arrival_s, arrival_s + width_s) - np.arange(first.n_open)
    turns = len(first) / first.n_open
    rate_rps = float(within.max()) / width_s * turns
    return BusyLoad(rate_rps, float(first.isl.mean()), float(first.osl.mean()), _hits(first))


def _of_job(demand: Demand, first: Requests) -> BusyLoad:
    """A job in its time: to the last deadline, or its part of a month."""
    deadlines_s = [term.limit_s for slo in demand.classes for term in slo.terms if term.is_deadline]
    requests = sum(n or 0 for n in demand.most_requests) / demand.replications
    share_s = HOURS_PER_MONTH * SECONDS_PER_HOUR / demand.jobs_per_month
    rate_rps = requests / min(max(deadlines_s), share_s)
    return BusyLoad(rate_rps, float(first.isl.mean()), float(first.osl.mean()), _hits(first))


def _hits(chunk: Requests) -> float:
    """Prompt tokens per request whose segment another request of the chunk has."""
    if not len(chunk.segment_id):
        return 0.0
    ids, where = np.unique(chunk.segment_id, return_inverse=True)
    longest = np.zeros(len(ids), np.int64)
    np.maximum.at(longest, where, chunk.segment_tokens)
    return float(int(chunk.segment_tokens.sum()) - int(longest.sum())) / len(chunk)


def guess_replicas(subject: Subject, demand: Demand, pool_name: str) -> int:
    """Replicas whose rough capacity is the busy load, all targets of one kind taking equal shares; 1 without a load."""
    return max(math.ceil(replicas_needed(subject, demand, pool_name)), 1)


def guess_units(subject: Subject, demand: Demand, provider_name: str) -> int:
    """Times the limit of a token API that lets the tokens of the busy load through, all of its requests going there."""
    load = busy_load(demand)
    api = next(one for one in subject.fleet.providers if one.name == provider_name)
    if load is None or not api.tokens_per_minute:
        return 1
    tokens = load.rate_rps * SECONDS_PER_MINUTE * (load.isl + api.output_weight * load.osl)
    return max(math.ceil(tokens / api.tokens_per_minute), 1)


def replicas_needed(subject: Subject, demand: Demand, pool_name: str) -> float:
    """As `guess_replicas`, before it is rounded up to whole ones."""
    load = busy_load(demand)
    if load is None:
        return 1.0
    pools = subject.fleet.pools
    k = next(k for k, pool in enumerate(pools) if pool.name == pool_name)
    prefills, decodes = pools[k].hands_to is not None, any(pool.hands_to == k for pool in pools)
    alike = sum(
        (pool.hands_to is not None, any(other.hands_to == j for other in pools)) == (prefills, decodes)
        for j, pool in enumerate(pools)
    )
    isl = load.isl - _spared(pools[k].engine, load)
    capacity = replica_capacity_rps(pools[k], isl, load.osl, prefill=not decodes, decode=not prefills)
    return load.rate_rps / alike / capacity


def targets(pool: PoolSpec, demand: Demand, replicas: int) -> tuple[float, ...]:
    """Set points to try, rising, each a whole number of requests.

    Under a loose limit a replica is at its capacity long before it holds as many as that allows: so they go on below
    what each of so many replicas has in flight at the busy load. Those that wait alone are fewer, as few as one. Where
    limits let requests wait, they go on above what a replica holds.
    """
    held = requests_held(pool, demand)
    shares, least = list(_TARGETS), _LOWEST * requests_in_flight(pool, demand, replicas)
    if pool.autoscaler is not None and pool.autoscaler.metric == "waiting":
        least = 1.0
    while shares[0] * held > max(least, 1.0):
        shares.insert(0, shares[0] * _LOWER)
    quiet = [float(max(round(shares[0] * held), 1))]
    while quiet[-1] > 1.0:
        quiet.append(quiet[-1] - 1.0 if quiet[-1] <= _FEW else float(round(_HALF * quiet[-1])))
    most = held + _may_wait(pool, demand, held)
    while shares[-1] / _LOWER * held <= most:
        shares.append(shares[-1] / _LOWER)
    return tuple(sorted({*quiet, *(float(max(round(share * held), 1)) for share in shares)}))


def _may_wait(pool: PoolSpec, demand: Demand, held: int) -> float:
    """Requests that may wait before one replica which holds so many: what it ends within the tightest limit."""
    load = busy_load(demand)
    terms = [term for slo in demand.classes for term in slo.terms]
    limit_s = min((term.limit_s for term in terms if term.metric in ("ttft_s", "e2e_s")), default=math.inf)
    if load is None:
        return 0.0
    busy = _busy_of(pool, load)
    at = min(held, len(busy.step_s))
    return min(limit_s * at / load.osl / float(busy.step_s[at - 1]), _WAITING * held)


def requests_in_flight(pool: PoolSpec, demand: Demand, replicas: int) -> int:
    """Requests that each of so many replicas has in flight under equal shares of the busy load; at most those it holds.

    B in flight end B/OSL a step, so it is the smallest B of which B/OSL/step is no less than what comes.
    """
    load, held = busy_load(demand), requests_held(pool, demand)
    if load is None:
        return held
    busy = _busy_of(pool, load)
    ends_rps = np.arange(1, len(busy.step_s) + 1) / load.osl / busy.step_s
    return min(int(np.count_nonzero(ends_rps < load.rate_rps / replicas)) + 1, held)


def requests_held(pool: PoolSpec, demand: Demand) -> int:
    """Requests that one replica holds at once while it keeps the tightest limit on the time of a token.

    Without a load it is what the engine runs at once, without such a limit what the KV cache holds.
    """
    load = busy_load(demand)
    if load is None:
        return pool.engine.max_num_seqs
    limits_s = [_token_limit_s(term.metric, term.limit_s, load) for slo in demand.classes for term in slo.terms]
    limit_s = min((limit for limit in limits_s if limit is not None), default=math.inf)
    return requests_within(pool.engine, pool.step_time, load.isl, load.osl, limit_s, _spared(pool.engine, load))


def requests_in_time(pool: PoolSpec, demand: Demand) -> int:
    """Requests that one replica holds at once while it keeps the limits on first tokens and on the time of a token."""
    load, held = busy_load(demand), requests_held(pool, demand)
    if load is None:
        return held
    lengths, cached = (pool.engine, pool.step_time, load.isl, load.osl), _spared(pool.engine, load)
    terms = [term for slo in demand.classes for term in slo.terms if term.metric == "ttft_s"]
    return min([held, *(requests_until(*lengths, term.limit_s, 1.0 - term.quantile, cached) for term in terms)])


def requests_within(
    engine: EngineConfig, step: StepTime, isl: float, osl: float, limit_s: float, cached: float = 0.0
) -> int:
    """Requests of these mean lengths that an engine runs at once with at most so long between two tokens; at least 1.

    B requests in flight end B/OSL requests a step, so a step has B/OSL prompts to compute beside B tokens:
    T(B) + S(B) + A_d·B·context + B/OSL·((ISL - C)·T(budget)/budget + A_p·(ISL² - C²)/2) ≤ limit, with p pipeline
    stages that of plans of B/p requests.

    Parameters
    ----------
    cached : C, prompt tokens of a mean request that the prefix cache spares
    """
    busy = _busy(engine, step, isl, osl, cached)
    return max(int(np.count_nonzero(busy.step_s <= limit_s)), 1)


def requests_until(
    engine: EngineConfig, step: StepTime, isl: float, osl: float, limit_s: float, late: float, cached: float = 0.0
) -> int:
    """Requests of these mean lengths that an engine runs at once with few first tokens beyond the limit; at least 1.

    With B in flight, prompts come B/OSL a step. One takes its own time and the decoding beside it in each of its steps;
    of the engine it takes s, as its last step may hold others. They wait for one another as in a queue with exponential
    service: P(wait > t) = ρ exp(-(1 - ρ) t / s), with ρ = s B/OSL / step; at most for the B - 1 others.

    Parameters
    ----------
    late : share of the requests that may be beyond the limit
    cached : as `requests_within` takes it
    """
    busy = _busy(engine, step, isl, osl, cached)
    steps = (isl - cached) / engine.max_num_batched_tokens
    taken_s = busy.prefill_s + steps * busy.decode_s
    batch = np.arange(1, len(taken_s) + 1)
    load = np.minimum(batch / osl / busy.step_s * taken_s, 1.0 - _LEAST_ROOM)
    waits_s = taken_s / (1.0 - load) * np.log(np.maximum(load / max(late, _LEAST_ROOM), 1.0))
    first_s = busy.prefill_s + math.ceil(steps) * busy.decode_s + np.minimum(waits_s, (batch - 1) * taken_s)
    return max(int(np.count_nonzero(first_s <= limit_s)), 1)


def alone_s(engine: EngineConfig, step: StepTime, isl: float, osl: float) -> tuple[float, float]:
    """Seconds to the first token and for each further one of a request that has the engine to itself."""
    busy = _busy(engine, step, isl, osl)
    return busy.prefill_s, float(busy.decode_s[0])


class _Busy(NamedTuple):
    """By requests in flight, from 1 on: seconds of decoding in a step, and of a whole step; `prefill_s` of a prompt."""

    decode_s: NDArray[np.float64]
    step_s: NDArray[np.float64]
    prefill_s: float


def _busy_of(pool: PoolSpec, load: BusyLoad) -> _Busy:
    return _busy(pool.engine, pool.step_time, load.isl, load.osl, _spared(pool.engine, load))


def _spared(engine: EngineConfig, load: BusyLoad) -> float:
    """Prompt tokens of a mean request that the prefix cache spares, at most all but one."""
    return min(load.cached, load.isl - 1.0) if engine.enable_prefix_caching else 0.0


def _busy(engine: EngineConfig, step: StepTime, isl: float, osl: float, cached: float = 0.0) -> _Busy:
    context, new = isl + osl / 2, isl - cached
    fits = int(requests_at_once(engine, context))
    most = max(min(engine.max_num_seqs, fits, engine.max_num_batched_tokens), 1)
    batch = np.arange(1, most + 1)
    budget = engine.max_num_batched_tokens
    attention_s = step.prefill_attn_s * (isl**2 - cached**2) / 2
    prefill_s = (new * step.prompts_s(budget) / budget + attention_s) / step.stages
    decode_s = step.round_s(batch, 0, context)
    return _Busy(decode_s, decode_s + batch / osl * prefill_s, prefill_s)


def _token_limit_s(metric: str, limit_s: float, load: BusyLoad) -> float | None:
    if metric == "tpot_s":
        return limit_s
    return limit_s / load.osl if metric == "e2e_s" else None
