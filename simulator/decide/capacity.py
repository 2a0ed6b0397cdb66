"""How much load a fleet carries within the SLO, and the share of it that is used."""

from __future__ import annotations

import math
from collections.abc import Callable

from simulator.study.decision import Capacity

PRECISION = 0.02
"""Relative distance of the largest load that meets and the smallest that does not, at most."""
MOST = 64.0
"""How far to go up and, as 1/MOST, down."""


def capacity(meets: Callable[[float], bool], now: bool, first: float = 2.0, trials: int | None = None) -> Capacity:
    """The largest factor of all classes at which the fleet meets the SLO, by doubling, then by halving of the way.

    Parameters
    ----------
    meets : whether it does at this multiple of the load
    now : whether it does at the load as it is
    first : multiple that is tried first where it does; its inverse where it does not
    trials : at most; None for as many as it takes to come within `PRECISION`

    Returns
    -------
    `factor` meets and `fails_at` does not, unless it met at all that were tried (inf), or at none (factor 0)
    """
    tried: dict[float, bool] = {1.0: now}
    low, high = (1.0, math.inf) if now else (0.0, 1.0)
    while trials is None or len(tried) <= trials:
        at = _next(low, high, first)
        if at is None:
            break
        tried[at] = meets(at)
        if tried[at]:
            low = at
        else:
            high = at
    return Capacity(low, high, tuple(tried.items()))


def _next(low: float, high: float, first: float) -> float | None:
    """The multiple to try between one that meets, or 0, and one that does not, or infinity; None where none is left."""
    if math.isinf(high):
        return None if low >= MOST else min(first if low == 1.0 else 2 * low, MOST)
    if low == 0.0:
        return None if high <= 1 / MOST else max(1 / first if high == 1.0 else high / 2, 1 / MOST)
    return math.sqrt(low * high) if high > low * (1 + PRECISION) else None
