"""Carbon intensity of grids by hour of day and month."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

from simulator.catalog.quantity import Entry, Quantity, read_yaml
from simulator.errors import InputError, unknown_name
from simulator.units import HOURS_PER_DAY, MONTHS_PER_YEAR


class Course(Entry):
    """Multiples of a mean over the months of a year or the hours of a day."""

    values: tuple[float, ...]
    kind: Literal["sourced", "derived", "estimate"]
    source: str
    url: str | None = None
    date: str
    note: str = ""


class Grid(Entry):
    """One grid.

    Attributes
    ----------
    time_zone : in which its hours count
    annual : kg of CO2 equivalents per kWh, mean of a year
    by_month, by_hour : multiples of the mean, shapes (12,) and (24,), from January and from 00:00
    swing : how far the hours leave the month's mean, as a multiple of `by_hour`'s own swing, shape (12,)
    """

    name: str
    title: str
    time_zone: str
    annual: Quantity
    by_month: Course
    swing: Course
    by_hour: Course

    @property
    def co2_kg_per_kwh(self) -> tuple[float, ...]:
        """Intensity by month, then hour: 288 figures whose mean is `annual`.

        .. math:: c_{mh} = c \\, \\frac{a_m (1 + s_m (b_h - 1))}{\\text{mean}}
        """
        shape = [
            month * max(0.0, 1.0 + swing * (hour - 1.0))
            for month, swing in zip(self.by_month.values, self.swing.values, strict=True)
            for hour in self.by_hour.values
        ]
        scale = self.annual.value * len(shape) / math.fsum(shape)
        return tuple(scale * value for value in shape)

    @property
    def mean_day(self) -> tuple[float, ...]:
        """Intensity by hour of day, mean over the months: 24 figures."""
        table = self.co2_kg_per_kwh
        return tuple(math.fsum(table[hour::HOURS_PER_DAY]) / MONTHS_PER_YEAR for hour in range(HOURS_PER_DAY))


@lru_cache
def grids() -> dict[str, Grid]:
    """All grids by name."""
    return {name: Grid(name=name, **fields) for name, fields in read_yaml("grids.yaml")["grids"].items()}


def grid(name: str) -> Grid:
    """Grid called `name`, as `us-ca`.

    Raises
    ------
    InputError : no such grid
    """
    if name.lower() not in grids():
        raise InputError(unknown_name("grid", name, grids()))
    return grids()[name.lower()]
