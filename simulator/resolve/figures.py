"""Cost figures as a topology uses them: with the scenario's overrides, and a memory of what was used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.catalog.costs import cost_entry
from simulator.catalog.quantity import Quantity


class Figures:
    """Cost figures by id, with overrides; remembers what was used.

    Parameters
    ----------
    overrides : figures that the scenario sets; they are certain
    draws : values in place of the catalog's, a number or an array of draws each; overrides go first

    Attributes
    ----------
    estimates : ids of estimates that were used
    ranges : (low, value, high) of the figures with a range that were used
    used_overrides : ids of overrides that were used
    """

    def __init__(self, overrides: Mapping[str, float], draws: Mapping[str, Any] | None = None) -> None:
        for name in overrides:
            cost_entry(name)
        self._overrides = dict(overrides)
        self._draws = draws or {}
        self.estimates: set[str] = set()
        self.ranges: dict[str, tuple[float, float, float]] = {}
        self.used_overrides: set[str] = set()

    def __call__(self, identifier: str, part: str | None = None) -> Any:
        """Value of a cost figure, or of its part: a number, or an array where it is drawn.

        Raises
        ------
        InputError : no such figure or part
        """
        if identifier in self._overrides:
            self.used_overrides.add(identifier)
            return self._overrides[identifier]
        entry = cost_entry(identifier)
        if entry.kind == "estimate":
            self.estimates.add(identifier)
        if entry.interval is not None:
            self.ranges[identifier] = entry.interval
        return self._draws[identifier] if identifier in self._draws else entry.number(part)

    def of(self, quantity: Quantity) -> Any:
        """Value of a catalog quantity; one that is taken from a cost figure follows that figure."""
        return quantity.value if quantity.entry is None else self(quantity.entry)
