"""The search for a threshold of an overflow that is left open, each tried with its sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from simulator.money import money
from simulator.resolve.open_thresholds import with_threshold
from simulator.resolve.open_windows import open_windows
from simulator.resolve.sizes import OpenPool, alone, at_start, open_pools
from simulator.resolve.topology import plan_topology
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.one import subject_of
from simulator.simulate.store import Store
from simulator.size.answer import searched
from simulator.size.expected import THRESHOLDS
from simulator.size.found import UNFINISHED, Limits, Search, best_of
from simulator.size.guess import requests_in_time
from simulator.size.trials import Progress, Trials, Tried
from simulator.size.windows import best_window

_FULL = 0.75
"""Share of the requests that a replica holds at its SLO with which the search begins: some run ahead of the mean."""
_RATIOS = (1.5, 1.2)
"""From one threshold to the next, first and around the best of those."""
_FAR = 3
"""Times the first, up to which it goes on where none meets the SLO."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """What was found.

    Attributes
    ----------
    outstanding_per_replica : the cheapest; of equal ones the nearest to the first that was tried
    usd_by_tried : USD per month by threshold, in order; infinite where no size meets the SLO for less than another's
    is_finished : whether each search for sizes ended by itself
    """

    outstanding_per_replica: int
    usd_by_tried: tuple[tuple[int, float], ...]
    is_finished: bool = True

    @property
    def words(self) -> str:
        """What is said of it."""
        found, n = f"overflow at {self.outstanding_per_replica} outstanding per replica", len(self.usd_by_tried)
        if all(usd == math.inf for _, usd in self.usd_by_tried):
            return f"{found}: none of {n} tried meets the SLO"
        told = ", ".join(f"{n} {money(usd) if usd < math.inf else 'none for less'}" for n, usd in self.usd_by_tried)
        return f"{found}, {'' if self.is_finished else f'{UNFINISHED}, '}{best_of(n)}: {told}"


def best_threshold(
    loaded: LoadedScenario,
    name: str,
    periods: Sequence[PeriodDemand],
    store: Store,
    limits: Limits | None = None,
    progress: Progress | None = None,
    pools: Sequence[OpenPool] | None = None,
) -> Threshold:
    """The threshold with which a topology's cheapest size that meets the SLO costs least.

    It begins with three quarters of what a replica holds within the SLO, of the pool that holds least, and goes down
    and up by half until it costs no less; then by a fifth around the best. They are raced against each other as sizes
    are, by rough searches: sizes are found anew with the threshold. Where none meets the SLO it ends at one and beyond
    three times the first.

    Parameters
    ----------
    periods : what is asked in a month, the busiest first
    limits : of the search; its time is that of all thresholds
    pools : to size; those that leave their size open unless given

    Raises
    ------
    InputError : at its place: no size that can be planned
    """
    tried: dict[int, Search] = {}
    first = _first(loaded, name, periods)
    limits = replace(limits or Limits(), rough=True)
    if limits.seconds is not None:
        limits = replace(limits, seconds=limits.seconds / THRESHOLDS)

    def usd(n: int) -> float:
        found = tried[n].best
        return math.inf if found is None else found.usd_per_month

    def cheapest() -> int:
        return min(tried, key=lambda n: (usd(n), abs(math.log(n / first)), n))

    def look(n: int) -> float:
        if n not in tried:
            before = len(tried)

            def tick(what: str, share: float) -> None:
                if progress:
                    progress(f"{what}, overflow at {n}", min((before + share) / THRESHOLDS, 1.0))

            rival = tried[cheapest()].best if tried else None
            tried[n] = _sizes_at(with_threshold(loaded, name, n), name, periods, store, limits, tick, pools, rival)
        return usd(n)

    look(first)
    for ratio in _RATIOS:
        for steps in (_down, _up):
            at = cheapest()
            if usd(at) == math.inf and ratio != _RATIOS[0]:
                break
            for n in steps(at, ratio):
                none_yet = look(n) == usd(at) == math.inf and n <= first * _FAR
                if not (usd(n) < usd(at) or none_yet):
                    break
                at = n
    finished = all(one.is_finished for one in tried.values())
    return Threshold(cheapest(), tuple((n, usd(n)) for n in sorted(tried)), finished)


def _sizes_at(
    loaded: LoadedScenario,
    name: str,
    periods: Sequence[PeriodDemand],
    store: Store,
    limits: Limits | None,
    progress: Progress,
    pools: Sequence[OpenPool] | None,
    rival: Tried | None,
) -> Search:
    """The search for sizes at a threshold, which may cost less than `rival`."""
    opened = open_pools(loaded, name) if pools is None else pools
    if open_windows(loaded.scenario.topologies[name]):
        return best_window(loaded, name, periods, store, limits, progress, pools=opened).search
    return searched(Trials(alone(loaded, name), name, opened, periods, store, progress), limits, rival)


def _up(start: int, ratio: float) -> Iterator[int]:
    n = start
    while True:
        n = max(round(n * ratio), n + 1)
        yield n


def _down(start: int, ratio: float) -> Iterator[int]:
    n = start
    while n > 1:
        n = min(round(n / ratio), n - 1)
        yield n


def _first(loaded: LoadedScenario, name: str, periods: Sequence[PeriodDemand]) -> int:
    """Where the search begins: with the pool that holds least."""
    planned = plan_topology(at_start(alone(loaded, name)), name)
    held = [requests_in_time(pool, periods[0].demand) for pool in subject_of(planned).fleet.pools]
    return max(int(_FULL * min(held, default=1)), 1)
