"""Pools that are scaled by the clock."""

from __future__ import annotations

import math
from collections.abc import Generator
from itertools import count
from typing import Any

from simulator.fleet.lifecycle import PoolControl
from simulator.study.schedule import Schedule

_SLACK_S = 1e-6
"""Rounding of times of the clock."""


def keep_schedule(control: PoolControl, schedule: Schedule, clock_s: float) -> Generator[Any, Any, None]:
    """SimPy process: launches ahead of a window with more replicas, and retires at the end of one.

    Parameters
    ----------
    clock_s : what the fleet's clock shows at simulated time 0
    """
    early_s = control.spec.early_s
    # an edge may call for a launch before it, or for a retirement at it
    offsets = {(edge - ahead - clock_s) % schedule.cycle_s for edge in schedule.edges for ahead in (0.0, early_s)}
    steps = sorted(offsets - {math.inf})
    control.scale_to(_wanted(schedule, clock_s, early_s))
    for cycle in count() if steps and schedule.cycle_s < math.inf else range(1):
        for offset in steps:
            at_s = (cycle * schedule.cycle_s if cycle else 0.0) + offset
            if at_s > control.env.now:
                yield control.env.timeout(at_s - control.env.now)
                control.scale_to(_wanted(schedule, clock_s + at_s, early_s))


def _wanted(schedule: Schedule, at_s: float, early_s: float) -> int:
    """The most that the schedule has from `at_s` to `early_s` later."""
    return max(schedule.numbers(at_s + _SLACK_S, early_s))
