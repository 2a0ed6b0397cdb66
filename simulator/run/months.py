"""The months of a topology: further trials at the loads that are simulated, none where nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from simulator.decide.levels import nodes
from simulator.decide.months import walk
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import binding_term, slo_met
from simulator.resolve.agreed import Spell
from simulator.resolve.topology import PlannedTopology
from simulator.run.loads import Loads, absent_classes
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.key import digest, fleet_key
from simulator.simulate.one import Outcome, subject_of
from simulator.simulate.priced import tokens_per_month, with_peaks
from simulator.simulate.refusal import try_fleet
from simulator.simulate.store import Store
from simulator.simulate.stored import stored_outcome
from simulator.study.decision import Served, Sizes, Walked
from simulator.study.demand import Horizon, Level, Load
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Known:
    """What was simulated: outcomes, and what a fleet, by its key, gave under a load."""

    store: Store
    served: dict[tuple[str, Load], Served] = field(default_factory=dict)


@dataclass(frozen=True)
class Sizing:
    """Sizes that are left open.

    Attributes
    ----------
    pools : names of all pools of the topology; a fleet leaves out those without replicas
    owned : by pool, whether it is of owned hardware
    meets : whether a fleet meets the SLO in every period of a month
    search : the topology at the cheapest sizes that do in a month of that level, from what it was before (None where
        some class comes less than then); None if none does
    at : the topology with so many replicas in each pool
    """

    pools: tuple[str, ...]
    owned: tuple[bool, ...]
    meets: Callable[[PlannedTopology, Sequence[PeriodDemand]], bool]
    search: Callable[[Level, Sequence[PeriodDemand], Sizes, PlannedTopology | None], PlannedTopology | None]
    at: Callable[[Sizes], PlannedTopology]


@dataclass(frozen=True, slots=True)
class Journey:
    """The months of a topology, and how it was planned in them.

    Attributes
    ----------
    hours : found for windows that leave them open after an event, by the month from which they hold
    """

    months: tuple[Walked, ...]
    spells: tuple[Spell, ...]
    hours: Mapping[int, str] = field(default_factory=dict)


def walk_months(
    loads: Loads,
    planned: PlannedTopology,
    base: Served | None,
    progress: Progress | None = None,
    sizing: Sizing | None = None,
    known: Known | None = None,
) -> Journey:
    """The months of a topology.

    Parameters
    ----------
    planned : at the sizes that serve the first month
    base : what it gave in the period that is shown, which is not simulated again; None where none was
    sizing : searches the sizes of the months that are simulated; None where they stay
    known : what was simulated in other months, or to find the sizes
    """
    horizon, known = loads.horizon, known or Known(Store())
    if base is not None:
        known.served[_fleet(planned), loads.shown_load] = base
    pools = sizing.pools if sizing else tuple(pool.name for pool in planned.fleet.pools)
    now = replicas(planned, pools)
    planned_at = {now: planned}
    found_for: dict[tuple[Sizes, Level], PlannedTopology] = {}
    searched: list[Found] = []

    def at(sizes: Sizes) -> PlannedTopology:
        if sizes not in planned_at:
            assert sizing is not None, "sizes that stay are those of the run"
            planned_at[sizes] = sizing.at(sizes)
        return planned_at[sizes]

    def under(sizes: Sizes, load: Load) -> PlannedTopology:
        """What was found for that load; settings of an autoscaler may differ at equal sizes."""
        searched = (one for (n, level), one in found_for.items() if n == sizes and load in _loads(horizon, level))
        return next(searched, None) or at(sizes)

    def trial(sizes: Sizes, load: Load) -> Served:
        one = under(sizes, load)
        key = _fleet(one), load
        if key in known.served:
            return known.served[key]
        if progress:
            progress(f"{planned.name}, {' and '.join(f'{factor:.3g}' for factor in load.level)} times the load", 0.0)
        subject, there = subject_of(one), loads.at(load)
        outcomes = [stored_outcome(subject, there, k, known.store) for k in range(there.replications)]
        known.served[key] = served(outcomes, absent_classes(load), there.jobs_per_month)
        return known.served[key]

    def search(level: Level, before: Sizes | None) -> Sizes | None:
        if before is None or sizing is None:
            best = planned if base is None or base.meets else None
        else:
            best = _next_best(loads, searched, level, before, sizing)
        searched.append((level, best))
        if best is None:
            return None
        sizes = replicas(best, pools)
        planned_at.setdefault(sizes, best)
        found_for[sizes, level] = best
        return sizes

    def misses(sizes: Sizes, load: Load) -> bool:
        subject = subject_of(under(sizes, load))
        return try_fleet(subject, loads.at(load), known.store).refutation is not None

    walked = walk(horizon, trial, now, search if sizing else None, sizing.owned if sizing else (), misses)
    changes = [k for k, month in enumerate(walked) if k == 0 or month.sizes != walked[k - 1].sizes]
    return Journey(tuple(walked), tuple(Spell(walked[k].month, at(walked[k].sizes)) for k in changes))


Found = tuple[Level, PlannedTopology | None]
"""What a search found at a level."""


def _next_best(
    loads: Loads, searched: Sequence[Found], level: Level, before: Sizes, sizing: Sizing
) -> PlannedTopology | None:
    """The cheapest sizes of a month, from what was found at other levels.

    Where the load of no class falls, what met before and still does is kept, settings of an autoscaler too: what it was
    chosen from does not meet more of a higher load. Where nothing met before, nothing does now. Between two nodes the
    settings of the higher one are taken where they meet: an autoscaler follows the load, and its bill with it.
    """
    known, best = _since(searched, level)
    rises = _rises(known, level)
    periods = loads.periods(level)
    if rises and (best is None or (replicas(best, sizing.pools) == before and sizing.meets(best, periods))):
        return best
    above = _above(loads, searched, level)
    if above is not None and any(pool.autoscaler for pool in above.fleet.pools) and sizing.meets(above, periods):
        return above
    return sizing.search(level, periods, before, best if rises else None)


def _above(loads: Loads, searched: Sequence[Found], level: Level) -> PlannedTopology | None:
    """What was found at the next higher load, for a month between nodes."""
    levels = [loads.horizon.level(month) for month in loads.horizon.numbers]
    if any(levels[k] == level for k in nodes(levels)):
        return None
    higher = [(sum(then), k) for k, (then, found) in enumerate(searched) if found and _rises(level, then)]
    return searched[min(higher)[1]][1] if higher else None


def _since(searched: Sequence[Found], level: Level) -> Found:
    """What was found where no class comes more often, as near as can be; else what was found last."""
    below = [one for one in searched if _rises(one[0], level)]
    return max(below, key=lambda one: sum(one[0])) if below else searched[-1]


def _rises(then: Level, now: Level) -> bool:
    return all(b >= a for a, b in zip(then, now, strict=True))


def _fleet(planned: PlannedTopology) -> str:
    """Key of a fleet with the names of its pools and providers."""
    subject = subject_of(planned)
    return digest(fleet_key(subject), subject.targets)


def _loads(horizon: Horizon, level: Level) -> set[Load]:
    return {period.at(level) for period in horizon.periods}


def replicas(planned: PlannedTopology, pools: Sequence[str]) -> Sizes:
    """Replicas of each pool, the most where they change, 0 where the fleet does not have it."""
    found = {
        pool.name: pool.most_replicas if pool.autoscaler or pool.schedule else pool.replicas
        for pool in planned.fleet.pools
    }
    return tuple(found.get(name, 0) for name in pools)


def hours_of_jobs(outcomes: Sequence[Outcome], jobs: float) -> float:
    """Hours that so many finite jobs take, one after another."""
    return jobs * max(outcome.metrics.end_s for outcome in outcomes) / SECONDS_PER_HOUR


def served(outcomes: Sequence[Outcome], absent: Collection[int] = (), jobs: float = 0.0) -> Served:
    """What a fleet gave under one load, replications pooled.

    Parameters
    ----------
    absent : classes of which nobody comes under this load; there is nothing of theirs to miss
    jobs : in a month, of a finite job that is served
    """
    metrics = [outcome.metrics for outcome in outcomes]
    whole = MetricAccumulator.of(metrics)
    quiet = {whole.classes[k].name for k in absent}
    terms = [row for row in whole.terms(metrics) if row["class"] not in quiet]
    near = binding_term(terms)
    words = "no request was measured" if len(quiet) < len(whole.classes) else "nobody comes"
    if near:
        kept = f"kept by {near['share']:.2%} of the requests, {near['required']:.0%} have to"
        words = f"{near['class']}: {near['term']} is {kept}"
    arrived = whole.total.arrived
    hours = hours_of_jobs(outcomes, jobs)
    if hours > HOURS_PER_MONTH:
        words = f"{jobs:g} jobs take {hours:,.0f} hours, a month has {HOURS_PER_MONTH:g}"
    return Served(
        slo_met(terms) is True and hours <= HOURS_PER_MONTH,
        whole.total.good / arrived if arrived else float(len(quiet) == len(whole.classes)),
        words,
        tuple(with_peaks([outcome.usage for outcome in outcomes])),
        tuple(tokens_per_month(one, jobs) for one in metrics),
        min((1.0 - row["required"] / row["share"] if row["share"] else 0.0 for row in terms), default=0.0),
    )
