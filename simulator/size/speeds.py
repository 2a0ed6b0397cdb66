"""What an error of the forecast's speed means: the size that is needed where steps take longer, or less time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.resolve.sizes import alone, open_pools
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.store import Store
from simulator.size.assumed import Assumed
from simulator.size.found import Limits
from simulator.size.search import search
from simulator.size.trials import Trials, Tried

_SPEEDS = 3


@dataclass(frozen=True, slots=True)
class AtSpeed:
    """A topology where steps take `factor` times as long.

    Attributes
    ----------
    sizes : of its open pools, by name
    usd_per_month : of the cheapest size that meets the SLO, hardware at today's prices; None where none does
    """

    factor: float
    sizes: dict[str, str]
    usd_per_month: float | None


def at_speeds(
    loaded: LoadedScenario,
    name: str,
    periods: Sequence[PeriodDemand],
    store: Store,
    error: float,
    limits: Limits | None = None,
) -> tuple[AtSpeed, ...]:
    """A topology at steps longer by `error`, as forecast, and shorter by it: each sized by the same search.

    All three are judged on one replication, the middle one too, so they differ in the speed alone. None is told where
    time ended the search of one of them before it had a size.

    Parameters
    ----------
    loaded : the scenario with its sizes open, where they are
    periods : what is asked in the first month, the busiest first
    limits : of the searches; their time is that of all three
    """
    started_s, limits = time.monotonic(), limits or Limits()
    pools = open_pools(loaded, name)
    once = [replace(one, demand=replace(one.demand, replications=1)) for one in periods]

    def at(factor: float) -> AtSpeed | None:
        trials = Trials(alone(loaded, name), name, pools, once, store, assumed=Assumed(factor))
        spent_s = time.monotonic() - started_s
        there = limits if limits.seconds is None else replace(limits, seconds=limits.seconds - spent_s)
        found = search(trials, there) if pools else None
        best = found.best if found else _met(trials(()))
        if best is None:
            return AtSpeed(factor, {}, None) if found is None or found.is_finished else None
        sizes = {pool.name: str(size) for pool, size in zip(pools, best.point, strict=True)}
        return AtSpeed(factor, sizes, best.usd_per_month)

    told = [one for factor in (1.0 + error, 1.0, 1.0 - error) if (one := at(factor)) is not None]
    return tuple(told) if len(told) == _SPEEDS else ()


def _met(tried: Tried) -> Tried | None:
    return tried if tried.word == "met" else None
