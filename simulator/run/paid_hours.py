"""Rented pools that routing sends nothing to at some hours, for all of which they are paid, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.schema.clock import WeekWindow
from simulator.schema.pool import Pool
from simulator.schema.topology import Topology


def paid_at_other_hours(topology: Topology) -> list[str]:
    """Pools whose number stays while windows of the routing leave them out, with the schedule that would not.

    The hours of a window save nothing of what such a pool costs. What is under commitment is paid anyway; servers of
    one's own are bought.
    """
    return [
        f"{pool.name} is paid for at all hours, and takes requests {when}: {schedule} would be paid for these alone"
        for pool in topology.pools
        if _stays(pool)
        for when, schedule in _left_out(topology, pool)
    ]


def _stays(pool: Pool) -> bool:
    is_paid_by_use = pool.billing in ("on_demand", "spot", "capacity_block") and pool.commitments is None
    return is_paid_by_use and not pool.schedule and pool.autoscaler is None and pool.replicas != 0


def _left_out(topology: Topology, pool: Pool) -> Iterator[tuple[str, str]]:
    """When a pool takes requests, and the schedule that has it then alone."""
    windows, otherwise = topology.routing.windows, topology.routing.otherwise
    using = [window for window in windows if pool.name in window.use]
    others = [window for window in windows if pool.name not in window.use]
    outside = otherwise is None or pool.name in otherwise
    if using and not outside:
        entries = ", ".join(f"{{{_times(window)}, replicas: {pool.replicas}}}" for window in using)
        yield f"in {_hours(using)} alone", f"'replicas: 0' with 'schedule: [{entries}]'"
    elif others and outside and not using:
        entries = ", ".join(f"{{{_times(window)}, replicas: 0}}" for window in others)
        yield f"outside {_hours(others)} alone", f"'schedule: [{entries}]'"


def _hours(windows: Sequence[WeekWindow]) -> str:
    return "the window of its routing" if len(windows) == 1 else "windows of its routing"


def _times(window: WeekWindow) -> str:
    said = {"days": window.days, "hours": window.hours}
    zone = f", time_zone: {window.time_zone}" if window.time_zone else ""
    return ", ".join(f"{key}: {text}" for key, text in said.items() if text != "mon-sun") + zone
