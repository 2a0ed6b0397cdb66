"""Topologies whose sizes are open, at their best under other prices: searched from what was simulated before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulator.decide.beyond_chance import Way
from simulator.decide.costed import month_uses
from simulator.decide.explore import Explorer, OutOfTime
from simulator.decide.price_flips import Search
from simulator.resolve.sizes import alone, at_start, has_open_sizes
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topology
from simulator.run.evaluate import planned_at, shown_outcomes, walk_with_prices
from simulator.run.loads import Loads
from simulator.run.months import Known
from simulator.run.phases import phases
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
from simulator.size.assumed import Assumed
from simulator.size.found import Limits
from simulator.study.terms import Terms


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
        limits = replace(sizer.limits or Limits(), seconds=explorer.left_s)
        there = replace(sizer, limits=limits, assumed=Assumed(terms=change))
        found = there.answer(written, name, loads)
        if found and not found.search.is_finished:
            raise OutOfTime
        planned = planned_at(written, name, loads, found, sizer)
        outcomes = shown_outcomes(planned, loads, sizer.store)
        journey, prices = walk_with_prices(written, loads, planned, outcomes, there, found, known=known)
        explorer.check()
        if journey.open:
            raise OutOfTime
        meets = all(month.meets for month in journey.months)
        return Way(prices.terms, month_uses(journey.months), tuple(journey.months)) if meets else None

    return search


def terms_of_open(written: LoadedScenario) -> dict[str, tuple[Terms, ...]]:
    """Of each topology that ever leaves a size open its terms with all pools, as written and after each event."""
    found: dict[str, tuple[Terms, ...]] = {}
    for name in written.scenario.topologies:
        stages = [written, *(phase.loaded for phase in phases(written, name))]
        if any(has_open_sizes(stage.scenario.topologies[name]) for stage in stages):
            small = [at_start(alone(stage, name)) for stage in stages]
            found[name] = tuple(resolve_terms(plan_topology(one, name)).terms for one in small)
    return found
