"""What is asked where there is time for further trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from simulator.resolve.sizes import alone, at_start
from simulator.resolve.topology import plan_topology
from simulator.run.at_their_best import best_at_prices, best_in_study, terms_of_open
from simulator.run.decision import Further, Moved
from simulator.run.loads import Loads
from simulator.run.phases import phases
from simulator.run.resized import at_best_size
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
from simulator.simulate.one import subject_of
from simulator.size.passed_on import complexities, passed_on
from simulator.size.speeds import AtSpeed


def further_trials(
    written: LoadedScenario,
    at_hours: LoadedScenario,
    loads: Loads,
    sizer: Sizer,
    seconds: float,
    at_speeds: Mapping[str, Sequence[AtSpeed]],
) -> Further:
    """Topologies at their best under other loads, limits and prices.

    Parameters
    ----------
    written : the scenario with its sizes as open as they are written
    at_hours : the same with the hours of windows that were found for the first month
    sizer : of the run
    at_speeds : sizes of each topology at other speeds; none where time ended before
    """
    return Further(
        seconds,
        at_best_size(at_hours, loads.first_month, sizer.store, sizer.limits),
        best_in_study(written, loads, sizer),
        partial(best_at_prices, written, loads, sizer),
        terms_of_open(written),
        moved_in(written, loads),
        [name for name, found in at_speeds.items() if not found],
    )


def moved_in(written: LoadedScenario, loads: Loads) -> Moved:
    """What of the topologies is moved, as they are written and after each event: of several shares the largest."""
    engines: list[str] = []
    drafts, passing = dict[str, float](), dict[str, float]()
    seen = complexities(loads.shown.demand)
    for name in written.scenario.topologies:
        stages = [written, *(phase.loaded for phase in phases(written, name))]
        fleets = [subject_of(plan_topology(at_start(alone(stage, name)), name)).fleet for stage in stages]
        pools = [pool for fleet in fleets for pool in fleet.pools]
        rules = [fleet.routing.cascade for fleet in fleets]
        share = max((passed_on(rule, seen) for rule in rules if rule is not None), default=0.0)
        acceptance = max((pool.engine.draft_chances[0] for pool in pools if pool.engine.draft_chances), default=0.0)
        engines += [name] * bool(pools)
        passing |= {name: share} if share else {}
        drafts |= {name: acceptance} if acceptance else {}
    rates = zip(loads.demand.classes, loads.horizon.growth, strict=True)
    return Moved(engines, drafts, passing, {slo.name: growth.rate_per_year for slo, growth in rates})
