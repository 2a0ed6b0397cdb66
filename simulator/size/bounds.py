"""What holds of a size whatever happens in it: the least work that one replica must get through, the least bill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simulator.bill.credits import most_credited
from simulator.bill.volume import at_least
from simulator.metrics.sketch import rank
from simulator.metrics.slo import ClassSlo
from simulator.simulate.demand import Demand, PeriodDemand
from simulator.simulate.one import Subject
from simulator.simulate.priced import usd_of_use
from simulator.study.fleet import Outages, PoolSpec, ProviderSpec
from simulator.study.terms import ApiTerms, RentedTerms, Terms
from simulator.study.usage import PoolUsage, ProviderUsage, ServerUsage, Stay, Usage
from simulator.units import HOURS_PER_DAY, SECONDS_PER_HOUR

_INSTANT_S = 1e-3
Offer = TypeVar("Offer", RentedTerms, ApiTerms)


def least_usd_per_month(subject: Subject, terms: Terms, periods: Sequence[PeriodDemand]) -> float:
    """A bill that the fleet cannot fall below: its own hardware without use, what is rented at its fewest replicas.

    Where something may end a rented replica (a failure, a reclaim, an outage of its zone) or keep it from starting, its
    hours are not counted at all, nor those of a job, which may end at any time. Theorem: a bill never falls when more
    is used, and what is counted here is used; where the price of a volume holds for all of it, the lowest is taken,
    and of credits for outages the most.
    """
    rented = tuple(_at_least(offer) for offer in terms.rented)
    apis = tuple(_at_least(api) for api in terms.apis)
    uses = [(one.period, _least_usage(subject, one.demand)) for one in periods]
    return usd_of_use(uses, replace(terms, rented=rented, apis=apis))


def _at_least(offer: Offer) -> Offer:
    """What never costs more: the lowest factor where one holds for all, the highest credit of all that is paid."""
    credits = most_credited(offer.credits)
    kept = 1.0 - max((one.share_of_bill for one in credits), default=0.0)
    found = replace(
        offer,
        volume=at_least(offer.volume),
        credits=credits,
        minimum_usd_per_month=offer.minimum_usd_per_month * kept,
    )
    return replace(found, later=tuple(map(_at_least, found.later))) if isinstance(found, RentedTerms) else found


def _least_usage(subject: Subject, demand: Demand) -> Usage:
    """Of the window: from the end of the warm-up to the horizon; of a job none."""
    fleet, start_s, horizon_s = subject.fleet, demand.warmup_s, demand.horizon_s
    clock_s = demand.when.clock_s
    if demand.jobs_per_month:
        start_s, horizon_s = 0.0, _INSTANT_S
    runs_on = not demand.jobs_per_month
    pools = tuple(
        _least_use(
            *(spec, start_s, horizon_s, _fewest(spec, clock_s + start_s, horizon_s - start_s)),
            runs_on and (spec.owned or _undisturbed(spec)),
        )
        for spec in fleet.pools
    )
    providers = tuple(_no_calls(provider, len(fleet.classes)) for provider in fleet.providers)
    servers = _least_servers(fleet.pools, horizon_s)
    nobody = (0,) * len(fleet.classes)
    return Usage(horizon_s, pools, providers, servers, start_s, demand.when, requests=nobody)


def _no_calls(provider: ProviderSpec, classes: int) -> ProviderUsage:
    none = np.zeros((classes, len(provider.price_bands), 4), np.int64)
    hourly = np.zeros((HOURS_PER_DAY if provider.by_hour else 0, *none.shape), np.int64)
    return ProviderUsage(
        *(provider.name, 0, 0, 0, 0),
        tokens=none,
        failed_tokens=none,
        tokens_by_hour=hourly,
        failed_tokens_by_hour=hourly,
    )


def _least_servers(pools: Sequence[PoolSpec], horizon_s: float) -> tuple[ServerUsage, ...]:
    """Owned servers that hold the fewest replicas of all pools that share them, without power."""
    sharing: dict[tuple[str, str], list[PoolSpec]] = {}
    for pool in pools:
        if pool.owned:
            sharing.setdefault((pool.site, pool.gpu), []).append(pool)
    hours = math.ceil(horizon_s / SECONDS_PER_HOUR)
    return tuple(
        ServerUsage(
            site,
            gpu,
            max(mine[0].gpus_per_server, 1),
            tuple(pool.name for pool in mine),
            math.ceil(
                sum(pool.least_replicas * pool.gpus_per_replica for pool in mine) / max(mine[0].gpus_per_server, 1)
            ),
            *(np.zeros(hours) for _ in range(4)),
        )
        for (site, gpu), mine in sharing.items()
    )


def _undisturbed(pool: PoolSpec) -> bool:
    faults = pool.reliability
    rates = (faults.mtbf_s, faults.reclaim_mtbf_s, faults.unavailable_probability)
    return rates == (0.0, 0.0, 0.0) and not (faults.known or faults.stock_outs) and pool.outages == Outages()


def _fewest(pool: PoolSpec, clock_s: float, length_s: float) -> int:
    """Replicas that a pool has at any time of a span of the clock, by its schedule if it has one."""
    return min(pool.schedule.numbers(clock_s, length_s)) if pool.schedule is not None else pool.least_replicas


def _least_use(pool: PoolSpec, start_s: float, horizon_s: float, replicas: int, counted: bool) -> PoolUsage:
    """So many replicas idle from the warm-up to the horizon, packed on as few instances as hold them."""
    together = max(pool.gpus_per_server // pool.gpus_per_replica, 1)
    apart = max(math.ceil(pool.gpus_per_replica / pool.gpus_per_server), 1) if pool.gpus_per_server else 1
    stays = tuple(
        Stay(k, k // together * apart + j, "serving", start_s, horizon_s)
        for k in range(replicas if counted else 0)
        for j in range(apart)
    )
    hours = math.ceil(horizon_s / SECONDS_PER_HOUR)
    edges = np.append(np.arange(hours) * SECONDS_PER_HOUR, horizon_s)
    by_hour = np.diff(np.maximum(edges, start_s))
    billed_by_hour_s = by_hour * (replicas if counted else 0)
    billed_s = float(billed_by_hour_s.sum())
    return PoolUsage(
        name=pool.name,
        site=pool.site,
        gpus_per_replica=pool.gpus_per_replica,
        billed_s=billed_s,
        starting_s=0.0,
        busy_s=0.0,
        idle_s=billed_s,
        down_s=0.0,
        billed_by_hour_s=billed_by_hour_s,
        energy_by_hour_j=np.zeros(hours),
        launches=0,
        failures=0,
        reclaims=0,
        stockouts=0,
        peak_replicas=replicas,
        requests=0,
        input_tokens=0,
        cached_tokens=0,
        output_tokens=0,
        stays=stays,
    )


def least_replicas(subject: Subject, demand: Demand, pool_name: str) -> int:
    """Fewest replicas of a pool that can do the work at the peaks of its GPUs; 0 where another target may do it.

    Of each class the service levels keep a share of the requests, in the best case those with the fewest tokens. They
    arrive after the warm-up and end by the end of the drain, so

        replicas ≥ tokens / (GPUs per replica · peak tokens per GPU-second · (horizon − warm-up + drain)),

    with the output tokens, and with prompt tokens too where no prefix cache can hold any. A pool that prefills computes
    prompts alone, one that decodes writes outputs alone.
    """
    pools = subject.fleet.pools
    k = next(k for k, pool in enumerate(pools) if pool.name == pool_name)
    role = _role(subject, k)
    if role is None:
        return 0
    prompts, outputs = role
    pool, peak = pools[k], subject.peaks[k]
    cached = pool.engine.enable_prefix_caching
    span_s = demand.horizon_s - demand.warmup_s + demand.drain_s
    most = 0.0
    for number in range(demand.replications):
        computed = _fewest_tokens(demand, number, prompts and not cached, outputs)
        written = _fewest_tokens(demand, number, False, outputs)
        seconds = max(computed / peak.computed_tokens_per_gpu_s, written / peak.output_tokens_per_gpu_s)
        most = max(most, seconds / (span_s * pool.gpus_per_replica))
    return math.ceil(most * (1 - 1e-9))


def _role(subject: Subject, k: int) -> tuple[bool, bool] | None:
    """Whether the pool must compute all prompts and write all outputs; None where another target may."""
    pools = subject.fleet.pools
    if subject.fleet.providers:
        return None
    if len(pools) == 1:
        return True, True
    if len(pools) == 2 and pools[k].hands_to is not None:
        return True, False
    return (False, True) if len(pools) == 2 and any(pool.hands_to == k for pool in pools) else None


def _fewest_tokens(demand: Demand, number: int, prompts: bool, outputs: bool) -> float:
    """Tokens of a replication's requests that must be answered, those with the fewest of each class.

    Terms hold over all replications together, so one alone may fall short by what the others spare: a replication's
    part is what is left when the whole allowance is spent in it.
    """
    source = demand.source(number)
    tokens: list[list[NDArray[np.int64]]] = [[] for _ in demand.classes]
    for chunk in source.chunks():
        counted = chunk.arrival_s >= demand.warmup_s
        each = chunk.isl.astype(np.int64) * prompts + chunk.osl.astype(np.int64) * outputs
        for k, mine in enumerate(tokens):
            mine.append(each[counted & (chunk.class_id == k)])
    total = 0.0
    for slo, pieces, most in zip(demand.classes, tokens, demand.most_requests, strict=True):
        found = np.sort(np.concatenate([*pieces, np.zeros(0, np.int64)]))
        if most is not None:
            total += float(found[: max(len(found) - _allowed(slo, most), 0)].sum())
    return total


def _allowed(slo: ClassSlo, requests: int) -> int:
    """Requests that may be left unanswered: the fewest that any term lets miss."""
    return min(requests - rank(share, requests) for share in slo.shares)
