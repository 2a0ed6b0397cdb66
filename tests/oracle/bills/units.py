"""Units of throughput that a token API sells, by the hour or for a term."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from bills.months import HOURS, Months, at, holds, scale
from bills.rows import Row, row


class Units:
    """Those of one provider, whatever events make of its price list."""

    def __init__(self, months: Months, name: str) -> None:
        self.months, self.name = months, name
        self.lists = [api for api in months.terms["apis"] if api["provider"] == name]
        self.site = self.lists[0]["site"]
        self.begun: list[Row] = []
        for month in range(months.count):
            now = self._now(month)
            if not now or not now.get("unit_term_months"):
                continue
            units = now["provisioned_units"] - sum(term["units"] for term in self._running(month))
            if units > 1e-9:
                length = now["unit_term_months"]
                cost = units * now["usd_per_unit_hour"] * HOURS * length * at(months.terms["token_index"], month)
                share = now.get("unit_upfront_share", 0.0)
                self.begun.append({"from": month, "length": length, "units": units, "usd": cost, "upfront": share})

    def _now(self, month: int) -> Row | None:
        return next((api for api in self.lists if holds(api, month)), None)

    def _running(self, month: int) -> list[Row]:
        return [term for term in self.begun if 0 <= month - term["from"] < term["length"]]

    def lines(self, month: int) -> list[Row]:
        now, running = self._now(month), self._running(month)
        units = sum(term["units"] for term in running)
        more = 0.0
        if now and not now.get("unit_term_months"):
            more = max(now["provisioned_units"] - units, 0.0)
        idle = 0.0 if now else 1.0
        bought = (units + more) * HOURS * 60 * now["unit_tokens_per_minute"] if now else 0.0
        if bought:
            idle = max(bought - self._through(month), 0.0) / bought
        whole = sum(term["usd"] / term["length"] for term in running)
        index = at(self.months.terms["token_index"], month + 1)
        hourly = more * HOURS * now["usd_per_unit_hour"] * index if now else 0.0
        upfront = sum(term["usd"] / term["length"] * term["upfront"] for term in running)
        prepaid = {"prepaid": upfront / whole if whole else 0.0}
        return [
            row(self.name, "committed throughput", "units", whole * (1 - idle), "committed") | prepaid,
            row(self.name, "committed throughput", "unused", whole * idle, "committed") | prepaid,
            row(self.name, "provisioned throughput", "units", hourly * (1 - idle), "by_month"),
            row(self.name, "provisioned throughput", "unused", hourly * idle, "by_month"),
        ]

    def after_the_study(self) -> list[Row]:
        ends = self.months.terms["months"]
        owed = sum(term["usd"] * max(term["from"] + term["length"] - ends, 0.0) / term["length"] for term in self.begun)
        return [row(self.name, "committed throughput", "after the study", owed / ends, "committed")]

    def pay(self, once: dict[float, float], paid: dict[float, float], taxed: Callable[[int], float]) -> None:
        ends = self.months.terms["months"]
        for term in self.begun:
            start, length = term["from"], term["length"]
            whole_usd = term["usd"] * taxed(start)
            once[float(start)] = once.get(float(start), 0.0) + whole_usd * term["upfront"]
            whole = {float(k) for k in range(start, start + length + 1)}
            edges = sorted(whole | ({ends} if start < ends < start + length else set()))
            for begin, end in pairwise(edges):
                usd = whole_usd * (1 - term["upfront"]) * (end - begin) / length
                paid[end] = paid.get(end, 0.0) + usd

    def _through(self, month: int) -> float:
        """Tokens by what one of each kind counts for: uncached and cached input, cache writes, output."""
        weights = (self._now(month) or {}).get("unit_token_weights") or (1.0,) * 4
        return math.fsum(
            scale(period, usage) * count * weight
            for period, usage in self.months.periods(month)
            for provider in usage["providers"]
            if provider["name"] == self.name
            for one in provider["tokens"] + provider["failed_tokens"]
            for band in one
            for count, weight in zip(band, weights, strict=True)
        )
