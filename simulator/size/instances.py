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
from simulator.resolve.offers import catalog_offer, catalog_tier, held_usd_per_hour, is_reserved, offer_for
from simulator.schema.pool import Pool, QueueAutoscaler
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
    """Whether it says on which instances a rented pool is that an autoscaler sizes, reserved ones apart.

    The instances of a commitment are agreed before anybody knows what is used beside them.
    """
    return is_chosen_by_use(pool) and pool.instance is None and pool.gpus_per_instance is None


def is_chosen_by_use(pool: Pool) -> bool:
    """Whether how long each number of replicas is there decides which instances of a pool cost least."""
    return isinstance(pool.autoscaler, QueueAutoscaler) and pool.billing != "owned" and not is_reserved(pool)


def has_choice(pool: Pool) -> bool:
    """Whether several instances are sold that a pool could be on."""
    here, card, tier = site(pool.site).name, gpu(pool.gpu).name, catalog_tier(pool)
    return len({one.instance for one in gpu_offers() if (one.site, one.gpu, one.tier) == (here, card, tier)}) > 1


def taken_before(pool: Pool) -> GpuOffer | None:
    """What a pool is on before anybody knows how many replicas it has when, whatever it names."""
    return catalog_offer(pool.model_copy(update={"instance": None, "gpus_per_instance": None}), catalog_tier(pool))


def at_fewest(pool: Pool, least: int) -> str:
    """Name of the instance on which the fewest replicas of a pool cost least; empty where none is sold."""
    tier = catalog_tier(pool)
    try:
        return "" if tier is None else offer_for(pool, tier, {least: 1.0}).instance
    except InputError:
        return ""


def better_instance(pool: Pool, had: dict[int, float]) -> Better | None:
    """The instances that hold a pool for least with the replicas that it had, where these are others than its own.

    Parameters
    ----------
    pool : as it was simulated
    had : numbers of replicas, and the share of the time for which each was there
    """
    tier = catalog_tier(pool)
    taken = catalog_offer(pool, tier)
    if not had or taken is None or tier is None:
        return None
    offer = offer_for(pool.model_copy(update={"instance": None, "gpus_per_instance": None}), tier, had)
    paid, less = (held_usd_per_hour(pool, one, had) for one in (taken, offer))
    if not less < (1 - _ROUNDING) * paid:
        return None
    return Better(taken, offer, paid - less, 1 - less / paid)


def replica_hours(name: str, uses: Sequence[tuple[float, Sequence[Usage]]]) -> dict[int, float]:
    """Numbers of replicas of a pool above 0, and the share of the time for which each is paid.

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
    """Numbers of replicas of a pool one after another, and the seconds for which each was there."""
    stays = {
        (stay.replica, stay.start_s, stay.end_s) for pool in usage.pools if pool.name == name for stay in pool.stays
    }
    changes = sorted([(start_s, 1) for _, start_s, _ in stays] + [(end_s, -1) for _, _, end_s in stays])
    number, since_s = 0, usage.start_s
    for at_s, change in changes:
        if number and at_s > since_s:
            yield number, at_s - since_s
        number, since_s = number + change, at_s
