"""Calls of a provider: tokens by service tier, price band and kind, at the price of their hour."""

from __future__ import annotations

import math

from bills.clock import dearness
from bills.months import Months, at, scale
from bills.rows import Row, row

KINDS = ("input", "cached input", "cache write", "output")


def api_lines(months: Months, api: Row, month: int) -> list[Row]:
    index = at(months.terms["token_index"], month + 1)
    names = api["tier_by_class"]
    lists = {"": api["prices"]} | {tier["name"]: tier["prices"] for tier in api["tiers"]}
    sums: dict[tuple[str, str], float] = {(name, kind): 0.0 for name in names for kind in KINDS}
    failed = 0.0
    for period, usage in months.periods(month):
        provider = next(item for item in usage["providers"] if item["name"] == api["provider"])
        rates = [1.0]
        answered, lost = [provider["tokens"]], [provider["failed_tokens"]]
        if api["factor_by_hour"]:
            rates = [dearness(api, usage, hour) for hour in range(24)]
            answered, lost = provider["tokens_by_hour"], provider["failed_tokens_by_hour"]
        for hour, rate in enumerate(rates):
            for c, name in enumerate(names):
                for band, prices in enumerate(lists[name]):
                    for k, kind in enumerate(KINDS):
                        price = prices[kind.replace(" ", "_")]
                        usd = scale(period, usage) * price / 1e6 * rate * index
                        sums[name, kind] += answered[hour][c][band][k] * usd
                        if api["bills_failed"]:
                            failed += lost[hour][c][band][k] * usd
    cheaper = volume_factor(api, billed_tokens(months, api, month))
    sums, failed = {key: usd * cheaper for key, usd in sums.items()}, failed * cheaper
    owner = api["provider"]
    rows = [row(owner, f"{name} tokens".strip(), kind, usd, "by_use") for (name, kind), usd in sums.items()]
    rows.append(row(owner, "failed calls", "tokens", failed, "by_use"))
    premium = (math.fsum(sums.values()) + failed) * api["residency_premium"]
    return [
        *rows,
        row(owner, "residency", "premium", premium, "by_use"),
        row(owner, "flat fee", "month", api["fixed_usd_per_month"], "by_month"),
    ]


def billed_tokens(months: Months, api: Row, month: int) -> float:
    """Of a month, every kind and class together."""
    count = 0.0
    for period, usage in months.periods(month):
        provider = next(item for item in usage["providers"] if item["name"] == api["provider"])
        for key in ("tokens", "failed_tokens") if api["bills_failed"] else ("tokens",):
            count += scale(period, usage) * sum(n for bands in provider[key] for kinds in bands for n in kinds)
    return count


def volume_factor(api: Row, tokens: float) -> float:
    """What a month's tokens cost of what they would at the prices as listed: walk up from the first one."""
    volume = api.get("volume") or {}
    if not tokens or not volume:
        return 1.0
    paid, at, factor = 0.0, min(volume["free"], tokens), 1.0
    reached = [step for step in volume["steps"] if tokens - step["above"] > 1e-9 * step["above"]]
    if volume["for_all"]:
        return (tokens - at) / tokens * (reached[-1]["factor"] if reached else 1.0)
    for step in reached:
        if step["above"] > at:
            paid += (step["above"] - at) * factor
            at = step["above"]
        factor = step["factor"]
    return (paid + (tokens - at) * factor) / tokens
