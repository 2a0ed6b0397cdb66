"""A changed scenario beside the run that it was changed from: same requests, same span, same luck."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simulator.bill.category import usd_by_category
from simulator.bill.ledger_file import read_usage
from simulator.bill.study import bill_study, settled_terms, study_usd_per_month
from simulator.bill.sums import mean, total_usd
from simulator.decide.rivals import rank
from simulator.decide.standing import contenders
from simulator.decide.why import listed, sentence
from simulator.errors import collect
from simulator.resolve.horizon import horizon_of
from simulator.resolve.sizes import with_sizes
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import PlannedTopology, check_catalog_names, plan_topology
from simulator.results.bundle import Bundle
from simulator.run.cause import with_cause
from simulator.run.evaluate import Course, evaluated, served_course, shown_outcomes
from simulator.run.excerpt import Excerpt, excerpt_demand
from simulator.run.loads import Loads
from simulator.run.months import Known, served
from simulator.run.over_time import outcome_over_time, row_over_time
from simulator.run.phases import check_events
from simulator.run.priced import priced_months
from simulator.run.sizer import Sizer
from simulator.run.sizes_by_month import ByMonth, served_by_month
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import demand_of
from simulator.simulate.key import agreed, demand_parts, digest, fleet_key
from simulator.simulate.one import subject_of
from simulator.simulate.store import Store
from simulator.study.bill import MonthUse, PeriodUse
from simulator.study.decision import Contender

Summaries = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Repriced:
    """A topology of a run at other prices.

    Attributes
    ----------
    contender : as it stands among the others
    usd_by_category : of its bill, USD per month
    """

    contender: Contender
    usd_by_category: dict[str, float]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a change leaves as the run has it: the run, and its sizes by month where they change.

    Attributes
    ----------
    plain : the run as it is, at the sizes of month 1
    sizes : of topologies by name
    """

    plain: LoadedScenario
    sizes: Mapping[str, ByMonth]


def served_in(loaded: LoadedScenario, excerpt: Excerpt, store: Store, kept: Kept | None = None) -> Summaries:
    """Summaries of all topologies over an excerpt, as `simulate` gives them; sizes stay as they are.

    Each has `over_time`, too: how the replications went (`row_over_time`).

    Parameters
    ----------
    kept : what the run has in later months; the sizes of month 1 serve all unless given

    Raises
    ------
    InputError : what cannot be planned or priced
    """
    check_events(loaded)
    check_catalog_names(loaded)
    loads = Loads(horizon_of(loaded), excerpt_demand(loaded, excerpt))
    return dict(
        zip(
            loaded.scenario.topologies,
            collect(lambda name: _served(loaded, name, loads, store, kept), loaded.scenario.topologies),
            strict=True,
        )
    )


def _served(loaded: LoadedScenario, name: str, loads: Loads, store: Store, kept: Kept | None) -> dict[str, Any]:
    shown = loads.shown
    planned = plan_topology(with_sizes(loaded, name, {}), name)
    subject = subject_of(planned)
    felt = [outcome_over_time(subject, shown.demand, number, store)[1] for number in range(shown.demand.replications)]
    if kept is not None and (sizes := kept.sizes.get(name)):
        outcomes, known = shown_outcomes(planned, loads, store), Known(store)
        base = served(outcomes, shown.demand)
        journey = with_cause(served_by_month(loaded, kept.plain, name, sizes, loads, base, known), loads, store)
        prices = resolve_terms(planned, journey.spells)
        course = Course(journey, prices, priced_months(outcomes, prices.terms, journey.months))
    else:
        course = served_course(loaded, loads, planned, Sizer(store))
    found = evaluated(loaded, planned, course.priced, course.prices, loads).summary
    fleet = digest(fleet_key(subject), agreed(course.prices.terms))
    row = replace(found, fleet=course.journey.fleet(fleet)).row()
    return row | {"uncertainty": None, "over_time": row_over_time(felt, shown.demand.start_s)}


def words_of(summaries: Mapping[str, Mapping[str, Any]], excerpt: Excerpt) -> str:
    """The verdict of what was simulated; not known where the run has hours that were not."""
    found = contenders(summaries)
    ranking = rank(found)
    if not ranking.order and any(one.unmeasured for one in found):
        return sentence(found)
    if excerpt.has_all_time:
        part = "" if excerpt.is_whole else f"In {excerpt.replications} of {excerpt.of} replications: "
        return part + sentence(found)
    keep, miss = list(ranking.order), list(ranking.missing)
    parts = [f"{listed(names)} {word} the SLO" for names, word in ((keep, "kept"), (miss, "missed")) if names]
    return f"Not known: only {excerpt.words} were simulated. In them {'; '.join(parts)}. Run it in full for a verdict."


def only_prices_differ(plain: LoadedScenario, changed: LoadedScenario) -> bool:
    """Whether the same requests meet the same fleets in the same months: then use is the same, too."""
    names = list(plain.scenario.topologies)
    if list(changed.scenario.topologies) != names or horizon_of(plain) != horizon_of(changed):
        return False
    if plain.scenario.study.events or changed.scenario.study.events:
        return False
    before, after = demand_of(plain), demand_of(changed)
    if (before.replications, digest(*demand_parts(before))) != (after.replications, digest(*demand_parts(after))):
        return False
    return all(_fleet(plan_topology(plain, name)) == _fleet(plan_topology(changed, name)) for name in names)


def _fleet(planned: PlannedTopology) -> str:
    subject = subject_of(planned)
    return digest(fleet_key(subject), subject.targets)


def stays_alike(decision: Mapping[str, Any]) -> bool:
    """Whether all fleets of a run stay as they are in all months."""
    return all(
        len({(*month["replicas"], *month["units"].values(), month["event"]) for month in found["months"]}) == 1
        for found in decision["topologies"].values()
    )


def repriced(changed: LoadedScenario, bundle: Bundle) -> dict[str, Repriced]:
    """The topologies of a run at the prices of a changed scenario, billed by the run's own ledger of use.

    Raises
    ------
    InputError : use without a price
    """
    ledger = json.loads((bundle.path / "usage.json").read_text(encoding="utf-8"))
    standing = {one.name: one for one in contenders(bundle.summary["topologies"])}
    replications = int(bundle.manifest["replications"])
    found: dict[str, Repriced] = {}
    for name in bundle.summary["order"]:
        months, planned = read_usage(ledger[name]), plan_topology(changed, name)
        prices = resolve_terms(planned).terms
        terms = settled_terms(prices, months)
        bill = bill_study(terms, months)
        alone = tuple(mean(study_usd_per_month(terms, _of_one(months, k, replications))) for k in range(replications))
        now = replace(
            standing[name],
            usd_per_month=mean(total_usd(bill.lines)),
            usd_by_replication=alone,
            fleet=digest(fleet_key(subject_of(planned)), agreed(prices)),
            least_usd=None,
        )
        found[name] = Repriced(now, usd_by_category(bill.lines))
    return found


def _of_one(months: Sequence[MonthUse], number: int, of: int) -> tuple[MonthUse, ...]:
    """Months with the use of one replication: each period of a month has one entry of every replication in turn."""
    known: dict[int, MonthUse] = {}
    for month in months:
        if id(month) not in known:
            parts = month.periods[number::of]
            known[id(month)] = MonthUse(tuple(PeriodUse(part.usage, part.hours * of) for part in parts))
    return tuple(known[id(month)] for month in months)
