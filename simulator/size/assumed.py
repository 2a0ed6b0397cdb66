"""What if the engine were faster, drafts or answers accepted more often, or prices others: a fleet under it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from simulator.engine.config import EngineConfig
from simulator.engine.modes.drafts.acceptance import MOST_STD, std_of_chance
from simulator.engine.modes.spec import DraftOdds
from simulator.simulate.demand import Demand
from simulator.simulate.one import Subject
from simulator.size.passed_on import complexities, passing_on
from simulator.study.fleet import FleetSpec
from simulator.study.terms import Terms


@dataclass(frozen=True, slots=True)
class Assumed:
    """What is taken to be otherwise than catalog and scenario say.

    Attributes
    ----------
    steps : on the time of every engine step
    acceptance : on the acceptance of drafted tokens, up to certainty
    passed_on : on the share of a cascade's answers that do not pass its check, up to all
    terms : to the terms that hold then; None where they stay
    """

    steps: float = 1.0
    acceptance: float = 1.0
    passed_on: float = 1.0
    terms: Callable[[Terms], Terms] | None = None


AS_IT_IS = Assumed()


def under(subject: Subject, assumed: Assumed, demand: Demand) -> Subject:
    """The fleet with other step times, and acceptance of drafts and answers; checks of speed make way as much.

    Parameters
    ----------
    demand : what comes, of which a cascade passes more or fewer on
    """
    if assumed.passed_on != 1.0:
        subject = replace(subject, fleet=_passing_on(subject.fleet, assumed.passed_on, demand))
    if (assumed.steps, assumed.acceptance) == (1.0, 1.0):
        return subject
    pools = tuple(
        replace(
            pool,
            step_time=pool.step_time.scaled(assumed.steps),
            engine=_accepting(pool.engine, assumed.acceptance),
        )
        for pool in subject.fleet.pools
    )
    faster = min(assumed.steps, 1.0)
    peaks = tuple(
        replace(
            peak,
            computed_tokens_per_gpu_s=peak.computed_tokens_per_gpu_s / faster,
            output_tokens_per_gpu_s=peak.output_tokens_per_gpu_s / faster,
        )
        for peak in subject.peaks
    )
    return Subject(replace(subject.fleet, pools=pools), peaks)


def _passing_on(fleet: FleetSpec, factor: float, demand: Demand) -> FleetSpec:
    """The fleet with a cascade that passes so many times as many answers on, up to all."""
    rule = fleet.routing.cascade
    if rule is None:
        return fleet
    return replace(fleet, routing=replace(fleet.routing, cascade=passing_on(rule, factor, complexities(demand))))


def _accepting(engine: EngineConfig, factor: float) -> EngineConfig:
    """The engine with drafts that are accepted so many times as often at each position, up to certainty.

    Requests differ as much in proportion, and no more than a share can.
    """
    acceptance = min(engine.draft_acceptance * factor, 1.0)
    return replace(
        engine,
        draft_acceptance=acceptance,
        acceptance_std=_spread(engine.acceptance_std, factor, acceptance),
        acceptance_by_position=_by_position(engine.acceptance_by_position, factor),
        odds_by_class=tuple(_odds(odds, factor) for odds in engine.odds_by_class),
    )


def _odds(odds: DraftOdds, factor: float) -> DraftOdds:
    acceptance = min(odds.acceptance * factor, 1.0)
    by_position = _by_position(odds.by_position, factor)
    return replace(odds, acceptance=acceptance, std=_spread(odds.std, factor, acceptance), by_position=by_position)


def _spread(std: float, factor: float, acceptance: float) -> float:
    return min(std * factor, MOST_STD * std_of_chance(acceptance))


def _by_position(chances: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(min(chance * factor, 1.0) for chance in chances)
