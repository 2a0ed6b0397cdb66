"""The minimal fleets of one candidate, or why it has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.errors import InputError
from simulator.plan.candidate import Candidate
from simulator.resolve.sizes import Fixed, Scaled, Size, with_sizes
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import PlannedTopology, plan_topology
from simulator.run.evaluate import Evaluation
from simulator.run.summary import summarise
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.one import Outcome
from simulator.simulate.priced import priced
from simulator.simulate.store import Store
from simulator.size.answer import why_infeasible
from simulator.size.found import Limits, Search
from simulator.size.search import refinable, search
from simulator.size.trials import Point, Progress, Trials


@dataclass(frozen=True, slots=True)
class Sizing:
    """What the search for a candidate's fleets found.

    Attributes
    ----------
    planned : the candidate at a size; None where it cannot be planned
    points : the minimal fleets
    reason : why there are none, else empty
    """

    candidate: Candidate
    planned: PlannedTopology | None
    trials: Trials
    found: Search | None
    points: tuple[Point, ...]
    reason: str = ""

    def evaluation(self, point: Point, spare: int) -> Evaluation:
        """The fleet with its spare replicas, simulated to the end."""
        at = with_spare(point, spare)
        sized, outcomes = self.trials.sized(at), self._outcomes(at)
        met = tuple(bool(outcome.metrics.summary()["slo_met"]) for outcome in outcomes)
        loaded = with_sizes(self.candidate.loaded, self.candidate.topology, self.trials.sizes(at))
        done = priced(outcomes, sized.terms.terms)
        return Evaluation(summarise(loaded, sized.planned, done, sized.terms), met)

    def _outcomes(self, point: Point) -> tuple[Outcome, ...]:
        tried = self.trials(point)
        return tried.outcomes[0] if tried.word == "met" else self.trials.whole(point)

    def usd_per_month(self, point: Point, spare: int) -> float:
        """Cost of the fleet with its spare replicas."""
        at = with_spare(point, spare)
        return priced(self._outcomes(at), self.trials.sized(at).terms.terms).usd_per_month

    def cheapest(self, spare: int) -> Point:
        """The cheapest of the minimal fleets; the first of equal ones."""
        return min(self.points, key=lambda point: self.usd_per_month(point, spare))


def with_spare(point: Point, spare: int) -> Point:
    """Spare replicas on top, in every pool that has any."""
    return tuple(_more(size, spare) for size in point)


def _more(size: Size, spare: int) -> Size:
    if isinstance(size, Fixed):
        return Fixed(size.replicas + spare if size.replicas else 0)
    return Scaled(size.least, size.most + spare, size.target)


def limits_of(candidate: Candidate, max_replicas: int) -> Limits:
    """All minimal fleets are found, whatever they cost; only the cheapest where settings of an autoscaler are open."""
    return Limits(max_replicas, prune=any(refinable(pool) for pool in candidate.pools()))


def size(
    candidate: Candidate, periods: Sequence[PeriodDemand], store: Store, limits: Limits, progress: Progress
) -> Sizing:
    """Search the minimal fleets of a candidate."""
    pools = candidate.pools()
    trials = Trials(candidate.loaded, candidate.topology, pools, periods, store, progress)
    start = {pool.index: Fixed(max(pool.low, 1) * pool.step) for pool in pools}
    try:
        planned = planned_at(with_sizes(candidate.loaded, candidate.topology, start), candidate.topology)
    except InputError as error:
        return Sizing(candidate, None, trials, None, (), "; ".join(problem.message for problem in error.problems))
    found = search(trials, limits)
    points = minimal(found)
    return Sizing(candidate, planned, trials, found, points, "" if points else why_infeasible(trials, found))


def minimal(found: Search) -> tuple[Point, ...]:
    """Fleets that met of which no smaller one did; where settings of an autoscaler are open too, the cheapest."""
    met = [tried.point for tried in found.by_word("met")]
    if found.best is not None and found.claim.startswith("best of"):
        return (found.best.point,)
    counts = [tuple(size.most for size in point) for point in met]
    return tuple(
        point
        for _, point in sorted(zip(counts, met, strict=True), key=lambda pair: pair[0])
        if not any(_below(other, tuple(size.most for size in point)) for other in counts)
    )


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
