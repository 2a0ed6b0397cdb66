"""Bills that leave out work: what an autoscaler leaves waiting at the end of a window is served, and paid, after it."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.metrics.course import left_waiting
from simulator.resolve.sizes import OpenPool, Scaled, refinable
from simulator.size.trials import Tried

LITTLE = 0.02
"""Share of what comes that may wait at the end of a window: bills are off by about as much."""


def left_out(pools: Sequence[OpenPool], tried: Tried) -> float:
    """Share of what comes in some period that a point leaves waiting, where it has an autoscaler of an open target.

    0 for no more than 2 %. A lower target leaves less. Fixed replicas are paid whatever waits, and a target that is
    written stays.
    """
    is_asked = any(
        isinstance(size, Scaled) and refinable(pool) and pool.scaler is not None and pool.scaler[2] is None
        for pool, size in zip(pools, tried.point, strict=True)
    )
    if not is_asked or tried.word != "met":
        return 0.0
    periods = ([outcome.metrics for outcome in gave] for gave in tried.outcomes)
    shares = (left_waiting(gave[0].classes, [one.courses for one in gave]) for gave in periods if gave)
    share = max(shares, default=0.0)
    return share if share > LITTLE else 0.0
