"""Carbon intensity of a site's grid by the hours of the scenario's clock."""

from __future__ import annotations

import math

from simulator.catalog.grids import HOURS, MONTHS, grid
from simulator.catalog.sites import Site
from simulator.resolve.clock import Clock


def carbon_by_hour(place: Site, clock: Clock, at_s: float) -> tuple[float, ...]:
    """kg CO2 per kWh by month and local hour of the scenario, 288 figures; empty where the grid is not known.

    Where days have dates, the grid's hours are moved by its time zone's distance from the scenario's at `at_s`, half
    hours being the mean of two; without dates both are taken as the same.
    """
    if not place.grid:
        return ()
    known = grid(place.grid)
    table = known.co2_kg_per_kwh
    ahead_h = clock.ahead_h(at_s, known.time_zone) - clock.ahead_h(at_s)
    low, late = math.floor(ahead_h), ahead_h - math.floor(ahead_h)
    found: list[float] = []
    for month in range(MONTHS):
        day = table[month * HOURS : (month + 1) * HOURS]
        for hour in range(HOURS):
            first, following = (day[(hour + low + k) % HOURS] for k in (0, 1))
            found.append(first * (1.0 - late) + following * late if late else first)
    return tuple(found)
