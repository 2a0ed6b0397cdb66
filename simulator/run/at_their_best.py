"""Topologies at their best through all months of a study: under other prices, loads, growth, limits and speeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from simulator.decide.beyond_chance import Way
from simulator.decide.costed import month_uses
from simulator.decide.explore import Answered, Asked, Explorer, OutOfTime, Serve
from simulator.decide.price_flips import Search
from simulator.resolve.sizes import alone, at_start, has_open_sizes
from simulator.resolve.terms import ResolvedTerms, resolve_terms
from simulator.resolve.topology import plan_topology
from simulator.run.evaluate import cheapest_answer, planned_at, walk_with_prices
from simulator.run.loads import Loads
from simulator.run.months import Journey, Known
from simulator.run.phases import phases
from simulator.run.priced import priced_months
from simulator.run.resized import with_limits
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
from simulator.simulate.one import Outcome
from simulator.size.assumed import Assumed
from simulator.size.found import Limits
from simulator.study.terms import Terms

_Course = tuple[list[Outcome], Journey, ResolvedTerms]


def best_at_prices(written: LoadedScenario, loads: Loads, sizer: Sizer, explorer: Explorer) -> Search:
    """The search of a run, sizes, hours of windows and all, under other prices; while `explorer` has time.

    Parameters
    ----------
    written : the scenario with its sizes as open as they are written
    sizer : of the run
    """
    known = Known(sizer.store)

    def search(name: str, change: Callable[[Terms], Terms]) -> Way | None:
        explorer.check()
        there = replace(sizer, assumed=Assumed(terms=change))
        course = _course(written, name, loads, there, explorer.left_s, known)
        if course is None:
            return None
        _, journey, prices = course
        return Way(prices.terms, month_uses(journey.months), tuple(journey.months))

    return search


def best_in_study(written: LoadedScenario, loads: Loads, sizer: Sizer) -> Serve:
    """The search of a run, through all months of its study, under other loads, growth, limits and speeds.

    Parameters
    ----------
    written : the scenario with its sizes as open as they are written
    sizer : of the run
    """
    asked_last: dict[tuple[float, ...], Loads] = {}

    def under(asked: Asked) -> Loads:
        """Topologies are asked the same one after the other, and have the same requests."""
        key = asked.load, asked.growth, asked.limits
        if key not in asked_last:
            asked_last.clear()
            asked_last[key] = _under(loads, asked)
        return asked_last[key]

    def serve(asked: Asked, left_s: float) -> Answered:
        there = replace(sizer, assumed=Assumed(asked.steps, asked.acceptance, asked.passed_on))
        course = _course(written, asked.topology, under(asked), there, left_s)
        if course is None:
            return Answered(False, None)
        outcomes, journey, prices = course
        priced = priced_months(outcomes, prices.terms, journey.months)
        usd = tuple(one.usd_per_month for one in priced.replications)
        return Answered(True, priced.usd_per_month, priced.tokens.delivered, usd_by_replication=usd)

    return serve


def _under(loads: Loads, asked: Asked) -> Loads:
    """The loads of a study under what is asked of it."""
    growth = tuple(one.times(asked.load, asked.growth) for one in loads.horizon.growth)
    return Loads(replace(loads.horizon, growth=growth), with_limits(loads.demand, asked.limits))


def _course(
    written: LoadedScenario, name: str, loads: Loads, sizer: Sizer, seconds: float, known: Known | None = None
) -> _Course | None:
    """A topology at its cheapest through all months; None where it misses the SLO in one of them.

    Raises
    ------
    OutOfTime : no time is left
    """
    until_s = time.monotonic() + seconds

    def check(*_: object) -> None:
        if time.monotonic() > until_s:
            raise OutOfTime

    check()
    known = Known(sizer.store, sizer.assumed) if known is None else known
    sizer = replace(sizer, limits=replace(sizer.limits or Limits(), seconds=seconds))
    found = cheapest_answer(sizer, written, name, loads, check=check)
    if found and not found.search.is_finished:
        raise OutOfTime
    if found and found.search.best is None:
        return None
    planned = planned_at(written, name, loads, found, sizer)
    outcomes = known.outcomes(planned, loads.shown.demand)
    journey, prices = walk_with_prices(written, loads, planned, outcomes, sizer, found, check, known)
    check()
    if journey.open:
        raise OutOfTime
    return (outcomes, journey, prices) if all(month.meets for month in journey.months) else None


def terms_of_open(written: LoadedScenario) -> dict[str, tuple[Terms, ...]]:
    """Of each topology that ever leaves a size open its terms with all pools, as written and after each event."""
    found: dict[str, tuple[Terms, ...]] = {}
    for name in written.scenario.topologies:
        stages = [written, *(phase.loaded for phase in phases(written, name))]
        if any(has_open_sizes(stage.scenario.topologies[name]) for stage in stages):
            small = [at_start(alone(stage, name)) for stage in stages]
            found[name] = tuple(resolve_terms(plan_topology(one, name)).terms for one in small)
    return found
