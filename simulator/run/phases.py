"""The months of a topology that events change: each phase is planned, sized and served as it then is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby

from simulator.errors import InputError, Problem
from simulator.resolve.agreed import Spell, committed_instances_stay
from simulator.resolve.open_windows import window_words
from simulator.resolve.sizes import alone, at_start
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import PlannedTopology, check_names_alone, plan_topology
from simulator.run.downtime import with_downtime
from simulator.run.loads import Loads
from simulator.run.months import Journey, Known, Progress, walk_months
from simulator.run.paid_units import with_paid_units
from simulator.run.sizer import Sizer
from simulator.run.unit_terms import Running, running_units, running_words, with_running
from simulator.scenario.load import LoadedScenario
from simulator.scenario.phases import at_event, in_change
from simulator.schema.pool import Pool
from simulator.schema.study import Event
from simulator.size.answer import Answer
from simulator.study.decision import Served, Walked
from simulator.study.terms import Terms


@dataclass(frozen=True, slots=True)
class Phase:
    """Months of a topology from an event on.

    Attributes
    ----------
    number : place of the event among those of the study
    first : month in which it begins; later than the event where units of throughput ran on until then
    running : units of throughput that are paid for already, where more are there than are written
    """

    number: int
    event: Event
    loaded: LoadedScenario
    first: int
    running: Running = field(default_factory=dict)

    @property
    def begins(self) -> bool:
        """Whether the event begins with it."""
        return self.first == self.event.from_month


def phases(loaded: LoadedScenario, name: str) -> list[Phase]:
    """Phases of a topology after the first, in order."""
    found = [
        Phase(k, event, replace(loaded, scenario=at_event(loaded.scenario, k)), event.from_month)
        for k, event in enumerate(loaded.scenario.study.events)
        if event.topology == name
    ]
    return sorted(found, key=lambda phase: phase.event.from_month)


def _parts(phase: Phase, end: int, running: Sequence[Running]) -> list[tuple[Phase, int]]:
    """A phase in parts between which units of throughput end that were paid for longer, each with its last month.

    Parameters
    ----------
    end : last month of the phase
    running : of each month of the study what the terms of earlier phases give
    """
    found: list[tuple[Phase, int]] = []
    for units, group in groupby(range(phase.first, end + 1), key=lambda month: running[month - 1]):
        months = list(group)
        loaded = with_running(phase.loaded, phase.event.topology, units)
        found.append((replace(phase, loaded=loaded, first=months[0], running=units), months[-1]))
    return found


def check_events(loaded: LoadedScenario) -> dict[str, list[Terms]]:
    """Plan and price every topology as each event leaves it, at its smallest size; what it is then paid by.

    Raises
    ------
    InputError : whatever cannot be, at the event
    """
    if not loaded.scenario.study.events:
        return {}
    check_names_alone(loaded)
    found: dict[str, list[Terms]] = {}
    changed = {event.topology for event in loaded.scenario.study.events}
    for name in (name for name in loaded.scenario.topologies if name in changed):
        for phase in phases(loaded, name):
            with _at_its_place(phase):
                small = at_start(alone(phase.loaded, name))
                check_names_alone(small)
                found.setdefault(name, []).append(resolve_terms(plan_topology(small, name)).terms)
    return found


def event_words(
    loaded: LoadedScenario, name: str, hours: Mapping[int, str], walked: Sequence[Walked] = ()
) -> list[str]:
    """What is said of the events of a topology.

    Parameters
    ----------
    hours : of its windows that leave them open, by the month from which they hold
    walked : its months
    """
    events = phases(loaded, name)
    grown = sorted(set(hours) - {phase.event.from_month for phase in events})
    return (
        [
            f"from month {phase.event.from_month}: {phase.event.name}"
            + (f", {phase.event.downtime_h:g} h without service" if phase.event.downtime_h else "")
            + (f", window {window_words(hours[phase.event.from_month])}" if phase.event.from_month in hours else "")
            for phase in events
        ]
        + [f"from month {month}: window {window_words(hours[month])}" for month in grown]
        + running_words(loaded, name, walked)
    )


@contextmanager
def _at_its_place(phase: Phase) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(*(_placed(phase, problem) for problem in error.problems)) from error


def _placed(phase: Phase, problem: Problem) -> Problem:
    """A problem of a topology after an event, where the change gives what it is about."""
    where = (problem.path or "").removeprefix(f"topologies.{phase.event.topology}").lstrip(".")
    path, message, got = in_change(phase.loaded.scenario, phase.number, where, problem.message, problem.got)
    return Problem(f"{phase.event.name}: {message}", *phase.loaded.place(path), path=path, got=got)


def walk_study(
    written: LoadedScenario,
    loads: Loads,
    planned: PlannedTopology,
    base: Served,
    sizer: Sizer,
    found: Answer | None = None,
    progress: Progress | None = None,
    known: Known | None = None,
) -> Journey:
    """All months of a topology, through every event that changes it.

    Parameters
    ----------
    written : the scenario with its sizes as open as they are written
    planned, base : as `walk_months` takes them for the months before the first event
    found : the sizes of the first month, where they are open
    known : what was simulated before
    """
    events = phases(written, planned.name)
    closed, by_month = (found.closed, found.by_month) if found else ((), False)
    until = events[0].first - 1 if events else math.ceil(loads.horizon.months)
    known = Known(sizer.store, sizer.assumed) if known is None else known
    before = replace(loads, horizon=replace(loads.horizon, months=_end(loads, until)))
    sizing = sizer.sizing(written, found, before, planned) if found else None
    begun = walk_months(before, planned, base, progress, sizing, known)
    begun = with_paid_units(written, planned.name, before, begun, known) if found else begun
    ends = [phase.first - 1 for phase in events[1:]] + [math.ceil(loads.horizon.months)]
    months, spells, hours = list(begun.months), list(begun.spells), dict(begun.hours)
    edges, near = dict[int, str](), dict(begun.near)
    fleets, open_, limited = list(begun.fleets), dict(begun.open), dict(begun.limited)
    last = written

    def told(what: str, _: float) -> None:
        if progress:
            progress(what, 0.0)

    def later() -> Iterator[tuple[Phase, int]]:
        for phase, end in zip(events, ends[: len(events)], strict=True):
            yield from _parts(phase, end, running_units(written, planned.name, months))

    for phase, end in later():
        event, month = phase.event, phase.first
        phase = replace(phase, loaded=committed_instances_stay(phase.loaded, spells[-1].planned.loaded, planned.name))
        horizon = replace(loads.horizon, from_month=month, months=_end(loads, end))
        here = replace(loads, horizon=horizon)
        with _at_its_place(phase):
            stands = _standing(last, phase.loaded, spells[-1].planned)
            found = sizer.answer(phase.loaded, planned.name, here, told, None, stands, closed, by_month, phase.running)
            sized = plan_topology(sizer.sized(phase.loaded, planned.name, here, found, progress=told), planned.name)
            sizing = sizer.sizing(phase.loaded, found, here, sized) if found else None
            then = walk_months(here, sized, None, progress, sizing, known, spells, months)
            then = with_paid_units(written, planned.name, here, then, known, months) if found else then
        if found:
            edges[month] = found.edge
        if found and found.hours:
            hours |= {month: found.hours, **then.hours}
        if phase.begins:
            first, *others = then.months
            months += [replace(with_downtime(first, event.name, event.downtime_h), event=event.name), *others]
            spells += _told(then.spells, spells[-1].stage + 1, event, _recommitted(last, phase.loaded, planned.name))
        else:
            months += then.months
            spells += [replace(spell, stage=spells[-1].stage) for spell in then.spells]
        fleets += then.fleets
        open_ |= then.open
        near |= then.near
        limited = dict(then.limited) | limited
        last = phase.loaded
    return Journey(tuple(months), tuple(spells), hours, tuple(fleets), open_, limited, edges, near)


def before_events(journey: Journey) -> tuple[Walked, ...]:
    """The months of a topology before anything changes it."""
    changed = min((spell.first for spell in journey.spells if spell.stage), default=None)
    return tuple(month for month in journey.months if changed is None or month.month < changed)


def _standing(before: LoadedScenario, after: LoadedScenario, planned: PlannedTopology) -> tuple[str, ...]:
    """Owned pools with replicas that an event leaves where they are, on the GPUs that they have."""
    there = {pool.name for pool in planned.fleet.pools}
    owned = [
        {pool.name: (pool.site, pool.gpu) for pool in one.scenario.topologies[planned.name].pools if _is_owned(pool)}
        for one in (before, after)
    ]
    return tuple(name for name, place in owned[1].items() if name in there and owned[0].get(name) == place)


def _recommitted(before: LoadedScenario, after: LoadedScenario, name: str) -> tuple[str, ...]:
    """Pools for which an event writes another size or number under commitment."""
    was, now = (
        {pool.name: (pool.replicas, pool.schedule, pool.commitments) for pool in one.scenario.topologies[name].pools}
        for one in (before, after)
    )
    return tuple(pool for pool, size in now.items() if pool in was and was[pool] != size)


def _is_owned(pool: Pool) -> bool:
    return pool.billing == "owned"


def _end(loads: Loads, month: int) -> float:
    return min(float(month), loads.horizon.months)


def _told(spells: Sequence[Spell], stage: int, event: Event, recommitted: tuple[str, ...]) -> list[Spell]:
    """Spells of a stage; the event comes with the first."""
    first, *others = (replace(spell, stage=stage) for spell in spells)
    begun = replace(first, event=event.name, resale_share=event.resale_share, usd_once=event.usd_once)
    begun = replace(begun, recommitted=recommitted)
    return [begun, *others]
