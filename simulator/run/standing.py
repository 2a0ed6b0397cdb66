"""Owned replicas that stand in a month on servers that are not at the end of their life."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from simulator.bill.purchases import in_life
from simulator.decide.months import Standing
from simulator.resolve.agreed import Spell
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import PlannedTopology
from simulator.study.decision import Sizes
from simulator.study.fleet import PoolSpec
from simulator.study.terms import OwnedSite

Gpus = Mapping[str, int]
"""By pool, in one month."""


def standing(
    pools: Sequence[str],
    at: Callable[[Sizes], PlannedTopology],
    begins: Spell,
    spells: Sequence[Spell] = (),
    before: Sequence[Gpus] = (),
) -> Standing:
    """What stands of each owned pool after the sizes of some months: each lot of servers has a life of its own.

    The servers of a pool are counted as if it had them alone.

    Parameters
    ----------
    pools : names, by number of the sizes
    at : the topology at such sizes
    begins : with the first sizes
    spells, before : months of the study before it, as they were planned, and the GPUs of each
    """
    known: dict[str, tuple[PoolSpec, OwnedSite]] = {}

    def place(name: str, planned: PlannedTopology) -> tuple[PoolSpec, OwnedSite] | None:
        if name not in known:
            spec = next((pool for pool in planned.fleet.pools if pool.name == name), None)
            if spec is None or not spec.owned:
                return None
            terms = resolve_terms(planned, (*spells, replace(begins, planned=planned))).terms
            known[name] = spec, next(one for one in terms.owned if _houses(one, spec, begins.first))
        return known[name]

    def there(so_far: Sequence[Sizes]) -> Sizes:
        found: list[int] = []
        for k, name in enumerate(pools):
            sizes = next((sizes for sizes in so_far if sizes[k]), None)
            here = place(name, begins.planned if sizes is None else at(sizes))
            if here is None:
                found.append(0)
                continue
            each = here[0].gpus_per_replica
            gpus = [*(month.get(name, 0) for month in before), *(one[k] * each for one in so_far)]
            found.append(_stand(here[1], gpus) // each)
        return tuple(found)

    return there


def _houses(site: OwnedSite, pool: PoolSpec, month: int) -> bool:
    """A pool stands on the servers of one kind at a time, which may be called otherwise than its GPU."""
    return site.site == pool.site and pool.name in site.pools and month in site.span


def _stand(site: OwnedSite, gpus: Sequence[int]) -> int:
    """GPUs of servers in their life."""
    return in_life(site, [math.ceil(n / site.server.gpus) for n in gpus]) * site.server.gpus
