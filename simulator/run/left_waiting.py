"""Bills of autoscaled pools that leave out what still waits when the simulated time ends."""

from __future__ import annotations

from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.course import left_waiting
from simulator.size.edge_of_window import LITTLE
from simulator.study.fleet import FleetSpec


def left_waiting_words(fleet: FleetSpec, whole: MetricAccumulator) -> list[str]:
    """A warning where an autoscaler leaves more waiting at the end than a bill may be off by.

    Parameters
    ----------
    whole : of all replications together
    """
    scaled = [pool.name for pool in fleet.pools if pool.autoscaler is not None]
    share = left_waiting(whole.classes, [whole.courses])
    if not scaled or share <= LITTLE:
        return []
    return [
        f"{share:.0%} of what came still waits when the simulated time ends: the bill of {', '.join(scaled)} leaves "
        "out what serves it (a longer run.horizon_s counts that)"
    ]
