"""What is asked where there is time for further trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from simulator.resolve.open_windows import with_hours
from simulator.run.at_prices import best_at_prices, terms_of_open
from simulator.run.binding import binding_month
from simulator.run.decision import AtMonth, Further
from simulator.run.loads import Loads
from simulator.run.resized import Serve, at_best_size
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
from simulator.scenario.phases import at_month
from simulator.size.found import Limits

Hours = Mapping[str, Mapping[int, str]]
"""Of each topology's windows that leave them open, by the month from which they hold."""


def further_trials(written: LoadedScenario, loads: Loads, sizer: Sizer, hours: Hours, seconds: float) -> Further:
    """Topologies at their best under other loads, limits and prices.

    Parameters
    ----------
    written : the scenario with its sizes as open as they are written
    sizer : of the run
    """
    reach = replace(sizer, limits=replace(sizer.limits or Limits(), seconds=seconds))
    return Further(
        seconds,
        _in_month(written, loads, reach, hours, loads.horizon.from_month),
        partial(best_at_prices, written, loads, sizer),
        terms_of_open(written),
        in_binding_month(written, loads, reach, hours),
    )


def in_binding_month(written: LoadedScenario, loads: Loads, sizer: Sizer, hours: Hours) -> AtMonth | None:
    """The month that asks for the most, with topologies as events have left them by then; None where it is month 1."""
    month = binding_month(loads)
    if month == loads.horizon.from_month:
        return None
    return AtMonth(month, _in_month(written, loads, sizer, hours, month))


def _in_month(written: LoadedScenario, loads: Loads, sizer: Sizer, hours: Hours, month: int) -> Serve:
    """Topologies as they are in a month, with the hours that their windows have then and their sizes open."""
    then = replace(written, scenario=at_month(written.scenario, month))
    for name, found in hours.items():
        since = max((first for first in found if first <= month), default=None)
        then = then if since is None else with_hours(then, name, found[since])
    return at_best_size(then, loads.periods(loads.horizon.level(month)), sizer.store, sizer.limits)
