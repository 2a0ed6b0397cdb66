"""Whether a topology misses the SLO only for what befell it: outages, failures, reclaims, stock-outs, storms of 429."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from simulator.decide.months import first_missed
from simulator.resolve.topology import PlannedTopology
from simulator.run.loads import Loads
from simulator.run.months import Journey, served
from simulator.run.storms import stormed
from simulator.simulate.one import Subject, subject_of
from simulator.simulate.store import Store
from simulator.simulate.stored import stored_outcome
from simulator.simulate.undisturbed import undisturbed
from simulator.study.decision import Walked
from simulator.study.demand import Load


def with_cause(journey: Journey, loads: Loads, store: Store) -> Journey:
    """The months, the first that misses the SLO with what befell the fleet where it meets it without.

    The same requests are served by the same fleet, undisturbed. Later months that are as that one say the same. Hours
    without service at an event are no such thing: a month that has some says nothing more.
    """
    failed = first_missed(journey.months)
    if failed is None or _has_downtime(failed):
        return journey
    planned = [spell.planned for spell in journey.spells if spell.first <= failed.month][-1]
    names = list(dict.fromkeys(_befell(planned, failed)))
    if not names or not _meets_undisturbed(planned, failed, loads, store):
        return journey
    cause = " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
    told = replace(failed, cause=cause, binding=f"{failed.binding}; without {cause} the SLO is met")
    months = (told if month == failed else _as(told, failed, month) for month in journey.months)
    return replace(journey, months=tuple(months))


def _has_downtime(month: Walked) -> bool:
    """Whether nobody came in some of its hours, and they miss the SLO."""
    missed = (share.served.usages for share in month.shares if share.served.meets is False)
    return any(usages and not any(any(usage.requests) for usage in usages) for usages in missed)


def _as(told: Walked, failed: Walked, month: Walked) -> Walked:
    """A month that is served as the one that misses."""
    here, there = ([(one.hours, one.period, id(one.served)) for one in each.shares] for each in (month, failed))
    alike = here == there and month.binding == failed.binding
    return replace(month, cause=told.cause, binding=told.binding) if alike else month


def _befell(planned: PlannedTopology, month: Walked) -> Iterator[str]:
    """What befell the fleet in the periods of a month that miss the SLO, in words."""
    usages = [usage for share in month.shares if share.served.meets is False for usage in share.served.usages]
    for pool in (pool for usage in usages for pool in usage.pools):
        happened = {
            f"the outage of {pool.name}": pool.outages,
            f"failures of {pool.name}": pool.failures or pool.down_s > 0,
            f"reclaims of {pool.name}": pool.reclaims,
            f"launches of {pool.name} without capacity": pool.stockouts,
        }
        yield from (words for words, times in happened.items() if times)
    yield from (f"the outage of {api.name}" for usage in usages for api in usage.providers if api.outages)
    yield from (f"429 answers of {api.name}" for api in planned.fleet.providers if stormed(api, usages))


def _meets_undisturbed(planned: PlannedTopology, month: Walked, loads: Loads, store: Store) -> bool:
    subject = subject_of(planned)
    calm = replace(subject, fleet=undisturbed(subject.fleet))
    missed = {share.period.at(month.level) for share in month.shares if share.served.meets is False}
    return all(_meets(calm, load, loads, store) for load in missed)


def _meets(subject: Subject, load: Load, loads: Loads, store: Store) -> bool:
    demand = loads.at(load)
    outcomes = [stored_outcome(subject, demand, k, store) for k in range(demand.replications)]
    return served(outcomes, demand).meets is True
