"""From the stays of replicas in their states, and counters at both ends of the window, to the ledger of use."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.modes.flight.arrays import busy_until_s
from simulator.engine.modes.offload.arrays import loaded_tokens
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.lifecycle import DOWN, FAILURE, RECLAIM, STARTING, STOCK_OUT, PoolControl, Span
from simulator.fleet.outages import OutageClock
from simulator.fleet.state import (
    CALL_CACHED,
    CALL_INPUT,
    CALL_OUTPUT,
    CALLS,
    CALLS_FAILED,
    CALLS_RETRIED,
    FAILED_INPUT,
)
from simulator.study.fleet import ProviderSpec
from simulator.study.usage import PoolUsage, ProviderUsage, Stay
from simulator.units import SECONDS_PER_HOUR

_ROUNDING = 1e-12
"""Share of a sum of times that may be nothing but its rounding."""


def by_hour(spans: list[tuple[float, float]], n_hours: int) -> NDArray[np.float64]:
    """Seconds of the spans that fall into each hour; they sum to the spans' total length."""
    seconds = np.zeros(n_hours)
    for start_s, end_s in spans:
        for hour in range(int(start_s // SECONDS_PER_HOUR), min(math.ceil(end_s / SECONDS_PER_HOUR), n_hours)):
            low = max(start_s, hour * SECONDS_PER_HOUR)
            seconds[hour] += max(min(end_s, (hour + 1) * SECONDS_PER_HOUR) - low, 0.0)
    return seconds


def left_s(whole_s: float, *parts_s: float) -> float:
    """Time that is left of the whole; none where it is no more than the rounding of the sums."""
    rest_s = whole_s
    for part_s in parts_s:
        rest_s -= part_s
    return rest_s if rest_s > _ROUNDING * whole_s else 0.0


@dataclass(frozen=True)
class Counts:
    """What the counters of a simulation stand at.

    Attributes
    ----------
    busy_s, energy_j : of each pool; a step under way is busy up to `at_s`
    tokens : of each pool, shape (pools, 3): prompts of answers that it ended, what was cached of these, output
    departures, launches, steps : of each pool
    work : of each target and class
    failed : of each provider
    asked : of each provider's limits
    """

    at_s: float
    busy_s: NDArray[np.float64]
    energy_j: NDArray[np.float64]
    tokens: NDArray[np.int64]
    departures: NDArray[np.int64]
    launches: NDArray[np.int64]
    steps: NDArray[np.int64]
    loaded: NDArray[np.int64]
    work: NDArray[np.int64]
    failed: NDArray[np.int64]
    asked: NDArray[np.float64]


def counts(plane: DataPlane, controls: Sequence[PoolControl], now: float) -> Counts:
    """The counters at this moment."""
    replicas, n = plane.engines.replicas, len(controls)
    pool = replicas["pool"]
    until_s = busy_until_s(plane.engines.flight, replicas["step_end_s"])
    beyond = np.where(replicas["in_step"] != 0, np.maximum(until_s - now, 0.0), 0.0)
    tokens = np.zeros((n, 3), np.int64)
    for column, name in enumerate(("input_tokens", "cached_tokens", "output_tokens")):
        np.add.at(tokens[:, column], pool, replicas[name])
    return Counts(
        now,
        np.bincount(pool, replicas["busy_s"] - beyond, n).astype(float),
        np.bincount(pool, replicas["energy_j"], n).astype(float),
        tokens,
        plane.engines.pools["departures"].astype(np.int64),
        np.array([control.ledger.launches for control in controls], np.int64),
        np.bincount(pool, replicas["steps"], n).astype(np.int64),
        np.bincount(pool, loaded_tokens(plane.engines.offload, len(pool)), n).astype(np.int64),
        plane.work().copy(),
        plane.fleet.providers["failed"].astype(np.int64),
        plane.asked(),
    )


def within(control: PoolControl, start_s: float, end_s: float) -> list[Span]:
    """Stays of a pool's replicas in their states, the parts of them within the window."""
    return [span._replace(start_s=max(span.start_s, start_s)) for span in control.spans(end_s) if span.end_s > start_s]


def launched_before(spans: Iterable[Span], start_s: float) -> tuple[tuple[int, float], ...]:
    """Servers held at `start_s`, and since when without a gap; not those that were there at time 0, who knows how long.

    Parameters
    ----------
    spans : stays of the replicas from time 0 on
    """
    held: dict[int, tuple[float, float]] = {}
    for span in sorted(spans, key=lambda span: span.start_s):
        if span.start_s > start_s or span.end_s <= span.start_s:
            continue
        for server in set(span.servers) - set(span.lost):
            since_s, until_s = held.get(server, (span.start_s, span.start_s))
            since_s = since_s if span.start_s <= until_s else span.start_s
            held[server] = since_s, max(until_s, span.end_s)
    return tuple((server, since) for server, (since, until) in sorted(held.items()) if 0 < since < start_s < until)


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """Most of the spans that are open at once; one that begins as another ends takes its place."""
    changes = sorted((time_s, change) for start_s, stop_s in spans for time_s, change in ((start_s, 1), (stop_s, -1)))
    return max((int(now) for now in np.cumsum([change for _, change in changes])), default=0)


def pool_usage(
    control: PoolControl, k: int, begun: Counts, ended: Counts, step_energy_by_hour_j: NDArray[np.float64]
) -> PoolUsage:
    """The ledger of pool `k` over the window; replicas that are still there are counted up to its end.

    Energy is that of the steps plus the idle power of replicas that are neither stepping nor down, spread evenly over
    the hours in which they were not down.
    """
    start_s, end_s = begun.at_s, ended.at_s
    spans = within(control, start_s, end_s)
    n_hours = max(math.ceil(end_s / SECONDS_PER_HOUR), 1)
    billed = by_hour([(span.start_s, span.end_s) for span in spans], n_hours)
    total = {
        state: math.fsum(span.end_s - span.start_s for span in spans if span.state == state)
        for state in (STARTING, DOWN)
    }
    billed_s = float(billed.sum())
    busy_s = float(ended.busy_s[k] - begun.busy_s[k])
    idle_s = left_s(billed_s, total[STARTING], total[DOWN], busy_s)
    step_energy = np.zeros(n_hours)
    step_energy[: len(step_energy_by_hour_j)] = step_energy_by_hour_j[:n_hours]
    tokens = (ended.tokens[k] - begun.tokens[k]).tolist()
    idle_power_w = float(control.spec.power_w_by_seqs[0])
    powered = by_hour([(span.start_s, span.end_s) for span in spans if span.state != DOWN], n_hours)
    powered_s = float(powered.sum())
    idle_share = (powered_s - busy_s) / powered_s if powered_s else 0.0
    return PoolUsage(
        name=control.spec.name,
        site=control.spec.site,
        gpus_per_replica=control.spec.gpus_per_replica,
        billed_s=billed_s,
        starting_s=total[STARTING],
        busy_s=busy_s,
        idle_s=idle_s,
        down_s=total[DOWN],
        billed_by_hour_s=billed,
        energy_by_hour_j=step_energy + powered * idle_share * idle_power_w,
        launches=int(ended.launches[k] - begun.launches[k]),
        steps=int(ended.steps[k] - begun.steps[k]),
        loaded_tokens=int(ended.loaded[k] - begun.loaded[k]),
        failures=control.ledger.count(FAILURE, start_s),
        reclaims=control.ledger.count(RECLAIM, start_s),
        stockouts=control.ledger.count(STOCK_OUT, start_s),
        peak_replicas=most_at_once((span.start_s, span.end_s) for span in spans),
        requests=int(ended.departures[k] - begun.departures[k]),
        **dict(zip(("input_tokens", "cached_tokens", "output_tokens"), tokens, strict=True)),
        stays=tuple(
            Stay(span.replica, server, span.state, span.start_s, span.end_s, server in span.lost)
            for span in sorted(spans, key=lambda span: (span.start_s, span.replica))
            for server in span.servers
        ),
        before_s=launched_before(control.spans(end_s), start_s),
    )


def provider_usage(
    k: int,
    provider: ProviderSpec,
    clock: OutageClock,
    begun: Counts,
    ended: Counts,
    calls: NDArray[np.int64],
    thrown: NDArray[np.int64],
) -> ProviderUsage:
    """The ledger of token API `k` over the window, from the counters of the calls that were made in it.

    A call is paid for when it is made, so a window that opens on an API without any call under way lacks none.

    Parameters
    ----------
    calls : shape (hours of day or 1, classes, bands, CALL_COUNTS)
    """
    by_hour = calls[:, :, : len(provider.price_bands)]
    counts = by_hour.sum(axis=0)
    tokens, failed_tokens = _tokens(counts)
    hourly = _tokens(by_hour if provider.by_hour else by_hour[:0])
    by_kind = tokens.sum(axis=(0, 1))
    return ProviderUsage(
        provider.name,
        requests=int(counts[:, :, CALLS].sum()),
        input_tokens=int(by_kind[:CALL_OUTPUT].sum()),
        cached_tokens=int(by_kind[CALL_CACHED]),
        output_tokens=int(by_kind[CALL_OUTPUT]),
        outages=clock.count(begun.at_s, ended.at_s),
        down_s=clock.down_s(begun.at_s, ended.at_s),
        failed=int(ended.failed[k] - begun.failed[k]),
        asked=ended.asked[k] - begun.asked[k],
        tokens=tokens,
        failed_tokens=failed_tokens,
        calls=counts[:, :, CALLS],
        failed_calls=counts[:, :, CALLS_FAILED],
        retried_calls=counts[:, :, CALLS_RETRIED],
        thrown_tokens=thrown,
        tokens_by_hour=hourly[0],
        failed_tokens_by_hour=hourly[1],
    )


def _tokens(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """By kind, of answered and of failed calls."""
    return counts[..., CALL_INPUT : CALL_OUTPUT + 1], counts[..., FAILED_INPUT : FAILED_INPUT + CALL_OUTPUT + 1]
