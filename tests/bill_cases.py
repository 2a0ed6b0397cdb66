"""Usage and terms made by hand, for the tests of bills."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from simulator.study.bill import MonthUse, PeriodUse
from simulator.study.demand import When
from simulator.study.terms import (
    ApiTerms,
    Facility,
    Fee,
    OwnedSite,
    RentedTerms,
    ServerKind,
    Staff,
    TokenPrices,
)
from simulator.study.usage import PoolUsage, ProviderUsage, ServerUsage, Stay, Usage

HOUR_S = 3600.0
TARIFF = tuple(0.08 + 0.005 * hour for hour in range(24))
FREE = Facility(usd_per_kw_month=0.0, pue=1.0, electricity_usd_per_kwh=(0.0,))
PLACE = Facility(usd_per_kw_month=150.0, pue=1.3, electricity_usd_per_kwh=TARIFF, co2_kg_per_kwh=(0.4,))
SERVER = ServerKind(
    name="8 x h100-sxm",
    gpu="h100-sxm",
    gpus=8,
    capex_usd=250_000.0,
    network_storage_share=0.2,
    reserved_kw=10.0,
    host_kw=2.0,
    maintenance_share_per_year=0.05,
    life_years=4.0,
    residual_share=0.1,
    resale_share_by_age=((1.0, 0.6), (2.0, 0.4), (3.0, 0.25)),
    install_usd=3_000.0,
)
PLAIN_SERVER = replace(
    SERVER,
    network_storage_share=0.0,
    reserved_kw=0.0,
    host_kw=0.0,
    maintenance_share_per_year=0.0,
    residual_share=0.0,
    resale_share_by_age=(),
    install_usd=0.0,
)


def hours_of(end_s: float) -> int:
    return math.ceil(end_s / HOUR_S)


def pool(
    name: str = "pool", gpus: int = 4, stays: Sequence[Stay] = (), end_s: float = 2 * HOUR_S, **changes: Any
) -> PoolUsage:
    """A ledger that agrees with its stays: replicas that serve are busy for 60 % of the time."""
    length = {"serving": 0.0, "starting": 0.0, "leaving": 0.0, "down": 0.0, "spare-free": 0.0}
    by_hour = np.zeros(hours_of(end_s))
    for stay in stays:
        length[stay.state] += stay.end_s - stay.start_s
        for hour in range(len(by_hour)):
            by_hour[hour] += max(0.0, min(stay.end_s, (hour + 1) * HOUR_S) - max(stay.start_s, hour * HOUR_S))
    served = length["serving"] + length["leaving"]
    edges = sorted({stay.start_s for stay in stays})
    peak = max((sum(s.start_s <= edge < s.end_s for s in stays) for edge in edges), default=0)
    known = PoolUsage(
        name=name,
        site="here",
        gpus_per_replica=gpus,
        billed_s=math.fsum(length.values()),
        starting_s=length["starting"],
        busy_s=0.6 * served,
        idle_s=0.4 * served,
        down_s=length["down"],
        billed_by_hour_s=by_hour,
        energy_by_hour_j=by_hour * gpus * 500.0,
        launches=0,
        failures=0,
        reclaims=0,
        stockouts=0,
        peak_replicas=peak,
        requests=1_000,
        input_tokens=800_000,
        cached_tokens=100_000,
        output_tokens=200_000,
        stays=tuple(stays),
    )
    return replace(known, **changes)


def fixed(replicas: int, end_s: float = 2 * HOUR_S, per_server: int = 1, first: int = 0) -> tuple[Stay, ...]:
    """Replicas that serve all the time, `per_server` on each."""
    return tuple(Stay(k, first + k // per_server, "serving", 0.0, end_s) for k in range(replicas))


def servers(used: int, pools: Sequence[str], end_s: float = 2 * HOUR_S, gpus: int = 8) -> ServerUsage:
    lengths = np.clip(end_s - HOUR_S * np.arange(hours_of(end_s)), 0.0, HOUR_S)
    return ServerUsage(
        *("here", "h100-sxm", gpus, tuple(pools), used, lengths, 0.0 * lengths, used * lengths, used * gpus * lengths)
    )


def provider_by_hour(by_hour: Any, failed_by_hour: Any, name: str = "api") -> ProviderUsage:
    """A provider's ledger by hour of day, UTC: shape (24, classes, bands, 4)."""
    hourly, failed = np.asarray(by_hour, dtype=np.int64), np.asarray(failed_by_hour, dtype=np.int64)
    whole = provider(hourly.sum(axis=0), name, failed.sum(axis=0))
    return replace(whole, tokens_by_hour=hourly, failed_tokens_by_hour=failed)


def provider(tokens: Any, name: str = "api", failed: Any = None) -> ProviderUsage:
    """A provider's ledger; `tokens` has shape (classes, bands, 4)."""
    table = np.asarray(tokens, dtype=np.int64)
    prompts, cached, answers = (int(table[:, :, kinds].sum()) for kinds in ([0, 1, 2], [1], [3]))
    empty = np.zeros_like(table)
    return ProviderUsage(
        name,
        1_000,
        prompts,
        cached,
        answers,
        tokens=table,
        failed_tokens=empty if failed is None else np.asarray(failed, dtype=np.int64),
    )


def month(*usages: Usage, start_hour: float = 0.0, when: When | None = None) -> MonthUse:
    """A month of which each usage stands for an equal part."""
    timed = [replace(usage, when=when or When(start_hour=start_hour)) for usage in usages]
    return MonthUse(tuple(PeriodUse(usage, 730.0 / len(usages)) for usage in timed))


def owned(names: Sequence[str] = ("pool",), server: ServerKind = SERVER, **changes: Any) -> OwnedSite:
    return replace(OwnedSite("here", server, PLACE, tuple(names), spares=0), **changes)


def rented(name: str = "pool", usd: float = 55.04, **changes: Any) -> RentedTerms:
    return replace(RentedTerms(name, "aws-us-east-1", "on_demand", 8, (usd,)), **changes)


STAFF = Staff(usd_per_fte_year=180_000.0, base_fte=0.5, fte_per_server=0.02, fte_per_replica=0.01)
FEES = (Fee("support", usd_per_month=500.0, share_of_bill=0.03), Fee("integration", usd_once=20_000.0))
API = ApiTerms("api", (TokenPrices(0, 0.15, 0.075, 0.0, 0.6),), ("",))
