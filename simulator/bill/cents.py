"""Whole cents that add up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.bill.sums import total
from simulator.study.bill import Line

_DIGITS = 6


def whole_cents(lines: Sequence[Line]) -> tuple[int, ...]:
    """Cents of each line by largest remainder: each is rounded down, and the cents that the rounded total has more go
    to the largest remainders, to the earlier line of two equal ones. Remainders are equal to a millionth of a cent."""
    exact = np.array([float(line.usd) * 100.0 for line in lines], dtype=np.float64)
    cents = np.floor(exact).astype(np.int64)
    whole = float(total(float(line.usd) for line in lines)) * 100.0
    missing = round(round(whole, _DIGITS)) - int(cents.sum())
    cents[np.argsort(np.round(cents - exact, _DIGITS), kind="stable")[:missing]] += 1
    return tuple(int(value) for value in cents)
