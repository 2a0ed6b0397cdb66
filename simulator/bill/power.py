"""What the servers of a site draw: GPUs of replicas as simulated, the others idle, and hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.bill.use import Use
from simulator.study.terms import OwnedSite, Terms
from simulator.units import HOURS_PER_DAY, MONTHS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Draw:
    """Of a month, by hour of day, shape (24,), without PUE.

    Attributes
    ----------
    gpu_kwh : of GPUs in replicas that are up
    free_gpu_hours : of the other GPUs of servers that are on
    server_hours : of servers that are on
    """

    gpu_kwh: NDArray[np.float64]
    free_gpu_hours: NDArray[np.float64]
    server_hours: NDArray[np.float64]


def site_draw(site: OwnedSite, index: int, use: Use, bought: int, zone: str) -> Draw:
    """What a site draws in a month, by the hours of a time zone.

    All servers that are bought are on, empty ones and spares too, but for machines under repair; with `off_when_empty`
    only those with a replica that is up. Simulated places may stand on more machines than are bought, where one that
    failed has been given up for another: those with a replica are on.

    Parameters
    ----------
    index : of the site in the terms
    bought : servers that stand there
    """
    hours = use.sites[index].hours[zone]
    on = hours.running
    if not site.off_when_empty:
        on = np.maximum(bought * hours.on - hours.down, hours.running)
    kwh = [use.pools[name].gpu_kwh[zone] for name in site.pools if name in use.pools]
    free = np.maximum(site.server.gpus * on - hours.held_gpus, 0.0)
    return Draw(np.sum([np.zeros(on.shape), *kwh], axis=0), free, on)


def grid_of_month(grid: Sequence[float], calendar_month: int) -> Sequence[float]:
    """Carbon intensity of a month of the calendar, 1 to 12: one, or 24 by hour of day."""
    if not is_by_month(grid):
        return grid
    first = (calendar_month - 1) * HOURS_PER_DAY
    return grid[first : first + HOURS_PER_DAY]


def is_by_month(grid: Sequence[float]) -> bool:
    """Whether a grid's carbon intensity has a day of its own for each month."""
    return len(grid) == MONTHS_PER_YEAR * HOURS_PER_DAY


def has_carbon(terms: Terms) -> bool:
    """Whether what electricity emits is paid for in some month."""
    places = (one.facility for site in terms.owned for one in (site, *site.later))
    return any(np.any(place.co2_usd_per_tonne) for place in places)
