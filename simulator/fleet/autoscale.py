"""The queue-driven autoscaler: one decision a period, from the state of the pool at that moment."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from typing import Any

from simulator.fleet.lifecycle import SERVING, PoolControl
from simulator.study.fleet import Autoscaler


def desired_replicas(policy: Autoscaler, ready: int, requests: int, missed: int) -> int:
    """Replicas that would bring the metric to its target.

    .. math:: d = \\lceil n \\cdot \\frac{metric / n}{target} \\rceil = \\lceil requests / target \\rceil

    left at n while \\|metric / (n target) - 1\\| <= tolerance, and at least 1 while requests find no replica. Source:
    Kubernetes HorizontalPodAutoscaler algorithm.
    """
    if ready > 0 and abs(requests / (ready * policy.target_per_replica) - 1) <= policy.tolerance:
        desired = ready
    else:
        desired = math.ceil(requests / policy.target_per_replica)
    if ready == 0 and missed > 0:
        desired = max(desired, 1)
    return min(max(desired, policy.min_replicas), policy.max_replicas)


def autoscale(control: PoolControl, policy: Autoscaler, pool_index: int) -> Generator[Any, Any, None]:
    """SimPy process: stabilised decisions, limited growth a period, launches and retirements.

    The replicas that it finds count as its first decision, so it does not retire within the window what it was given.
    """
    history: deque[tuple[float, int]] = deque([(control.env.now, control.spec.replicas)])
    keep_s = max(policy.up_window_s, policy.down_window_s)
    while True:
        yield control.env.timeout(policy.period_s)
        now = control.env.now
        pool = control.plane.engines.pools[pool_index]
        requests = int(pool["n_waiting"] if policy.metric == "waiting" else pool["n_in_system"])
        missed = int(pool["missed"])
        pool["missed"] = 0
        history.append((now, desired_replicas(policy, control.count(SERVING), requests, missed)))
        while history[0][0] < now - keep_s:
            history.popleft()
        current = control.wanted
        up_to = min(desired for at, desired in history if at >= now - policy.up_window_s)
        down_to = max(desired for at, desired in history if at >= now - policy.down_window_s)
        if up_to > current:
            most = current + max(policy.up_step, math.ceil(policy.up_factor * current))
            control.scale_to(min(up_to, most))
        elif down_to < current:
            control.scale_to(down_to)
