"""Cost figures as a topology uses them: with the scenario's overrides, and a memory of what was used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from simulator.catalog.costs import CostEntry, cost_entries, cost_entry
from simulator.catalog.quantity import Quantity
from simulator.errors import InputError, Problem
from simulator.resolve.located import place_of
from simulator.scenario.load import LoadedScenario
from simulator.study.figure import Figure
from simulator.study.terms import Money
from simulator.units import MONTHS_PER_YEAR

_SHARES = ("fraction", "probability", "monthly uptime", "load fraction", "max fraction", "per year")
"""Units of figures that are shares of something, by how they begin."""
_LEAST_YEARS = 1 / MONTHS_PER_YEAR


class Figures:
    """Cost figures by id, with overrides; remembers what was used.

    Parameters
    ----------
    overrides : figures that the scenario sets, by id or by id and part; they are certain
    draws : values in place of the catalog's, a number or an array of draws each, by id, by id and part, or by the name
        of a quantity; overrides go first
    loaded : where the scenario's own values were written

    Attributes
    ----------
    used : figures that were used, by id; prices that were read elsewhere by id and value
    ranges : (low, value, high) of the figures with a range that were used
    used_overrides : ids of overrides that were used
    offers : ids of prices that were read elsewhere, as those of offers: no draw moves them

    Raises
    ------
    InputError : an override of no figure, or beyond what the figure can be
    """

    def __init__(
        self,
        overrides: Mapping[str, float],
        draws: Mapping[str, Money] | None = None,
        loaded: LoadedScenario | None = None,
    ) -> None:
        check_overrides(overrides)
        self._overrides = dict(overrides)
        self._draws = draws or {}
        self._loaded = loaded
        self.used: dict[str, Figure] = {}
        self.ranges: dict[str, tuple[float, float, float]] = {}
        self.used_overrides: set[str] = set()
        self.offers: set[str] = set()

    @property
    def estimates(self) -> set[str]:
        """Ids of the estimates that were used."""
        return {figure.id for figure in self.used.values() if figure.kind == "estimate"}

    def __call__(self, identifier: str, part: str | None = None) -> Money:
        """Value of a cost figure, or of its part: a number, or an array where it is drawn.

        Raises
        ------
        InputError : no such figure or part
        """
        entry = cost_entry(identifier)
        name = identifier if part is None else f"{identifier}.{part}"
        for key in (name, identifier):
            if key in self._overrides:
                self.used_overrides.add(key)
                return self.given(f"cost.overrides.{key}", self._overrides[key], entry.unit)
        value = entry.number(part)
        self.used[name] = Figure(name, value, entry.unit, entry.kind, entry.source, entry.date)
        if entry.interval is not None:
            self.ranges[identifier] = entry.interval
        return self._draws.get(name, self._draws.get(identifier, value))

    def is_overridden(self, identifier: str) -> bool:
        """Whether the scenario sets the figure, or a part of it."""
        return any(key == identifier or key.startswith(f"{identifier}.") for key in self._overrides)

    def unnoted(self, identifier: str) -> Money:
        """Value of a cost figure that moves no line of the bill: it is not remembered among those that were used."""
        known, ranges = dict(self.used), dict(self.ranges)
        value = self(identifier)
        self.used, self.ranges = known, ranges
        return value

    def of(self, quantity: Quantity, name: str) -> Money:
        """Value of a catalog quantity called `name`; one that is taken from a cost figure follows that figure."""
        if quantity.entry is not None:
            return self(quantity.entry)
        self.used[name] = Figure(name, quantity.value, quantity.unit, quantity.kind, quantity.source, quantity.date)
        return self._draws.get(name, quantity.value)

    def given(self, path: str, value: float, unit: str, source: str = "", date: str = "") -> float:
        """The same value, remembered as the scenario's own; `path` is where it says so."""
        place = "" if self._loaded is None else place_of(self._loaded, path)
        self.used[path] = Figure(path, float(value), unit, "given", source, date, place)
        return float(value)

    def note(self, figure: Figure) -> None:
        """Remember a figure that was read elsewhere: offers of one name have a price for each size of instance."""
        self.used[f"{figure.id} = {figure.value}"] = figure
        self.offers.add(figure.id)


def check_overrides(overrides: Mapping[str, float]) -> None:
    """Refuse overrides of figures that do not exist, and values that they cannot have.

    Raises
    ------
    InputError : each of them, at its key below `cost.overrides`
    """
    problems: list[Problem] = []
    for key, value in overrides.items():
        try:
            entry = _entry(key)
        except InputError as error:
            problems += [replace(problem, path=key) for problem in error.problems]
            continue
        least, most = bounds(entry)
        if not least <= value <= most:
            words = f"at least {least:g}" if most == np.inf else f"from {least:g} to {most:g}"
            problems.append(Problem(f"must be {words} ({entry.unit})", path=key, got=f"{value:g}"))
    if problems:
        raise InputError(*problems)


def bounds(entry: CostEntry) -> tuple[float, float]:
    """Least and largest value that a figure of this unit can have."""
    if entry.unit.startswith(_SHARES):
        return 0.0, 1.0
    if entry.unit == "ratio":
        return 1.0, np.inf
    return (_LEAST_YEARS, np.inf) if entry.unit == "years" else (0.0, np.inf)


def _entry(key: str) -> CostEntry:
    """The figure that an override is for: an id, or an id and a part of its table."""
    whole, _, part = key.rpartition(".")
    if key not in cost_entries() and whole in cost_entries() and isinstance(cost_entry(whole).value, dict):
        cost_entry(whole).number(part)
        return cost_entry(whole)
    return cost_entry(key)
