"""How much load a fleet carries within the SLO, and the share of it that is used."""

from __future__ import annotations

import math
from collections.abc import Callable

from simulator.study.decision import Capacity

PRECISION = 0.02
"""Relative distance of the largest load that meets and the smallest that does not, at most."""


def capacity(
    meets: Callable[[float], bool], start: float = 1.0, most: float = 64.0, precision: float = PRECISION
) -> Capacity:
    """The largest factor of all classes at which the fleet meets the SLO, by doubling and halving.

    Parameters
    ----------
    meets : whether it does at this multiple of the load
    start : tried first
    most : how far to go up and, as 1/most, down

    Returns
    -------
    `factor` meets and `fails_at` does not, unless it met at all that were tried (inf), or at none (factor 0)
    """
    tried: dict[float, bool] = {}

    def ask(factor: float) -> bool:
        if factor not in tried:
            tried[factor] = meets(factor)
        return tried[factor]

    low, high = start, start
    if ask(start):
        while ask(high) and high < most:
            low, high = high, min(2 * high, most)
        if tried[high]:
            return Capacity(high, math.inf, tuple(tried.items()))
    else:
        while not ask(low) and low > 1 / most:
            low, high = max(low / 2, 1 / most), low
        if not tried[low]:
            return Capacity(0.0, low, tuple(tried.items()))
    while high > low * (1 + precision):
        middle = math.sqrt(low * high)
        if ask(middle):
            low = middle
        else:
            high = middle
    return Capacity(low, high, tuple(tried.items()))
