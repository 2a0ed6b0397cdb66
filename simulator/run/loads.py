"""The loads of a study: what each of its periods asks in a month, and the one whose requests are shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

from simulator.decide.levels import nodes
from simulator.resolve.admissible import check_requests
from simulator.resolve.horizon import horizon_of
from simulator.resolve.sizes import is_open
from simulator.scenario.load import LoadedScenario
from simulator.schema.topology import Topology
from simulator.simulate.demand import Demand, PeriodDemand, demand_of
from simulator.study.demand import Horizon, Load, MonthLoad
from simulator.workload.levels import at_clock, at_level


def demand_at(demand: Demand, load: Load) -> Demand:
    """The demand under another load; itself where nothing changes. A window has its warm-up before it, if it can."""
    found = demand
    if any(factor != 1.0 for factor in load.level):
        found = replace(found, workload=at_level(demand.workload, load.level), _drawn={})
    if load.window_s is not None:
        first, last = load.window_s
        start_s = max(first - demand.warmup_s, 0.0)
        warmup_s = first - start_s if first > 0 else demand.warmup_s
        found = replace(found, start_s=start_s, warmup_s=warmup_s, horizon_s=last - start_s, _drawn={})
    elif load.when is not None and load.when.clock_s != demand.when.clock_s:
        found = replace(found, workload=at_clock(found.workload, load.when.clock_s), _drawn={})
    if load.when is not None and load.when != demand.when:
        found = replace(found, when=load.when)
    return replace(found, part=load.part) if load.part != demand.part else found


@dataclass(frozen=True)
class Loads:
    """Demands of a study by load; those of its first month are drawn once.

    Attributes
    ----------
    horizon : its months and periods
    demand : the scenario's own
    """

    horizon: Horizon
    demand: Demand
    _known: dict[Load, Demand] = field(default_factory=dict, repr=False, compare=False)

    def at(self, load: Load) -> Demand:
        """The demand under a load."""
        first = self.horizon.level(self.horizon.from_month)
        if not any(load == period.at(first) for period in self.horizon.periods):
            return self._judged(demand_at(self.demand, load), load)
        if load not in self._known:
            self._known[load] = self._judged(demand_at(self.demand, load), load)
        return self._known[load]

    def _judged(self, demand: Demand, load: Load) -> Demand:
        """The demand, which is not judged by classes that come in other periods alone.

        Such are by their schedule, and in a window of the workload those that have no request there.
        """
        nobody = demand.empty if load.window_s is None else _without_requests(demand)
        found = nobody & self._seen if nobody else nobody
        return replace(demand, elsewhere=found) if found else demand

    @cached_property
    def _seen(self) -> frozenset[int]:
        """Classes that come in some period, as the scenario has them."""
        loads = [period.at((1.0,) * len(self.demand.classes)) for period in self.horizon.periods]
        found = ((load, demand_at(self.demand, load)) for load in loads)
        absent = [one.absent | (one.empty if load.window_s is None else _without_requests(one)) for load, one in found]
        return frozenset(range(len(self.demand.classes))) - frozenset.intersection(*absent)

    def periods(self, asked: MonthLoad) -> tuple[PeriodDemand, ...]:
        """What the periods of such a month ask, the busiest first.

        Busiest is the one with the most tokens per second, prompts and answers; of equal ones the first.
        """
        found = [PeriodDemand(one, self.at(one.at(asked.level))) for one in asked.periods if one.hours > 0]
        return tuple(sorted(found, key=lambda one: -_tokens_per_s(one.demand))) if len(found) > 1 else tuple(found)

    def of_sizes(self, topology: Topology) -> Loads:
        """The loads that the sizes of a topology are searched for.

        What owned hardware of open size does beside other targets is weighed over the year, in a mean month: it stays
        when a season is over, and by that season alone it would be bought for all of it.
        """
        owned = [pool for pool in topology.pools if pool.billing == "owned"]
        horizon, numbers = self.horizon, self.horizon.numbers
        if not any(map(is_open, owned)) or (len(owned) == len(topology.pools) and not topology.providers):
            return self
        if len({horizon.periods_of(month) for month in numbers}) == 1:
            return self
        often = {one: sum(one in horizon.periods_of(month) for month in numbers) for one in horizon.periods}
        mean = (replace(one, hours=one.hours * often[one] / len(numbers), months=()) for one in horizon.periods)
        return replace(self, horizon=replace(horizon, periods=tuple(mean)))

    @property
    def first_month(self) -> tuple[PeriodDemand, ...]:
        """What the periods of the study's first month ask, as `periods`."""
        return self.periods(self.horizon.asked(self.horizon.from_month))

    @property
    def shown(self) -> PeriodDemand:
        """The busiest period of the first month: the rows of a run are its requests."""
        return self.periods(self.horizon.asked(1))[0]

    @property
    def shown_load(self) -> Load:
        """Load of the period that is shown."""
        return self.shown.period.at(self.horizon.level(1))


def _without_requests(demand: Demand) -> frozenset[int]:
    return frozenset(k for k, most in enumerate(demand.most_requests) if most == 0)


def simulated_loads(horizon: Horizon, horizon_s: float, each: bool = False) -> float:
    """Loads of all periods of the months that are simulated, together, as multiples of the scenario's own.

    Parameters
    ----------
    horizon_s : of the scenario, of which a window is a part
    each : the months between two that are nodes are simulated, too, as of an autoscaler
    """
    months = list(horizon.numbers)
    found = nodes([horizon.level(month) for month in months], [horizon.periods_of(month) for month in months])
    found = tuple(range(len(months))) if each and len(found) > 1 else found
    return math.fsum(
        math.fsum(load.level) / len(load.level) * _share(load, horizon_s)
        for k in found
        for load in (period.at(horizon.level(months[k])) for period in horizon.periods_of(months[k]))
    )


def _share(load: Load, horizon_s: float) -> float:
    return 1.0 if load.window_s is None else (load.window_s[1] - load.window_s[0]) / horizon_s


def loads_of(loaded: LoadedScenario) -> Loads:
    """The loads of a scenario's study.

    Raises
    ------
    InputError : more requests than are taken as meant
    """
    check_requests(loaded)
    return Loads(horizon_of(loaded), demand_of(loaded))


def _tokens_per_s(demand: Demand) -> float:
    source = demand.source(0)
    rows = [*source.chunks(), *(loop.rows for loop in source.closed_loops)]
    return sum(int(one.isl.sum()) + int(one.osl.sum()) for one in rows) / demand.horizon_s
