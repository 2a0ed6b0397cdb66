"""Whole cents that add up."""

from __future__ import annotations

import math
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


def amount(usd: float) -> str:
    """An amount in digits: whole dollars, to the cent below 100, to three digits below 1, no zeros after the cents."""
    text = f"{usd + 0.0:,.{places(usd)}f}"
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}" if rest else whole


def places(usd: float) -> int:
    """Decimal places that an amount is shown with, zeros at its end included."""
    size = abs(usd)
    if size >= 100 or size == 0 or not math.isfinite(size):
        return 0
    return 2 if size >= 1 else 2 - math.floor(math.log10(size))


def dollars(usd: float) -> str:
    """An amount in words."""
    return f"${amount(usd)}"
