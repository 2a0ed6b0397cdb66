"""Windows whose hours are left open: which hours make sense, and the scenario with them filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.resolve.clock import clock_of
from simulator.scenario.load import LoadedScenario
from simulator.scenario.week import week_days, windows_of
from simulator.schema.clock import AUTO_HOURS, WeekWindow
from simulator.schema.topology import Topology
from simulator.units import HOURS_PER_DAY, SECONDS_PER_HOUR
from simulator.workload.spec import DAYS_PER_WEEK

WHOLE_DAY = "0-24"


def open_windows(topology: Topology) -> list[tuple[str, WeekWindow]]:
    """Windows of a topology whose hours are open, with their places below it; those of its routing first."""
    return [(path, window) for path, window in windows_of(topology) if window.hours == AUTO_HOURS]


def with_hours(loaded: LoadedScenario, name: str, hours: str) -> LoadedScenario:
    """The scenario with the same hours in all windows of a topology that leave them open."""
    topology = loaded.scenario.topologies[name]
    routing = topology.routing
    windows = tuple(_filled(window, hours) for window in routing.windows)
    pools = tuple(
        pool.model_copy(update={"schedule": tuple(_filled(window, hours) for window in pool.schedule)})
        for pool in topology.pools
    )
    changed = topology.model_copy(update={"pools": pools, "routing": routing.model_copy(update={"windows": windows})})
    scenario = loaded.scenario
    topologies = {other: changed if other == name else each for other, each in scenario.topologies.items()}
    return replace(loaded, scenario=scenario.model_copy(update={"topologies": topologies}))


def busiest_hours(arrivals: NDArray[np.float64]) -> list[str]:
    """For each length from 1 to 24 hours the hours of the day, one after another, in which most requests arrive.

    Parameters
    ----------
    arrivals : by hour of day, shape (24,); of equal ranges the one that begins first is taken
    """
    twice = np.concatenate([[0.0], np.cumsum(np.concatenate([arrivals, arrivals]))])
    found: list[str] = []
    for length in range(1, HOURS_PER_DAY):
        within = twice[length : length + HOURS_PER_DAY] - twice[:HOURS_PER_DAY]
        first = int(np.argmax(within))
        found.append(f"{first}-{(first + length - 1) % HOURS_PER_DAY + 1}")
    return [*found, WHOLE_DAY]


def arrivals_by_hour(
    loaded: LoadedScenario, window: WeekWindow, arrival_s: Sequence[NDArray[np.float64]], start_s: float
) -> NDArray[np.float64]:
    """Requests by hour of day on the days of a window, shape (24,).

    Parameters
    ----------
    arrival_s : seconds of the workload
    start_s : what the clock shows at its second 0
    """
    clock = clock_of(loaded.scenario)
    there = replace(clock, zone=window.time_zone or clock.zone)
    days = week_days(window.days)
    found = np.zeros(HOURS_PER_DAY)
    for times in arrival_s:
        hours = (there.week_s(times + start_s) // SECONDS_PER_HOUR).astype(np.int64)
        counts = np.isin(hours // HOURS_PER_DAY % DAYS_PER_WEEK, days)
        found += np.bincount(hours[counts] % HOURS_PER_DAY, minlength=HOURS_PER_DAY)
    return found


def _filled(window: WeekWindow, hours: str) -> WeekWindow:
    return window.model_copy(update={"hours": hours}) if window.hours == AUTO_HOURS else window
