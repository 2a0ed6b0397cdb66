"""What load the topologies of a run serve for the budget that its study names."""

from __future__ import annotations

import math

from simulator.decide.budget import REACH, Affordable, affordable
from simulator.decide.explore import Explorer
from simulator.run.loads import Loads
from simulator.run.resized import at_best_size
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario

_MOST_REQUESTS = 100_000
"""Of a load above today's, in all periods and replications, up to which it is asked for without time to explore."""


def loads_within_budget(
    loaded: LoadedScenario, loads: Loads, sizer: Sizer, seconds: float | None = None
) -> tuple[Affordable, ...]:
    """Of each topology at its best size in the first month; none where no budget is named.

    Parameters
    ----------
    loaded : with its sizes as open as they are written
    seconds : of wall clock for all topologies, each an equal share of what is left; None for loads of few requests
        alone, so that equal input gives an equal answer
    """
    budget_usd = loaded.scenario.study.budget_usd_per_month
    if budget_usd is None:
        return ()
    serve = at_best_size(loaded, loads.first_month, sizer.store, sizer.limits)
    requests = sum(one.demand.requests for one in loads.first_month)
    reach = REACH if seconds is not None else min(max(_MOST_REQUESTS / max(requests, 1), 1.0), REACH)
    explorer, names = Explorer(serve, serve, math.inf if seconds is None else seconds), list(loaded.scenario.topologies)
    return tuple(
        affordable(explorer.within(1 / (len(names) - k)), name, budget_usd, reach) for k, name in enumerate(names)
    )
