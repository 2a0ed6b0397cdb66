"""The months of a topology: further trials at the loads that are simulated, none where nothing changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from simulator.decide.months import walk
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import binding_term, late_words, share_words, slo_met
from simulator.resolve.agreed import Spell
from simulator.resolve.apis import bought_units
from simulator.resolve.topology import PlannedTopology
from simulator.run.growth import Growth
from simulator.run.left_open import LeftOpen, limited_months, open_months
from simulator.run.loads import Loads
from simulator.run.standing import standing
from simulator.simulate.demand import Demand
from simulator.simulate.jobs import beyond_month
from simulator.simulate.key import digest, fleet_key
from simulator.simulate.one import Outcome, subject_of
from simulator.simulate.priced import tokens_per_month, with_peaks
from simulator.simulate.store import Store
from simulator.simulate.stored import stored_outcome
from simulator.size.answer import SURE, spare_errors
from simulator.size.assumed import AS_IT_IS, Assumed, under
from simulator.size.reasons import held_up, lost
from simulator.size.words import nothing_meets
from simulator.study.decision import Served, Sizes, Walked
from simulator.study.demand import Load, MonthLoad

Progress = Callable[[str, float], None]


def between(begin: float, end: float, progress: Progress | None) -> Progress | None:
    """Progress of what is so much of the whole."""
    if progress is None:
        return None
    return lambda what, share: progress(what, begin + (end - begin) * share)


@dataclass(frozen=True, slots=True)
class Known:
    """What was simulated: outcomes, and what a fleet, by its key, gave under a load.

    Attributes
    ----------
    assumed : what is taken to be otherwise, of all of them
    """

    store: Store
    assumed: Assumed = AS_IT_IS
    served: dict[tuple[str, Load], Served] = field(default_factory=dict)

    def serve(self, planned: PlannedTopology, loads: Loads, load: Load) -> Served:
        """What a topology as it is planned gives under a load, simulated once."""
        key = _fleet(planned), load
        if key not in self.served:
            there = loads.at(load)
            self.served[key] = served(self.outcomes(planned, there), there)
        return self.served[key]

    def outcomes(self, planned: PlannedTopology, demand: Demand) -> list[Outcome]:
        """Every replication of a topology as it is planned."""
        subject = under(subject_of(planned), self.assumed, demand)
        return [stored_outcome(subject, demand, k, self.store) for k in range(demand.replications)]


@dataclass(frozen=True)
class Sizing:
    """Sizes that are left open.

    Attributes
    ----------
    pools : names of all pools of the topology; a fleet leaves out those without replicas; then `units`
    units : names of token APIs whose units of throughput are open
    owned : by pool, whether it is of owned hardware
    growth : finds the cheapest for one load after the other
    at : the topology with so many replicas in each pool
    asks : what sizes are searched for in a month
    """

    pools: tuple[str, ...]
    owned: tuple[bool, ...]
    growth: Growth
    at: Callable[[Sizes], PlannedTopology]
    asks: Callable[[int], MonthLoad]
    units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Journey:
    """The months of a topology, and how it was planned in them.

    Attributes
    ----------
    hours : found for windows that leave them open after the first month, by the month from which they hold
    open : months that time kept from their cheapest size, by number
    limited : pools of which more than are looked at might cost less, and the first such month
    edges : what fresh traffic says of sizes that were searched at events, by their month; empty where it was not asked
    near : what serves each month that meets the SLO and has little to spare
    fleets : keys of those that searches of the months found, in their order; empty where one stays between events
    """

    months: tuple[Walked, ...]
    spells: tuple[Spell, ...]
    hours: Mapping[int, str] = field(default_factory=dict)
    fleets: tuple[str, ...] = ()
    open: Mapping[int, LeftOpen] = field(default_factory=dict)
    limited: Mapping[str, int] = field(default_factory=dict)
    edges: Mapping[int, str] = field(default_factory=dict)
    near: Mapping[int, PlannedTopology] = field(default_factory=dict)

    def fleet(self, first: str) -> str:
        """Key of a fleet and of what it grows to and is changed to; what stays as it is leaves the key as it is.

        Parameters
        ----------
        first : key of the fleet of the first month
        """
        sizes = [tuple(n for n in month.sizes if n) for month in self.months]
        later = sorted({fleet_key(subject_of(spell.planned)) for spell in self.spells if spell.stage})
        if len(set(sizes)) == 1 and not later and not self.fleets:
            return first
        return f"{first} {sizes} {later} {self.fleets}"


def walk_months(
    loads: Loads,
    planned: PlannedTopology,
    base: Served | None,
    progress: Progress | None = None,
    sizing: Sizing | None = None,
    known: Known | None = None,
    spells: Sequence[Spell] = (),
    before: Sequence[Walked] = (),
) -> Journey:
    """The months of a topology.

    Parameters
    ----------
    planned : at the sizes that serve the first month
    base : what it gave in the period that is shown, which is not simulated again; None where none was
    sizing : searches the sizes of the months that are simulated; None where they stay
    known : what was simulated in other months, or to find the sizes
    spells, before : months of the study before these, as they were planned and as they are
    """
    horizon, known = loads.horizon, known or Known(Store())
    asks = horizon.asked if sizing is None else sizing.asks
    if base is not None:
        known.served[_fleet(planned), loads.shown_load] = base
    pools = sizing.pools if sizing else tuple(pool.name for pool in planned.fleet.pools)
    now = replicas(planned, pools)
    planned_at = {now: planned}
    found_at: dict[MonthLoad, PlannedTopology | None] = {}

    def at(sizes: Sizes) -> PlannedTopology:
        if sizes not in planned_at:
            assert sizing is not None, "sizes that stay are those of the run"
            planned_at[sizes] = sizing.at(sizes)
        return planned_at[sizes]

    def under(sizes: Sizes, load: Load, asked: MonthLoad) -> PlannedTopology:
        """What was found for that load, or the nearest, in months of these periods, else of others.

        Settings of an autoscaler may differ at equal sizes.
        """
        there = [
            (other.periods != asked.periods, _distance(other, load), k, one)
            for k, (other, one) in enumerate(found_at.items())
            if one is not None and replicas(one, pools) == sizes
        ]
        return min(there)[3] if there else at(sizes)

    def trial(sizes: Sizes, load: Load, asked: MonthLoad) -> Served:
        one = under(sizes, load, asked)
        key = _fleet(one), load
        if key in known.served:
            return known.served[key]
        if progress:
            progress(f"{planned.name}, {' and '.join(f'{factor:.3g}' for factor in load.level)} times the load", 0.0)
        return known.serve(one, loads, load)

    def found(asked: MonthLoad, best: PlannedTopology | None) -> Sizes | None:
        found_at[asked] = best
        if best is None:
            return None
        sizes = replicas(best, pools)
        planned_at.setdefault(sizes, best)
        return sizes

    def search(asked: MonthLoad, before: Sizes | None) -> Sizes | None:
        if before is None or sizing is None:
            return found(asked, planned if base is None or base.meets is not False else None)
        if progress:
            progress(f"sizes of {planned.name} in later months", 0.0)
        return found(asked, sizing.growth.cheapest(asked, loads.periods(asked), before))

    def cheaper(asked: MonthLoad, sizes: Sizes) -> Sizes:
        best = sizing.growth.cheaper(asked, loads.periods(asked)) if sizing else None
        return sizes if best is None else found(asked, best) or sizes

    def alike(first: MonthLoad, last: MonthLoad) -> bool:
        one, other = found_at.get(first), found_at.get(last)
        return one is other or (one is not None and other is not None and _fleet(one) == _fleet(other))

    def scales(asked: MonthLoad) -> bool:
        one = found_at.get(asked)
        return one is not None and any(pool.autoscaler is not None for pool in one.fleet.pools)

    if sizing is None:
        scaled = any(pool.autoscaler is not None for pool in planned.fleet.pools)
        walked = walk(horizon, trial, now, scales=lambda asked: scaled)
    else:
        owned = sizing.owned
        begins = Spell(horizon.numbers[0], planned, spells[-1].stage + 1 if spells else 0)
        stood = [_gpus(month, spells) for month in before]
        stand = standing(pools, at, begins, spells, stood) if any(owned) else None
        nodes = None if any(owned) else cheaper
        walked = walk(horizon, trial, now, search, owned, nodes, alike, asks, stand, scales)
    if sizing is not None:
        walked = [replace(_with_reason(month, asks, sizing.growth), units=sizing.units) for month in walked]
    asked_in = {month.month: asks(month.month) for month in walked}

    def stands(month: Walked) -> PlannedTopology:
        asked = asked_in[month.month]
        return under(month.sizes, asked.periods[0].at(month.level), asked)

    found_spells = _spells([(month.month, stands(month)) for month in walked], pools)
    near = {
        month.month: under(month.sizes, share.period.at(month.level), asked_in[month.month])
        for month in walked
        for share in month.shares
        if month.meets and share.served.is_near
    }
    if sizing is None:
        return Journey(tuple(walked), found_spells, near=near)
    at_levels = (found_at.get(asked_in[month.month]) for month in walked)
    keys = tuple(key for key, _ in groupby(fleet_key(subject_of(one)) for one in at_levels if one is not None))
    hours = _changed_hours(walked, asks, sizing.growth)
    return Journey(
        tuple(walked),
        found_spells,
        hours,
        fleets=keys if len(keys) > 1 else (),
        open=open_months(walked, asks, sizing.growth, sizing.owned),
        limited=limited_months(walked, asks, sizing.growth),
        near=near,
    )


def _gpus(month: Walked, spells: Sequence[Spell]) -> dict[str, int]:
    """Of each pool in an earlier month."""
    spell = max((one for one in spells if one.first <= month.month), key=lambda one: one.first)
    pools = spell.planned.fleet.pools
    sizes = replicas(spell.planned, [pool.name for pool in pools])
    return {pool.name: n * pool.gpus_per_replica for pool, n in zip(pools, sizes, strict=True)}


def _spells(fleets: Sequence[tuple[int, PlannedTopology]], pools: Sequence[str]) -> tuple[Spell, ...]:
    """Months in a row with equal sizes on the same servers or instances, which are priced alike.

    Parameters
    ----------
    fleets : each month's number, and what serves it
    """
    stands = groupby(fleets, key=lambda month: (replicas(month[1], pools), _instances(month[1])))
    return tuple(Spell(*next(months)) for _, months in stands)


def _instances(planned: PlannedTopology) -> tuple[tuple[str, int], ...]:
    """GPUs of the server or instance that each pool stands on; an autoscaler of equal size may stand on others."""
    return tuple((pool.name, pool.gpus_per_server) for pool in planned.fleet.pools)


def _changed_hours(walked: Sequence[Walked], asks: Callable[[int], MonthLoad], growth: Growth) -> dict[int, str]:
    """Hours of windows by the month from which they are others than before."""
    now, changed = growth.hours(asks(walked[0].month)), {}
    for month in walked[1:]:
        hours = growth.hours(asks(month.month)) or now
        if hours != now:
            changed[month.month] = now = hours
    return changed


def _with_reason(month: Walked, asks: Callable[[int], MonthLoad], growth: Growth) -> Walked:
    """A month that no size serves says why none does, rather than what the fleet misses that is left."""
    why = "" if month.meets is not False else growth.infeasible(asks(month.month))
    return replace(month, binding=nothing_meets(why)) if why else month


def _fleet(planned: PlannedTopology) -> str:
    """Key of a fleet with the names of its pools and providers."""
    subject = subject_of(planned)
    return digest(fleet_key(subject), subject.targets)


def _distance(asked: MonthLoad, load: Load) -> float:
    """How far a load is from the nearest period of such a month."""
    loads = (period.at(asked.level) for period in asked.periods)
    return min(
        math.inf if one.window_s != load.window_s or one.when != load.when else _apart(one, load) for one in loads
    )


def _apart(one: Load, other: Load) -> float:
    return math.fsum(abs(a - b) for a, b in zip(one.level, other.level, strict=True))


def replicas(planned: PlannedTopology, pools: Sequence[str]) -> Sizes:
    """Replicas of each pool, the most where they change, 0 where the fleet does not have it; units of token APIs."""
    found = {api.name: math.ceil(bought_units(api)) for api in planned.settings.providers}
    found |= {
        pool.name: pool.most_replicas if pool.autoscaler or pool.schedule else pool.replicas
        for pool in planned.fleet.pools
    }
    return tuple(found.get(name, 0) for name in pools)


def served(outcomes: Sequence[Outcome], demand: Demand) -> Served:
    """What a fleet gave under one load, replications pooled."""
    metrics = [outcome.metrics for outcome in outcomes]
    whole = MetricAccumulator.of(metrics)
    terms, jobs = whole.terms(metrics, demand.absent), demand.jobs_per_month
    nobody = len(demand.absent) == len(whole.classes)
    near, met = binding_term(terms), slo_met(terms)
    unknown = tuple(dict.fromkeys(row["class"] for row in terms if row["met"] is None)) if met is None else ()
    words = "nobody comes" if nobody else "no request was measured"
    if met is None:
        words = f"no request of {', '.join(unknown)} was measured (a longer run.horizon_s has some)"
    elif near:
        kept = f"kept by {share_words(near['share'], 2)} of the requests, {share_words(near['required'], 0)} have to"
        late = late_words(near)
        k = [slo.name for slo in whole.classes].index(near["class"])
        told = [late] if near["metric"] == "begun" else [f"{near['term']} is {kept}", late]
        apis = [api for one in outcomes for api in one.usage.providers]
        again = any(api.down_s > 0 or bool(api.failed_tokens[k].any() or api.retried_calls[k].any()) for api in apis)
        hot = [f"{pool}: {words}" for pool, words in whole.hot_replicas.items()] if met is False else []
        told += [lost(whole, k, near), held_up(whole, k, near, again), *hot]
        words = f"{near['class']}: {'; '.join(filter(None, told))}"
    arrived = whole.total.arrived
    beyond, spare = beyond_month(outcomes, jobs), spare_errors(metrics)
    return Served(
        False if beyond else met,
        whole.total.good / arrived if arrived else float(nobody),
        beyond or words,
        tuple(with_peaks([outcome.usage for outcome in outcomes])),
        tuple(tokens_per_month(one, jobs) for one in metrics),
        min((1.0 - row["required"] / row["share"] if row["share"] else 0.0 for row in terms), default=0.0),
        met is True and bool(spare < SURE),
        float(spare),
        whole.lasts,
        () if beyond else unknown,
    )
