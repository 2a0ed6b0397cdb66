"""Instances of autoscaled rented pools: those that hold for least the replicas that were there when simulated."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simulator.catalog.gpus import gpu
from simulator.catalog.offers import GpuOffer, gpu_offers
from simulator.catalog.sites import site
from simulator.errors import InputError
from simulator.resolve.committable import takes_terms
from simulator.resolve.offers import (
    above_commitments,
    catalog_offer,
    catalog_tier,
    committed_instances,
    held_usd_per_hour,
    instances_needed,
    is_reserved,
    offer_for,
    replica_shares,
)
from simulator.schema.pool import Pool, QueueAutoscaler
from simulator.study.fleet import PoolSpec
from simulator.study.usage import Usage

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Better:
    """Another instance for a pool.

    Attributes
    ----------
    taken : what it was simulated on
    offer : what would have held the same replicas for less
    usd_per_hour : how much less, on average
    share : of what the taken ones cost
    """

    taken: GpuOffer
    offer: GpuOffer
    usd_per_hour: float
    share: float


def is_left_open(pool: Pool) -> bool:
    """Whether no one says on which instances a rented pool is.

    A number under commitment that is given is of the instances that are taken for it; where it is that of the fewest
    replicas, it is another one on other instances. Terms of the catalog say it where a pool takes them.
    """
    return _is_free(pool) and pool.instance is None and pool.gpus_per_instance is None


def is_chosen_by_use(pool: Pool) -> bool:
    """Whether how long each number of replicas is there decides which instances of a pool cost least."""
    return isinstance(pool.autoscaler, QueueAutoscaler) and _is_free(pool)


def _is_free(pool: Pool) -> bool:
    is_agreed = is_reserved(pool) and pool.commitments is not None
    return pool.billing != "owned" and not is_agreed and not takes_terms(pool)


def has_choice(pool: Pool) -> bool:
    """Whether several instances are sold that a pool could be on."""
    return len({one.instance for one in _sold(pool)}) > 1


def _sold(pool: Pool) -> list[GpuOffer]:
    """Offers of the GPU in the pool's tier; of terms that the catalog does not have, those on demand."""
    here = [one for one in gpu_offers() if (one.site, one.gpu) == (site(pool.site).name, gpu(pool.gpu).name)]
    found = [one for one in here if one.tier == catalog_tier(pool)]
    return found or [one for one in here if is_reserved(pool) and one.tier == "on_demand"]


def _tier(pool: Pool) -> str | None:
    return next((one.tier for one in _sold(pool)), None)


def _on_each(pool: Pool) -> dict[str, GpuOffer]:
    """The offers of all instances that hold a replica of a pool, by name."""
    names = dict.fromkeys(one.instance for one in _sold(pool))
    alone = (pool.model_copy(update={"instance": name, "gpus_per_instance": None}) for name in names)
    offers = (catalog_offer(one, _tier(pool)) for one in alone)
    return {offer.instance: offer for offer in offers if offer is not None}


def taken_before(pool: Pool) -> GpuOffer | None:
    """What a pool is on before anybody knows how many replicas it has when, whatever it names."""
    return catalog_offer(pool.model_copy(update={"instance": None, "gpus_per_instance": None}), _tier(pool))


def at_fewest(pool: Pool, least: int) -> str:
    """Name of the instance on which the fewest replicas of a pool cost least; empty where none is sold."""
    tier = _tier(pool)
    try:
        return "" if tier is None else offer_for(pool, tier, {least: 1.0}).instance
    except InputError:
        return ""


def other_instances(pool: Pool, spec: PoolSpec) -> tuple[str, ...]:
    """Instances that a pool could be on beside its own, where its trial might be another one: the cheapest first.

    Only what takes an instance with all replicas on it tells one size from another.
    """
    faults = spec.reliability
    is_apart = bool(
        faults.mtbf_s or faults.reclaim_mtbf_s or faults.unavailable_probability or faults.known or faults.stock_outs
    )
    if not is_apart:
        return ()
    taken, shares = catalog_offer(pool, _tier(pool)), replica_shares(pool)
    usd = {name: _usd_per_hour(pool, one, shares) for name, one in _on_each(pool).items() if one != taken}
    return tuple(sorted(usd, key=lambda name: (usd[name], name)))


def better_instance(pool: Pool, had: dict[int, float]) -> Better | None:
    """The instances that hold a pool for least with the replicas that it had, where these are others than its own.

    Parameters
    ----------
    pool : as it was simulated
    had : numbers of replicas, and the share of the time for which each was there
    """
    taken = catalog_offer(pool, _tier(pool))
    if not had or taken is None:
        return None
    offer = _cheapest(pool, had)
    paid, less = (_usd_per_hour(pool, one, had) for one in (taken, offer))
    if not less < (1 - _ROUNDING) * paid:
        return None
    return Better(taken, offer, paid - less, 1 - less / paid)


def _cheapest(pool: Pool, had: dict[int, float]) -> GpuOffer:
    if is_reserved(pool):
        offers = _on_each(pool).values()
        return min(offers, key=lambda one: (_usd_per_hour(pool, one, had), one.gpus_per_instance, one.instance))
    return offer_for(pool.model_copy(update={"instance": None, "gpus_per_instance": None}), pool.billing, had)


def _usd_per_hour(pool: Pool, offer: GpuOffer, had: dict[int, float]) -> float:
    """What such instances cost an hour on average: those under commitment all the time, what is above on demand."""
    if not is_reserved(pool):
        return held_usd_per_hour(pool, offer, had)
    size = offer.gpus_per_instance
    kept = committed_instances(pool, size)
    above = instances_needed(pool, size, had, kept) - kept * math.fsum(had.values())
    reserved = pool.price_usd_per_gpu_hour if pool.price_usd_per_gpu_hour is not None else offer.usd_per_gpu_hour
    beyond = above_commitments(pool.model_copy(update={"instance": offer.instance, "gpus_per_instance": None}), size)
    usd = reserved if beyond is None else beyond.usd_per_gpu_hour if isinstance(beyond, GpuOffer) else beyond
    return size * (kept * reserved + above * usd)


def replica_hours(name: str, uses: Sequence[tuple[float, Sequence[Usage]]]) -> dict[int, float]:
    """Numbers of replicas of a pool above 0, and the share of the time for which each is wanted.

    Those whose machine has failed count: how long it is not paid for is alike on all instances.

    Parameters
    ----------
    uses : hours, and the use that stands for them in equal parts
    """
    found: defaultdict[int, float] = defaultdict(float)
    hours = math.fsum(each for each, _ in uses)
    for each, usages in uses:
        for usage in usages:
            part = each / hours / len(usages) / usage.span_s
            for n, seconds in _seconds(usage, name):
                found[n] += part * seconds
    return dict(found)


def _seconds(usage: Usage, name: str) -> Iterator[tuple[int, float]]:
    """Numbers of replicas of a pool one after another, and the seconds for which each was there, or was to be."""
    stays = {
        (stay.replica, stay.start_s, stay.end_s) for pool in usage.pools if pool.name == name for stay in pool.stays
    }
    changes = sorted([(start_s, 1) for _, start_s, _ in stays] + [(end_s, -1) for _, _, end_s in stays])
    number, since_s = 0, usage.start_s
    for at_s, change in changes:
        if number and at_s > since_s:
            yield number, at_s - since_s
        number, since_s = number + change, at_s
