"""Whether other instances would hold an autoscaled pool for less, with the replicas that it had when simulated."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from simulator.bill.cents import dollars
from simulator.resolve.offers import catalog_offer, catalog_tier, held_usd_per_hour, is_reserved, offer_for
from simulator.schema.pool import Pool, QueueAutoscaler
from simulator.schema.topology import Topology
from simulator.study.decision import Share
from simulator.study.usage import Usage
from simulator.units import HOURS_PER_MONTH

_WORTH_SAYING = 0.01


def cheaper_instances(topology: Topology, shares: Sequence[Share]) -> list[str]:
    """Rented pools for which an instance was chosen before anybody knew how many replicas they would have when.

    The choice takes half of the time for an autoscaler's fewest, half for its most. By the time for which each number
    was there, another size of instance may hold the pool for less; its key is named, since on it the packing of
    replicas, what a failure takes, and so the trial would differ.

    Parameters
    ----------
    shares : hours of a month and what was simulated for them
    """
    return [words for pool in topology.pools for words in _of_pool(pool, shares)]


def _of_pool(pool: Pool, shares: Sequence[Share]) -> Iterator[str]:
    is_open = pool.instance is None and pool.gpus_per_instance is None
    if not isinstance(pool.autoscaler, QueueAutoscaler) or pool.billing == "owned" or is_reserved(pool) or not is_open:
        return
    had, tier = replica_hours(pool.name, shares), catalog_tier(pool)
    taken = catalog_offer(pool, tier)
    if not had or taken is None or tier is None:
        return
    better = offer_for(pool, tier, had)
    paid, less = (held_usd_per_hour(pool, offer, had) for offer in (taken, better))
    if less < (1 - _WORTH_SAYING) * paid:
        yield (
            f"{pool.name} is on instances of {taken.gpus_per_instance} GPUs, chosen for half of the time at its fewest "
            f"replicas; with those that it had, instances of {better.gpus_per_instance} cost about "
            f"{dollars((paid - less) * HOURS_PER_MONTH)} a month less: try gpus_per_instance: "
            f"{better.gpus_per_instance}"
        )


def replica_hours(name: str, shares: Sequence[Share]) -> dict[int, float]:
    """Numbers of replicas of a pool above 0, and the share of a month for which each is paid."""
    found: defaultdict[int, float] = defaultdict(float)
    hours = math.fsum(share.hours for share in shares)
    for share in shares:
        for usage in share.served.usages:
            part = share.hours / hours / len(share.served.usages) / usage.span_s
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
