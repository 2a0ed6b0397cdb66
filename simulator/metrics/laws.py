"""Laws that every run obeys, whatever the scenario; breaking one is a bug of ours and stops the run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InvariantError
from simulator.fleet.records import Status
from simulator.fleet.simulate import PoolBalance
from simulator.metrics.accumulate import MetricAccumulator
from simulator.study.fleet import FleetSpec
from simulator.study.usage import PoolUsage, Usage

_TOLERANCE = 1e-6


def _equal(a: float, b: float) -> bool:
    """Equal but for rounding; NaN equals nothing."""
    return abs(a - b) <= _TOLERANCE * max(abs(b), 1.0)


def check_counts(metrics: MetricAccumulator) -> None:
    """Requests 0 … last of one simulation have each ended exactly once: as many as numbers, with the numbers' sum."""
    requests = metrics.last_request + 1
    if metrics.seen != requests or metrics.request_sum != requests * metrics.last_request // 2:
        raise InvariantError(f"{requests} requests arrived, {metrics.seen} ended, or one did twice")


def check_little(balance: PoolBalance) -> None:
    """Little's law in its exact form: time-integral of the number in the pool = sum of times spent there."""
    if balance.arrivals != balance.departures:
        raise InvariantError(f"pool {balance.name}: {balance.arrivals} came, {balance.departures} left")
    if not _equal(balance.in_system_s, balance.sojourn_s):
        raise InvariantError(
            f"pool {balance.name}: Little's law is broken, {balance.in_system_s} against {balance.sojourn_s} request-s"
        )


def check_causality(records: NDArray[Any]) -> None:
    """Arrival ≤ start ≤ first token ≤ end for completed requests, all tokens delivered; no end before its arrival."""
    done = records[records["status"] == Status.COMPLETED]
    in_order = (
        (done["arrival_s"] <= done["scheduled_s"])
        & (done["scheduled_s"] <= done["first_token_s"])
        & (done["first_token_s"] <= done["finish_s"])
        & (done["generated"] == done["osl"])
    )
    if not in_order.all():
        raise InvariantError(f"request {done['request'][np.argmin(in_order)]} was completed out of order")
    if not (records["finish_s"] >= records["arrival_s"]).all():
        raise InvariantError("a request ended before it arrived")


def check_gpu_seconds(pool: PoolUsage) -> None:
    """Billed time splits into starting, busy, idle and down, none of them negative, and adds up over the hours."""
    parts = {name: getattr(pool, f"{name}_s") for name in ("starting", "busy", "idle", "down")}
    for name, seconds in parts.items():
        if not seconds >= -_TOLERANCE * max(pool.billed_s, 1.0):
            raise InvariantError(f"pool {pool.name}: {seconds} s {name}")
    if not _equal(sum(parts.values()), pool.billed_s):
        raise InvariantError(f"pool {pool.name}: {sum(parts.values())} s in states, {pool.billed_s} s billed")
    if not _equal(float(pool.billed_by_hour_s.sum()), pool.billed_s):
        raise InvariantError(f"pool {pool.name}: hours do not add up to the time billed")


def check_stays(usage: Usage, fleet: FleetSpec) -> None:
    """Stays of a replica add up to the time billed for it, and no server ever holds more GPUs than it has."""
    held: dict[tuple[str, int], list[tuple[int, float, int]]] = {}
    for pool, spec in zip(usage.pools, fleet.pools, strict=True):
        alone = {(stay.replica, stay.start_s): stay.end_s - stay.start_s for stay in pool.stays}
        if not _equal(math.fsum(alone.values()), pool.billed_s):
            raise InvariantError(f"pool {pool.name}: stays of {math.fsum(alone.values())} s, {pool.billed_s} s billed")
        owner = f"{spec.site} {spec.zone} {spec.gpu}" if spec.owned else f"pool {pool.name}"
        gpus = min(spec.gpus_per_replica, spec.server_gpus)
        changes = held.setdefault((owner, spec.server_gpus), [])
        for stay in pool.stays:
            changes += [(stay.server, stay.start_s, gpus), (stay.server, stay.end_s, -gpus)]
    for (owner, size), changes in held.items():
        in_use = 0
        for server, _, change in sorted(changes):
            in_use += change
            if in_use > size:
                raise InvariantError(f"{owner}: server {server} of {size} GPUs holds {in_use}")


def check_roofline(pool: PoolUsage, computed_tokens_per_gpu_s: float, output_tokens_per_gpu_s: float) -> None:
    """No pool delivers more tokens per busy GPU-second than published peaks allow."""
    gpu_s = pool.busy_s * pool.gpus_per_replica
    computed = pool.input_tokens - pool.cached_tokens + pool.output_tokens
    for what, tokens, bound in (
        ("computed", computed, computed_tokens_per_gpu_s),
        ("output", pool.output_tokens, output_tokens_per_gpu_s),
    ):
        if bound != math.inf and not tokens <= bound * gpu_s * (1 + _TOLERANCE) + 1:
            raise InvariantError(
                f"pool {pool.name}: {tokens} {what} tokens in {gpu_s:.1f} busy GPU-s exceed the roofline of "
                f"{bound:.0f} tokens per GPU-s"
            )
