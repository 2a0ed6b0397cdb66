"""One topology over all replications and months; for those who want no bundle, its summary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.decide.standing import met_throughout
from simulator.money import shown_in
from simulator.resolve.closed import beside_owned
from simulator.resolve.terms import ResolvedTerms, resolve_terms
from simulator.resolve.topology import PlannedTopology, check_catalog_names, plan_topology
from simulator.run.at_thresholds import with_found_thresholds
from simulator.run.cause import with_cause
from simulator.run.left_open import least_usd_per_month
from simulator.run.loads import Loads, loads_of
from simulator.run.months import Journey, Known, Progress, served
from simulator.run.phases import check_events, walk_study
from simulator.run.priced import priced_months
from simulator.run.sizer import Sizer
from simulator.run.summary import summarise
from simulator.run.topology_summary import TopologySummary
from simulator.scenario.load import LoadedScenario
from simulator.simulate.one import Outcome, subject_of
from simulator.simulate.priced import Priced
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.simulate.stored import stored_outcome
from simulator.size.answer import Answer
from simulator.size.found import UNFINISHED, Search, bounded


@dataclass(frozen=True, slots=True)
class Course:
    """A topology through the months of a study, and what it costs.

    Attributes
    ----------
    prices : of all that it is in these months
    """

    journey: Journey
    prices: ResolvedTerms
    priced: Priced

    @property
    def least_usd_per_month(self) -> float | None:
        """What the mean month costs at least, where time ended a search; else None."""
        return least_usd_per_month(self.journey.open, self.priced.bill)


def planned_at(
    written: LoadedScenario,
    name: str,
    loads: Loads,
    found: Answer | None,
    sizer: Sizer,
    rows: Rows | None = None,
    progress: Progress | None = None,
) -> PlannedTopology:
    """A topology at the sizes, and hours of windows, that a search found; arguments are those of `Sizer.sized`."""
    return plan_topology(sizer.sized(written, name, loads, found, rows, progress), name)


def shown_outcomes(planned: PlannedTopology, loads: Loads, store: Store) -> list[Outcome]:
    """Every replication of a topology under the load that is shown."""
    subject, demand = subject_of(planned), loads.shown.demand
    return [stored_outcome(subject, demand, k, store) for k in range(demand.replications)]


def served_course(
    written: LoadedScenario, loads: Loads, planned: PlannedTopology, sizer: Sizer, found: Answer | None = None
) -> Course:
    """Serve a topology under the load that is shown and in all months, and price it; arguments as `course_of`'s."""
    return course_of(written, loads, planned, shown_outcomes(planned, loads, sizer.store), sizer, found)


def cheapest_answer(
    sizer: Sizer,
    written: LoadedScenario,
    name: str,
    loads: Loads,
    progress: Progress | None = None,
    rows: Rows | None = None,
    check: Progress | None = None,
) -> Answer | None:
    """The sizes of the first month with which all months cost least; arguments as `Sizer.answer`.

    Beside others owned pools are sized for the mean month, since what a season buys stays. Alone, or by the periods of
    each month, a month has what it needs itself. Neither walk is always the cheaper one, so where months differ both
    are made: with rented pools that need not be there by the owned ones alone, else by each month.

    Parameters
    ----------
    check : called before each trial of these walks

    Raises
    ------
    InputError : as `Sizer.answer`
    """
    found, horizon = sizer.answer(written, name, loads, progress, rows), loads.horizon
    rented = beside_owned(written, name) if len({horizon.asked(month) for month in horizon.numbers}) > 1 else ()
    if found is None or not (rented or loads.of_sizes(written.scenario.topologies[name]) is not loads):
        return found
    by_month = sizer.answer(written, name, loads, progress, rows, closed=rented, by_month=True)
    assert by_month is not None
    both = [(_usd_of_months(sizer, written, name, loads, one, check), one) for one in (found, by_month)]
    return _as_open(min(both, key=lambda each: each[0])[1], [found.search, by_month.search])


def _as_open(chosen: Answer, searches: Sequence[Search]) -> Answer:
    """The answer, which is as open as each of these searches: time may have ended the other before its best."""
    if all(one.is_finished for one in searches):
        return chosen
    least = [one.least_usd for one in (chosen.search, *searches) if one.least_usd is not None]
    return replace(chosen, search=replace(chosen.search, claim=UNFINISHED, least_usd=min(least)))


