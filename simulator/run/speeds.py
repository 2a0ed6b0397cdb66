"""Sizes of the topologies of a run where its engines are slower and faster than forecast."""

from __future__ import annotations

import time
from collections.abc import Sequence
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
) -> dict[str, tuple[AtSpeed, ...]]:
    """Sizes at three speeds of the topologies whose expected error is known; empty where time ended before.

    Parameters
    ----------
    seconds : of the wall clock, for all of them
    """
    until_s = time.monotonic() + seconds
    found: dict[str, tuple[AtSpeed, ...]] = {}
    for topology in planned:
        error, left_s = expected_errors(topology.engines), until_s - time.monotonic()
        if error is None:
            continue
        limits = replace(sizer.limits or Limits(), seconds=left_s)
        periods = loads.of_sizes(loaded.scenario.topologies[topology.name]).first_month
        args = loaded, topology.name, periods, sizer.store, error["throughput"], limits
        found[topology.name] = at_speeds(*args) if left_s > 0 else ()
    return found
