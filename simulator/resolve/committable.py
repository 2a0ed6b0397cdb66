"""Instances of pools that commit to what the catalog sells: those that cost least with their terms over the study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from simulator.catalog.gpus import gpu
from simulator.catalog.offers import GpuOffer, gpu_offers, instances_for
from simulator.catalog.sites import site
from simulator.resolve.demand import jobs_per_month
from simulator.resolve.offers import catalog_offer, named_term, own_price, replica_shares, stages
from simulator.scenario.load import LoadedScenario
from simulator.scenario.money_checks import NAMED_TERMS
from simulator.schema.pool import Pool
from simulator.units import HOURS_PER_MONTH


@dataclass(frozen=True, slots=True)
class _Instance:
    """What a pool could be on: USD per hour on demand, and under each term that is sold, by its months."""

    gpus: int
    usd_per_hour: float
    terms: Mapping[int, float]


def on_committable_instances(loaded: LoadedScenario, name: str) -> LoadedScenario:
    """A topology with each pool that leaves its instances open, and commits to terms of the catalog, on those that hold
    it for least with these terms; without commitments where instances that are sold under none cost less.

    The replicas are taken to be there through the study as the pool says. A job's are not: it stays as it is.
    """
    topology = loaded.scenario.topologies[name]
    if jobs_per_month(loaded.scenario):
        return loaded
    pools = tuple(_on_cheapest(pool, loaded.scenario.study.months) for pool in topology.pools)
    if pools == topology.pools:
        return loaded
    topologies = {**loaded.scenario.topologies, name: topology.model_copy(update={"pools": pools})}
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"topologies": topologies}))


def takes_terms(pool: Pool) -> bool:
    """Whether a pool commits to terms of the catalog beside what it has on demand."""
    return pool.billing == "on_demand" and bool(_asked(pool))


def _asked(pool: Pool) -> set[int]:
    """Months of the terms that a pool takes from the catalog."""
    if pool.commitments == "auto":
        return set(NAMED_TERMS.values())
    listed = pool.commitments if isinstance(pool.commitments, tuple) else ()
    return {one.term_months for one in listed if one.price_usd_per_gpu_hour is None}


def _on_cheapest(pool: Pool, months: float) -> Pool:
    if not takes_terms(pool) or (pool.instance, pool.gpus_per_instance) != (None, None):
        return pool
    known = _instances(pool)
    if isinstance(pool.commitments, tuple):
        known = {name: one for name, one in known.items() if one.terms.keys() == _asked(pool)}
    if not any(one.terms for one in known.values()):
        return pool
    usd = {name: _usd(pool, one, months) for name, one in known.items()}
    best = min(known, key=lambda name: (usd[name], known[name].gpus, name))
    return pool.model_copy(update={"instance": best} | ({} if known[best].terms else {"commitments": None}))


def _instances(pool: Pool) -> dict[str, _Instance]:
    """All that hold a replica and have a price on demand, the pool's own or the catalog's, by name."""
    here = [one for one in gpu_offers() if (one.site, one.gpu) == (site(pool.site).name, gpu(pool.gpu).name)]
    own, tiers, found = own_price(pool), map(named_term, sorted(_asked(pool))), {}
    wanted = ["on_demand", *(tier for tier in tiers if tier is not None)]
    for name in dict.fromkeys(one.instance for one in here if one.tier in wanted):
        there = pool.model_copy(update={"instance": name})
        offers = {tier: offer for tier in wanted if (offer := catalog_offer(there, tier)) is not None}
        if offers and (own is not None or "on_demand" in offers):
            found[name] = _instance(offers, own)
    return found


def _instance(offers: Mapping[str, GpuOffer], own: float | None) -> _Instance:
    gpus = next(iter(offers.values())).gpus_per_instance
    usd = offers["on_demand"].usd_per_instance_hour if own is None else own * gpus
    terms = {NAMED_TERMS[tier]: one.usd_per_instance_hour for tier, one in offers.items() if tier in NAMED_TERMS}
    return _Instance(gpus, usd, terms)


def _usd(pool: Pool, there: _Instance, months: float) -> float:
    """What the pool costs on such instances over the study, each of them in its cheapest mix."""
    shares = stages(pool, replica_shares(pool))
    needed = [(instances_for(pool.tensor_parallel_size, n, there.gpus), share) for n, share in shares.items()]
    steps = sorted({0, *(number for number, _ in needed)})
    return math.fsum(
        (most - fewer) * _mix_usd(there, math.fsum(share for number, share in needed if number >= most), months)
        for fewer, most in pairwise(steps)
    )


def _mix_usd(there: _Instance, used: float, months: float) -> float:
    """One instance that is used a share of the time: each month on demand, or a term begins, which is paid to its end.

    .. math:: V(k) = \\min(u \\, p + V(k + 1), \\min_t t \\, p_t + V(k + t)), \\quad V(M) = 0
    """
    last = math.ceil(months)
    least = [0.0] * (last + 1)
    for k in reversed(range(last)):
        ways = [used * there.usd_per_hour * min(1.0, months - k) + least[k + 1]]
        ways += [usd * term + least[min(k + term, last)] for term, usd in there.terms.items()]
        least[k] = min(ways)
    return HOURS_PER_MONTH * least[0]
