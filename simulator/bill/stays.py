"""Instances as they are sold: the stays of replicas, joined by instance and rounded to what is billed."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from simulator.bill.clock import HOURS_PER_DAY, by_hour_of_day
from simulator.study.bill import PeriodUse
from simulator.study.terms import RentedTerms
from simulator.study.usage import PoolUsage, Usage
from simulator.units import SECONDS_PER_HOUR

_SLACK_S = 1e-6


def rentals_s(pool: PoolUsage) -> list[tuple[float, float]]:
    """Start and end of each rental of an instance: the stays of all replicas on it, as long as one follows another."""
    stays: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for stay in pool.stays:
        if stay.end_s > stay.start_s:
            stays[stay.server].append((stay.start_s, stay.end_s))
    found: list[tuple[float, float]] = []
    for server in sorted(stays):
        start, end = math.inf, -math.inf
        for next_start, next_end in sorted(stays[server]):
            if next_start <= end:
                end = max(end, next_end)
                continue
            if end > start:
                found.append((start, end))
            start, end = next_start, next_end
        found.append((start, end))
    return found


def billed_s(start_s: float, end_s: float, usage: Usage, terms: RentedTerms, is_job: bool = False) -> float:
    """Seconds that a rental is billed for: at least the minimum, in whole steps of the granularity.

    A rental that is there when the window begins or ends goes on beyond it: it counts as it is, unless the window is
    that of a job.
    """
    length = end_s - start_s
    if not is_job and (start_s <= usage.start_s or end_s >= usage.end_s):
        return length
    length = max(length, terms.minimum_s)
    if terms.granularity_s > 0:
        length = math.ceil((length - _SLACK_S) / terms.granularity_s) * terms.granularity_s
    return length


def level_hours(pool: PoolUsage, terms: RentedTerms, period: PeriodUse) -> NDArray[np.float64]:
    """Hours for which at least 1, 2, ... instances are billed at once, by hour of day, shape (most, 24).

    They are those of the window; a rental that is rounded up reaches beyond its end.
    """
    rentals = rentals_s(pool)
    if not rentals:
        return np.zeros((0, HOURS_PER_DAY))
    starts = np.sort([start for start, _ in rentals])
    ends = np.sort([start + billed_s(start, end, period.usage, terms, period.is_job) for start, end in rentals])
    hours = np.arange(math.ceil(ends[-1] / SECONDS_PER_HOUR) + 1) * SECONDS_PER_HOUR
    times = np.unique(np.concatenate((starts, ends, hours)))
    count = np.searchsorted(starts, times[:-1], side="right") - np.searchsorted(ends, times[:-1], side="right")
    hour = (times[:-1] // SECONDS_PER_HOUR).astype(np.int64)
    lengths_h = np.diff(times) / SECONDS_PER_HOUR
    levels = [np.asarray(np.bincount(hour, lengths_h * (count > k)), np.float64) for k in range(int(count.max()))]
    return np.stack([by_hour_of_day(level, period) for level in levels])
