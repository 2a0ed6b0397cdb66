"""Random failures so rare that what is simulated has few of them: whether one falls into it decides what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.study.fleet import FleetSpec, PoolSpec
from simulator.study.usage import PoolUsage, Usage

_ENOUGH = 4.0
"""Expected failures from which on their number varies by half of it at most."""


def rare_failures(fleet: FleetSpec, usages: Sequence[Usage]) -> list[str]:
    """Pools of whose servers fewer than four failures are expected in all replications, in words."""
    found = (_of_pool(pool, [_find(usage, pool.name) for usage in usages]) for pool in fleet.pools)
    return [words for each in found for words in each]


def _find(usage: Usage, name: str) -> tuple[PoolUsage, float]:
    return next(pool for pool in usage.pools if pool.name == name), usage.span_s


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
        yield (
            f"{pool.name}: {expected:.2g} failures of a server are expected in what is simulated, which has {seen}: "
            "what failures cost is left to chance (more run.replications, or a longer run.horizon_s, show it)"
        )
