"""Months that need fewer units of throughput than terms that are paid already give: all of them let tokens through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simulator.decide.months import as_served
from simulator.resolve.topology import plan_topology
from simulator.run.loads import Loads
from simulator.run.months import Journey, Known
from simulator.run.unit_terms import running_units, with_running
from simulator.scenario.load import LoadedScenario
from simulator.study.decision import Share, Walked


def with_paid_units(
    written: LoadedScenario, name: str, loads: Loads, journey: Journey, known: Known, before: Sequence[Walked] = ()
) -> Journey:
    """The months up to an event, each served by all units that are there.

    The search of a month finds what it needs by itself. Where the load falls, terms of earlier months run on: held to
    what was found, tokens would go to a dearer API beside units that are paid for.

    Parameters
    ----------
    written : the scenario with its sizes as open as they are written
    known : what was simulated before
    before : the months of the study before these
    """
    running = running_units(written, name, [*before, *journey.months])
    months = []
    for month in journey.months:
        there = running[month.month - 1]
        if there:
            spell = max((one for one in journey.spells if one.first <= month.month), key=lambda one: one.first)
            more = plan_topology(with_running(spell.planned.loaded, name, there), name)
            periods = loads.horizon.periods_of(month.month)
            served = [Share(one.hours, one, known.serve(more, loads, one.at(month.level))) for one in periods]
            month = as_served(month, served)
        months.append(month)
    return replace(journey, months=tuple(months))
