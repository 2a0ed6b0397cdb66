"""Bills that leave out work: what an autoscaler leaves waiting at the end of a window is served, and paid, after it."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.metrics.course import left_waiting
from simulator.resolve.sizes import OpenPool, Scaled, Size, refinable
from simulator.simulate.one import Outcome

LITTLE = 0.02
"""Share of what comes that may wait at the end of a window: bills are off by about as much."""


def left_out(pools: Sequence[OpenPool], point: Sequence[Size], outcomes: Sequence[Sequence[Outcome]]) -> str:
    """What the bill of a point leaves out, where it has an autoscaler of an open target; empty for no more than 2 %.

    A lower target leaves less. Fixed replicas are paid whatever waits, and a target that is written stays.

    Parameters
    ----------
    outcomes : of each period
    """
    if not any(
        isinstance(size, Scaled) and refinable(pool) and pool.scaler is not None and pool.scaler[2] is None
        for pool, size in zip(pools, point, strict=True)
    ):
        return ""
    periods = ([outcome.metrics for outcome in gave] for gave in outcomes)
    share = max(left_waiting(gave[0].classes, [one.courses for one in gave]) for gave in periods)
    return (
        f"{share:.0%} of what comes waits at the end of the window: its bill leaves that out" if share > LITTLE else ""
    )
