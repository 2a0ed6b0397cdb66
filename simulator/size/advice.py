"""Whether a topology whose size is written would meet the SLO for less at another one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from simulator.errors import InputError
from simulator.money import money
from simulator.resolve.offers import catalog_offer, catalog_tier
from simulator.resolve.sizes import AUTO, Fixed, OpenPool, Scaled, Size, alone, open_pool
from simulator.resolve.topology import PlannedTopology
from simulator.scenario.load import LoadedScenario
from simulator.schema.pool import Pool, QueueAutoscaler
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.store import Store
from simulator.size.found import MOST_REPLICAS, Limits
from simulator.size.instances import has_choice
from simulator.size.larger import larger_points
from simulator.size.search import search
from simulator.size.trials import Point, Trials, Tried

MOST_TRIALS = 5
"""Sizes that are looked at for one topology, for each of its pools beyond the second as many again."""
MOST_REQUESTS = 500_000
"""Of all replications: a larger demand is not simulated for the sake of advice."""
MOST_POOLS = 8
"""Of a topology: for more, the sizes that differ in two of them take longer to look at than the run itself."""
_NOT_LOOKED = "whether another size of the same pools meets the SLO for less was not looked at: "
WORTH_SAYING = 0.01
"""Share of a bill."""
_WIDER = 2
"""Times the larger sizes that are proposed, up to which a search may go."""


def advice(
    loaded: LoadedScenario,
    name: str,
    usd: tuple[float, ...],
    periods: Sequence[PeriodDemand],
    store: Store,
    meets: bool = True,
    in_month: str = "",
    in_others: Callable[[PlannedTopology], str] | None = None,
) -> str:
    """What another size or autoscaler of the same pools would save, in words; empty where none of those tried does.

    Where there are too many pools or requests to look, that is said.

    Where the topology as written misses the SLO it is the cheapest that was found to meet it, whatever it costs.

    Parameters
    ----------
    usd : USD of the first month of the topology as it is written, by replication
    periods : what is asked in that month, the busiest first
    meets : whether it meets the SLO in that month as it is written
    in_month : words for that month, where others ask for more or less
    in_others : says how what is found fares in these

    At most `MOST_TRIALS` sizes and those of `larger_points` are simulated, so it finds a cheaper one often and never
    proves that there is none.
    """
    topology = loaded.scenario.topologies[name]
    requests = sum(one.demand.requests for one in periods)
    if not topology.pools or not requests:
        return ""
    if len(topology.pools) > MOST_POOLS:
        return f"{_NOT_LOOKED}{len(topology.pools)} pools are more than {MOST_POOLS}"
    if requests > MOST_REQUESTS:
        return (
            f"{_NOT_LOOKED}{requests:,.0f} requests are more than {MOST_REQUESTS:,} (a shorter run.horizon_s has fewer)"
        )
    opened = (
        open_pool(loaded, topology, k, None if pool.billing == "owned" or pool.schedule else (None, None, None))
        for k, pool in enumerate(topology.pools)
    )
    loaded = _with_open_schedules(loaded, name)
    pools = tuple(
        replace(pool, low=max(pool.low, 1), stays=False)
        if _fails_as_written(topology.pools[pool.index])
        else replace(pool, stays=pool.owned and not pool.low)
        for pool in opened
    )
    trials = Trials(alone(loaded, name), name, pools, periods, store)
    written = tuple(_written(pool) for pool in topology.pools)
    known = Tried(written, "met", usd) if meets else None
    trial_limit = MOST_TRIALS * max(len(pools) - 1, 1)
    try:
        larger = larger_points(trials, written) if meets else []
        most = _most(pools, written, larger) if meets else MOST_REPLICAS
        limits = Limits(min(most, loaded.scenario.run.max_replicas), max_trials=trial_limit + len(larger), prove=False)
        best = search(trials, limits, known, first=larger).best
    except InputError:
        return ""
    if best is None or best is known:
        return ""
    found_topology = trials.sized(best.point).planned
    settings = {pool.name: pool for pool in found_topology.settings.pools}
    parts = (
        _on_what(pool.name, size, settings.get(pool.name)) + _in_place_of(was, topology.pools[pool.index])
        for pool, size, was in zip(pools, best.point, written, strict=True)
    )
    sizes = ", ".join(parts)
    found = f"{sizes} meets the SLO{in_month} for {money(best.usd_per_month)} per month"
    if known is None:
        found = f"misses the SLO{in_month} as written; {found}"
    else:
        mean = known.usd_per_month
        if not best.usd_per_month < (1 - WORTH_SAYING) * mean:
            return ""
        saved = 1 - best.usd_per_month / mean if mean > 0 and math.isfinite(mean) else math.nan
        found = f"{found}, {saved:.0%} less than as written"
    return found if in_others is None else found + in_others(found_topology)


def _on_what(name: str, size: Size, pool: Pool | None) -> str:
    """A size, with the instance that it is billed on where several are sold, at the catalog's price."""
    offer = None
    if pool is not None and pool.billing != "owned" and not size.instance and has_choice(pool):
        own = pool.price_usd_per_gpu_hour, pool.price_by_hour_usd_per_gpu_hour
        offer = catalog_offer(pool, catalog_tier(pool)) if own == (None, None) else None
    return f"{name} {size} on {offer.instance}" if offer is not None else f"{name} {size}"


def _fails_as_written(pool: Pool) -> bool:
    """Whether failures or outages of it are what is asked about: without the pool they would not be there."""
    return bool(pool.server_failures or pool.stock_outs) or pool.outages is not None


def _in_place_of(was: Size, pool: Pool) -> str:
    """That a number of a schedule is the one of its busiest hours: the others stay as they are written."""
    return f" where its schedule has {was}" if pool.schedule else ""


def _with_open_schedules(loaded: LoadedScenario, name: str) -> LoadedScenario:
    """The scenario with the largest number of each schedule left open, wherever it stands in it."""
    topology = loaded.scenario.topologies[name]
    pools = tuple(_with_open_schedule(pool) if pool.schedule else pool for pool in topology.pools)
    topologies = {**loaded.scenario.topologies, name: topology.model_copy(update={"pools": pools})}
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"topologies": topologies}))


def _with_open_schedule(pool: Pool) -> Pool:
    most = _written(pool).most
    windows = tuple(
        window.model_copy(update={"replicas": AUTO}) if window.replicas == most else window for window in pool.schedule
    )
    outside = AUTO if pool.replicas == most else pool.replicas
    return pool.model_copy(update={"schedule": windows, "replicas": outside})


def _written(pool: Pool) -> Size:
    """What is written of a pool, the largest number of a schedule."""
    scaler = pool.autoscaler
    if isinstance(scaler, QueueAutoscaler):
        assert not isinstance(scaler.min, str)
        assert not isinstance(scaler.max, str)
        assert not isinstance(scaler.target_per_replica, str)
        return Scaled(scaler.min, scaler.max, scaler.target_per_replica)
    return Fixed(max(int(number) for number in (pool.replicas, *(window.replicas for window in pool.schedule))))


def _most(pools: tuple[OpenPool, ...], written: Point, larger: Sequence[Point]) -> int:
    """Replicas up to which it is worth looking: bounds of bills end the search before, as a rule."""
    sizes = [*(pool.low * pool.step for pool in pools), *(size.most for size in written), 1]
    sizes += [_WIDER * size.most for point in larger for size in point]
    sizes += [_wider(size.most) for pool, size in zip(pools, written, strict=True) if pool.scaler is not None]
    return max(sizes)


def _wider(most: int) -> int:
    return most + math.ceil(most / 2)
