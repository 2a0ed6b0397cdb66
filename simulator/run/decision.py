"""The decision of a run: months, bills, verdict; with time for further trials, capacity, volumes and flips too."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.decide.assumptions import growth_of, questions
from simulator.decide.break_even import break_evens, hours_flip
from simulator.decide.budget import Affordable, budget_words
from simulator.decide.chance import chance_of
from simulator.decide.costed import FIXED, Costed
from simulator.decide.explore import (
    ESTIMATE_TRIALS,
    Answered,
    Asked,
    Explorer,
    Ladder,
    Serve,
    capacities,
    trial_flips,
    with_volumes,
)
from simulator.decide.months import alike
from simulator.decide.price_flips import Search, price_flips
from simulator.decide.record import Json, capacity_row, record
from simulator.decide.rivals import rank
from simulator.decide.verdict import decide
from simulator.metrics.slo import slo_met
from simulator.resolve.admissible import denied
from simulator.resolve.topology import PlannedTopology
from simulator.run.months import served
from simulator.run.resized import asked_demand
from simulator.run.summary import merged_metrics
from simulator.scenario.load import LoadedScenario
from simulator.schema.study import StudySettings
from simulator.simulate.demand import Demand
from simulator.simulate.one import Subject, subject_of
from simulator.simulate.priced import Priced
from simulator.simulate.refusal import try_fleet
from simulator.simulate.store import Store
from simulator.size.patience import too_impatient
from simulator.size.reasons import missed_at_any_load
from simulator.study.decision import BreakEven, Capacity, Trail, Verdict
from simulator.study.terms import Terms

_PRICES_SHARE = 0.5
"""Of the time for further trials, what flips of prices may take: they have an answer without, the others have none."""
_FLIPS_SHARE = 0.6
"""Of what is left then, what flips of load, limits, speed and growth may take; break-even by volume has the rest."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One topology as it was run and billed.

    Attributes
    ----------
    at_any_load : why it misses the SLO however little comes; empty where that is not known
    """

    subject: Subject
    costed: Costed
    at_any_load: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """What further trials move beside loads and limits, and in which topologies: in any month, as events leave them.

    Attributes
    ----------
    engines : topologies with engines that are simulated
    drafts : acceptance of the first draft of a step, of the topologies that have any
    passed_on : share of a cascade's first answers that do not pass, of the topologies that have one
    growth : of each class, per year
    """

    engines: Collection[str]
    drafts: Mapping[str, float]
    passed_on: Mapping[str, float]
    growth: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Further:
    """What is asked where there is time for further trials.

    Attributes
    ----------
    seconds : of wall clock
    serve : topologies at their best size under what is asked of the first month
    in_study : the same of all months
    search : of sizes under other prices, as long as there is time
    terms : of topologies that leave sizes open, as `price_flips` takes them
    unsized : topologies whose sizes at other speeds were asked for and not found in time
    """

    seconds: float
    serve: Serve
    in_study: Serve
    search: Callable[[Explorer], Search]
    terms: Mapping[str, Sequence[Terms]]
    moved: Moved
    unsized: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, what it was taken from, and both as plain data; capacities as in the data."""

    verdict: Verdict
    topologies: tuple[Costed, ...]
    capacities: Mapping[str, Json]
    data: Json


def costed_of(planned: PlannedTopology, found: Priced, trail: Trail = FIXED, fleet: str = "") -> Costed:
    """The months of a topology with their bill; further arguments are attributes of `Costed`."""
    usd = tuple(one.usd_per_month for one in found.replications)
    chance, arrived = (
        chance_of(found, planned.fleet.routing),
        sum(one.metrics.total.arrived for one in found.replications),
    )
    return Costed(planned.name, found.terms, found.walked, found.months, found.bill, usd, trail, fleet, chance, arrived)


def measured_of(planned: PlannedTopology, found: Priced, demand: Demand, trail: Trail, fleet: str = "") -> Measured:
    """A topology as it was run under the demand that is shown; further arguments are those of `costed_of`."""
    metrics = merged_metrics(found.replications)
    missed = slo_met(metrics.terms(absent=demand.absent)) is False
    why = ""
    if missed and not demand.jobs_per_month:
        why = denied(planned.loaded, planned.fleet) or too_impatient(planned.fleet, demand)
        why = why or missed_at_any_load(planned, metrics, demand.absent)
    return Measured(subject_of(planned), costed_of(planned, found, trail, fleet), why)


