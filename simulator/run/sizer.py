"""The sizes that a scenario leaves open: found for the first month, for its other loads, and after events."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from simulator.resolve.agreed import committed_instances_stay
from simulator.resolve.closed import with_closed
from simulator.resolve.open_windows import with_hours
from simulator.resolve.sizes import Fixed, has_open_sizes, open_pools, open_units, with_paid, with_sizes, with_standing
from simulator.resolve.topology import PlannedTopology, plan_topology
from simulator.run.growth import Growth, at_level
from simulator.run.loads import Loads
from simulator.run.months import Progress, Sizing
from simulator.run.written_instances import on_cheapest_instances, on_instances_of
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.size.answer import Answer, sized_scenario
from simulator.size.assumed import AS_IT_IS, Assumed
from simulator.size.found import Limits
from simulator.size.windows import best_window
from simulator.study.decision import Sizes

_IN_VAIN = 3
"""As `Limits.in_vain` of later months, which begin with the best of others."""


@dataclass(frozen=True, slots=True)
class Sizer:
    """Searches open sizes.

    Attributes
    ----------
    store : where the search looks up and keeps what was simulated
    limits : of each search
    assumed : what is taken to be otherwise
    planned : topologies at the sizes that were looked at
    """

    store: Store
    limits: Limits | None = None
    assumed: Assumed = AS_IT_IS
    planned: dict[str, PlannedTopology] = field(default_factory=dict, repr=False, compare=False)

    def answer(
        self,
        loaded: LoadedScenario,
        name: str,
        loads: Loads,
        progress: Progress | None = None,
        rows: Rows | None = None,
        standing: Collection[str] = (),
        closed: tuple[str, ...] = (),
        by_month: bool = False,
        paid: Mapping[str, float] | None = None,
    ) -> Answer | None:
        """Sizes for all periods of the first of these months; None for a topology that leaves nothing open.

        Parameters
        ----------
        rows : keeps the requests of what is found
        standing : pools that are in place already, see `with_standing`
        closed : pools that get no replica where they need none
        by_month : by the periods of this month, as `Answer.by_month`
        paid : units of token APIs that are paid for already, of which fewer spare nothing

        Raises
        ------
        InputError : no size that can be planned or priced, at its place
        """
        if not has_open_sizes(loaded.scenario.topologies[name]):
            return None
        opened = with_paid(open_pools(loaded, name), paid or {})
        pools = with_closed(with_standing(opened, standing), closed)
        found = best_window(
            *(loaded, name, _first_month(loaded, name, loads, by_month), self.store, self.limits, progress, rows),
            *(pools, self.assumed, self.planned),
        )
        return replace(found, closed=closed, by_month=by_month)

    def sized(
        self,
        loaded: LoadedScenario,
        name: str,
        loads: Loads,
        found: Answer | None,
        rows: Rows | None = None,
        progress: Progress | None = None,
    ) -> LoadedScenario:
        """The scenario with what was found of one topology, and its written pools on the cheapest instances that do.

        Parameters
        ----------
        loads : the first of these months decides
        found : its sizes, and hours of windows, where some are open
        rows : keeps the requests of what is shown
        progress : of the trials of these pools
        """
        sized = with_sizes(sized_scenario(loaded, [found] if found else []), name, {})
        written = loaded.scenario.topologies[name]
        periods = _first_month(loaded, name, loads, found is not None and found.by_month)
        return on_cheapest_instances(written, sized, name, periods, self.store, rows, progress)

    def sizing(self, loaded: LoadedScenario, found: Answer, loads: Loads, planned: PlannedTopology) -> Sizing:
        """Searches the open sizes of a topology in other months.

        What is committed stays on the instances agreed, and written pools on those of the first month.

        Parameters
        ----------
        planned : the topology in the first of these months
        found : the sizes of the first of these months
        """
        name = found.name
        loaded = committed_instances_stay(loaded, sized_scenario(loaded, [found]), name)
        loaded = on_instances_of(loaded, name, planned.settings)
        topology = loaded.scenario.topologies[name]
        pools, apis = topology.pools, open_units(topology)
        open_ = {pool.index for pool in open_pools(loaded, name)}

        limits = replace(self.limits or Limits(), probe=False, in_vain=_IN_VAIN)
        asks = _of_sizes(loaded, name, loads, found.by_month).horizon.asked
        first = at_level(asks(loads.horizon.from_month), found.search, found.infeasible, found.hours)
        growth = Growth(loaded, name, self.store, limits, [first], self.assumed, self.planned, found.closed)

        def at(sizes: Sizes) -> PlannedTopology:
            fixed = {k: Fixed(n) for k, n in enumerate(sizes) if k in open_}
            return plan_topology(with_sizes(with_hours(loaded, name, found.hours), name, fixed), name)

        owned = (*(pool.billing == "owned" for pool in pools), *(False for _ in apis))
        units = tuple(api.name for api in apis)
        return Sizing((*(pool.name for pool in pools), *units), owned, growth, at, asks, units)


def _first_month(loaded: LoadedScenario, name: str, loads: Loads, by_month: bool) -> tuple[PeriodDemand, ...]:
    return _of_sizes(loaded, name, loads, by_month).first_month


def _of_sizes(loaded: LoadedScenario, name: str, loads: Loads, by_month: bool) -> Loads:
    return loads if by_month else loads.of_sizes(loaded.scenario.topologies[name])
