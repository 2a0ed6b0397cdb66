"""Whole cents that add up."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.bill.sums import total
from simulator.study.bill import Line

_DIGITS = 6


def whole_cents(lines: Sequence[Line]) -> tuple[int, ...]:
    """Cents of each line, which add up to the rounded total."""
    return _whole([float(line.usd) * 100.0 for line in lines], float(total(float(line.usd) for line in lines)) * 100.0)


def due_cents(lines: Sequence[Line]) -> tuple[int, ...]:
    """Cents of each line but for what was paid before: all of them, none, or a part by the rule of the others."""
    due = [cents * (1.0 - line.prepaid_share) for cents, line in zip(whole_cents(lines), lines, strict=True)]
    return _whole(due, float(total(due)))


def _whole(exact: Sequence[float], whole: float) -> tuple[int, ...]:
    """By largest remainder: each is rounded down, and the cents that the rounded total has more go to the largest
    remainders, to the earlier one of two equal ones. Remainders are equal to a millionth of a cent."""
    cents = [math.floor(each) for each in exact]
    missing = round(round(whole, _DIGITS)) - sum(cents)
    nearest = sorted(range(len(cents)), key=lambda k: round(cents[k] - exact[k], _DIGITS))
    for k in nearest[: max(missing, 0)]:
        cents[k] += 1
    return tuple(cents)
