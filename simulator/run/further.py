"""What is asked where there is time for further trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from simulator.decide.explore import Serve
from simulator.resolve.open_windows import with_hours
from simulator.resolve.sizes import alone, at_start
from simulator.resolve.topology import plan_topology
from simulator.run.at_prices import best_at_prices, terms_of_open
from simulator.run.binding import binding_month
from simulator.run.decision import AtMonth, Further
from simulator.run.loads import Loads
from simulator.run.resized import at_best_size
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
from simulator.scenario.phases import at_month
from simulator.simulate.one import subject_of
from simulator.size.passed_on import complexities, passed_on
from simulator.size.speeds import AtSpeed

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Since:
    """What a topology has of its own from a month on.

    Attributes
    ----------
    hours : of its windows that leave them open, by the month from which they hold
    standing : owned pools that an event leaves in place, by its month
    """

    hours: Mapping[int, str] = field(default_factory=dict)
    standing: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def further_trials(
    written: LoadedScenario,
    loads: Loads,
    sizer: Sizer,
    since: Mapping[str, Since],
    seconds: float,
    at_speeds: Mapping[str, Sequence[AtSpeed]],
) -> Further:
    """Topologies at their best under other loads, limits and prices.

    Parameters
    ----------
    written : the scenario with its sizes as open as they are written
    sizer : of the run
    at_speeds : sizes of each topology at other speeds; none where time ended before
    """
    first, month = loads.horizon.from_month, binding_month(loads)
    return Further(
        seconds,
        _serve(_in_month(written, since, first), loads, sizer, since, first),
        partial(best_at_prices, written, loads, sizer),
        terms_of_open(written),
        at_binding_month(written, loads, sizer, since, None if month == first else month),
        [name for name, found in at_speeds.items() if not found],
    )


def at_binding_month(
    written: LoadedScenario, loads: Loads, sizer: Sizer, since: Mapping[str, Since], month: int | None = None
) -> AtMonth:
    """A month, None for the first, with topologies as events have left them by then; arguments as `further_trials`."""
    number = loads.horizon.from_month if month is None else month
    then, periods = _in_month(written, since, number), loads.periods(loads.horizon.asked(number))
    engines: list[str] = []
    drafts, passing = dict[str, float](), dict[str, float]()
    for name in then.scenario.topologies:
        fleet = subject_of(plan_topology(at_start(alone(then, name)), name)).fleet
        pools, rule = fleet.pools, fleet.routing.cascade
        share = 0.0 if rule is None else passed_on(rule, complexities(periods[0].demand))
        passing |= {name: share} if share else {}
        engines += [name] * bool(pools)
        acceptance = max((pool.engine.draft_chances[0] for pool in pools if pool.engine.draft_chances), default=0.0)
        drafts |= {name: acceptance} if acceptance else {}
    return AtMonth(month, _serve(then, loads, sizer, since, number), engines, drafts, passing)


def _serve(then: LoadedScenario, loads: Loads, sizer: Sizer, since: Mapping[str, Since], month: int) -> Serve:
    standing = {name: _latest(one.standing, month) or () for name, one in since.items()}
    return at_best_size(then, loads.periods(loads.horizon.asked(month)), sizer.store, sizer.limits, standing)


def _in_month(written: LoadedScenario, since: Mapping[str, Since], month: int) -> LoadedScenario:
    """Topologies as they are in a month, with the hours that their windows have then and their sizes open."""
    then = replace(written, scenario=at_month(written.scenario, month))
    for name, one in since.items():
        hours = _latest(one.hours, month)
        then = with_hours(then, name, hours) if hours else then
    return then


def _latest(since: Mapping[int, Found], month: int) -> Found | None:
    """What holds in a month of what holds from some months on."""
    return since.get(max((first for first in since if first <= month), default=0))
