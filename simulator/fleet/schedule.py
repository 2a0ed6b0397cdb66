"""Pools that are scaled by the time of the week."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from simulator.fleet.lifecycle import PoolControl
from simulator.study.fleet import Schedule
from simulator.units import SECONDS_PER_WEEK

_SLACK_S = 1e-6
"""Rounding of times of the week."""


def keep_schedule(control: PoolControl, schedule: Schedule, week_s: float) -> Generator[Any, Any, None]:
    """SimPy process: launches ahead of a window with more replicas, and retires at the end of one.

    Parameters
    ----------
    week_s : time since Monday 00:00 at simulated time 0
    """
    early_s = control.spec.cold_start.total_s if schedule.start_early_s is None else schedule.start_early_s
    edges = {edge for start_s, end_s, _ in schedule.windows for edge in (start_s, end_s)}
    # an edge may call for a launch before it, or for a retirement at it
    offsets = sorted({(edge - ahead - week_s) % SECONDS_PER_WEEK for edge in edges for ahead in (0.0, early_s)})
    control.scale_to(_wanted(schedule, week_s, early_s, edges))
    week = 0
    while offsets:
        for offset in offsets:
            at_s = week * SECONDS_PER_WEEK + offset
            if at_s > control.env.now:
                yield control.env.timeout(at_s - control.env.now)
                control.scale_to(_wanted(schedule, week_s + at_s, early_s, edges))
        week += 1


def _wanted(schedule: Schedule, at_s: float, early_s: float, edges: set[float]) -> int:
    """The most that the schedule has from `at_s` to `early_s` later."""
    from_s = at_s + _SLACK_S
    ahead = [edge for edge in edges if (edge - from_s) % SECONDS_PER_WEEK <= early_s]
    return max([schedule.replicas_at(from_s), *(schedule.replicas_at(edge) for edge in ahead)])
