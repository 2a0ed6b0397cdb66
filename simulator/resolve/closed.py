"""Pools of open size that get no replica: a hybrid that is its owned pools alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from simulator.resolve.sizes import OpenPool, open_pools
from simulator.scenario.load import LoadedScenario


def with_closed(pools: Iterable[OpenPool], closed: Collection[str]) -> tuple[OpenPool, ...]:
    """Open pools of which those with these names get no replica, where they need none."""
    return tuple(
        replace(pool, closed=True, scaler=None) if pool.name in closed and not pool.low else pool for pool in pools
    )


def beside_owned(loaded: LoadedScenario, name: str) -> tuple[str, ...]:
    """Rented pools of open size without which a topology has owned pools alone, of which a size is open, too.

    None where other rented pools stay, or where the owned ones are as they are written: those buy nothing for a season.
    """
    topology = loaded.scenario.topologies[name]
    rented = [pool for pool in topology.pools if pool.billing != "owned"]
    if topology.providers or len(rented) in (0, len(topology.pools)):
        return ()
    opened = open_pools(loaded, name)
    free = {pool.name for pool in opened if not pool.owned and not pool.low}
    closes = any(pool.owned for pool in opened) and all(pool.name in free for pool in rented)
    return tuple(pool.name for pool in rented) if closes else ()
