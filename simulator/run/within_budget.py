"""What load the topologies of a run serve for the budget that its study names."""

from __future__ import annotations

from simulator.decide.budget import Affordable, affordable
from simulator.decide.explore import Explorer
from simulator.run.loads import Loads
from simulator.run.resized import at_best_size
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario

_SECONDS = 60.0
"""Of wall clock for all topologies together, each an equal share of what is left."""


def loads_within_budget(loaded: LoadedScenario, loads: Loads, sizer: Sizer) -> tuple[Affordable, ...]:
    """Of each topology at its best size in the first month; none where no budget is named.

    Parameters
    ----------
    loaded : with its sizes as open as they are written
    """
    budget_usd = loaded.scenario.study.budget_usd_per_month
    if budget_usd is None:
        return ()
    serve = at_best_size(loaded, loads.first_month, sizer.store, sizer.limits)
    explorer, names = Explorer(serve, serve, _SECONDS), list(loaded.scenario.topologies)
    return tuple(affordable(explorer.within(1 / (len(names) - k)), name, budget_usd) for k, name in enumerate(names))
