"""Carbon intensity of a site's grid, and in which time zone its hours count."""

from __future__ import annotations

from simulator.catalog.grids import grid
from simulator.catalog.sites import Site
from simulator.resolve.clock import Clock


def carbon_by_hour(place: Site) -> tuple[float, ...]:
    """kg CO2 per kWh by month and hour of the grid's day, 288 figures; empty where the grid is not known."""
    return grid(place.grid).co2_kg_per_kwh if place.grid else ()


def grid_zone(place: Site, clock: Clock) -> str:
    """Time zone of a site's grid; empty where the grid is not known, and where days have no dates: all clocks are then
    taken to show the same.
    """
    return grid(place.grid).time_zone if place.grid and clock.first is not None else ""
