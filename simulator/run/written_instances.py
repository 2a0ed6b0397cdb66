"""Rented pools whose sizes are written: on the instances that hold for least what they then have and keep the SLO."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from simulator.resolve.sizes import alone, is_open
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topology
from simulator.run.months import Progress
from simulator.run.replications import kept_outcome
from simulator.scenario.load import LoadedScenario
from simulator.schema.pool import Pool
from simulator.schema.topology import Topology
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.key import outcome_key
from simulator.simulate.one import Outcome, subject_of
from simulator.simulate.priced import usd_of_periods
from simulator.simulate.refusal import try_fleet
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.size.instances import (
    better_instance,
    has_choice,
    is_chosen_by_use,
    is_left_open,
    other_instances,
    replica_hours,
)

Instances = dict[str, str]
"""Names of instances, by pool."""


def on_cheapest_instances(
    written: Topology,
    sized: LoadedScenario,
    name: str,
    periods: Sequence[PeriodDemand],
    store: Store,
    rows: Rows | None = None,
    progress: Progress | None = None,
) -> LoadedScenario:
    """The scenario with pools of a topology on other instances, where these keep the SLO or cost less in a month.

    Those that leave their sizes open are on the cheapest by their search. Autoscaled ones are simulated on the
    instances that are taken before anybody knows how many replicas are there when, then on those that would have held
    them for least, as long as the bill falls and the SLO is met as it was. Where it is missed, others on which it may
    be met are looked at first, also for a fixed number and a schedule: where instances can fail, be reclaimed or be out
    of stock.

    Parameters
    ----------
    written, sized : the topology as the scenario has it, and at the sizes that were found
    periods : of the month that decides
    rows : keeps the requests of what is shown
    progress : called with the trial and the share that is done
    """
    found, looked = sized, list[Instances]()

    def told(share: float) -> None:
        if progress:
            done = 1 - 0.5 ** len(looked)  # nobody knows how many instances will be looked at
            progress(f"{name}: trial {1 + len(looked)} of its instances", done + (1 - done) * share / 2)

    pools = _open(written, sized.scenario.topologies[name])
    scaled = tuple(pool.name for pool in written.pools if pool.name in pools and is_chosen_by_use(pool))
    elsewhere = _others(sized, name, pools) if pools else []
    if not scaled and not elsewhere:
        return sized
    outcomes, usd, meets = _served(found, name, periods, store, rows, told)
    for other in () if meets else elsewhere:
        looked.append(other)
        there = _on(sized, name, other)
        then, less, met = _served(there, name, periods, store, rows, told)
        if met:
            _forget(found, name, periods, rows)
            found, outcomes, usd, meets = there, then, less, met
            break
        _forget(there, name, periods, rows)
    cheaper = list[Instances]()
    while (other := _better(found, name, scaled, periods, outcomes)) and other not in cheaper:
        cheaper.append(other)
        looked.append(other)
        there = _on(found, name, other)
        then, less, met = _served(there, name, periods, store, rows, told)
        if not less < usd or (meets and not met):
            break
        _forget(found, name, periods, rows)
        found, outcomes, usd, meets = there, then, less, met
    return found


def on_instances_of(loaded: LoadedScenario, name: str, settled: Topology) -> LoadedScenario:
    """A topology whose sizes are searched anew, with its written pools on the instances that were found before.

    Parameters
    ----------
    settled : the topology with what `on_cheapest_instances` gave it
    """
    pools = _open(loaded.scenario.topologies[name], settled)
    found = {pool.name: pool.instance for pool in settled.pools if pool.name in pools and pool.instance is not None}
    return _on(loaded, name, found)


def may_change_instances(loaded: LoadedScenario) -> bool:
    """Whether `on_cheapest_instances` may simulate any topology."""
    topologies = loaded.scenario.topologies.values()
    return any(
        is_chosen_by_use(pool) or _may_be_lost(pool)
        for topology in topologies
        for pool in topology.pools
        if pool.name in _open(topology, topology)
    )


def _may_be_lost(pool: Pool) -> bool:
    return bool(pool.failures or pool.reliability or pool.server_failures or pool.stock_outs or pool.billing == "spot")


def _open(written: Topology, sized: Topology) -> tuple[str, ...]:
    """Names of the rented pools whose size is written and whose instance is not, where there is more than one."""
    there = {pool.name for pool in sized.pools}
    return tuple(
        pool.name
        for pool in written.pools
        if pool.name in there and is_left_open(pool) and not is_open(pool) and has_choice(pool)
    )


def _served(
    loaded: LoadedScenario,
    name: str,
    periods: Sequence[PeriodDemand],
    store: Store,
    rows: Rows | None,
    told: Callable[[float], None],
) -> tuple[list[list[Outcome]], float, bool]:
    """Every replication of every period to its end, the mean bill of a month, and whether the SLO is met."""
    planned = plan_topology(alone(loaded, name), name)
    subject = subject_of(planned)
    outcomes: list[list[Outcome]] = []
    for one in periods:
        shown = rows if rows is not None and rows.period == one.period else None
        outcomes.append([])
        for k in range(one.demand.replications):

            def tick(now_s: float, one: PeriodDemand = one, k: int = k) -> None:
                of_period = (k + min(now_s / one.demand.horizon_s, 1.0)) / one.demand.replications
                told((len(outcomes) - 1 + of_period) / len(periods))

            outcomes[-1].append(kept_outcome(subject, one.demand, k, store, shown, tick))
    parts = [(one.period, gave) for one, gave in zip(periods, outcomes, strict=True)]
    usd = usd_of_periods(parts, resolve_terms(planned).terms)
    meets = all(try_fleet(subject, one.demand, store).refutation is None for one in periods)
    return outcomes, sum(usd) / len(usd), meets


def _others(loaded: LoadedScenario, name: str, pools: Sequence[str]) -> Sequence[Instances]:
    """One of the pools on each of the instances on which its trial may go another way."""
    planned = plan_topology(alone(loaded, name), name)
    specs = {spec.name: spec for spec in planned.fleet.pools}
    return [
        {pool.name: instance}
        for pool in planned.settings.pools
        if pool.name in pools
        for instance in other_instances(pool, specs[pool.name])
    ]


def _better(
    loaded: LoadedScenario,
    name: str,
    pools: Sequence[str],
    periods: Sequence[PeriodDemand],
    outcomes: Sequence[Sequence[Outcome]],
) -> Instances:
    """The instances that would have held for less the replicas that there were, of pools on others."""
    uses = [(one.period.hours, [each.usage for each in gave]) for one, gave in zip(periods, outcomes, strict=True)]
    found: Instances = {}
    for pool in loaded.scenario.topologies[name].pools:
        better = better_instance(pool, replica_hours(pool.name, uses)) if pool.name in pools else None
        if better is not None:
            found[pool.name] = better.offer.instance
    return found


def _on(loaded: LoadedScenario, name: str, instances: Instances) -> LoadedScenario:
    scenario = loaded.scenario
    topology = scenario.topologies[name]
    pools = tuple(
        pool.model_copy(update={"instance": instances[pool.name]}) if pool.name in instances else pool
        for pool in topology.pools
    )
    topologies = {**scenario.topologies, name: topology.model_copy(update={"pools": pools})}
    return replace(loaded, scenario=scenario.model_copy(update={"topologies": topologies}))


def _forget(loaded: LoadedScenario, name: str, periods: Sequence[PeriodDemand], rows: Rows | None) -> None:
    """The requests on instances that cost more."""
    if rows is None:
        return
    subject = subject_of(plan_topology(alone(loaded, name), name))
    shown = [one.demand for one in periods if one.period == rows.period]
    rows.drop([outcome_key(subject, demand, k) for demand in shown for k in range(demand.replications)])
