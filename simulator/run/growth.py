"""The open sizes of a topology from month to month, each from what was found under other loads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from simulator.resolve.closed import with_closed
from simulator.resolve.open_windows import with_hours
from simulator.resolve.sizes import OpenPool, Scaled, alone, open_pools, refinable, with_sizes
from simulator.resolve.topology import PlannedTopology, plan_topology
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.store import Store
from simulator.size.answer import searched
from simulator.size.assumed import AS_IT_IS, Assumed
from simulator.size.found import Limits, Search
from simulator.size.guess import targets
from simulator.size.infeasible import judged
from simulator.size.lighter import lighter
from simulator.size.trials import Point, Trials, Tried
from simulator.size.windows import best_window
from simulator.study.decision import NOT_FINISHED, Sizes
from simulator.study.demand import MonthLoad

NEAR = 0.005
"""Share of a bill that is not searched for."""
_ELSEWHERE = 4
"""Settings of other loads that a search of an autoscaler begins with."""


@dataclass(frozen=True, slots=True)
class AtLevel:
    """What was found for the months that ask one thing.

    Attributes
    ----------
    best : the cheapest that meets the SLO; None where none does
    least_usd : per month, what no size that meets costs less than
    open_usd : per month, what nothing that was left costs less than; None where nothing is open
    limited : pools of which more than are looked at might cost less
    trail : of the search, and what was tried without one
    infeasible : why no size meets the SLO; empty where one does
    hours : of its windows that leave them open; empty where none does
    floor : groups of each pool that stood already, so that fewer were not looked at; empty for none
    """

    asked: MonthLoad
    best: Tried | None
    least_usd: float
    trail: tuple[Tried, ...]
    infeasible: str = ""
    hours: str = ""
    open_usd: float | None = None
    limited: tuple[str, ...] = ()
    floor: tuple[int, ...] = ()


def at_level(asked: MonthLoad, found: Search, infeasible: str, hours: str = "", least_usd: float = 0.0) -> AtLevel:
    """What a search found under a load.

    Parameters
    ----------
    infeasible, hours : as `AtLevel` has them
    least_usd : what no size costs less than, by what is known of lighter loads
    """
    best = found.best
    usd = math.inf if best is None else best.usd_per_month
    open_usd = None if found.least_usd is None else max(found.least_usd, least_usd)
    if open_usd is not None and open_usd >= usd:
        open_usd = None
    least_usd = usd if open_usd is None else open_usd
    return AtLevel(asked, best, least_usd, found.trail, infeasible, hours, open_usd, found.limited)


@dataclass
class Growth:
    """The cheapest sizes of a topology under one load after the other.

    A size that meets the SLO under a load meets it under a lighter one, for no more. So a month's cheapest costs no
    less than that of any lighter month: what costs as much, but for `NEAR`, is as cheap as can be, and no search is
    needed. Else the month is searched, the cheapest of the nearest lighter and heavier loads first; where hours of
    windows are open, each month that is searched finds its own.

    Attributes
    ----------
    loaded : with the sizes of the topology open, and the hours of its windows as they are left
    found : so far, the first month's first
    closed : names of pools that get no replica
    assumed, planned : as `Trials` takes them
    """

    loaded: LoadedScenario
    name: str
    store: Store
    limits: Limits
    found: list[AtLevel] = field(default_factory=list)
    assumed: Assumed = AS_IT_IS
    planned: dict[str, PlannedTopology] = field(default_factory=dict)
    closed: tuple[str, ...] = ()

    def cheapest(self, asked: MonthLoad, periods: Sequence[PeriodDemand], before: Sizes) -> PlannedTopology | None:
        """The topology at the cheapest sizes that meet the SLO in such a month; None if none does.

        Parameters
        ----------
        before : replicas of each pool in the month before; owned ones do not shrink
        """
        opened = self._opened(before)
        here = replace(self._at(asked, periods, before, opened), floor=tuple(pool.low for pool in opened))
        self.found.append(here)
        return None if here.best is None else self._planned(here.best.point, here.hours)

    def cheaper(self, asked: MonthLoad, periods: Sequence[PeriodDemand]) -> PlannedTopology | None:
        """The topology at what was found since for the next heavier load, where that costs less here too."""
        k = max(k for k, one in enumerate(self.found) if one.asked == asked)
        here, above = self.found[k], self._heavier(asked)
        if here.best is None and here.open_usd is None:
            return None
        if above is None or above.best is None or (here.best is not None and not above.best.beats(here.best)):
            return None
        trials = self._trials(periods, self._opened(None), above.hours)
        tried = trials(above.best.point)
        if tried.word != "met" or (here.best is not None and not tried.beats(here.best)):
            return None
        best = _bare(tried)
        trail = (*here.trail, best) if here.hours == above.hours else (best,)
        least_usd = best.usd_per_month if here.open_usd is None else min(best.usd_per_month, here.least_usd)
        self.found[k] = replace(here, best=best, least_usd=least_usd, trail=trail, infeasible="", hours=above.hours)
        return self._planned(tried.point, above.hours)

    def infeasible(self, asked: MonthLoad) -> str:
        """Why no size meets the SLO in such a month, or in a lighter one; empty where that is not known."""
        found = self.found
        reasons = {one.asked.level: one.infeasible for one in found if one.infeasible and _rises(one.asked, asked)}
        return reasons[max(reasons, key=sum)] if reasons else ""

    def hours(self, asked: MonthLoad) -> str:
        """Of the windows in a month that was searched; empty where it was not, or where none are open."""
        return next((one.hours for one in self.found if one.asked == asked and one.best is not None), "")

    def _at(
        self, asked: MonthLoad, periods: Sequence[PeriodDemand], before: Sizes, opened: Sequence[OpenPool]
    ) -> AtLevel:
        below = [one for one in self.found if _rises(one.asked, asked)]
        free = [one for one in below if all(low <= pool.low for low, pool in zip(one.floor, opened, strict=False))]
        last = max(free, key=lambda one: sum(one.asked.level), default=None)
        if last is not None and last.best is None and last.infeasible != NOT_FINISHED:
            return replace(last, asked=asked, trail=(), limited=())
        hours = (self.found[-1] if last is None else last).hours
        trials = self._trials(periods, opened, hours)
        heavier = self._heavier(asked)
        least_usd = _least_usd(last, heavier)
        near = least_usd * (1 + NEAR)
        above = heavier or (self.found[-1] if last is None else None)
        same = above is not None and above.hours == hours
        then = above.best if same and above and above.best and _allowed(above.best.point, opened) else None
        tried: list[Tried] = []
        best: Tried | None = None
        for points in self._nearby(trials, last, then, near):
            each = [_bare(trials(point)) for point in points]
            tried += each
            best = min((one for one in each if one.word == "met"), key=lambda one: one.usd_per_month, default=None)
            if best is not None:
                break
        if best is not None and best.usd_per_month <= near:
            return AtLevel(asked, best, least_usd, tuple(tried), hours=hours)
        if hours:
            return self._at_any_hours(asked, periods, opened)
        between = _between(trials.pools, last, then)
        found = searched(
            trials,
            self.limits,
            lighter=lighter((one.trail for one in below), last.best.point if last and last.best else ()),
            first=tuple(
                dict.fromkeys((*([best.point] if best else ()), *between, *self._elsewhere(asked, opened, hours)))
            ),
            then=[then.point] if then else (),
            guess=[before[pool.index] for pool in opened],
            enough_usd=_between_usd(asked, last, above) if between and last and above else 0.0,
        ).without_outcomes()
        found = found if found.best or best is None else replace(found, best=best)
        found, why = (found, "") if found.best else judged(trials, found)
        return at_level(asked, replace(found, trail=(*tried, *found.trail)), why, least_usd=least_usd)

    def _at_any_hours(self, asked: MonthLoad, periods: Sequence[PeriodDemand], opened: Sequence[OpenPool]) -> AtLevel:
        """At the best hours of windows; what lighter loads say of sizes is of theirs."""
        told = best_window(
            self.loaded,
            self.name,
            periods,
            self.store,
            self.limits,
            pools=opened,
            assumed=self.assumed,
            planned=self.planned,
        )
        return at_level(asked, told.search, told.infeasible, told.hours)

    def _nearby(
        self, trials: Trials, last: AtLevel | None, above: Tried | None, near_usd: float
    ) -> Iterator[tuple[Point, ...]]:
        """The cheapest of the nearest lighter load, that of the heavier one, the first with the next lower target.

        Of settings of an autoscaler either of the first two may cost less, or the first with one fewer at least, which
        chance may have refused there: they are looked at together.

        Parameters
        ----------
        above : the cheapest of the nearest heavier load
        near_usd : up to which that of fixed numbers cannot be far from the cheapest
        """
        if last is None or last.best is None or not _allowed(last.best.point, trials.pools):
            return
        point = last.best.point
        if any(isinstance(size, Scaled) for size in (*point, *(above.point if above else ()))):
            yield tuple(dict.fromkeys((point, *([above.point] if above else ()), *_fewer(trials.pools, point))))
        else:
            yield (point,)
            if above is not None and above.usd_per_month <= near_usd:
                yield (above.point,)
        for pool, size in zip(trials.pools, point, strict=True):
            if len(point) == 1 and isinstance(size, Scaled) and pool.scaler is not None and pool.scaler[2] is None:
                spec = next(one for one in trials.sized(point).subject.fleet.pools if one.name == pool.name)
                lower = [target for target in targets(spec, trials.demand, size.most) if target < size.target]
                yield from (((replace(size, target=target),),) for target in lower[-1:])

    def _elsewhere(self, asked: MonthLoad, opened: Sequence[OpenPool], hours: str) -> list[Point]:
        """Settings of autoscalers that are the cheapest under the nearest other loads, where chance may favour them."""
        away = sorted(self.found, key=lambda one: abs(sum(one.asked.level) - sum(asked.level)))
        points = [one.best.point for one in away if one.best is not None and one.hours == hours]
        scaled = [point for point in points if any(isinstance(size, Scaled) for size in point)]
        return [point for point in dict.fromkeys(scaled) if _allowed(point, opened)][:_ELSEWHERE]

    def _heavier(self, asked: MonthLoad) -> AtLevel | None:
        above = [one for one in self.found if one.asked != asked and _rises(asked, one.asked)]
        return min(above, key=lambda one: sum(one.asked.level), default=None)

    def _opened(self, before: Sizes | None) -> tuple[OpenPool, ...]:
        """The open pools; owned ones from what they were before, units of a term from one step on where some were."""
        pools = with_closed(open_pools(self.loaded, self.name), self.closed)
        if before is None:
            return pools
        topology = self.loaded.scenario.topologies[self.name]
        terms = {api.name for api in topology.providers if api.term_months}
        return tuple(_from(pool, before[pool.index], pool.name in terms) for pool in pools)

    def _trials(self, periods: Sequence[PeriodDemand], opened: Sequence[OpenPool], hours: str) -> Trials:
        loaded = alone(with_hours(self.loaded, self.name, hours), self.name)
        return Trials(loaded, self.name, opened, periods, self.store, assumed=self.assumed, planned=self.planned)

    def _planned(self, point: Point, hours: str) -> PlannedTopology:
        opened = open_pools(self.loaded, self.name)
        sizes = {pool.index: size for pool, size in zip(opened, point, strict=True)}
        return plan_topology(with_sizes(with_hours(self.loaded, self.name, hours), self.name, sizes), self.name)


def _least_usd(lighter: AtLevel | None, heavier: AtLevel | None) -> float:
    """What no size costs less than between two loads: the least of the lighter one, unless the heavier one costs less.

    Then chance had a hand in it, as with an autoscaler that is refused by a few requests under the lighter load alone.
    """
    least_usd = 0.0 if lighter is None else lighter.least_usd
    return least_usd if heavier is None or heavier.best is None else min(least_usd, heavier.best.usd_per_month)


def _fewer(pools: Sequence[OpenPool], point: Point) -> Iterator[Point]:
    """The point with one fewer at least of each autoscaler that leaves that open."""
    for k, (pool, size) in enumerate(zip(pools, point, strict=True)):
        if not isinstance(size, Scaled) or pool.scaler is None or pool.scaler[0] is not None:
            continue
        if size.least > pool.low:
            yield (*point[:k], replace(size, least=size.least - 1, instance=""), *point[k + 1 :])


def _between(pools: Sequence[OpenPool], last: AtLevel | None, then: Tried | None) -> tuple[Point, ...]:
    """Of one autoscaler the settings of the nearest heavier load and those half way to it; none unless it has some."""
    if len(pools) != 1 or not refinable(pools[0]) or last is None or last.best is None or then is None:
        return ()
    (low,), (high,) = last.best.point, then.point
    if not isinstance(low, Scaled) or not isinstance(high, Scaled):
        return ()
    half = replace(high, least=(low.least + high.least) // 2, most=(low.most + high.most + 1) // 2)
    return (half,), (high,)


def _between_usd(asked: MonthLoad, low: AtLevel, high: AtLevel) -> float:
    """What a month costs if the bill rises evenly with the load from the best of a lighter to that of a heavier one."""
    assert low.best is not None
    assert high.best is not None
    first, here, last = (sum(one.level) for one in (low.asked, asked, high.asked))
    way = (here - first) / (last - first) if last > first else 0.0
    return low.best.usd_per_month + way * (high.best.usd_per_month - low.best.usd_per_month)


def _from(pool: OpenPool, before: int, of_term: bool) -> OpenPool:
    if of_term and before:
        return replace(pool, low=max(pool.low, 1), by_token=False)
    least = before if pool.owned and not refinable(pool) else 0
    return replace(pool, low=max(pool.low, math.ceil(least / pool.step)))


def _allowed(point: Point, opened: Sequence[OpenPool]) -> bool:
    """Whether owned pools have no fewer replicas than they may."""
    return all(size.least >= pool.low * pool.step for size, pool in zip(point, opened, strict=True) if pool.owned)


def _bare(tried: Tried) -> Tried:
    """Without what it gave, which is large."""
    return replace(tried, outcomes=())


def _rises(then: MonthLoad, now: MonthLoad) -> bool:
    """Whether the same periods ask no less; what others cost says nothing."""
    return then.periods == now.periods and all(b >= a for a, b in zip(then.level, now.level, strict=True))
