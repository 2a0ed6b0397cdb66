"""Lines that share one sum out by GPU-hours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from simulator.bill.sums import nothing
from simulator.study.bill import Kind, Line
from simulator.study.terms import Money

GPU_HOURS = "GPU-hours"
REQUESTS = "requests"
_ROUNDING = 1e-12
"""Share of the hours bought up to which those that nobody held are none."""


def held_by_nobody(bought: float, held: Iterable[float]) -> float:
    """GPU-hours of those bought that no part holds; what rounding leaves of them is none."""
    free = bought - math.fsum(held)
    return free if free > _ROUNDING * bought else 0.0


def shared_out(
    owner: str, category: str, usd: Money, gpu_hours: Mapping[str, float], kind: Kind, prepaid_share: float = 0.0
) -> list[Line]:
    """Lines that share `usd` out in proportion to GPU-hours; a part without GPU-hours and a sum of 0 get no line."""
    whole = math.fsum(gpu_hours.values())
    if whole == 0 or nothing(usd):
        return []
    return [
        Line(owner, category, part, hours, GPU_HOURS, usd * (hours / whole), kind, prepaid_share)
        for part, hours in gpu_hours.items()
        if hours > 0
    ]


def at_site(lines: Iterable[Line], site: str) -> list[Line]:
    """The lines as they are paid for at a site."""
    return [replace(line, site=site) for line in lines]


def one_line(owner: str, category: str, part: str, quantity: float, unit: str, usd: Money, kind: Kind) -> list[Line]:
    """A line, unless it costs nothing."""
    return [] if nothing(usd) else [Line(owner, category, part, quantity, unit, usd, kind)]
