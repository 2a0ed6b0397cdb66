"""Random failures and outages so rare that what is simulated has few: chance decides what they cost there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.study.fleet import FleetSpec, Outages, PoolSpec
from simulator.study.usage import PoolUsage, Usage

_IN_WHAT_HAS = "in what is simulated, which has"
_LEFT = "what they cost is left to chance (more run.replications, or a longer run.horizon_s, show it)"
_ENOUGH = 4.0
"""Expected failures from which on their number varies by half of it at most."""


def rare_failures(fleet: FleetSpec, usages: Sequence[Usage]) -> list[str]:
    """Pools and token APIs of which fewer than four failures are expected in all replications, in words."""
    spans_s = [usage.span_s for usage in usages]
    found: list[str] = []
    for pool in fleet.pools:
        used = [_find(usage, pool.name) for usage in usages]
        found += _of_pool(pool, used)
        found += _reclaims(pool, used)
        found += _outages(pool.name, "its zone", pool.outages, spans_s, sum(one.outages for one, _ in used))
    for k, provider in enumerate(fleet.providers):
        seen = sum(usage.providers[k].outages for usage in usages)
        found += _outages(provider.name, "it", provider.outages, spans_s, seen)
    return found


def _outages(name: str, what: str, outages: Outages, spans_s: Sequence[float], seen: int) -> Iterator[str]:
    """Of a zone or an API whose outages are all at random: those at known times are there anyway."""
    if not outages.mtbf_s > 0 or outages.windows:
        return
    expected = sum((outages.mttr_s + span_s) / (outages.mtbf_s + outages.mttr_s) for span_s in spans_s)
    if expected < _ENOUGH:
        yield f"{name}: {expected:.2g} outages of {what} are expected {_IN_WHAT_HAS} {seen}: {_LEFT}"


def _find(usage: Usage, name: str) -> tuple[PoolUsage, float]:
    return next(pool for pool in usage.pools if pool.name == name), usage.span_s


def _reclaims(pool: PoolSpec, usages: Sequence[tuple[PoolUsage, float]]) -> Iterator[str]:
    """Of instances that are taken away by chance."""
    mean_s = pool.reliability.reclaim_mtbf_s
    if not mean_s > 0:
        return
    held_s = sum(len({stay.server for stay in used.stays}) * span_s for used, span_s in usages)
    seen = sum(used.reclaims for used, _ in usages)
    if held_s and held_s / mean_s < _ENOUGH:
        yield f"{pool.name}: {held_s / mean_s:.2g} reclaims are expected {_IN_WHAT_HAS} {seen}: {_LEFT}"


def _of_pool(pool: PoolSpec, usages: Sequence[tuple[PoolUsage, float]]) -> Iterator[str]:
    up_s, down_s = pool.reliability.mtbf_s, pool.swap_s if pool.spares else pool.reliability.mttr_s
    held = [{stay.server for stay in used.stays} for used, _ in usages]
    if not up_s > 0 or not any(held):
        return
    expected = sum(
        len(servers) * (down_s + span_s) / (up_s + down_s) for servers, (_, span_s) in zip(held, usages, strict=True)
    )
    seen = sum(len({(stay.server, stay.start_s) for stay in used.stays if stay.state == "down"}) for used, _ in usages)
    if expected < _ENOUGH:
        yield f"{pool.name}: {expected:.2g} failures of a server are expected {_IN_WHAT_HAS} {seen}: {_LEFT}"
