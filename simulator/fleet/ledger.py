"""From the stays of replicas in their states to the pool's ledger of use."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.dataplane import DataPlane
from simulator.fleet.lifecycle import DOWN, FAILURE, RECLAIM, STARTING, STOCK_OUT, PoolControl
from simulator.fleet.outages import OutageClock
from simulator.fleet.state import (
    CALL_CACHED,
    CALL_INPUT,
    CALL_OUTPUT,
    CALLS,
    CALLS_FAILED,
    CALLS_RETRIED,
    FAILED_INPUT,
    WORK_THROWN_INPUT,
)
from simulator.study.fleet import ProviderSpec
from simulator.study.usage import PoolUsage, ProviderUsage, Stay
from simulator.units import SECONDS_PER_HOUR


def by_hour(spans: list[tuple[float, float]], n_hours: int) -> NDArray[np.float64]:
    """Seconds of the spans that fall into each hour; they sum to the spans' total length."""
    seconds = np.zeros(n_hours)
    for start_s, end_s in spans:
        for hour in range(int(start_s // SECONDS_PER_HOUR), min(math.ceil(end_s / SECONDS_PER_HOUR), n_hours)):
            low = max(start_s, hour * SECONDS_PER_HOUR)
            seconds[hour] += max(min(end_s, (hour + 1) * SECONDS_PER_HOUR) - low, 0.0)
    return seconds


def pool_usage(
    control: PoolControl, replicas: NDArray[Any], step_energy_by_hour_j: NDArray[np.float64], end_s: float
) -> PoolUsage:
    """The pool's ledger over [0, end_s]; replicas that are still there are counted up to `end_s`.

    Energy is that of the steps plus the idle power of billed replicas that are not stepping, spread evenly over the
    hour in which they were billed.
    """
    spans = control.spans(end_s)
    n_hours = max(math.ceil(end_s / SECONDS_PER_HOUR), 1)
    billed = by_hour([(span.start_s, span.end_s) for span in spans], n_hours)
    total = {
        state: math.fsum(span.end_s - span.start_s for span in spans if span.state == state)
        for state in (STARTING, DOWN)
    }
    billed_s = float(billed.sum())
    # a step under way at the end is busy only up to it
    beyond = float(np.maximum(replicas["step_end_s"] - end_s, 0.0)[replicas["in_step"] != 0].sum())
    busy_s = float(replicas["busy_s"].sum()) - beyond
    idle_s = max(billed_s - total[STARTING] - total[DOWN] - busy_s, 0.0)
    step_energy = np.zeros(n_hours)
    step_energy[: len(step_energy_by_hour_j)] = step_energy_by_hour_j[:n_hours]
    idle_power_w = float(control.spec.power_w_by_seqs[0])
    idle_share = (billed_s - busy_s) / billed_s if billed_s else 0.0
    return PoolUsage(
        name=control.spec.name,
        site=control.spec.site,
        gpus_per_replica=control.spec.gpus_per_replica,
        initial_replicas=control.spec.replicas,
        billed_s=billed_s,
        starting_s=total[STARTING],
        busy_s=busy_s,
        idle_s=idle_s,
        down_s=total[DOWN],
        billed_by_hour_s=billed,
        energy_by_hour_j=step_energy + billed * idle_share * idle_power_w,
        launches=control.ledger.launches,
        failures=control.ledger.count(FAILURE),
        reclaims=control.ledger.count(RECLAIM),
        stockouts=control.ledger.count(STOCK_OUT),
        peak_replicas=control.ledger.peak_replicas,
        requests=int(control.plane.engines.pools[replicas["pool"][0]]["departures"]) if len(replicas) else 0,
        input_tokens=int(replicas["input_tokens"].sum()),
        cached_tokens=int(replicas["cached_tokens"].sum()),
        output_tokens=int(replicas["output_tokens"].sum()),
        stays=tuple(
            Stay(span.replica, server, span.state, span.start_s, span.end_s)
            for span in sorted(spans, key=lambda span: (span.start_s, span.replica))
            for server in span.servers
        ),
    )


def provider_usage(plane: DataPlane, k: int, provider: ProviderSpec, clock: OutageClock, end_s: float) -> ProviderUsage:
    """The ledger of token API `k` over [0, end_s], from the counters of its calls."""
    counts = plane.calls()[k, :, : len(provider.price_bands)]
    tokens = counts[:, :, CALL_INPUT : CALL_OUTPUT + 1]
    by_kind = tokens.sum(axis=(0, 1))
    return ProviderUsage(
        provider.name,
        requests=int(counts[:, :, CALLS].sum()),
        input_tokens=int(by_kind[:CALL_OUTPUT].sum()),
        cached_tokens=int(by_kind[CALL_CACHED]),
        output_tokens=int(by_kind[CALL_OUTPUT]),
        outages=clock.count,
        down_s=clock.down_s(end_s),
        failed=int(plane.fleet.providers[k]["failed"]),
        tokens=tokens,
        failed_tokens=counts[:, :, FAILED_INPUT : FAILED_INPUT + CALL_OUTPUT + 1],
        calls=counts[:, :, CALLS],
        failed_calls=counts[:, :, CALLS_FAILED],
        retried_calls=counts[:, :, CALLS_RETRIED],
        thrown_tokens=plane.work()[len(plane.spec.pools) + k, :, WORK_THROWN_INPUT:],
    )
