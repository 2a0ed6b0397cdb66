"""The gateway's tables, filled from a fleet's specification."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.engine.state import NONE
from simulator.fleet import state
from simulator.rng import stream_seed
from simulator.study.choices import LIMITS
from simulator.study.fleet import FleetSpec, Opening, ServiceTier
from simulator.units import HOURS_PER_DAY
from simulator.workload.requests import RequestSource


def closed_table(source: RequestSource) -> NDArray[np.void]:
    """One row a closed loop."""
    table = np.zeros(len(source.closed_loops), state.CLOSED)
    first = 0
    for row, closed in zip(table, source.closed_loops, strict=True):
        row["first_row"] = first
        row["n_rows"] = len(closed.rows)
        first += len(closed.rows)
    return table


def provider_table(spec: FleetSpec) -> NDArray[np.void]:
    """One row a token API."""
    table = np.zeros(len(spec.providers), state.PROVIDER)
    for k, (row, provider) in enumerate(zip(table, spec.providers, strict=True)):
        for name in ("ttft_median_s", "ttft_sigma", "tpot_median_s", "tpot_sigma", "ttft_s_per_input_token"):
            row[name] = getattr(provider, name)
        for name in ("max_wait_s", "max_context_tokens", "error_probability"):
            row[name] = getattr(provider, name)
        for name in ("cached_weight", "output_weight", "reserved_tokens"):
            row[name] = getattr(provider, name)
        row["luck"] = stream_seed(0, "provider", provider.luck or k) >> 2
        for name in ("initial_s", "max_s", "jitter"):
            row[f"retry_{name}"] = getattr(provider.retry, name)
        for name in ("life_s", "least_tokens", "step_tokens", "writes"):
            row[f"cache_{name}"] = getattr(provider.cache, name)
        row["n_bands"] = most_bands(spec)
        row["n_hours"] = hours(spec)
        row["clock_s"] = spec.clock_s
        row["first_call"] = k * hours(spec) * len(spec.classes) * most_bands(spec)
    return table


def limit_table(spec: FleetSpec) -> NDArray[np.void]:
    """Buckets of the rate limits, of each token API those of `LIMITS`."""
    table = np.zeros((len(spec.providers), len(LIMITS)), state.LIMIT)
    for rows, provider in zip(table, spec.providers, strict=True):
        rows["rate"] = np.array(provider.limits_per_minute) / 60.0
        rows["level"] = np.subtract(provider.limits_per_minute, provider.taken)
    return table.ravel()


def routing_table(spec: FleetSpec) -> NDArray[np.void]:
    """Targets in the order of the routing rule."""
    routing, n = spec.routing, len(spec.routing.order)
    table = np.zeros(n, state.ROUTING)
    table["target"] = routing.order
    table["cumulative_weight"] = np.cumsum(routing.weights or (1.0,) * n)
    table["overflow_waiting"] = routing.overflow_waiting or (np.inf,) * n
    table["overflow_kv"] = routing.overflow_kv or (np.inf,) * n
    table["overflow_outstanding"] = routing.overflow_outstanding or (np.inf,) * n
    table["max_complexity"] = routing.max_complexity or (np.inf,) * n
    return table


def cascade_table(spec: FleetSpec) -> NDArray[np.void]:
    """The cascade, in one row."""
    table = np.zeros(1, state.CASCADE)
    cascade = spec.routing.cascade
    table["first"] = NONE
    if cascade is not None:
        table["first"], table["second"] = spec.routing.order
        for name in ("share", "max_complexity", "check_s", "streams"):
            table[name] = getattr(cascade, name)
    return table


def opening_table(spec: FleetSpec) -> NDArray[np.void]:
    """Starts in s after simulated time 0, within a cycle and rising, and which targets are open from each on."""
    targets, cycle_s = len(spec.pools) + len(spec.providers), spec.routing.cycle_s
    rows = spec.routing.openings or (Opening(0.0, (True,) * targets),)
    if cycle_s == np.inf:
        begun = sum(row.start_s <= spec.clock_s for row in rows)
        rows = rows[max(begun - 1, 0) :]
        starts_s = np.array([max(row.start_s - spec.clock_s, 0.0) for row in rows])
        starts_s[0] = 0.0
    else:
        starts_s = np.array([(row.start_s - spec.clock_s) % cycle_s for row in rows])
    order = np.argsort(starts_s, kind="stable")
    table = np.zeros(len(rows) * targets, state.OPENING)
    table["start_s"] = np.repeat(starts_s[order], targets)
    table["open"] = np.array([row.targets for row in rows], np.int64)[order].ravel()
    return table


def hours(spec: FleetSpec) -> int:
    return HOURS_PER_DAY if any(provider.by_hour for provider in spec.providers) else 1


def most_bands(spec: FleetSpec) -> int:
    """Most price bands of a provider."""
    return max((len(provider.price_bands) for provider in spec.providers), default=1)


def call_table(spec: FleetSpec) -> NDArray[np.void]:
    """Bands that a provider does not have are never reached."""
    shape = (len(spec.providers), hours(spec), len(spec.classes), most_bands(spec))
    table = np.zeros(shape, state.CALL)
    table["above_tokens"] = np.iinfo(np.int64).max
    for rows, provider in zip(table, spec.providers, strict=True):
        rows["above_tokens"][..., : len(provider.price_bands)] = provider.price_bands
        tiers = provider.tier_by_class or (ServiceTier(),) * len(spec.classes)
        rows["latency_factor"] = np.array([tier.latency_factor for tier in tiers])[:, None]
        rows["batch_window_s"] = np.array([tier.batch_window_s for tier in tiers])[:, None]
    return table.ravel()


def target_table(spec: FleetSpec) -> NDArray[np.void]:
    """Which classes may go where."""
    targets = len(spec.pools) + len(spec.providers)
    table = np.zeros(targets * len(spec.classes), state.TARGET)
    table["allowed"] = [cls.allowed[target] for target in range(targets) for cls in spec.classes]
    return table


def class_table(spec: FleetSpec) -> NDArray[np.void]:
    """Timeouts and retries."""
    table = np.zeros(len(spec.classes), state.CLASS)
    table["timeout_s"] = [cls.timeout_s for cls in spec.classes]
    table["max_retries"] = [cls.max_retries for cls in spec.classes]
    return table
