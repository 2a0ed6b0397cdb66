"""Starts of scheduled pools ahead of their windows that fall in no simulated time, and so in no bill."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from simulator.study.decision import Share
from simulator.study.fleet import FleetSpec, PoolSpec
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR, SECONDS_PER_WEEK

_WORTH_SAYING = 0.002
"""Of the hours that a pool has in its windows."""
_SECONDS_PER_MINUTE = 60.0


def unseen_starts(fleet: FleetSpec, shares: Sequence[Share]) -> list[str]:
    """Rented pools of which a part of the early starts is in none of the periods that make a month.

    A period stands for its hours by the time that it simulates after its warm-up. Launches ahead of a window come
    before the hours of a period that begins with it, and in those of another one only as far as that simulates them.

    Parameters
    ----------
    shares : hours of a month and what was simulated for them
    """
    pools = [pool for pool in fleet.pools if pool.schedule and not pool.owned]
    return [words for pool in pools if len(shares) > 1 for words in _of_pool(pool, shares)]


def _of_pool(pool: PoolSpec, shares: Sequence[Share]) -> Iterator[str]:
    assert pool.schedule is not None
    early_s = pool.cold_start.total_s if pool.schedule.start_early_s is None else pool.schedule.start_early_s
    windows, cycle_s = pool.schedule.windows, pool.schedule.cycle_s
    if not windows or not math.isfinite(cycle_s):
        return
    before = [pool.schedule.replicas_at(start_s - 1.0) for start_s, _, _ in windows]
    starts = [(start_s, n - fewer) for (start_s, _, n), fewer in zip(windows, before, strict=True) if n > fewer]
    in_month = HOURS_PER_MONTH * SECONDS_PER_HOUR / SECONDS_PER_WEEK
    every_s = in_month * math.fsum(n * early_s for _, n in starts)
    open_s = in_month * math.fsum(n * (end_s - start_s) for start_s, end_s, n in windows)
    seen_s = math.fsum(
        share.hours * SECONDS_PER_HOUR / usage.span_s / len(share.served.usages) * n * shared_s
        for share in shares
        for usage in share.served.usages
        for start_s, n in starts
        if (shared_s := _seen_s(start_s, early_s, usage.when.clock_s + usage.start_s, usage.span_s, cycle_s))
    )
    missing_s = every_s - seen_s
    if missing_s > _WORTH_SAYING * open_s:
        yield (
            f"{pool.name} is launched {early_s / _SECONDS_PER_MINUTE:.3g} min before its windows: "
            f"{missing_s / SECONDS_PER_HOUR:.3g} h of its replicas a month are in no simulated time and not billed "
            f"({missing_s / open_s:.1%} of those in the windows)"
        )


def _seen_s(start_s: float, early_s: float, begin_s: float, span_s: float, cycle_s: float) -> float:
    """Seconds of the launches ahead of a window that a simulated span holds."""
    first = math.floor((begin_s - start_s) / cycle_s)
    return math.fsum(
        max(min(start_s + k * cycle_s, begin_s + span_s) - max(start_s + k * cycle_s - early_s, begin_s), 0.0)
        for k in range(first, first + 2 + math.ceil(span_s / cycle_s))
    )
