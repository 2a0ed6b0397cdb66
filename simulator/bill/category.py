"""The lines of a bill, summed by what they are for."""

from __future__ import annotations

import math
from collections.abc import Iterable

from simulator.bill.sums import mean
from simulator.study.bill import Line

CARBON = "carbon"
MINIMUM_SPEND = "minimum spend"
SERVICE_CREDIT = "service credit"


def usd_by_category(lines: Iterable[Line]) -> dict[str, float]:
    """USD per month of each category, in the order of the lines."""
    found: dict[str, list[float]] = {}
    for line in lines:
        found.setdefault(line.category, []).append(mean(line.usd))
    return {name: math.fsum(values) for name, values in found.items()}
