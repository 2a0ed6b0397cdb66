"""Points of one topology's space, each simulated once as far as its answer needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from simulator.errors import InputError, Problem
from simulator.money import money
from simulator.resolve.admissible import denied
from simulator.resolve.sizes import OpenPool, Scaled, Size, with_sizes
from simulator.resolve.terms import ResolvedTerms, resolve_terms
from simulator.resolve.topology import PlannedTopology, plan_topology
from simulator.scenario.load import LoadedScenario
from simulator.schema.pool import Pool
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.key import outcome_key
from simulator.simulate.one import Outcome, Subject, subject_of
from simulator.simulate.priced import usd_of_periods
from simulator.simulate.refusal import Refutation, try_fleet
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.simulate.stored import stored_outcome
from simulator.size.assumed import AS_IT_IS, Assumed, under
from simulator.size.bounds import least_replicas, least_usd_per_month
from simulator.size.edge_of_window import left_out
from simulator.size.expected import expected_trials, share_done
from simulator.size.instances import (
    at_fewest,
    better_instance,
    is_left_open,
    other_instances,
    replica_hours,
    taken_before,
)
from simulator.size.patience import too_impatient
from simulator.units import HOURS_PER_MONTH

Point = tuple[Size, ...]
"""A size for each open pool."""
Word = Literal["met", "refused", "excluded", "skipped", "raced out", "open"]
Progress = Callable[[str, float], None]

RACE_MARGINS = (0.10, 0.05)
"""A fleet is raced out if it is dearer than the best by more than this share after one and two replications."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Tried:
    """What is known of a point.

    Attributes
    ----------
    word : met or refused (simulated), excluded (its bound is no cheaper than the best), skipped (fewer than one that
        missed by far), raced out (dearer than the best in the first replications), open (not simulated to its end)
    usd : USD per month by replication that ran to its end; empty where it misses the SLO
    outcomes : of each period, in the order of the trials
    reason : why it is refused, excluded or skipped
    """

    point: Point
    word: Word
    usd: tuple[float, ...] = ()
    outcomes: tuple[tuple[Outcome, ...], ...] = ()
    refutation: Refutation | None = None
    reason: str = ""

    @property
    def usd_per_month(self) -> float:
        """Mean over the replications; infinite where none ran to its end."""
        return sum(self.usd) / len(self.usd) if self.usd else float("inf")

    @property
    def replicas(self) -> int:
        """Most of all pools together."""
        return sum(size.most for size in self.point)

    def costs_as(self, usd_per_month: float) -> bool:
        """Whether the bill is this, rounding aside, as for another number on the same instances."""
        return math.isclose(self.usd_per_month, usd_per_month, rel_tol=_ROUNDING)

    def beats(self, other: Tried) -> bool:
        """Whether it costs less, or as much with fewer replicas."""
        if self.costs_as(other.usd_per_month):
            return self.replicas < other.replicas
        return self.usd_per_month < other.usd_per_month

    def __str__(self) -> str:
        return " + ".join(map(str, self.point)) or "as written"


@dataclass(frozen=True, slots=True)
class Sized:
    """A topology at a point: resolved, priced, ready to simulate."""

    planned: PlannedTopology
    terms: ResolvedTerms
    subject: Subject


