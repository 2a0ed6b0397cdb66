"""Outages and failures at known times, where what is simulated begins later than the run that they are times of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from simulator.study.fleet import FleetSpec, Outages, PoolSpec, ProviderSpec

_Target = TypeVar("_Target", PoolSpec, ProviderSpec)


def from_second(fleet: FleetSpec, start_s: float) -> FleetSpec:
    """The fleet with what is known to fail at the times that it has when second `start_s` of the run is second 0."""
    if start_s <= 0:
        return fleet
    later = partial(_later, start_s=start_s)
    pools = (_failing(later(pool), start_s) for pool in fleet.pools)
    providers = (_throttled(later(provider), start_s) for provider in fleet.providers)
    return replace(fleet, pools=tuple(pools), providers=tuple(providers))


def _later(target: _Target, start_s: float) -> _Target:
    found: Outages = replace(target.outages, windows=_windows(target.outages.windows, start_s))
    return replace(target, outages=found)


def _failing(pool: PoolSpec, start_s: float) -> PoolSpec:
    known, dry = (_windows(spans, start_s) for spans in (pool.reliability.known, pool.reliability.stock_outs))
    return replace(pool, reliability=replace(pool.reliability, known=known, stock_outs=dry))


def _throttled(provider: ProviderSpec, start_s: float) -> ProviderSpec:
    spans = (
        (span, share) for *given, share in provider.throttling for span in _windows([(given[0], given[1])], start_s)
    )
    return replace(provider, throttling=tuple((first, last, share) for (first, last), share in spans))


def _windows(windows: Sequence[tuple[float, float]], start_s: float) -> tuple[tuple[float, float], ...]:
    """Windows counted from `start_s` on, without those that were over by then."""
    later = [(first - start_s, last - start_s) for first, last in windows]
    return tuple((max(first, 0.0), last) for first, last in later if last > 0)
