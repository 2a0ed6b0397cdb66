"""Line items, and what every pool hands to the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.cost.prices import positive, require, whole
from simulator.study.usage import PoolUsage
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR

Kind = Literal["capex", "opex", "usage"]
GPU_HOURS = "GPU-hours"


@dataclass(frozen=True, slots=True)
class LineItem:
    """One line of the monthly bill.

    Attributes
    ----------
    pool : pool or provider
    category : what is paid, as `hardware`, `electricity`, `on demand`
    name : which part of it, as `busy`, `idle`, `starting`, `unused`
    quantity, unit : per month; lines of one pool that split the same GPU-hours repeat them for each category
    kind : capex (bought, annualised), opex (fixed by month) or usage (moves with the load)
    prepaid_share : share of `usd_per_month` that was paid in an earlier month: hardware, upfront part of a commitment
    """

    pool: str
    category: str
    name: str
    quantity: float
    unit: str
    usd_per_month: float
    kind: Kind
    prepaid_share: float = 0.0

    @property
    def unit_price_usd(self) -> float:
        """USD per unit; NaN where nothing was used."""
        return self.usd_per_month / self.quantity if self.quantity else math.nan


@dataclass(frozen=True, slots=True)
class PoolCost:
    """Bill of one pool or provider.

    Attributes
    ----------
    capex_usd : paid for hardware at month 0
    cash_flow_usd : paid (negative) and received (positive) at the end of months 0 to horizon, shape (horizon + 1,)
    """

    lines: tuple[LineItem, ...]
    capex_usd: float
    cash_flow_usd: NDArray[np.float64]


def check_span(end_s: float, horizon_months: int) -> None:
    """InputError unless time was simulated and the horizon has at least one whole month."""
    require("cost", end_s=positive(end_s), horizon_months=whole(horizon_months, 1))


def per_month(end_s: float) -> float:
    """Factor from the simulated time to a month of 730 hours."""
    return HOURS_PER_MONTH * SECONDS_PER_HOUR / end_s


def hour_lengths_s(end_s: float, hours: int) -> NDArray[np.float64]:
    """Simulated seconds in each hour, shape (hours,); only the last can be short."""
    return np.clip(end_s - np.arange(hours) * SECONDS_PER_HOUR, 0.0, SECONDS_PER_HOUR)


def gpu_hours_by_state(pool: PoolUsage, end_s: float) -> dict[str, float]:
    """Billed GPU-hours per month of `pool`, split into busy, idle, starting and down."""
    scale = pool.gpus_per_replica / SECONDS_PER_HOUR * per_month(end_s)
    seconds = {"busy": pool.busy_s, "idle": pool.idle_s, "starting": pool.starting_s, "down": pool.down_s}
    return {state: value * scale for state, value in seconds.items()}


def split_usd(
    pool: str, category: str, usd_per_month: float, gpu_hours: dict[str, float], kind: Kind
) -> tuple[LineItem, ...]:
    """Lines that share `usd_per_month` out by GPU-hours; states without GPU-hours get no line."""
    total = math.fsum(gpu_hours.values())
    if usd_per_month == 0 or total == 0:
        return ()
    prepaid = 1.0 if kind == "capex" else 0.0
    return tuple(
        LineItem(pool, category, state, hours, GPU_HOURS, usd_per_month * hours / total, kind, prepaid)
        for state, hours in gpu_hours.items()
        if hours > 0
    )


def total_usd(lines: Sequence[LineItem], *kinds: Kind) -> float:
    """Exact sum of the lines in USD per month; of these kinds only, if any are named."""
    return math.fsum(line.usd_per_month for line in lines if not kinds or line.kind in kinds)


def whole_cents(lines: Sequence[LineItem]) -> tuple[int, ...]:
    """Cents of each line, rounded by largest remainder, so that they add up to the rounded total exactly."""
    exact = np.array([line.usd_per_month * 100.0 for line in lines], dtype=np.float64)
    cents = np.floor(exact).astype(np.int64)
    missing = round(total_usd(lines) * 100.0) - int(cents.sum())
    cents[np.argsort(cents - exact, kind="stable")[:missing]] += 1
    return tuple(int(value) for value in cents)
