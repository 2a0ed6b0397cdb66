"""Use by hour of day, and what it costs at prices by hour of day."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.bill.sums import total
from simulator.study.bill import PeriodUse
from simulator.study.demand import When
from simulator.study.terms import Money
from simulator.units import SECONDS_PER_HOUR

HOURS_PER_DAY = 24


def weight(period: PeriodUse) -> float:
    """What stands for a month's use: hours it stands for / hours simulated."""
    return period.hours / (period.usage.span_s / SECONDS_PER_HOUR)


def by_hour_of_day(by_simulated_hour: NDArray[np.float64], period: PeriodUse) -> NDArray[np.float64]:
    """Use of each simulated hour, added up by hour of day, shape (24,).

    A period that starts within an hour of the day spreads each of its hours over the two that it touches; so does an
    hour in which the local clocks change. Where it says which hours it stands for, its use is spread over these.
    """
    when = period.usage.when
    if when.spread:
        share = np.asarray(when.spread, dtype=np.float64)
        return np.asarray(by_simulated_hour.sum() * share / share.sum())
    found = np.zeros(HOURS_PER_DAY)
    for from_h, until_h, ahead_h in _pieces(when, by_simulated_hour.size):
        hours = np.arange(math.floor(from_h), math.ceil(until_h))
        within = np.minimum(hours + 1, until_h) - np.maximum(hours, from_h)
        use = by_simulated_hour[hours] * within
        local = when.start_hour + ahead_h + hours
        late = local - np.floor(local)
        hour = np.floor(local).astype(np.int64) % HOURS_PER_DAY
        found += np.bincount(hour, use * (1.0 - late), HOURS_PER_DAY)
        found += np.bincount((hour + 1) % HOURS_PER_DAY, use * late, HOURS_PER_DAY)
    return found


def _pieces(when: When, hours: int) -> Iterator[tuple[float, float, float]]:
    """Simulated hours from and to, between changes of the local clocks, and hours that these have gone forward."""
    begin, ahead_h = 0.0, 0.0
    for after_s, forward_h in when.changes:
        end = min(after_s / SECONDS_PER_HOUR, hours)
        if begin < end:
            yield begin, end, ahead_h
        begin, ahead_h = max(begin, end), ahead_h + forward_h
    if begin < hours:
        yield begin, hours, ahead_h


def at_factors(by_utc_hour: NDArray[np.int64], factors: tuple[float, ...], period: PeriodUse) -> NDArray[np.float64]:
    """Use by hour of day, UTC, shape (24, ...), each hour times its factor; where the period says which hours of the
    local day it stands for, all of it times their mean.
    """
    when = period.usage.when
    share = np.asarray(factors, dtype=np.float64)
    if not when.spread:
        return np.asarray(np.tensordot(share, by_utc_hour, axes=1))
    utc = (np.arange(HOURS_PER_DAY) - when.ahead_h) % HOURS_PER_DAY
    low = np.floor(utc).astype(np.int64)
    late = utc - low
    local = share[low] * (1.0 - late) + share[(low + 1) % HOURS_PER_DAY] * late
    return np.asarray(by_utc_hour.sum(axis=0) * np.average(local, weights=when.spread))


def at_prices(quantity: NDArray[np.float64], prices: tuple[Money, ...]) -> Money:
    """What a quantity by hour of day, shape (24,), costs at one price, or at 24 by hour of day."""
    if len(prices) == 1:
        return math.fsum(quantity) * prices[0]
    return total(float(amount) * price for amount, price in zip(quantity, prices, strict=True))
