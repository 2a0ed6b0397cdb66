"""Whether what came in the window was answered in it: warnings where more is offered, or the warm-up is too short."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from simulator.metrics.accumulate import MetricAccumulator
from simulator.resolve.topology import PlannedTopology
from simulator.run.remarks import remarks
from simulator.simulate.capacity import kept_up, load_of, load_warnings
from simulator.simulate.demand import Demand

_LACKING = 0.02
"""Share of the requests of a window that is worth a word."""


def offered_warnings(
    topology: PlannedTopology, demand: Demand, told: Mapping[str, Any], metrics: MetricAccumulator
) -> list[dict[str, str]]:
    """What is said of a topology that answered fewer requests than came.

    Parameters
    ----------
    told : its metrics, as a summary holds them
    metrics : the same, of all replications
    """
    arrived_rps = told["arrived"] / ((demand.horizon_s - demand.warmup_s) * demand.replications)
    if not kept_up(told, arrived_rps):
        words = load_warnings(load_of(demand.source(0), demand.horizon_s), topology)
        if words and told["slo_met"]:
            words = [f"{word}: lengthen run.horizon_s, in {demand.horizon_s:g} s that cannot be seen" for word in words]
        if words:
            return remarks("load", words)
    return remarks("basis", short_warm_up(metrics) if topology.fleet.pools and demand.last_job_s is None else [])


def short_warm_up(metrics: MetricAccumulator) -> list[str]:
    """A warning where a fleet that begins empty has answered fewer requests in the window than come in it.

    Of answers that take S, E[max(S - warm-up, 0)] a window lack, as the requests that came before time 0 do. Calls of
    token APIs count in the window in which they are made, so only what pools answered can lack.
    """
    times, window_s = metrics.pools_e2e, metrics.end_s - metrics.warmup_s
    if not times.n:
        return []
    up_to_s, share = times.cdf()
    lacking = float(np.maximum(up_to_s - metrics.warmup_s, 0.0) @ np.diff(share, prepend=0.0)) / window_s
    if lacking < _LACKING:
        return []
    longest_s = times.quantile(0.99)
    return [
        f"answers take up to {longest_s:,.3g} s (p99) and the warm-up {metrics.warmup_s:g} s, so about {lacking:.0%} "
        "fewer requests end at the pools in the window than come in it, as nobody came before time 0: rates and "
        f"tokens are too low by so much at most; with run.warmup_s={math.ceil(longest_s)} they are not"
    ]
