"""Instances of written pools, in words: others that would hold them for less, and those that they were moved to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.catalog.offers import GpuOffer
from simulator.money import money
from simulator.resolve.committable import takes_terms
from simulator.resolve.sizes import is_open
from simulator.schema.pool import Pool
from simulator.schema.topology import Topology
from simulator.size.instances import better_instance, is_chosen_by_use, is_left_open, replica_hours, taken_before
from simulator.study.decision import Walked
from simulator.units import HOURS_PER_MONTH

_WORTH_SAYING = 0.01


def cheaper_instances(written: Topology, sized: Topology, months: Sequence[Walked]) -> list[str]:
    """Autoscaled rented pools for which other instances than those that are written would have cost less.

    Their key is named: on it the packing of replicas, what a failure takes, and so the trial would differ.

    Parameters
    ----------
    written, sized : as the scenario has it, and as it was simulated
    months : in which it stays as it is
    """
    named = {pool.name for pool in written.pools if is_chosen_by_use(pool) and not is_left_open(pool)}
    return [words for pool in sized.pools if pool.name in named for words in _of_pool(pool, months)]


def moved_instances(written: Topology, sized: Topology) -> list[str]:
    """Pools of a written number that are on other instances than those that hold it for least, in words."""
    asked = {
        pool.name: pool
        for pool in written.pools
        if pool.instance is None and not is_open(pool) and not takes_terms(pool)
    }
    moved = [pool for pool in sized.pools if pool.name in asked and pool.instance and not is_chosen_by_use(pool)]
    before = {pool.name: taken_before(pool) for pool in moved}
    return [
        f"{pool.name} is on {pool.instance}: on {offer.instance}, which costs least for its replicas, it misses the SLO"
        for pool in moved
        if (offer := before[pool.name]) is not None and offer.instance != pool.instance
    ]


def without_terms(written: Topology, sized: Topology) -> list[str]:
    """Pools that commit to nothing, since instances that are sold under no term cost less, in words."""
    asked = {pool.name for pool in written.pools if takes_terms(pool)}
    return [
        f"{pool.name} commits to nothing: {pool.instance}, which is sold under no term, costs less for its replicas "
        "than instances under the catalog's terms"
        for pool in sized.pools
        if pool.name in asked and pool.commitments is None
    ]


def _of_pool(pool: Pool, months: Sequence[Walked]) -> Iterator[str]:
    uses = [(share.hours, share.served.usages) for month in months for share in month.shares]
    found = better_instance(pool, replica_hours(pool.name, uses))
    if found is not None and found.share > _WORTH_SAYING:
        yield (
            f"{pool.name} is on instances with {_gpus(found.taken)}; with the replicas that it had, those with "
            f"{_gpus(found.offer)} cost about "
            f"{money(found.usd_per_hour * HOURS_PER_MONTH)} a month less: try gpus_per_instance: "
            f"{found.offer.gpus_per_instance}"
        )


def _gpus(offer: GpuOffer) -> str:
    return f"{offer.gpus_per_instance} GPU{'s' * (offer.gpus_per_instance > 1)}"
