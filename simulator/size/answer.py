"""The size at which a topology is compared, and what is said of how it was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.errors import InputError, Problem
from simulator.metrics.accumulate import MetricAccumulator
from simulator.money import money
from simulator.resolve.open_windows import with_hours
from simulator.resolve.sizes import Fixed, OpenPool, Size, alone, open_pools, with_sizes
from simulator.resolve.topology import PlannedTopology
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import Demand, PeriodDemand
from simulator.simulate.one import Outcome, Subject
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.simulate.stored import stored_outcome
from simulator.size.assumed import AS_IT_IS, Assumed
from simulator.size.found import Limits, Search
from simulator.size.infeasible import judged
from simulator.size.lighter import Lighter
from simulator.size.search import search
from simulator.size.trials import Point, Progress, Trials, Tried
from simulator.study.decision import HOLDS_ON_FRESH, MISSES_ON_FRESH

SURE = 2.0
"""Standard errors to spare from which on a size is not called at the edge."""
_LUCKY = 4
"""Replications that are asked of a best of which more misses the SLO: of what luck decides half meet, and 6 % all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a topology runs at.

    Attributes
    ----------
    sizes : by index of the pool; the best, or where none meets the one that came furthest
    infeasible : why no size meets the SLO; empty where one does
    edge : what is said of a best that keeps its SLO by less than two standard errors; else empty
    hours : of the windows that leave them open; empty where none does
    windows : what each of the hours tried leads to
    units : names of token APIs, of which the sizes are units of throughput
    closed : names of pools that get no replica in any month, since all months together cost less without them
    by_month : whether owned pools beside others are sized by each month's own periods, not by the mean month's
    """

    name: str
    pools: tuple[str, ...]
    sizes: dict[int, Size]
    search: Search
    infeasible: str = ""
    edge: str = ""
    hours: str = ""
    windows: tuple[dict[str, Any], ...] = ()
    units: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    by_month: bool = False

    def row(self) -> dict[str, Any]:
        """The answer as a summary holds it."""
        found = self.search
        return {
            "sizes": dict(zip(self.pools, map(str, self.sizes.values()), strict=True)),
            "claim": found.claim,
            "tried": found.tried,
            "equal": [str(tried) for tried in found.equal],
            "gap_usd": found.gap_usd,
            "least_usd": found.least_usd,
            "monotone": found.falls is None,
            "limited": list(found.limited),
            "infeasible": self.infeasible,
            "edge": self.edge,
            "trail": found.rows(),
            "hours": self.hours,
            "windows": list(self.windows),
        }


def answer(
    loaded: LoadedScenario,
    name: str,
    periods: Sequence[PeriodDemand],
    store: Store,
    limits: Limits | None = None,
    progress: Progress | None = None,
    rows: Rows | None = None,
    pools: Sequence[OpenPool] | None = None,
    assumed: Assumed = AS_IT_IS,
    planned: dict[str, PlannedTopology] | None = None,
) -> Answer:
    """Search the open sizes of a topology.

    Parameters
    ----------
    periods : what is asked in a month, the busiest first
    rows : keeps the requests of the best
    pools : to size; those that leave their size open unless given
    assumed, planned : as `Trials` takes them

    Raises
    ------
    InputError : the topology cannot be planned or priced at any size, at its place
    """
    pools = open_pools(loaded, name) if pools is None else pools
    trials = Trials(alone(loaded, name), name, pools, periods, store, progress, rows, assumed, planned)
    return answered(loaded, trials, searched(trials, limits))


def searched(
    trials: Trials,
    limits: Limits | None = None,
    rival: Tried | None = None,
    lighter: Lighter | None = None,
    first: Sequence[Point] = (),
    then: Sequence[Point] = (),
    guess: Sequence[int] = (),
    enough_usd: float = 0.0,
) -> Search:
    """Search the sizes of a topology that can be planned at its smallest; arguments are those of `search`.

    Raises
    ------
    InputError : it cannot
    """
    trials.sized(tuple(pool.size(max(pool.low, 1)) for pool in trials.pools))
    return search(
        trials, limits, rival=rival, lighter=lighter, first=first, then=then, guess=guess, enough_usd=enough_usd
    )


def answered(loaded: LoadedScenario, trials: Trials, found: Search) -> Answer:
    """What a search says of a topology.

    Raises
    ------
    InputError : no size could be planned or priced, at its place
    """
    name, names = trials.name, tuple(pool.name for pool in trials.pools)
    units = tuple(pool.name for pool in trials.pools if pool.is_units)
    told = found.without_outcomes()
    if found.best is not None:
        return Answer(name, names, trials.sizes(found.best.point), told, edge=_edge(trials, found), units=units)
    furthest = _furthest(found)
    if furthest is None:
        reason = next((tried.reason for tried in found.trail), "no size was tried")
        raise InputError(Problem(reason, *loaded.place(f"topologies.{name}"), path=f"topologies.{name}"))
    told, why = judged(trials, told)
    return Answer(name, names, trials.sizes(furthest.point), told, infeasible=why, units=units)


def sized_scenario(loaded: LoadedScenario, answers: list[Answer]) -> LoadedScenario:
    """The scenario with every open size, and the hours of every open window, filled in."""
    loaded = with_found_hours(loaded, answers)
    for each in answers:
        loaded = with_sizes(loaded, each.name, each.sizes)
    return loaded


def with_found_hours(loaded: LoadedScenario, answers: list[Answer]) -> LoadedScenario:
    """The scenario with the hours of every open window filled in, and its sizes still open."""
    for each in answers:
        loaded = with_hours(loaded, each.name, each.hours) if each.hours else loaded
    return loaded


def _furthest(found: Search) -> Tried | None:
    """The refused size that came furthest before it was refused, then misses least; the smaller of equal ones.

    One whose jobs all end by their deadline, but do not fit into a month, came further than one that misses it.
    """
    refused = [tried for tried in found.trail if tried.refutation is not None]

    def far(tried: Tried) -> tuple[float, ...]:
        at = tried.refutation
        assert at is not None
        of_month = bool(at.words)
        when_s = 0.0 if of_month else at.at_s
        return at.replication, of_month, when_s, at.ended, at.allowed - at.misses, -tried.replicas

    return max(refused, key=far, default=None)


def edge_as_written(subject: Subject, periods: Sequence[PeriodDemand], store: Store) -> str:
    """What is said of a fleet that is written and meets the SLO in a month with little to spare; else empty.

    Parameters
    ----------
    periods : what is asked in that month
    """
    gave = [
        [stored_outcome(subject, one.demand, k, store).metrics for k in range(one.demand.replications)]
        for one in periods
    ]
    holds = holds_on_fresh(subject, _near(periods, gave), store)
    return "" if holds is None else HOLDS_ON_FRESH if holds else MISSES_ON_FRESH


def _near(periods: Sequence[PeriodDemand], gave: Sequence[list[MetricAccumulator]]) -> list[Demand]:
    """What is asked in the periods in which little is to spare."""
    return [one.demand for one, each in zip(periods, gave, strict=False) if spare_errors(each) < SURE]


def holds_on_fresh(subject: Subject, near: Sequence[Demand], store: Store, fresh: int = 1) -> bool | None:
    """Whether replications that were never seen meet the SLO in periods with little to spare; None without any.

    Parameters
    ----------
    fresh : how many
    """
    if not near:
        return None
    return all(
        _meets(stored_outcome(subject, demand, demand.replications + k, store)) for demand in near for k in range(fresh)
    )


def _edge(trials: Trials, found: Search) -> str:
    """A best with little to spare is tried on a replication that the search never saw; one that may be luck on more."""
    best = found.best
    assert best is not None
    near = _near(trials.periods, [[outcome.metrics for outcome in gave] for gave in best.outcomes])
    if found.is_lucky:
        near = [one.demand for one in trials.periods]
    holds = holds_on_fresh(trials.sized(best.point).subject, near, trials.store, _LUCKY if found.is_lucky else 1)
    if holds is None:
        return ""
    if holds:
        return HOLDS_ON_FRESH
    dearer = [tried for tried in found.by_word("met") if tried.usd_per_month > best.usd_per_month]
    following = min(dearer, key=lambda tried: tried.usd_per_month, default=None)
    if following is None:
        following = _next_size(trials, best)
    if following is None:
        return MISSES_ON_FRESH
    return f"{MISSES_ON_FRESH} (next size {following} for {money(following.usd_per_month)})"


def _next_size(trials: Trials, best: Tried) -> Tried | None:
    """One more replica in every pool that has any, if that meets."""
    point = tuple(
        replace(size, replicas=size.replicas + pool.step if size.replicas else 0)
        if isinstance(size, Fixed)
        else replace(size, least=size.least + 1, most=size.most + 1)
        for size, pool in zip(best.point, trials.pools, strict=True)
    )
    tried = trials(point)
    return tried if tried.word == "met" else None


def _meets(outcome: Outcome) -> bool:
    return all(row["met"] is not False for row in outcome.metrics.terms())


def spare_errors(replications: list[MetricAccumulator]) -> float:
    """Standard errors by which the nearest term is kept: binomial over requests, or as the replications spread."""
    least = math.inf
    for k, slo in enumerate(replications[0].classes):
        for j, required in enumerate(slo.shares):
            counts = [one.term_counts()[k][j] for one in replications]
            kept, of = (np.array([getattr(count, name) for count in counts], float) for name in ("kept", "of"))
            if not of.all():
                continue
            error = math.sqrt(required * (1 - required) / of.sum())
            if len(counts) > 1:
                error = max(error, float(np.std(kept / of, ddof=1)) / math.sqrt(len(counts)))
            if error:
                least = min(least, (kept.sum() / of.sum() - required) / error)
    return least
