"""What further trials ask of the month of a study that asks for the most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from simulator.resolve.open_windows import open_windows
from simulator.resolve.sizes import has_open_sizes
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topology
from simulator.run.binding import binding_month
from simulator.run.decision import AtMonth, Measured
from simulator.run.loads import Loads, absent_classes
from simulator.run.resized import at_best_size
from simulator.scenario.load import LoadedScenario
from simulator.scenario.phases import at_month
from simulator.simulate.one import subject_of
from simulator.simulate.store import Store
from simulator.size.found import Limits


def in_binding_month(
    asked: LoadedScenario, loads: Loads, measured: Sequence[Measured], store: Store, limits: Limits
) -> AtMonth | None:
    """The month that asks for the most, with topologies as events have left them by then.

    Parameters
    ----------
    asked : the scenario with its sizes as open as they are written, and the hours of its windows filled in
    measured : the topologies as they are in the first month

    Returns
    -------
    None where that is the first month, or where an event leaves hours of windows open, which are not searched anew
    """
    month = binding_month(loads)
    if month == loads.horizon.from_month:
        return None
    then = replace(asked, scenario=at_month(asked.scenario, month))
    topologies = then.scenario.topologies
    if any(open_windows(topology) for topology in topologies.values()):
        return None
    level = loads.horizon.level(month)
    periods = loads.periods(level)
    opened = {name for name, topology in topologies.items() if has_open_sizes(topology)}
    events = {event.topology for event in asked.scenario.study.events if event.from_month <= month}
    changed = {one.costed.name: _as_then(then, one) for one in measured if one.costed.name in events - opened}
    return AtMonth(
        month,
        periods[0].demand,
        absent_classes(periods[0].period.at(level)),
        partial(at_best_size, then, opened, periods, store, limits),
        changed,
    )


def _as_then(then: LoadedScenario, one: Measured) -> Measured:
    planned = plan_topology(then, one.costed.name)
    return Measured(subject_of(planned), replace(one.costed, terms=resolve_terms(planned).terms))
