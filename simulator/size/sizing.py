"""The minimal fleets of one candidate, or why it has none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.errors import InputError
from simulator.resolve.topology import PlannedTopology
from simulator.run.capacity import offered_load, replica_capacity_rps
from simulator.run.evaluate import Evaluation
from simulator.size.candidate import Candidate
from simulator.size.reasons import empty_engine_misses, shortfall
from simulator.size.search import Point, minimal_points
from simulator.size.trials import Progress, Trials, planned_at

_PARTS = {"both": {}, "prefill": {"decode": False}, "decode": {"prefill": False}}
"""What a pool's role spares it of a request."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """What the search for a candidate's fleets found.

    Attributes
    ----------
    planned : the candidate planned; None where it cannot be
    trials : what was simulated
    points : the minimal fleets, replicas by scaled pool
    reason : why there are none, else empty
    """

    candidate: Candidate
    planned: PlannedTopology | None
    trials: Trials
    points: tuple[Point, ...]
    reason: str = ""

    def outcome(self, point: Point, spare: int) -> Evaluation:
        """The fleet with its spare replicas, simulated."""
        return self.trials(with_spare(point, spare))

    def usd_per_month(self, point: Point, spare: int) -> float:
        """Cost of the fleet with its spare replicas."""
        return float(self.outcome(point, spare).summary["cost"]["usd_per_month"])

    def cheapest(self, spare: int) -> Point:
        """The cheapest of the minimal fleets; the first of equal ones."""
        return min(self.points, key=lambda point: self.usd_per_month(point, spare))


def with_spare(point: Point, spare: int) -> Point:
    """Spare replicas on top, in every pool that has any."""
    return tuple(n + spare if n else 0 for n in point)


def size(candidate: Candidate, max_replicas: int, progress: Progress) -> Sizing:
    """Search the minimal fleets of a candidate.

    Where requests miss the SLO on an empty engine, only the largest fleet is simulated, to be sure.
    """
    trials = Trials(candidate, progress)
    try:
        planned = planned_at(candidate.loaded, candidate.topology)
    except InputError as error:
        return Sizing(candidate, None, trials, (), "; ".join(problem.message for problem in error.problems))
    largest = tuple(most for _, most in candidate.ranges(max_replicas))
    alone = empty_engine_misses(candidate.loaded, planned)
    if alone and not trials.meets(largest):
        return Sizing(candidate, planned, trials, (), "; ".join(alone))
    points = minimal_fleets(trials, max_replicas, _guess(candidate, planned))
    if points:
        return Sizing(candidate, planned, trials, points)
    plural = "replica" if max_replicas == 1 else "replicas"
    most = f"with at most {' + '.join(map(str, largest))} {plural}: " if largest else ""
    return Sizing(candidate, planned, trials, (), most + shortfall(trials(largest)))


def minimal_fleets(trials: Trials, max_replicas: int, guess: Point) -> tuple[Point, ...]:
    """Minimal fleets by trials; of a candidate without scaled pools the empty point, if it meets the SLO."""
    ranges = trials.candidate.ranges(max_replicas)
    if not ranges:
        return ((),) if trials.meets(()) else ()
    return tuple(minimal_points(trials.meets, ranges, guess))


def _guess(candidate: Candidate, planned: PlannedTopology) -> Point:
    """Replicas whose rough capacity is the offered load, in equal shares; the scenario's where no load is known."""
    load = offered_load(candidate.loaded)
    pools = [planned.fleet.pools[k] for k in candidate.scaled]
    if load is None:
        return tuple(max(pool.replicas, 1) for pool in pools)
    roles = [candidate.settings.pools[k].role for k in candidate.scaled]
    share_rps = load.rate_rps / max(roles.count("both"), 1)
    return tuple(
        math.ceil(share_rps / replica_capacity_rps(pool, load.isl, load.osl, **_PARTS[role]))
        for pool, role in zip(pools, roles, strict=True)
    )
