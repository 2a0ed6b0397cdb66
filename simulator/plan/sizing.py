"""The minimal fleets of one candidate and its cheapest, or why it has none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from simulator.decide.months import walk
from simulator.errors import InputError
from simulator.plan.candidate import Candidate
from simulator.resolve.open_thresholds import has_open_threshold
from simulator.resolve.open_windows import open_windows
from simulator.resolve.sizes import Fixed, Size, refinable, with_sizes
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import PlannedTopology, plan_topology
from simulator.run.evaluate import Evaluation, evaluated
from simulator.run.loads import Loads
from simulator.run.months import served
from simulator.run.priced import priced_months
from simulator.scenario.load import LoadedScenario
from simulator.simulate.priced import Priced
from simulator.simulate.store import Store
from simulator.size.found import Interrupted, Limits, Search, bounded, is_best_of
from simulator.size.infeasible import why_infeasible
from simulator.size.search import search
from simulator.size.thresholds import best_threshold
from simulator.size.trials import Point, Progress, Trials
from simulator.size.windows import best_window

_ALL_FLEETS_OF = 2
"""Pools up to which all minimal fleets are found."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """What the search for a candidate's fleets found.

    Attributes
    ----------
    loads : of the study, each month as the one that is planned for
    planned : the candidate at a size; None where it cannot be planned
    points : the minimal fleets, and the cheapest
    reason : why there are none, else empty
    """

    candidate: Candidate
    loads: Loads
    planned: PlannedTopology | None
    trials: Trials
    found: Search | None
    points: tuple[Point, ...]
    reason: str = ""
    known: dict[Point, Priced] = field(default_factory=dict, repr=False, compare=False)

    def evaluation(self, point: Point, spare: int) -> Evaluation:
        """The fleet with its spare replicas, simulated to the end."""
        at = self.with_spare(point, spare)
        sized, done = self.trials.sized(at), self._priced(at)
        loaded = with_sizes(self.candidate.loaded, self.candidate.topology, self.trials.sizes(at))
        return evaluated(
            loaded, sized.planned, done, sized.terms, self.loads, [pool.name for pool in self.trials.pools]
        )

    def _priced(self, point: Point) -> Priced:
        """All months of the study, each served as the periods of the month that is planned for are."""
        if point not in self.known:
            tried, periods = self.trials(point), self.trials.periods
            each = tried.outcomes or [self.trials.whole(point, k) for k in range(len(periods))]
            level = self.loads.horizon.level(1)
            at = [one.period.at(level) for one in periods]
            gave = {load: served(outcomes, one.demand) for load, outcomes, one in zip(at, each, periods, strict=True)}
            walked = walk(self.loads.horizon, lambda sizes, load, asked: gave[load], tuple(size.most for size in point))
            shown = each[at.index(self.loads.shown_load)]
            self.known[point] = priced_months(shown, self.trials.sized(point).terms.terms, walked)
        return self.known[point]

    def with_spare(self, point: Point, spare: int) -> Point:
        """Spare replicas on top, in every pool that has any."""
        pairs = zip(self.trials.pools, point, strict=True)
        return tuple(size if pool.is_units else _more(size, spare) for pool, size in pairs)

    def cheapest(self, spare: int) -> Point:
        """The cheapest of these fleets with their spare replicas; the first of equal ones."""
        return min(self.points, key=lambda point: self._priced(self.with_spare(point, spare)).usd_per_month)


def _more(size: Size, spare: int) -> Size:
    if isinstance(size, Fixed):
        return replace(size, replicas=size.replicas + spare if size.replicas else 0)
    return replace(size, most=size.most + spare)


def limits_of(candidate: Candidate, max_replicas: int) -> Limits:
    """All minimal fleets of up to two pools are found, whatever they cost; only the cheapest of more, and where
    settings of an autoscaler are open.
    """
    limits, pools = bounded(Limits(max_replicas), candidate.loaded), candidate.pools()
    return replace(limits, prune=len(pools) > _ALL_FLEETS_OF or any(map(refinable, pools)))


def size(candidate: Candidate, loads: Loads, store: Store, limits: Limits, progress: Progress) -> Sizing:
    """Search the fleets of a candidate; the threshold of its overflow, and the hours of its windows, where open."""
    periods, other_hours = loads.first_month, None
    if has_open_threshold(candidate.settings):
        there = candidate.loaded, candidate.topology, periods, store, replace(limits, prune=True), progress
        candidate = candidate.at_threshold(best_threshold(*there, candidate.pools()).outstanding_per_replica)
    if open_windows(candidate.settings):
        asked = replace(limits, prune=True)
        hours = best_window(
            *(candidate.loaded, candidate.topology, periods, store, asked, progress), pools=candidate.pools()
        )
        candidate, other_hours = candidate.at_hours(hours.hours), hours.search
    pools = candidate.pools()
    trials = Trials(candidate.loaded, candidate.topology, pools, periods, store, progress)
    start = {pool.index: pool.size(max(pool.low, 1)) for pool in pools}
    try:
        planned = planned_at(with_sizes(candidate.loaded, candidate.topology, start), candidate.topology)
    except InputError as error:
        return Sizing(
            candidate, loads, None, trials, None, (), "; ".join(problem.message for problem in error.problems)
        )
    found, points = fleets(trials, limits)
    found = found if other_hours is None else with_left_open(found, other_hours)
    return Sizing(candidate, loads, planned, trials, found, points, "" if points else why_infeasible(trials, found))


def with_left_open(found: Search, hours: Search) -> Search:
    """What was found at some hours, with what the search of these hours left open in any of them."""
    least_usd = min((one.least_usd for one in (found, hours) if one.least_usd is not None), default=None)
    limited = tuple(dict.fromkeys((*found.limited, *hours.limited)))
    claim = found.claim if hours.is_finished else hours.claim
    return replace(found, claim=claim, least_usd=least_usd, limited=limited)


def fleets(trials: Trials, limits: Limits) -> tuple[Search, tuple[Point, ...]]:
    """What was searched, and the minimal fleets with the cheapest of all.

    The cheapest is none of the minimal ones where further replicas spare more than they cost: beside a token API, on
    servers that are paid for anyway, on an instance that is cheaper by the GPU.
    """
    found = search(trials, limits)
    points = minimal(found)
    if limits.prune or not points:
        return found, points
    try:
        priced = search(trials, replace(limits, prune=True))
    except Interrupted as stop:
        raise Interrupted(_cheaper(found, stop.found)) from stop
    looked = {tried.point for tried in found.trail}
    told = replace(priced, trail=(*found.trail, *(tried for tried in priced.trail if tried.point not in looked)))
    best = priced.best
    if best is None or not all(best.beats(tried) for tried in found.by_word("met") if tried.point != best.point):
        return told, points
    return told, tuple(sorted({*points, best.point}, key=_counts))


def _cheaper(before: Search, unfinished: Search) -> Search:
    """An unfinished search with the best of the one before, where it had not come that far."""
    best = min((one for one in (before.best, unfinished.best) if one), key=lambda one: one.usd_per_month, default=None)
    return replace(unfinished, best=best)


def minimal(found: Search) -> tuple[Point, ...]:
    """Fleets that met of which no smaller one did; of three and more pools, and where settings of an autoscaler are
    open too, the cheapest.
    """
    met = [tried.point for tried in found.by_word("met")]
    if found.best is not None and (is_best_of(found.claim) or len(found.best.point) > _ALL_FLEETS_OF):
        return (found.best.point,)
    counts = [_counts(point) for point in met]
    return tuple(
        point for point in sorted(met, key=_counts) if not any(_below(other, _counts(point)) for other in counts)
    )


def _counts(point: Point) -> tuple[int, ...]:
    return tuple(size.most for size in point)


def _below(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def planned_at(loaded: LoadedScenario, topology: str) -> PlannedTopology:
    """The topology with its prices looked up.

    Raises
    ------
    InputError : a model that does not fit, a split that does not divide, a price that is not known
    """
    planned = plan_topology(loaded, topology)
    resolve_terms(planned)
    return planned
