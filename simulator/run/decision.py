"""The decision of a run: months, bills, verdict; with time for further trials, capacity, volumes and flips too."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.decide.break_even import break_evens
from simulator.decide.costed import FIXED, Costed, usd_per_month
from simulator.decide.explore import Answered, Asked, Explorer, capacities, trial_flips, with_volumes
from simulator.decide.record import Json, record
from simulator.decide.rivals import rank
from simulator.decide.verdict import decide
from simulator.run.months import served
from simulator.run.resized import Serve, asked_demand
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import Demand
from simulator.simulate.one import Subject
from simulator.simulate.priced import Priced
from simulator.simulate.refusal import try_fleet
from simulator.simulate.store import Store
from simulator.study.decision import Trail, Verdict


@dataclass(frozen=True, slots=True)
class Measured:
    """One topology as it was run and billed."""

    subject: Subject
    costed: Costed


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, what it was taken from, and both as plain data."""

    verdict: Verdict
    topologies: tuple[Costed, ...]
    data: Json


def costed_of(name: str, found: Priced, trail: Trail = FIXED, fleet: str = "") -> Costed:
    """The months of a topology with their bill; further arguments are attributes of `Costed`."""
    usd = tuple(one.usd_per_month for one in found.replications)
    return Costed(name, found.terms, found.walked, found.months, found.bill, usd, trail, fleet)


def decide_run(
    loaded: LoadedScenario,
    demand: Demand,
    measured: Sequence[Measured],
    cheapest_in: Mapping[str, NDArray[np.bool_]] | None = None,
    explore_s: float = 0.0,
    unmeasured: Sequence[str] = (),
    resized: Callable[[Serve], Serve] = lambda stays: stays,
    store: Store | None = None,
) -> Decision:
    """Compare the topologies of a run over the months of its study.

    Parameters
    ----------
    cheapest_in : of those that meet, the draws in which no other of them costs less; none without draws
    unmeasured : classes of which no request was measured
    explore_s : wall-clock time for trials at other loads and limits; 0 leaves capacity, volumes and these flips out
    resized : from the answers of topologies at their sizes to those at the best size under what is asked
    store : of what was simulated
    """
    found = [one.costed for one in measured]
    pairs = break_evens(found)
    known, flips = {}, []
    if explore_s > 0:
        stays = _as_it_is({one.costed.name: one for one in measured}, demand, store)
        explorer = Explorer(resized(stays), stays, explore_s)
        names = [one.name for one in found]
        today = frozenset(rank([one.contender for one in found]).winners)
        study = loaded.scenario.study
        known = capacities(explorer, names)
        pairs = with_volumes(explorer, pairs)
        engines = [one.costed.name for one in measured if one.subject.fleet.pools]
        drafts = {one.costed.name: _acceptance(one.subject) for one in measured if _acceptance(one.subject) > 0}
        flips = trial_flips(explorer, names, known, study.months, study.growth_per_year, engines, drafts, today)
    verdict = decide(found, cheapest_in, flips, unmeasured)
    return Decision(verdict, tuple(found), record(found, verdict, pairs, known))


def _as_it_is(measured: Mapping[str, Measured], demand: Demand, store: Store | None) -> Callable[[Asked], Answered]:
    """Each topology at its size, under other loads and limits; refused as early as is certain."""

    def stays(asked: Asked) -> Answered:
        one = measured[asked.topology]
        there = asked_demand(demand, asked)
        trial = try_fleet(subject_at(one.subject, asked), there, store)
        if trial.refutation is not None:
            return Answered(False, None)
        gave = served(trial.outcomes, jobs=demand.jobs_per_month)
        if not gave.meets:
            return Answered(False, None)
        tokens = math.fsum(found.delivered for found in gave.tokens) / len(gave.tokens)
        return Answered(True, usd_per_month(one.costed.terms, gave), tokens)

    return stays


def subject_at(subject: Subject, asked: Asked) -> Subject:
    """The fleet with other step times and another acceptance of drafts; checks of impossible speed make way as much."""
    if (asked.steps, asked.acceptance) == (1.0, 1.0):
        return subject
    pools = tuple(
        replace(
            pool,
            step_time=pool.step_time.scaled(asked.steps),
            engine=replace(pool.engine, draft_acceptance=min(pool.engine.draft_acceptance * asked.acceptance, 1.0)),
        )
        for pool in subject.fleet.pools
    )
    faster = min(asked.steps, 1.0)
    peaks = tuple(
        replace(
            peak,
            computed_tokens_per_gpu_s=peak.computed_tokens_per_gpu_s / faster,
            output_tokens_per_gpu_s=peak.output_tokens_per_gpu_s / faster,
        )
        for peak in subject.peaks
    )
    return Subject(replace(subject.fleet, pools=pools), peaks)


def _acceptance(subject: Subject) -> float:
    """Of drafted tokens, the highest of its pools; 0 where nothing is drafted."""
    return max((pool.engine.draft_acceptance for pool in subject.fleet.pools), default=0.0)
