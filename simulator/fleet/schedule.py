"""Pools that are scaled by the clock."""

from __future__ import annotations

import math
from collections.abc import Generator
from itertools import count
from typing import Any

from simulator.fleet.lifecycle import PoolControl
from simulator.study.fleet import Schedule

_SLACK_S = 1e-6
"""Rounding of times of the clock."""


def keep_schedule(control: PoolControl, schedule: Schedule, clock_s: float) -> Generator[Any, Any, None]:
    """SimPy process: launches ahead of a window with more replicas, and retires at the end of one.

    Parameters
    ----------
    clock_s : what the fleet's clock shows at simulated time 0
    """
    early_s = control.spec.cold_start.total_s if schedule.start_early_s is None else schedule.start_early_s
    edges = {edge for start_s, end_s, _ in schedule.windows for edge in (start_s, end_s)}
    # an edge may call for a launch before it, or for a retirement at it
    offsets = {(edge - ahead - clock_s) % schedule.cycle_s for edge in edges for ahead in (0.0, early_s)}
    steps = sorted(offsets - {math.inf})
    control.scale_to(_wanted(schedule, clock_s, early_s, edges))
    for cycle in count() if steps and schedule.cycle_s < math.inf else range(1):
        for offset in steps:
            at_s = (cycle * schedule.cycle_s if cycle else 0.0) + offset
            if at_s > control.env.now:
                yield control.env.timeout(at_s - control.env.now)
                control.scale_to(_wanted(schedule, clock_s + at_s, early_s, edges))


def _wanted(schedule: Schedule, at_s: float, early_s: float, edges: set[float]) -> int:
    """The most that the schedule has from `at_s` to `early_s` later."""
    from_s = at_s + _SLACK_S
    ahead = [edge for edge in edges if (edge - from_s) % schedule.cycle_s <= early_s]
    return max([schedule.replicas_at(from_s), *(schedule.replicas_at(edge) for edge in ahead)])
