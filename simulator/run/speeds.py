"""Sizes of the topologies of a run where its engines are slower and faster than forecast."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace

from simulator.resolve.topology import PlannedTopology
from simulator.run.loads import Loads
from simulator.run.sizer import Sizer
from simulator.run.trust import expected_errors
from simulator.scenario.load import LoadedScenario
from simulator.size.found import Limits
from simulator.size.speeds import AtSpeed, at_speeds


def speeds(
    loaded: LoadedScenario,
    planned: Sequence[PlannedTopology],
    loads: Loads,
    sizer: Sizer,
    seconds: float,
    by_month: Collection[str] = (),
) -> dict[str, tuple[AtSpeed, ...]]:
    """Sizes at three speeds of the topologies whose expected error is known; empty where time ended before.

    Parameters
    ----------
    seconds : of the wall clock, for all of them
    by_month : topologies whose owned pools are sized by each month's own periods
    """
    until_s = time.monotonic() + seconds
    found: dict[str, tuple[AtSpeed, ...]] = {}
    for topology in planned:
        error, left_s = expected_errors(topology.engines), until_s - time.monotonic()
        if error is None:
            continue
        limits = replace(sizer.limits or Limits(), seconds=left_s)
        name = topology.name
        asked = loads if name in by_month else loads.of_sizes(loaded.scenario.topologies[name])
        args = loaded, name, asked.first_month, sizer.store, error["throughput"], limits
        found[name] = at_speeds(*args) if left_s > 0 else ()
    return found
