"""Use by hour of day, and what it costs at prices by hour of day."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulator.bill.sums import total
from simulator.study.bill import PeriodUse
from simulator.study.demand import When
from simulator.study.terms import ApiTerms, Money
from simulator.study.zones import in_zone, moved
from simulator.units import HOURS_PER_DAY, SECONDS_PER_HOUR


def weight(period: PeriodUse) -> float:
    """What stands for a month's use: hours it stands for / hours simulated."""
    return period.hours / (period.usage.span_s / SECONDS_PER_HOUR)


def by_hour_of_day(by_simulated_hour: NDArray[np.float64], period: PeriodUse, zone: str = "") -> NDArray[np.float64]:
    """Use of each simulated hour, added up by hour of day of a time zone, the run's unless given; shape (24,).

    A period that starts within an hour of the day spreads each of its hours over the two that it touches; so does an
    hour in which the local clocks change. Where it says which hours it stands for, its use is spread over these.
    """
    when = in_zone(period.usage.when, zone, by_simulated_hour.size * SECONDS_PER_HOUR)
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


def at_factors(by_utc_hour: NDArray[np.int64], api: ApiTerms, period: PeriodUse) -> NDArray[np.float64]:
    """Calls by hour of day, UTC, shape (24, ...), each hour times its factor; where the period says which hours of the
    local day it stands for, all of it times their mean.
    """
    when = period.usage.when
    share = _factors_utc(api, when, period.usage.end_s)
    if not when.spread:
        return np.asarray(np.tensordot(share, by_utc_hour, axes=1))
    utc = moved(when.spread, -when.ahead_h)
    return np.asarray(by_utc_hour.sum(axis=0) * np.average(share, weights=utc))


def _factors_utc(api: ApiTerms, when: When, span_s: float) -> NDArray[np.float64]:
    """Factor by hour of day, UTC, over a simulated span; as its clocks change within it, by the time before and after.

    Hours of the day are those of the provider's clocks: as much later in UTC as these are less ahead of it.
    """
    if not api.time_zone:
        return np.asarray(api.factor_by_hour, dtype=np.float64)
    there = in_zone(when, api.time_zone, span_s)
    cuts = [0.0, *(at_s for at_s, _ in there.changes), span_s]
    ahead_h, found = there.ahead_h, np.zeros(HOURS_PER_DAY)
    for (begin, end), forward_h in zip(pairwise(cuts), (*(h for _, h in there.changes), 0.0), strict=True):
        found += (end - begin) / span_s * np.asarray(moved(api.factor_by_hour, api.ahead_h - ahead_h))
        ahead_h += forward_h
    return found


def at_prices(quantity: NDArray[np.float64], prices: Sequence[Money]) -> Money:
    """What a quantity by hour of day, shape (24,), costs at one price, or at 24 by hour of day."""
    if len(prices) == 1:
        return math.fsum(quantity) * prices[0]
    return total(float(amount) * price for amount, price in zip(quantity, prices, strict=True))
