"""Instances as they are sold: the stays of replicas, joined by instance and rounded to what is billed."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from simulator.bill.clock import by_hour_of_day
from simulator.study.bill import PeriodUse
from simulator.study.terms import RentedTerms
from simulator.study.usage import PoolUsage, Usage
from simulator.units import HOURS_PER_DAY, SECONDS_PER_HOUR

_SLACK_S = 1e-6


def rentals_s(pool: PoolUsage, window_s: float = 0.0) -> list[tuple[float, float, float]]:
    """Start and end of each rental of an instance, and how long it had been there before the window, which begins then.

    A rental is the stays of all replicas on an instance, as long as one follows another and the machine is not lost.
    """
    before = dict(pool.before_s)
    stays: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for stay in pool.stays:
        if stay.end_s > stay.start_s and not stay.lost:
            stays[stay.server].append((stay.start_s, stay.end_s))
    found: list[tuple[float, float, float]] = []
    for server in sorted(stays):
        start, end = math.inf, -math.inf

        def earlier(start_s: float, server: int = server) -> float:
            return window_s - before.get(server, window_s) if start_s <= window_s else 0.0

        for next_start, next_end in sorted(stays[server]):
            if next_start <= end:
                end = max(end, next_end)
                continue
            if end > start:
                found.append((start, end, earlier(start)))
            start, end = next_start, next_end
        found.append((start, end, earlier(start)))
    return found


def billed_s(
    start_s: float, end_s: float, usage: Usage, terms: RentedTerms, is_job: bool = False, before_s: float = 0.0
) -> float:
    """Seconds that a rental is billed for: at least the minimum, in whole steps of the granularity.

    What is billed beyond its length belongs to where it ends, so that each rental counts once whatever borders it
    crosses: one that goes on beyond the window counts as it is, and so does one of which nobody knows how long it had
    been there, unless the window is that of a job.

    Parameters
    ----------
    before_s : how long it had been there before the window
    """
    length = end_s - start_s
    begun = start_s > usage.start_s or before_s > 0
    if not is_job and (not begun or end_s >= usage.end_s):
        return length
    return sold_s(before_s + length, terms) - before_s


def sold_s(length_s: float, terms: RentedTerms) -> float:
    """What a rental of some length is billed for: at least the minimum, in whole steps of the granularity."""
    whole_s = max(length_s, terms.minimum_s)
    if terms.granularity_s > 0:
        whole_s = math.ceil((whole_s - _SLACK_S) / terms.granularity_s) * terms.granularity_s
    return whole_s


def level_hours(pool: PoolUsage, terms: RentedTerms, period: PeriodUse) -> NDArray[np.float64]:
    """Hours for which at least 1, 2, ... instances are billed at once, by hour of day, shape (most, 24).

    They are those of the window; a rental that is rounded up reaches beyond its end.
    """
    usage = period.usage
    rentals = rentals_s(pool, usage.start_s)
    if not rentals:
        return np.zeros((0, HOURS_PER_DAY))
    starts = np.sort([start for start, _, _ in rentals])
    ends = np.sort(
        [start + billed_s(start, end, usage, terms, period.is_job, before) for start, end, before in rentals]
    )
    hours = np.arange(math.ceil(ends[-1] / SECONDS_PER_HOUR) + 1) * SECONDS_PER_HOUR
    times = np.unique(np.concatenate((starts, ends, hours)))
    count = np.searchsorted(starts, times[:-1], side="right") - np.searchsorted(ends, times[:-1], side="right")
    hour = (times[:-1] // SECONDS_PER_HOUR).astype(np.int64)
    lengths_h = np.diff(times) / SECONDS_PER_HOUR
    levels = [np.asarray(np.bincount(hour, lengths_h * (count > k)), np.float64) for k in range(int(count.max()))]
    return np.stack([by_hour_of_day(level, period) for level in levels])
