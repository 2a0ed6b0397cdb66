"""Windows whose days or hours are left open: which make sense, and the scenario with them filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.resolve.clock import clock_of
from simulator.scenario.load import LoadedScenario
from simulator.scenario.week import DAYS, week_days, windows_of
from simulator.schema.clock import AUTO_WINDOW, WeekWindow
from simulator.schema.topology import Topology
from simulator.units import HOURS_PER_DAY, SECONDS_PER_HOUR
from simulator.workload.spec import DAYS_PER_WEEK

WHOLE_DAY = "0-24"
EVERY_DAY = "mon-sun"
WHOLE_WEEK = f"{EVERY_DAY} {WHOLE_DAY}"


def open_windows(topology: Topology) -> list[tuple[str, WeekWindow]]:
    """Windows of a topology whose days or hours are open, with their places below it; those of its routing first."""
    return [(path, window) for path, window in windows_of(topology) if window.is_open]


def with_hours(loaded: LoadedScenario, name: str, hours: str) -> LoadedScenario:
    """The scenario with the same days and hours in all windows of a topology that leave them open.

    Parameters
    ----------
    hours : as `8-20`, or with days `mon-fri 8-20`; of days alone `mon-fri`
    """
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


def busiest_days(arrivals: NDArray[np.float64]) -> list[str]:
    """For each number of days from 1 to 7 those of the week, one after another, on which most requests arrive.

    Parameters
    ----------
    arrivals : by day of the week from Monday on, shape (7,); of equal ranges the one that begins first is taken
    """
    twice = np.concatenate([[0.0], np.cumsum(np.concatenate([arrivals, arrivals]))])
    found: list[str] = []
    for length in range(1, DAYS_PER_WEEK):
        first = int(np.argmax(twice[length : length + DAYS_PER_WEEK] - twice[:DAYS_PER_WEEK]))
        last = (first + length - 1) % DAYS_PER_WEEK
        found.append(DAYS[first] if length == 1 else f"{DAYS[first]}-{DAYS[last]}")
    return [*found, EVERY_DAY]


def arrivals_by_day_and_hour(
    loaded: LoadedScenario, window: WeekWindow, arrival_s: Sequence[NDArray[np.float64]], start_s: float
) -> NDArray[np.float64]:
    """Requests by day of the week and hour of day, shape (7, 24), on the days of a window; on all where they are open.

    Parameters
    ----------
    arrival_s : seconds of the workload
    start_s : what the clock shows at its second 0
    """
    clock = clock_of(loaded.scenario)
    there = replace(clock, zone=window.time_zone or clock.zone)
    days = range(DAYS_PER_WEEK) if window.days == AUTO_WINDOW else week_days(window.days)
    found = np.zeros(DAYS_PER_WEEK * HOURS_PER_DAY)
    for times in arrival_s:
        hours = (there.week_s(times + start_s) // SECONDS_PER_HOUR).astype(np.int64) % len(found)
        found += np.bincount(hours, minlength=len(found))
    by_day = found.reshape(DAYS_PER_WEEK, HOURS_PER_DAY)
    by_day[np.isin(np.arange(DAYS_PER_WEEK), days, invert=True)] = 0.0
    return by_day


def window_values(window: WeekWindow, hours: str) -> dict[str, str]:
    """What of a window is open, filled in: `days`, `hours`."""
    found = {}
    for part in hours.split(" "):
        key = "days" if part[0].isalpha() else "hours"
        if part and getattr(window, key) == AUTO_WINDOW:
            found[key] = part
    return found


def window_words(hours: str) -> str:
    """Days and hours of a window, as `mon-fri 8-20 h`."""
    return f"{hours} h" if hours[-1:].isdigit() else hours


def _filled(window: WeekWindow, hours: str) -> WeekWindow:
    return window.model_copy(update=window_values(window, hours)) if window.is_open and hours else window
