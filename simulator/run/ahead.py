"""What a run will ask for, simulated ahead in parallel processes: answers of searches, and trials into the store."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.decide.costed import FIXED
from simulator.errors import InputError, Problem, ServecastError, collect
from simulator.processes import forks, results, tell
from simulator.resolve.sizes import is_open, open_units
from simulator.run.advised import advised
from simulator.run.decision import estimated, measured_of
from simulator.run.evaluate import cheapest_answer, course_of, planned_at
from simulator.run.fresh import on_fresh
from simulator.run.loads import Loads
from simulator.run.months import Progress
from simulator.run.replications import kept_outcome
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
from simulator.simulate.one import subject_of
from simulator.simulate.rows import Rows
from simulator.size.advice import MOST_REQUESTS
from simulator.size.answer import Answer
from simulator.study.decision import Trail

WORTH_FORKING = 20_000
WORTH_SPAWNING = 1_000_000
"""Requests of all topologies and replications from which further processes end a run sooner than one alone."""


@dataclass(frozen=True, slots=True)
class Work:
    """What all topologies of a run share.

    Attributes
    ----------
    loaded : the scenario with its sizes as open as they are written
    sizer : its store and limits
    rows : keeps the requests of the outcomes that are shown; None where no run keeps any
    advise : as `simulate` takes it
    """

    loaded: LoadedScenario
    loads: Loads
    sizer: Sizer
    rows: Rows | None
    advise: bool

    def worth(self, jobs: int) -> bool:
        """Whether several processes are worth their start: their store and rows have to be in a folder."""
        requests = sum(one.demand.requests for one in self.loads.first_month)
        names = self.loaded.scenario.topologies
        least = WORTH_FORKING if forks() else WORTH_SPAWNING
        return jobs > 1 and len(names) > 1 and requests * len(names) >= least

    @property
    def estimates(self) -> bool:
        """Whether the capacity of each topology is estimated."""
        return self.advise and 0 < self.loads.shown.demand.requests <= MOST_REQUESTS


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What a worker found.

    Attributes
    ----------
    problems : why there is no answer
    hits, misses : of its store
    """

    answer: Answer | None
    problems: tuple[Problem, ...]
    hits: int
    misses: int


def answers(work: Work, names: Sequence[str], jobs: int, progress: Progress | None) -> dict[str, Answer]:
    """The answer of every topology that leaves sizes open, those with the longest searches first.

    Whatever else of it the run will ask for is in the store afterwards, and its requests in `rows`: the rest of the
    run is that of one process, so the number of processes changes no byte.

    Raises
    ------
    InputError : the problems of all topologies, each at its place
    """
    share = dict.fromkeys(names, 0.0)

    def told(name: str, label: str, done: float) -> None:
        share[name] = done
        if progress:
            progress(label, sum(share.values()) / len(share))

    longest_first = sorted(names, key=lambda name: -_effort(work, name))
    found: dict[str, _Ahead] = {}
    for name, one in results(_ahead, work, longest_first, jobs, told):
        found[name] = one
        told(name, name, 1.0)
        work.sizer.store.hits += one.hits
        work.sizer.store.misses += one.misses

    def answered(name: str) -> Answer | None:
        if found[name].problems:
            raise InputError(*found[name].problems)
        return found[name].answer

    return {name: one for name, one in zip(names, collect(answered, names), strict=True) if one is not None}


def _effort(work: Work, name: str) -> int:
    """How long its search takes beside others'."""
    topology = work.loaded.scenario.topologies[name]
    of_pools = sum(1 + 4 * (pool.autoscaler is not None) for pool in topology.pools if is_open(pool))
    return of_pools + len(open_units(topology))


def _ahead(work: Work, name: str) -> _Ahead:
    store = work.sizer.store
    before = store.hits, store.misses
    try:
        found = cheapest_answer(
            work.sizer, work.loaded, name, work.loads, lambda label, share: tell(label, share / 2), work.rows
        )
    except InputError as error:
        return _Ahead(None, error.problems, 0, 0)
    with contextlib.suppress(ServecastError):
        _into_store(work, name, found)
    return _Ahead(found, (), store.hits - before[0], store.misses - before[1])


def _into_store(work: Work, name: str, found: Answer | None) -> None:
    """Simulate what a topology still needs: its replications, months and advice; whoever needs it meets its errors."""

    def trials(label: str, share: float) -> None:
        tell(label, 0.5 + 0.125 * share)

    trials(name, 0.0)
    planned = planned_at(work.loaded, name, work.loads, found, work.sizer, work.rows, trials)
    shown, outcomes = work.loads.shown, []
    for number in range(shown.demand.replications):
        tell(name, 0.625 + 0.125 * number / shown.demand.replications)
        outcomes.append(kept_outcome(subject_of(planned), shown.demand, number, work.sizer.store, work.rows))
    tell(name, 0.75)
    course = course_of(work.loaded, work.loads, planned, outcomes, work.sizer, found)
    if work.estimates:
        trail = FIXED if found is None else Trail(found.search.claim, found.search.tried)
        measured = measured_of(planned, course.priced, shown.demand, trail)
        estimated([measured], shown.demand, work.sizer.store)
    on_fresh(
        course.journey,
        subject_of(planned),
        work.loads,
        work.sizer.store,
        searched=found is not None,
        advise=work.advise,
    )
    if work.advise and found is None:
        advised(work.loaded, name, course.priced, course.journey, work.loads, work.sizer)
