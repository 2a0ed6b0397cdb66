"""The load that each topology serves within a budget, at its cheapest size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from simulator.decide.explore import Asked, Explorer, OutOfTime
from simulator.money import money

REACH = 64.0
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
    missed : what keeps it below that is the SLO, which no size meets there, and not the budget
    """

    topology: str
    least: float
    most: float
    missed: bool = False


def affordable(explorer: Explorer, topology: str, budget_usd: float, reach: float = REACH) -> Affordable:
    """The largest load that a topology serves within the SLO for a budget: by doublings, else from a 64th, by halves.

    A larger load is taken to cost no less. Where time ends it is as far as it got.

    Parameters
    ----------
    reach : the multiple up to which loads are asked for, at least 1
    """
    low, high, missed = 0.0, math.inf, False

    def ask(load: float) -> None:
        nonlocal low, high, missed
        found = explorer.best(Asked(topology, load=load))
        if found.meets and found.usd_per_month is not None and found.usd_per_month <= budget_usd:
            low = load
        else:
            high, missed = load, not found.meets

    with suppress(OutOfTime):
        load = 1.0
        while load <= reach and high == math.inf:
            ask(load)
            load *= 2
        if not low and high == 1.0:
            ask(1 / REACH)
        while low > 0 and math.isfinite(high) and high > _NEAR * low:
            ask(math.sqrt(low * high))
    return Affordable(topology, low, high, missed)


def budget_words(found: Sequence[Affordable], budget_usd: float, month: int = 0) -> str:
    """What a budget buys, the most first.

    Parameters
    ----------
    month : whose load is meant; 0 where all months are alike
    """
    this = f"the load of month {month}" if month else "this load"
    told = [f"{one.topology} serves {_load_words(one, this)}" for one in sorted(found, key=lambda one: -one.least)]
    return f"For {money(budget_usd)} a month {'; '.join(told)}."


def _load_words(one: Affordable, this: str) -> str:
    if one.most == math.inf:
        return f"at least × {one.least:.3g} of {this}" if one.least else "a load that was not found in time"
    if not one.least:
        if one.most == 1.0:
            return f"less than {this}, with which it misses the SLO" if one.missed else f"{this} for more"
        least = f"× {one.most:.2g} of {this}"
        return f"none, as it misses the SLO at {least}, too" if one.missed else f"none, as {least} costs more"
    beyond = ", and misses the SLO beyond" if one.missed else ""
    if one.most > _NEAR * one.least:
        return f"from × {one.least:.3g} to × {one.most:.3g} of {this}{beyond}"
    return f"× {one.least:.2f} of {this}{beyond}"
