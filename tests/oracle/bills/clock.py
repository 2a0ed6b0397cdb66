"""Hours of the local day and of UTC that a simulated hour falls in, and prices by them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from bills.rows import Row

MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


@lru_cache(10_000)
def ahead(zone: str, at_s: float) -> float:
    """Hours by which clocks of a zone are ahead of UTC."""
    offset = (MONDAY + timedelta(seconds=at_s)).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return offset / timedelta(hours=1)


@lru_cache(10_000)
def turns(zone: str, begin: float, end: float) -> tuple[float, ...]:
    """Seconds in an hour or less after which clocks show something else: whole minutes."""
    if ahead(zone, begin) == ahead(zone, end - 1e-3):
        return ()
    minutes = range(math.ceil(begin / 60), math.ceil(end / 60))
    return tuple(60.0 * m for m in minutes if ahead(zone, 60 * m) != ahead(zone, 60 * m - 1))


def hour_weights(when: Row, hour: int, zone: str = "") -> list[tuple[int, float]]:
    """Hours of the day of a zone that a simulated hour falls in, with its share in each."""
    spread = when["spread"]
    if spread:
        found = [(h + (ahead(zone, when["clock_s"]) - when["ahead_h"] if zone else 0.0), spread[h]) for h in range(24)]
        return [pair for first, hours in found for pair in touched(first, hours / sum(spread))]
    if zone:
        begin = when["clock_s"] + hour * 3600.0
        cuts = [begin, *turns(zone, begin, begin + 3600.0), begin + 3600.0]
        parts = [(begin / 3600.0 + ahead(zone, low), (high - low) / 3600.0) for low, high in pairwise(cuts)]
        return [pair for first, part in parts for pair in touched(first, part)]
    cuts = [hour * 3600.0, *(s for s, _ in when["changes"] if hour * 3600.0 < s < (hour + 1) * 3600.0)]
    weights = []
    for low, high in pairwise([*cuts, (hour + 1) * 3600.0]):
        local = when["start_hour"] + hour + sum(forward for s, forward in when["changes"] if s <= low)
        weights += touched(local, (high - low) / 3600.0)
    return weights


def touched(first: float, share: float) -> list[tuple[int, float]]:
    """The two hours of the day that an hour from `first` on touches."""
    low = math.floor(first)
    return [(low % 24, share * (low + 1 - first)), ((low + 1) % 24, share * (first - low))]


def price_of_hour(prices: list[float], usage: Row, hour: int) -> float:
    """Price in a simulated hour."""
    if len(prices) == 1:
        return prices[0]
    return sum(prices[h] * share for h, share in hour_weights(usage["when"], hour))


def dearness(api: Row, usage: Row, hour: int) -> float:
    """Factor on the price of a call made in an hour of the day, UTC."""
    when = usage["when"]
    if not when["spread"]:
        return of_zone(api, usage, hour)
    whole = sum(when["spread"])
    mean = 0.0
    for local, hours in enumerate(when["spread"]):
        for utc, share in touched(local - when["ahead_h"], hours / whole):
            mean += share * of_zone(api, usage, utc)
    return mean


def of_zone(api: Row, usage: Row, utc: int) -> float:
    """Factor in an hour of UTC, by the clocks of the provider over the simulated time."""
    factors, zone = api["factor_by_hour"], api["time_zone"]
    if not zone:
        return float(factors[utc])
    begin, end = usage["when"]["clock_s"], usage["when"]["clock_s"] + usage["end_s"]
    hours = [begin + 3600.0 * k for k in range(math.ceil(usage["end_s"] / 3600.0))]
    cuts = [begin]
    for low in hours:
        cuts += [cut for cut in turns(zone, low, min(low + 3600.0, end)) if cut > begin]
    mean = 0.0
    for low, high in pairwise([*cuts, end]):
        pairs = touched(utc + ahead(zone, low) - api["ahead_h"], (high - low) / (end - begin))
        mean += sum(factors[h] * share for h, share in pairs)
    return mean
