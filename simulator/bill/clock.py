"""Use by hour of day, and what it costs at prices by hour of day."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulator.bill.sums import total
from simulator.study.bill import PeriodUse
from simulator.study.terms import Money
from simulator.units import SECONDS_PER_HOUR

HOURS_PER_DAY = 24


def weight(period: PeriodUse) -> float:
    """What stands for a month's use: hours it stands for / hours simulated."""
    return period.hours / (period.usage.span_s / SECONDS_PER_HOUR)


def by_hour_of_day(by_simulated_hour: NDArray[np.float64], period: PeriodUse) -> NDArray[np.float64]:
    """Use of each simulated hour, added up by hour of day, shape (24,).

    A period that starts within an hour of the day spreads each of its hours over the two that it touches. Where it
    says how many hours of each hour of the day it stands for, its use is spread over these.
    """
    if period.hours_of_day:
        share = np.asarray(period.hours_of_day, dtype=np.float64)
        return np.asarray(by_simulated_hour.sum() * share / share.sum())
    first = math.floor(period.start_hour)
    late = period.start_hour - first
    hour = (first + np.arange(by_simulated_hour.size)) % HOURS_PER_DAY
    return np.asarray(
        np.bincount(hour, by_simulated_hour * (1.0 - late), HOURS_PER_DAY)
        + np.bincount((hour + 1) % HOURS_PER_DAY, by_simulated_hour * late, HOURS_PER_DAY)
    )


def at_prices(quantity: NDArray[np.float64], prices: tuple[Money, ...]) -> Money:
    """What a quantity by hour of day, shape (24,), costs at one price, or at 24 by hour of day."""
    if len(prices) == 1:
        return math.fsum(quantity) * prices[0]
    return total(float(amount) * price for amount, price in zip(quantity, prices, strict=True))