def _usd_of_months(
    sizer: Sizer, written: LoadedScenario, name: str, loads: Loads, found: Answer, check: Progress | None
) -> float:
    """USD per month over the study; infinite where a month misses the SLO."""
    if found.search.best is None:
        return math.inf
    known, planned = Known(sizer.store, sizer.assumed), planned_at(written, name, loads, found, sizer)
    outcomes = known.outcomes(planned, loads.shown.demand)
    journey, prices = walk_with_prices(written, loads, planned, outcomes, sizer, found, check, known)
    if any(month.meets is False for month in journey.months):
        return math.inf
    change = sizer.assumed.terms
    terms = prices.terms if change is None else change(prices.terms)
    return priced_months(outcomes, terms, journey.months).usd_per_month


def walk_with_prices(
    written: LoadedScenario,
    loads: Loads,
    planned: PlannedTopology,
    outcomes: Sequence[Outcome],
    sizer: Sizer,
    found: Answer | None = None,
    progress: Progress | None = None,
    known: Known | None = None,
) -> tuple[Journey, ResolvedTerms]:
    """Serve all months of a topology, and the prices of all that it is in them.

    Parameters
    ----------
    written, found, progress, known : as `walk_study` takes them
    outcomes : of its replications under the load that is shown
    """
    base = served(outcomes, loads.shown.demand)
    journey = walk_study(written, loads, planned, base, sizer, found, progress, known)
    return journey, resolve_terms(planned, journey.spells if len(journey.spells) > 1 else ())


def course_of(
    written: LoadedScenario,
    loads: Loads,
    planned: PlannedTopology,
    outcomes: Sequence[Outcome],
    sizer: Sizer,
    found: Answer | None = None,
    progress: Progress | None = None,
) -> Course:
    """Serve and price all months of a topology.

    Parameters
    ----------
    written, found, progress : as `walk_study` takes them
    outcomes : of its replications under the load that is shown
    """
    journey, prices = walk_with_prices(written, loads, planned, outcomes, sizer, found, progress)
    journey = with_cause(journey, loads, sizer.store)
    return Course(journey, prices, priced_months(outcomes, prices.terms, journey.months))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a topology gave over all replications.

    Attributes
    ----------
    summary : what is said of the topology
    met : for each replication, whether it alone meets every SLO term
    """

    summary: TopologySummary
    met: tuple[bool, ...]

    @property
    def slo_met(self) -> bool | None:
        """Whether every SLO term is met in every period and month over all replications; None where it is not known."""
        return met_throughout(self.summary.row())


def evaluate(loaded: LoadedScenario, name: str) -> Evaluation:
    """Size, simulate and bill one topology of a scenario as `simulate` does.

    Raises
    ------
    InputError : what cannot be planned or priced
    """
    check_events(loaded)
    check_catalog_names(loaded)
    with shown_in(loaded.currency):
        loads, sizer = loads_of(loaded), Sizer(Store(), bounded(None, loaded))
        loaded, *_ = with_found_thresholds(loaded, (name,), loads, sizer)
        found = cheapest_answer(sizer, loaded, name, loads)
        sized = sizer.sized(loaded, name, loads, found)
        planned = plan_topology(sized, name)
        course = served_course(loaded, loads, planned, sizer, found)
        return evaluated(sized, planned, course.priced, course.prices, loads, found.pools if found else ())


def evaluated(
    loaded: LoadedScenario,
    planned: PlannedTopology,
    done: Priced,
    prices: ResolvedTerms,
    loads: Loads,
    sized: Sequence[str] = (),
) -> Evaluation:
    """What is said of a topology and its months.

    Parameters
    ----------
    loads : of the study, one of which is shown
    sized : names of pools and token APIs whose size was searched
    """
    absent = loads.shown.demand.absent
    met = tuple(bool(one.metrics.summary(absent=absent)["slo_met"]) for one in done.replications)
    shown, kept_tokens = loads.shown.period.name, loads.horizon.kept_tokens
    return Evaluation(summarise(loaded, planned, done, prices, shown, absent, sized, kept_tokens), met)
