"""Whole cents that add up."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.bill.sums import total
from simulator.study.bill import Line

_DIGITS = 6


def whole_cents(lines: Sequence[Line]) -> tuple[int, ...]:
    """Cents of each line by largest remainder: each is rounded down, and the cents that the rounded total has more go
    to the largest remainders, to the earlier line of two equal ones. Remainders are equal to a millionth of a cent."""
    exact = [float(line.usd) * 100.0 for line in lines]
    cents = [math.floor(each) for each in exact]
    whole = float(total(float(line.usd) for line in lines)) * 100.0
    missing = round(round(whole, _DIGITS)) - sum(cents)
    nearest = sorted(range(len(cents)), key=lambda k: round(cents[k] - exact[k], _DIGITS))
    for k in nearest[: max(missing, 0)]:
        cents[k] += 1
    return tuple(cents)
