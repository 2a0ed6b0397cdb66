"""A month in some of whose hours nothing is served."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.study.bill import Tokens
from simulator.study.decision import Served, Share, Walked
from simulator.study.usage import PoolUsage, ProviderUsage, ServerUsage, Usage
from simulator.units import HOURS_PER_MONTH


def with_downtime(month: Walked, why: str, hours: float) -> Walked:
    """The month with so many hours, of all its periods alike, in which nothing runs and every request is lost.

    It meets the SLO if each term would still hold with that share of the requests missing.
    """
    if not hours:
        return month
    lost = hours / HOURS_PER_MONTH
    shares = [replace(share, hours=share.hours * (1.0 - lost)) for share in month.shares]
    shares += [Share(share.hours * lost, share.period, _nothing(share.served)) for share in month.shares]
    holds = all(lost <= share.served.spare_share for share in month.shares)
    return replace(
        month,
        meets=month.meets if holds else False,
        attainment=month.attainment * (1.0 - lost),
        binding=month.binding if holds else f"{why}: {hours:g} hours without service",
        shares=tuple(share for share in shares if share.hours > 0),
    )


def _nothing(served: Served) -> Served:
    none = tuple(Tokens(0.0, 0.0, 0.0, 0.0) for _ in served.tokens)
    return replace(served, meets=False, attainment=0.0, usages=tuple(map(_idle, served.usages)), tokens=none)


def _idle(usage: Usage) -> Usage:
    return replace(
        usage,
        pools=tuple(map(_idle_pool, usage.pools)),
        providers=tuple(map(_no_calls, usage.providers)),
        servers=tuple(map(_switched_off, usage.servers)),
        requests=(0,) * len(usage.requests),
    )


def _switched_off(servers: ServerUsage) -> ServerUsage:
    names = ("on_s_by_hour", "down_s_by_hour", "running_s_by_hour", "held_gpu_s_by_hour")
    return replace(servers, **{name: np.zeros_like(getattr(servers, name)) for name in names})


def _idle_pool(pool: PoolUsage) -> PoolUsage:
    counts = dict.fromkeys(("requests", "input_tokens", "cached_tokens", "output_tokens"), 0)
    times = dict.fromkeys(("billed_s", "starting_s", "busy_s", "idle_s", "down_s"), 0.0)
    arrays = {
        name: np.zeros_like(getattr(pool, name))
        for name in ("billed_by_hour_s", "energy_by_hour_j", "work", "thrown_tokens")
    }
    return replace(pool, **counts, **times, **arrays, stays=())  # type: ignore[arg-type]


def _no_calls(provider: ProviderUsage) -> ProviderUsage:
    names = ("tokens", "failed_tokens", "calls", "failed_calls", "retried_calls", "thrown_tokens")
    arrays = {name: np.zeros_like(getattr(provider, name)) for name in names}
    counts = dict.fromkeys(("requests", "input_tokens", "cached_tokens", "output_tokens"), 0)
    return replace(provider, **counts, **arrays)  # type: ignore[arg-type]
