"""The load that each topology serves within a budget, at its cheapest size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from simulator.decide.explore import Asked, Explorer, OutOfTime
from simulator.money import money

_REACH = 64.0
"""Multiples of the load, and parts of it, that are asked for at most."""
_NEAR = 1.05
"""Ratio of the loads between which the largest that a budget buys is left open."""


@dataclass(frozen=True, slots=True)
class Affordable:
    """What load a topology serves within the SLO for a budget, at its cheapest size, as multiples of today's.

    Attributes
    ----------
    least : the largest that is known to; 0 for none
    most : the smallest that is known not to; infinite where none was found
    """

    topology: str
    least: float
    most: float


def affordable(explorer: Explorer, topology: str, budget_usd: float) -> Affordable:
    """The largest load that a topology serves within the SLO for a budget: by doublings, else from a 64th, by halves.

    A larger load is taken to cost no less. Where time ends it is as far as it got.
    """
    low, high = 0.0, math.inf
    with suppress(OutOfTime):
        load = 1.0
        while load <= _REACH and high == math.inf:
            low, high = (load, high) if _fits(explorer, topology, load, budget_usd) else (low, load)
            load *= 2
        if not low and high == 1.0:
            least = 1 / _REACH
            low, high = (least, high) if _fits(explorer, topology, least, budget_usd) else (low, least)
        while low > 0 and math.isfinite(high) and high > _NEAR * low:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if _fits(explorer, topology, middle, budget_usd) else (low, middle)
    return Affordable(topology, low, high)


def _fits(explorer: Explorer, topology: str, load: float, budget_usd: float) -> bool:
    found = explorer.best(Asked(topology, load=load))
    return found.meets and found.usd_per_month is not None and found.usd_per_month <= budget_usd


def budget_words(found: Sequence[Affordable], budget_usd: float) -> str:
    """What a budget buys, the most first."""
    told = [f"{one.topology} serves {_load_words(one)}" for one in sorted(found, key=lambda one: -one.least)]
    return f"For {money(budget_usd)} a month {'; '.join(told)}."


def _load_words(one: Affordable) -> str:
    if one.most == math.inf:
        return f"at least × {one.least:.3g} of this load" if one.least else "a load that was not found in time"
    if not one.least:
        return "this load for more" if one.most == 1.0 else f"none, as × {one.most:.2g} of this load costs more"
    if one.most > _NEAR * one.least:
        return f"from × {one.least:.3g} to × {one.most:.3g} of this load"
    return f"× {one.least:.2f} of this load"
