"""The months of a topology that events change: each phase is planned, sized and served as it then is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from simulator.errors import InputError, Problem
from simulator.resolve.agreed import Spell
from simulator.resolve.sizes import alone, at_start, has_open_sizes
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import PlannedTopology, check_names_alone, plan_topology
from simulator.run.downtime import with_downtime
from simulator.run.loads import Loads
from simulator.run.months import Journey, Memory, Progress, Sizing, walk_months
from simulator.scenario.load import LoadedScenario
from simulator.scenario.phases import at_event
from simulator.schema.study import Event
from simulator.study.decision import Served

SizeAt = Callable[[LoadedScenario, str, Loads], tuple[LoadedScenario, Sizing]]
"""The scenario with the open sizes of a topology as they serve the first of these months, and the search of others."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Months of a topology from an event on."""

    number: int
    event: Event
    loaded: LoadedScenario


def phases(loaded: LoadedScenario, name: str) -> list[Phase]:
    """Phases of a topology after the first, in order."""
    found = [
        Phase(k, event, replace(loaded, scenario=at_event(loaded.scenario, k)))
        for k, event in enumerate(loaded.scenario.study.events)
        if event.topology == name
    ]
    return sorted(found, key=lambda phase: phase.event.from_month)


def check_events(loaded: LoadedScenario) -> None:
    """Plan and price every topology as each event leaves it, at its smallest size.

    Raises
    ------
    InputError : whatever cannot be, at the event
    """
    if not loaded.scenario.study.events:
        return
    check_names_alone(loaded)
    for name in dict.fromkeys(event.topology for event in loaded.scenario.study.events):
        for phase in phases(loaded, name):
            with _at_its_place(phase):
                small = at_start(alone(phase.loaded, name))
                check_names_alone(small)
                resolve_terms(plan_topology(small, name))


def event_words(loaded: LoadedScenario, name: str, hours: Mapping[int, str]) -> list[str]:
    """What is said of the events of a topology.

    Parameters
    ----------
    hours : of its windows that leave them open, by the month from which they hold
    """
    return [
        f"from month {phase.event.from_month}: {phase.event.name}"
        + (f", {phase.event.downtime_h:g} h without service" if phase.event.downtime_h else "")
        + (f", window {hours[phase.event.from_month]} h" if phase.event.from_month in hours else "")
        for phase in phases(loaded, name)
    ]


@contextmanager
def _at_its_place(phase: Phase) -> Iterator[None]:
    path = f"study.events[{phase.number}].change"
    try:
        yield
    except InputError as error:
        raise InputError(
            *(
                Problem(f"{phase.event.name}: {problem.message}", *phase.loaded.place(path), path=path, got=problem.got)
                for problem in error.problems
            )
        ) from error


def walk_study(
    written: LoadedScenario,
    loads: Loads,
    planned: PlannedTopology,
    base: Served,
    size: SizeAt,
    progress: Progress | None = None,
    sizing: Sizing | None = None,
) -> Journey:
    """All months of a topology, through every event that changes it.

    Parameters
    ----------
    written : the scenario with its sizes as open as they are written
    planned, base, sizing : as `walk_months` takes them for the months before the first event
    size : of phases that leave sizes open
    """
    later = phases(written, planned.name)
    ends = [phase.event.from_month - 1 for phase in later] + [math.ceil(loads.horizon.months)]
    memory: Memory = {}
    first = replace(loads, horizon=replace(loads.horizon, months=_end(loads, ends[0])))
    found = walk_months(first, planned, base, progress, sizing, memory)
    months, spells = list(found.months), list(found.spells)
    for stage, (phase, end) in enumerate(zip(later, ends[1:], strict=True), start=1):
        event = phase.event
        horizon = replace(loads.horizon, from_month=event.from_month, months=_end(loads, end))
        here, loaded, search = replace(loads, horizon=horizon), phase.loaded, None
        with _at_its_place(phase):
            if has_open_sizes(loaded.scenario.topologies[planned.name]):
                loaded, search = size(loaded, planned.name, here)
            found = walk_months(here, plan_topology(loaded, planned.name), None, progress, search, memory)
        begun = replace(with_downtime(found.months[0], event.name, event.downtime_h), event=event.name)
        months += [begun, *found.months[1:]]
        spells += _told(found.spells, stage, event)
    return Journey(tuple(months), tuple(spells))


def _end(loads: Loads, month: int) -> float:
    return min(float(month), loads.horizon.months)


def _told(spells: Sequence[Spell], stage: int, event: Event) -> list[Spell]:
    """Spells of a stage; the event comes with the first."""
    first, *others = (replace(spell, stage=stage) for spell in spells)
    begun = replace(first, event=event.name, resale_share=event.resale_share, usd_once=event.usd_once)
    return [begun, *others]
