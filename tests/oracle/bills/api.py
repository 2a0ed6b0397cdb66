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
    owner = api["provider"]
    rows = [row(owner, f"{name} tokens".strip(), kind, usd, "by_use") for (name, kind), usd in sums.items()]
    rows.append(row(owner, "failed calls", "tokens", failed, "by_use"))
    premium = (math.fsum(sums.values()) + failed) * api["residency_premium"]
    return [
        *rows,
        row(owner, "residency", "premium", premium, "by_use"),
        row(owner, "flat fee", "month", api["fixed_usd_per_month"], "by_month"),
    ]
