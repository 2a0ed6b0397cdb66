"""Laws that every run obeys, whatever the scenario; breaking one is a bug of ours and stops the run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InvariantError
from simulator.fleet.records import Status
from simulator.fleet.simulate import PoolBalance
from simulator.fleet.usage import PoolUsage

_TOLERANCE = 1e-6


def check_little(balance: PoolBalance) -> None:
    """Little's law in its exact form: time-integral of the number in the pool = sum of times spent there."""
    if balance.arrivals != balance.departures:
        raise InvariantError(f"pool {balance.name}: {balance.arrivals} came, {balance.departures} left")
    if abs(balance.in_system_s - balance.sojourn_s) > _TOLERANCE * max(balance.sojourn_s, 1.0):
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
    """Billed time splits into starting, busy, idle and down, and adds up over the hours."""
    parts = pool.starting_s + pool.busy_s + pool.idle_s + pool.down_s
    if abs(parts - pool.billed_s) > _TOLERANCE * max(pool.billed_s, 1.0):
        raise InvariantError(f"pool {pool.name}: {parts} s in states, {pool.billed_s} s billed")
    if abs(float(pool.billed_by_hour_s.sum()) - pool.billed_s) > _TOLERANCE * max(pool.billed_s, 1.0):
        raise InvariantError(f"pool {pool.name}: hours do not add up to the time billed")


def check_roofline(pool: PoolUsage, computed_tokens_per_gpu_s: float, output_tokens_per_gpu_s: float) -> None:
    """No pool delivers more tokens per busy GPU-second than published peaks allow."""
    gpu_s = pool.busy_s * pool.gpus_per_replica
    computed = pool.input_tokens - pool.cached_tokens + pool.output_tokens
    for what, tokens, bound in (
        ("computed", computed, computed_tokens_per_gpu_s),
        ("output", pool.output_tokens, output_tokens_per_gpu_s),
    ):
        if tokens > bound * gpu_s * (1 + _TOLERANCE) + 1:
            raise InvariantError(
                f"pool {pool.name}: {tokens} {what} tokens in {gpu_s:.1f} busy GPU-s exceed the roofline of "
                f"{bound:.0f} tokens per GPU-s"
            )
