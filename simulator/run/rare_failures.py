"""Random failures of which a short run has fewer than a long use, since it begins with all servers up."""

from __future__ import annotations

import math
from collections.abc import Iterator

from simulator.study.fleet import FleetSpec, PoolSpec
from simulator.study.usage import Usage

_SEEN = 0.8
"""Share of the long-run downtime from which on a run has enough of it."""


def rare_failures(fleet: FleetSpec, usage: Usage) -> list[str]:
    """Pools whose servers are down for longer in the long run than in the mean of such runs, in words."""
    return [words for pool in fleet.pools for words in _of_pool(pool, usage.start_s, usage.end_s)]


def _of_pool(pool: PoolSpec, start_s: float, end_s: float) -> Iterator[str]:
    up_s, down_s = pool.reliability.mtbf_s, pool.swap_s if pool.spares else pool.reliability.mttr_s
    if not (up_s > 0 and down_s > 0 and end_s > start_s):
        return
    always, seen = down_s / (up_s + down_s), down_share(up_s, down_s, start_s, end_s)
    if seen < _SEEN * always:
        yield (
            f"{pool.name}: a server is down for {always:.2g} of the time in the long run, and for {seen:.2g} of what "
            "is simulated on average, which begins with all of them up: what failures cost is understated "
            "(run.horizon_s and run.warmup_s as long as a repair show it)"
        )


def down_share(up_s: float, down_s: float, start_s: float, end_s: float) -> float:
    r"""Share of a window for which a server is down that is up at time 0, on average.

    .. math:: \frac{d}{u+d}\Bigl(1 - \frac{\tau\,(e^{-a/\tau} - e^{-b/\tau})}{b - a}\Bigr),
              \qquad \frac{1}{\tau} = \frac{1}{u} + \frac{1}{d}

    Parameters
    ----------
    up_s, down_s : mean times :math:`u` to a failure and :math:`d` to its repair, both exponential
    start_s, end_s : of the window, :math:`a` and :math:`b`
    """
    settles_s = 1.0 / (1.0 / up_s + 1.0 / down_s)
    part = settles_s * (math.exp(-start_s / settles_s) - math.exp(-end_s / settles_s)) / (end_s - start_s)
    return down_s / (up_s + down_s) * (1.0 - part)