def decide_run(
    loaded: LoadedScenario,
    demand: Demand,
    measured: Sequence[Measured],
    cheapest_in: Mapping[str, NDArray[np.bool_]] | None = None,
    further: Further | None = None,
    estimate: bool = False,
    store: Store | None = None,
    bought: Sequence[Affordable] = (),
) -> Decision:
    """Compare the topologies of a run over the months of its study.

    Parameters
    ----------
    cheapest_in : of those that meet, the draws in which no other of them costs less; none without draws
    further : trials at other loads, limits and prices; None leaves volumes and these flips out
    estimate : find the capacity of each fleet by a few trials, where there is no time for more
    store : where trials are looked up and kept
    bought : what each topology serves for the study's budget; empty where it has none
    """
    found = [one.costed for one in measured]
    pairs = break_evens(found)
    known, flips, left_out = {}, [], list[str]()
    shown = 0 if all(alike(one.walked) for one in found) else min(month.month for month in found[0].walked)
    store = Store() if store is None else store
    if further is not None:
        stays = _carries(measured, demand, store)
        explorer = Explorer(further.serve, stays, further.seconds)
        names = [one.name for one in found]
        today = frozenset(rank([one.contender for one in found]).winners)
        study = loaded.scenario.study
        search = further.search(Explorer(further.serve, stays, _PRICES_SHARE * further.seconds))
        flips = price_flips(found, today, search, further.terms)
        known = _without_capacity(measured) | capacities(explorer, _firsts(measured))
        moved, part = further.moved, explorer.within(_FLIPS_SHARE)
        in_study = Explorer(further.in_study, further.in_study, part.limit_s, started_s=part.started_s)
        ladder = Ladder(part, study.months, study.growth_per_year) if _is_plain(study, found) else None
        asked = questions(moved.engines, moved.drafts, moved.passed_on, growth_of(moved.growth, study.months))
        if today or not any(one.unmeasured for one in found):
            flips += trial_flips(in_study, names, today, asked, ladder)
        pairs = [_of_month(pair, shown) for pair in with_volumes(explorer, pairs)]
        left_out = _left_out(further.unsized, [name for name in _firsts(measured) if name not in known], pairs)
    elif estimate:
        known = estimated(measured, demand, store)
    hours = hours_flip(found, pairs)
    today_usd, budget_usd = (
        loaded.scenario.study.paid_today_usd_per_month,
        loaded.scenario.study.budget_usd_per_month,
    )
    budget = budget_words(bought, budget_usd, shown) if budget_usd is not None and bought else ""
    verdict = decide(found, cheapest_in, [*flips, *([hours] if hours else [])], today_usd, budget)
    told = {name: capacity_row(replace(one, month=shown)) for name, one in known.items()}
    return Decision(verdict, tuple(found), told, record(found, verdict, pairs, told, left_out, bought))


def _left_out(unsized: Sequence[str], no_capacity: Sequence[str], pairs: Sequence[BreakEven]) -> list[str]:
    """What time kept from being asked, beside flips, which say so themselves."""
    found = [f"the sizes of {', '.join(unsized)} at other speeds than forecast"] if unsized else []
    found += [f"the share of capacity used of {', '.join(no_capacity)}"] if no_capacity else []
    cut = [f"{pair.topology} against {pair.rival}" for pair in pairs if pair.volume is None]
    return [*found, f"the load from which on one costs less than another: {', '.join(cut)}"] if cut else found


def _is_plain(study: StudySettings, found: Sequence[Costed]) -> bool:
    """Whether growth alone makes months differ, and each is paid for itself: nothing is owned or under commitment."""
    varied = study.events or study.load_steps or study.growth_per_year_by_class
    seasons = any(period.quarters or period.months for period in study.periods)
    return not (varied or seasons or any(map(_keeps, (one.terms for one in found))))


def _keeps(terms: Terms) -> bool:
    """Whether anything is owned or under commitment, so that one month is not paid for itself."""
    committed = any(offer.commitments for offer in terms.rented) or any(api.unit_term_months for api in terms.apis)
    return bool(terms.owned) or committed


def _of_month(pair: BreakEven, month: int) -> BreakEven:
    return pair if pair.volume is None else replace(pair, volume=replace(pair.volume, month=month))


def estimated(measured: Sequence[Measured], demand: Demand, store: Store) -> dict[str, Capacity]:
    """The capacity of each topology as it is, by a few trials."""
    stays = _carries(measured, demand, store)
    found = capacities(Explorer(stays, stays, math.inf), _firsts(measured), ESTIMATE_TRIALS)
    return _without_capacity(measured) | found


def _without_capacity(measured: Sequence[Measured]) -> dict[str, Capacity]:
    """Of those that miss the SLO at any load: no lighter one is tried, which chance alone would let pass."""
    return {
        one.costed.name: Capacity(0.0, 0.0, ((1.0, False),), at_any_load=one.at_any_load)
        for one in measured
        if one.at_any_load
    }


def _firsts(measured: Sequence[Measured]) -> dict[str, float]:
    """The load that is tried first, of those whose capacity is looked for; one for the same fleet under several names.

    Else two names of one fleet would leave open different parts of one share.
    """
    wanted = {one.costed.name: one for one in measured if not one.at_any_load}
    least: dict[str, float] = {}
    for name, one in wanted.items():
        fleet = one.costed.fleet or name
        least[fleet] = min(least.get(fleet, math.inf), _first(one))
    return {name: least[one.costed.fleet or name] for name, one in wanted.items()}


def _first(one: Measured) -> float:
    """The load that is tried first: of a size that was searched, the one that a replica less would have now."""
    replicas = sum(pool.most_replicas for pool in one.subject.fleet.pools)
    return replicas / (replicas - 1) if replicas > 1 and one.costed.trail.word != FIXED.word else 2.0


def _carries(measured: Sequence[Measured], demand: Demand, store: Store) -> Serve:
    """Whether each topology meets the SLO at its size under other loads; refused as early as is certain."""
    subjects = {one.costed.name: one.subject for one in measured}

    def stays(asked: Asked, left_s: float) -> Answered:
        trial = try_fleet(subjects[asked.topology], asked_demand(demand, asked), store)
        if trial.refutation is not None:
            return Answered(False, None, missed=str(trial.refutation))
        gave = served(trial.outcomes, demand)
        return Answered(gave.meets is True, None, missed="" if gave.meets else gave.binding)

    return stays
