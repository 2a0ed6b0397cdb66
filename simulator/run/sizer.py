"""The sizes that a scenario leaves open: found for the first month, for its other loads, and after events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from simulator.resolve.agreed import committed_instances_stay
from simulator.resolve.open_windows import with_hours
from simulator.resolve.sizes import Fixed, OpenPool, alone, has_open_sizes, open_pools, with_sizes
from simulator.resolve.topology import PlannedTopology, plan_topology
from simulator.run.loads import Loads
from simulator.run.months import Progress, Sizing, replicas
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.one import subject_of
from simulator.simulate.refusal import try_fleet
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.size.answer import Answer, searched, sized_scenario
from simulator.size.assumed import AS_IT_IS, Assumed
from simulator.size.found import Limits, Search
from simulator.size.search import refinable
from simulator.size.trials import Point, Trials
from simulator.size.windows import best_window
from simulator.study.decision import Sizes
from simulator.study.demand import Level


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
    ) -> Answer | None:
        """Sizes for all periods of the first of these months; None for a topology that leaves nothing open.

        Parameters
        ----------
        rows : keeps the requests of what is found

        Raises
        ------
        InputError : no size that can be planned or priced, at its place
        """
        if not has_open_sizes(loaded.scenario.topologies[name]):
            return None
        pools = open_pools(loaded, name)
        return best_window(
            *(loaded, name, loads.first_month, self.store, self.limits, progress, rows),
            *(pools, self.assumed, self.planned),
        )

    def sizing(self, loaded: LoadedScenario, found: Answer, level: Level) -> Sizing:
        """Searches the open sizes of a topology under another load; what is committed stays on the instances agreed.

        Parameters
        ----------
        found : the sizes of the first of these months, whose load is `level`
        """
        name = found.name
        loaded = with_hours(loaded, name, found.hours) if found.hours else loaded
        loaded = committed_instances_stay(loaded, sized_scenario(loaded, [found]), name)
        pools = loaded.scenario.topologies[name].pools
        open_ = {pool.index for pool in open_pools(loaded, name)}

        def meets(planned: PlannedTopology, periods: Sequence[PeriodDemand]) -> bool:
            subject = subject_of(planned)
            return all(try_fleet(subject, one.demand, self.store).refutation is None for one in periods)

        refused = {level: _refused(found.search)}
        limits = replace(self.limits or Limits(), probe=False)

        def search(
            now: Level, periods: Sequence[PeriodDemand], before: Sizes, last: PlannedTopology | None
        ) -> PlannedTopology | None:
            opened = tuple(_from(pool, before, last, len(pools)) for pool in open_pools(loaded, name))
            trials = Trials(
                alone(loaded, name), name, opened, periods, self.store, assumed=self.assumed, planned=self.planned
            )
            below = [points for then, points in refused.items() if all(a <= b for a, b in zip(then, now, strict=True))]
            guess = [before[pool.index] for pool in opened]
            best = searched(trials, limits, refused=frozenset[Point]().union(*below), guess=guess)
            refused[now] = _refused(best)
            if best.best is None:
                return None
            return plan_topology(with_sizes(loaded, name, trials.sizes(best.best.point)), name)

        def at(sizes: Sizes) -> PlannedTopology:
            fixed = {k: Fixed(n) for k, n in enumerate(sizes) if k in open_}
            return plan_topology(with_sizes(loaded, name, fixed), name)

        owned = tuple(pool.billing == "owned" for pool in pools)
        return Sizing(tuple(pool.name for pool in pools), owned, meets, search, at)


def _refused(found: Search) -> frozenset[Point]:
    return frozenset(tried.point for tried in found.by_word("refused"))


def _from(pool: OpenPool, before: Sizes, last: PlannedTopology | None, pools: int) -> OpenPool:
    """The pool from what it was before: owned ones do not shrink, nor does the only one where no class comes less.

    Parameters
    ----------
    last : the topology as it was found where no class comes more often
    """
    least = before[pool.index] if pool.owned and not refinable(pool) else 0
    if last is not None and pools == 1:
        scaler = last.fleet.pools[0].autoscaler
        fewest = scaler.min_replicas if scaler else 0
        least = max(least, fewest if refinable(pool) else replicas(last, (pool.name,))[0])
    return replace(pool, low=max(pool.low, math.ceil(least / pool.step)))
