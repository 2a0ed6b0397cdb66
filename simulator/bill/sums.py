"""Sums of money, of one value or of draws."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from simulator.study.bill import Line
from simulator.study.terms import Money


def total(values: Iterable[Money]) -> Money:
    """Sum of values, rounded once where all are numbers; draws are added up draw by draw."""
    found = list(values)
    if any(isinstance(value, np.ndarray) for value in found):
        return np.asarray(np.sum(np.broadcast_arrays(*found), axis=0), dtype=np.float64)
    return math.fsum(float(value) for value in found)


def total_usd(lines: Iterable[Line], *kinds: str) -> Money:
    """Sum of the lines, USD per month; of these kinds only, if any are named."""
    return total(line.usd for line in lines if not kinds or line.kind in kinds)


def nothing(usd: Money) -> bool:
    """Whether it is 0 in every draw."""
    return bool(np.all(np.asarray(usd) == 0))


def mean(usd: Money) -> float:
    """Its mean over the draws."""
    return float(np.mean(usd))