class Trials:
    """Points of one topology.

    Parameters
    ----------
    loaded : the scenario with this topology alone
    periods : what is asked in a month, the busiest first; each is judged by itself, and the bill is that of all
    rows : keeps the requests of the cheapest point that met
    assumed : what is taken to be otherwise
    planned : the topology at sizes that others looked at, by what it then is; filled here

    Attributes
    ----------
    demand : of the busiest period
    simulated : points simulated so far
    """

    def __init__(
        self,
        loaded: LoadedScenario,
        name: str,
        pools: Sequence[OpenPool],
        periods: Sequence[PeriodDemand],
        store: Store,
        progress: Progress | None = None,
        rows: Rows | None = None,
        assumed: Assumed = AS_IT_IS,
        planned: dict[str, PlannedTopology] | None = None,
    ) -> None:
        self.loaded, self.name, self.pools = loaded, name, tuple(pools)
        self.periods = tuple(periods)
        self.demand = self.periods[0].demand
        self.assumed = assumed
        self._planned = {} if planned is None else planned
        self.simulated = 0
        self.store, self._progress, self._expected = store, progress, expected_trials(self.pools)
        self._rows = rows and rows.owned()
        self._kept: tuple[Tried | None, frozenset[str]] = (None, frozenset())
        self._sized: dict[Point, Sized] = {}
        self._bounds: dict[Point, float] = {}
        self._order = list(range(len(self.periods)))
        self._counted = "units" if pools and all(pool.is_units for pool in pools) else "replicas"

    @cached_property
    def hopeless(self) -> str:
        """Why no size meets the SLO: data that may go nowhere, clients who leave sooner than any replica could answer.

        Empty where neither is so.

        Raises
        ------
        InputError : the smallest point cannot be planned
        """
        smallest = self.sized(tuple(pool.size(max(pool.low, 1)) for pool in self.pools))
        fleet = smallest.subject.fleet
        told = (denied(self.loaded, fleet), *(too_impatient(fleet, one.demand) for one in self.periods))
        return next((words for words in told if words), "")

    def sizes(self, point: Point) -> dict[int, Size]:
        """Size by index of the pool."""
        return {pool.index: size for pool, size in zip(self.pools, point, strict=True)}

    def sized(self, point: Point) -> Sized:
        """The topology at a point.

        Raises
        ------
        InputError : a model that does not fit, a split that does not divide, a price that is not known; owned pools of
            which none is left
        """
        staying = [size.most for pool, size in zip(self.pools, point, strict=True) if pool.stays]
        if staying and not any(staying):
            raise InputError(Problem("a topology that owns keeps owning", path=f"topologies.{self.name}"))
        if point not in self._sized:
            loaded = with_sizes(self.loaded, self.name, self.sizes(point))
            planned = self._plan(loaded)
            subject = under(subject_of(planned), self.assumed, self.demand)
            self._sized[point] = Sized(planned, resolve_terms(planned), subject)
        found, change = self._sized[point], self.assumed.terms
        return found if change is None else replace(found, terms=replace(found.terms, terms=change(found.terms.terms)))

    def _plan(self, loaded: LoadedScenario) -> PlannedTopology:
        key = f"{self.name} {loaded.scenario.topologies[self.name].model_dump_json()}"
        if key not in self._planned:
            self._planned[key] = plan_topology(loaded, self.name)
        return self._planned[key]

    def bound_usd(self, point: Point) -> float:
        """USD per month that the point costs whatever happens."""
        if point not in self._bounds:
            sized = self.sized(self._cheapest_at_fewest(point))
            self._bounds[point] = least_usd_per_month(sized.subject, sized.terms.terms, self.periods)
        return self._bounds[point]

    def least_usd(self) -> float:
        """USD per month that every point costs whatever happens: the fewest replicas of all pools, or one of one."""
        low = tuple(pool.fewest for pool in self.pools)
        ones = [(*low[:k], pool.size(1), *low[k + 1 :]) for k, pool in enumerate(self.pools) if not pool.low]
        found = self._bound_if_planned(low)
        if found is not None:
            return found
        return min((usd for one in ones if (usd := self._bound_if_planned(one)) is not None), default=0.0)

    def _bound_if_planned(self, point: Point) -> float | None:
        """None where some requests have no target either."""
        try:
            return None if denied(self.loaded, self.sized(point).subject.fleet) else self.bound_usd(point)
        except InputError:
            return None

    def least(self, k: int, point: Point) -> int:
        """Fewest replicas of the k-th open pool with which the work can be done at all; none known of units."""
        if self.pools[k].is_units:
            return 0
        sized = self.sized(point)
        return max(least_replicas(sized.subject, one.demand, self.pools[k].name) for one in self.periods)

    def __call__(self, point: Point, best: Tried | None = None, replications: int | None = None) -> Tried:
        """Simulate a point, and what autoscaled pools of it would have cost least on, if these are other instances.

        Which instances hold such a pool for least depends on how long it has how many replicas, which its trial says.
        One that is refused, autoscaled or not, may meet on others, where instances fail with all that is on them. The
        point that is returned names them.

        Parameters
        ----------
        best : what it is raced against
        replications : leave it open after so many
        """
        try:
            self.sized(point)
        except InputError as error:
            return Tried(point, "refused", reason="; ".join(problem.message for problem in error.problems))
        tried, looked = self._at(point, best, replications), {point}
        for other in self._on_other_instances(point) if tried.refutation is not None else ():
            looked.add(other)
            found = self._at(other, best, replications)
            if found.refutation is None:
                tried = found
                break
        while (other := self._on_better_instances(tried, best)) not in looked:
            looked.add(other)
            found = self._at(other, tried if tried.word == "met" else best, replications)
            is_worse = found.word in ("refused", "raced out") and tried.word not in ("raced out", found.word)
            if is_worse or not found.usd or found.usd_per_month >= tried.usd_per_month:
                break
            tried = found
        return tried

    def _at(self, point: Point, best: Tried | None, replications: int | None) -> Tried:
        self.simulated += 1
        sized = self.sized(point)
        tried = self._raced(point, sized, best, replications)
        self._keep_rows(tried, sized.subject)
        return tried

    def _on_other_instances(self, point: Point) -> Iterator[Point]:
        """The point with one pool on each of the instances on which its trial may go another way."""
        sized = self.sized(point)
        settings = {pool.name: pool for pool in sized.planned.settings.pools}
        specs = {spec.name: spec for spec in sized.subject.fleet.pools}
        for k, size, written in self._on_any_instance(point):
            for name in other_instances(settings[written.name], specs[written.name]):
                yield (*point[:k], _on(written, size, name), *point[k + 1 :])

    def _on_better_instances(self, tried: Tried, best: Tried | None) -> Point:
        """The point with autoscaled pools on the instances that would have held their replicas for least.

        It stays as it is where that could not bring it near the best, where nothing was measured, and where instances
        are written.
        """
        if not tried.outcomes:
            return tried.point
        uses = [
            (one.period.hours, [outcome.usage for outcome in gave])
            for one, gave in zip(self.periods, tried.outcomes, strict=True)
        ]
        named = {pool.name: pool for pool in self.sized(tried.point).planned.settings.pools}
        point, saved_usd = list(tried.point), 0.0
        for k, size, written in self._left_open(tried.point):
            found = better_instance(named[written.name], replica_hours(written.name, uses))
            if found is not None:
                point[k] = _on(written, size, found.offer.instance)
                saved_usd += found.usd_per_hour * HOURS_PER_MONTH
        if best is not None and tried.word != "met":
            same = best.usd[: len(tried.usd)]
            if tried.usd_per_month - saved_usd > (1 + RACE_MARGINS[0]) * sum(same) / len(same):
                return tried.point
        return tuple(point)

    def _cheapest_at_fewest(self, point: Point) -> Point:
        """The point on the instances that hold its fewest replicas for least: on whichever it is, it costs no less."""
        found = list(point)
        for k, size, written in self._left_open(point):
            found[k] = _on(written, size, at_fewest(written, size.least))
        return tuple(found)

    def _left_open(self, point: Point) -> Iterator[tuple[int, Scaled, Pool]]:
        """Number, size, and the pool at that size, of each that is on the instances that its trial finds cheapest."""
        for k, size, written in self._on_any_instance(point):
            if isinstance(size, Scaled):
                yield k, size, written

    def _on_any_instance(self, point: Point) -> Iterator[tuple[int, Size, Pool]]:
        """Number, size, and the pool at that size, of each whose instances the scenario leaves open."""
        for k, (pool, size) in enumerate(zip(self.pools, point, strict=True)):
            if size.most and not pool.is_units:
                sized = with_sizes(self.loaded, self.name, {pool.index: replace(size, instance="")})
                written = next(one for one in sized.scenario.topologies[self.name].pools if one.name == pool.name)
                if is_left_open(written):
                    yield k, size, written

    def _raced(self, point: Point, sized: Sized, best: Tried | None, replications: int | None) -> Tried:
        every = self.demand.replications
        most = min(replications or every, every)
        usd: tuple[float, ...] = ()
        done: tuple[tuple[Outcome, ...], ...] = ()
        races = range(1, min(len(RACE_MARGINS) + 1, most)) if best is not None else ()
        for upto in (*races, most):
            found = self._through(point, sized.subject, upto, most)
            if isinstance(found, Refutation):
                return Tried(point, "refused", refutation=found, reason=str(found))
            done = found
            usd = usd_of_periods(
                [(one.period, gave) for one, gave in zip(self.periods, done, strict=True)], sized.terms.terms
            )
            if best is not None and upto < every and _dearer(usd, best.usd):
                reason = f"{money(sum(usd) / len(usd))} after {len(usd)} of {every} replications"
                return Tried(point, "raced out", usd, done, reason=reason)
        if most < every:
            return Tried(point, "open", usd, done)
        left = left_out(self.pools, point, done)
        return Tried(point, "refused" if left else "met", usd, done, reason=left)

    def _through(
        self, point: Point, subject: Subject, upto: int, most: int
    ) -> tuple[tuple[Outcome, ...], ...] | Refutation:
        """The first so many replications of every period; the one that refused last is tried first."""
        done: dict[int, tuple[Outcome, ...]] = {}
        for k in list(self._order):

            def tick(share: float) -> None:
                if self._progress:
                    part = (upto - 1 + (len(done) + share) / len(self.periods)) / most
                    of = f" of about {self._expected}" if self.simulated <= self._expected else ""
                    label = f"{self.name}: {self._counted} {Tried(point, 'open')}, trial {self.simulated}{of}"
                    self._progress(label, share_done(self.simulated - 1 + part, self._expected))

            one = self.periods[k]
            rows = self._rows if self._rows and self._rows.period == one.period else None
            found = try_fleet(subject, one.demand, self.store, upto, tick, rows)
            if found.refutation:
                self._order.remove(k)
                self._order.insert(0, k)
                return found.refutation
            done[k] = found.outcomes
        return tuple(done[k] for k in range(len(self.periods)))

    def _keep_rows(self, tried: Tried, subject: Subject) -> None:
        """Forget the requests of all points but the cheapest that met."""
        if self._rows is None:
            return
        shown = [one.demand for one in self.periods if one.period == self._rows.period]
        keys = {outcome_key(subject, demand, k) for demand in shown for k in range(demand.replications)}
        best, kept = self._kept
        if tried.word == "met" and (best is None or tried.beats(best)):
            self._kept = tried, frozenset(keys)
            keys, kept = set(kept), frozenset(keys)
        self._rows.drop(keys - kept)

    def whole(self, point: Point, period: int = 0) -> tuple[Outcome, ...]:
        """Every replication of a period to its end, met or not."""
        sized, demand = self.sized(point), self.periods[period].demand
        return tuple(stored_outcome(sized.subject, demand, k, self.store) for k in range(demand.replications))

    def fails_in(self, point: Point) -> int:
        """The first period that the point does not serve within the SLO; the busiest if it serves all."""
        subject = self.sized(point).subject
        refused = (k for k, one in enumerate(self.periods) if try_fleet(subject, one.demand, self.store).refutation)
        return next(refused, 0)


def _dearer(usd: Sequence[float], best: Sequence[float]) -> bool:
    """Whether a bill is above the best's on the same replications by more than the margin for so many."""
    if len(usd) > len(RACE_MARGINS) or len(best) < len(usd):
        return False
    reference = sum(best[: len(usd)])
    return sum(usd) - reference > RACE_MARGINS[len(usd) - 1] * reference


def _on(pool: Pool, size: Size, instance: str) -> Size:
    """The size of a pool on an instance; that is not named where it is taken anyway."""
    taken = taken_before(pool)
    return replace(size, instance="" if taken is not None and taken.instance == instance else instance)
