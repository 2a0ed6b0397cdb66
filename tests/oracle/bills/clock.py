"""Hours of the local day and of UTC that a simulated hour falls in, and prices by them."""

from __future__ import annotations

import math
from itertools import pairwise

from bills.rows import Row


def hour_weights(when: Row, hour: int) -> list[tuple[int, float]]:
    """Hours of the local day that a simulated hour falls in, with its share in each."""
    spread = when["spread"]
    if spread:
        return [(h, spread[h] / sum(spread)) for h in range(24)]
    cuts = [hour * 3600.0, *(s for s, _ in when["changes"] if hour * 3600.0 < s < (hour + 1) * 3600.0)]
    found = []
    for begin, end in pairwise([*cuts, (hour + 1) * 3600.0]):
        local = when["start_hour"] + hour + sum(forward for s, forward in when["changes"] if s <= begin)
        low, part = math.floor(local), (end - begin) / 3600.0
        found += [(low % 24, part * (low + 1 - local)), ((low + 1) % 24, part * (local - low))]
    return found


def price_of_hour(prices: list[float], usage: Row, hour: int) -> float:
    """Price in a simulated hour."""
    if len(prices) == 1:
        return prices[0]
    return sum(prices[h] * share for h, share in hour_weights(usage["when"], hour))


def dearness(api: Row, when: Row, hour: int) -> float:
    """Factor on the price of a call made in an hour of the day, UTC."""
    factors: list[float] = api["factor_by_hour"]
    if not when["spread"]:
        return factors[hour]
    whole = sum(when["spread"])
    mean = 0.0
    for local, hours in enumerate(when["spread"]):
        utc = local - when["ahead_h"]
        low = math.floor(utc)
        mean += hours / whole * (factors[low % 24] * (low + 1 - utc) + factors[(low + 1) % 24] * (utc - low))
    return mean
