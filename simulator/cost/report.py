"""The cost of one topology: line items, unit prices, cash flow and net present value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.cost.annuity import growth_factors, npv_usd
from simulator.cost.api import api_cost
from simulator.cost.lines import LineItem, PoolCost, check_span, per_month, total_usd
from simulator.cost.owned import owned_cost
from simulator.cost.prices import OwnedPrices, RentedPrices
from simulator.cost.rented import rented_cost
from simulator.cost.tokens import TokenBill
from simulator.errors import InputError, Problem, unknown_name
from simulator.study.usage import PoolUsage, ProviderUsage, Usage
from simulator.units import TOKENS_PER_MILLION


@dataclass(frozen=True, slots=True)
class MonthlyTokens:
    """Tokens of a month: delivered prompts and answers, and all that were processed, thrown-away ones included."""

    input: float
    output: float
    processed: float


@dataclass(frozen=True, slots=True)
class CostReport:
    """What one topology costs.

    Attributes
    ----------
    lines : the monthly bill; `simulator.cost.lines.whole_cents` rounds it so that it still adds up
    usd_per_month : sum of the lines
    tokens_per_month, output_tokens_per_month : delivered tokens, input and output, cached ones included; output alone
    usd_per_million_tokens : cost per delivered token, idle time and unused commitment included; inf if none
    usd_per_million_output_tokens : the same whole cost over output tokens alone
    processed_tokens_per_month, usd_per_million_processed_tokens : with what was computed and thrown away
    capex_usd : paid for hardware at month 0
    cash_flow_usd : paid (negative) and received (positive) at the end of months 0 to horizon, shape (horizon + 1,)
    npv_usd : present value of the cash flow, negative for a cost
    """

    lines: tuple[LineItem, ...]
    usd_per_month: float
    tokens_per_month: float
    output_tokens_per_month: float
    usd_per_million_tokens: float
    usd_per_million_output_tokens: float
    capex_usd: float
    cash_flow_usd: NDArray[np.float64]
    npv_usd: float
    processed_tokens_per_month: float = 0.0
    usd_per_million_processed_tokens: float = math.inf


def cost_report(
    usage: Usage,
    prices: Mapping[str, OwnedPrices | RentedPrices],
    horizon_months: int,
    discount_rate: float,
    growth_per_year: float = 0.0,
    bills: Mapping[str, TokenBill] | None = None,
    delivered: MonthlyTokens | None = None,
) -> CostReport:
    """Price the ledger of one topology.

    Parameters
    ----------
    usage : ledger of the simulated time, scaled to a month of 730 h
    prices : by name of the pool; a pool on spot capacity takes the spot price as its price on demand
    horizon_months : length of the cash flow
    discount_rate : per year, of the NPV; one for all topologies that are compared
    growth_per_year : of the load after month 1, as a share; lines of kind usage grow with it in the cash flow, as far
        as the capacity that was simulated goes. The monthly bill is that of month 1
    bills : what the requests of the simulated time cost, by name of the provider
    delivered : tokens of a month; all that the ledger has, unless given

    Raises
    ------
    InputError : a pool without prices, a provider without a bill, no simulated time, no horizon, a negative rate, a
        growth of -1 or less
    """
    check_span(usage.end_s, horizon_months)
    bills = bills or {}
    missing = [unknown_name("price of pool", pool.name, prices) for pool in usage.pools if pool.name not in prices]
    missing += [
        unknown_name("bill of provider", user.name, bills) for user in usage.providers if user.name not in bills
    ]
    if missing:
        raise InputError(*(Problem(message, path="prices") for message in missing))
    costs = [_pool_cost(pool, prices[pool.name], usage.end_s, horizon_months) for pool in usage.pools]
    costs += [
        api_cost(provider.name, bills[provider.name], usage.end_s, horizon_months) for provider in usage.providers
    ]
    lines = tuple(line for cost in costs for line in cost.lines)
    flow = np.sum([cost.cash_flow_usd for cost in costs] or [np.zeros(horizon_months + 1)], axis=0)
    flow[1:] -= total_usd(lines, "usage") * (growth_factors(growth_per_year, horizon_months) - 1.0)
    tokens = delivered or _ledger_tokens(usage)
    return CostReport(
        lines=lines,
        **_unit_prices(total_usd(lines), tokens),
        capex_usd=math.fsum(cost.capex_usd for cost in costs),
        cash_flow_usd=flow,
        npv_usd=npv_usd(flow, discount_rate),
    )


def mean_report(reports: Sequence[CostReport]) -> CostReport:
    """Mean over replications: of the quantity and USD of each line, of tokens and of cash flows.

    USD per million tokens is the ratio of the means. Lines are those of any replication, in order of appearance.
    """
    n = len(reports)
    merged: dict[tuple[str, str, str, str, str], LineItem] = {}
    for report in reports:
        for line in report.lines:
            key = (line.pool, line.category, line.name, line.unit, line.kind)
            known = merged.get(key, replace(line, quantity=0.0, usd_per_month=0.0))
            merged[key] = replace(
                known,
                quantity=known.quantity + line.quantity / n,
                usd_per_month=known.usd_per_month + line.usd_per_month / n,
            )
    lines = tuple(merged.values())
    delivered = math.fsum(report.tokens_per_month for report in reports) / n
    output = math.fsum(report.output_tokens_per_month for report in reports) / n
    processed = math.fsum(report.processed_tokens_per_month for report in reports) / n
    return CostReport(
        lines=lines,
        **_unit_prices(total_usd(lines), MonthlyTokens(delivered - output, output, processed)),
        capex_usd=math.fsum(report.capex_usd for report in reports) / n,
        cash_flow_usd=np.mean([report.cash_flow_usd for report in reports], axis=0),
        npv_usd=math.fsum(report.npv_usd for report in reports) / n,
    )


def _pool_cost(pool: PoolUsage, prices: OwnedPrices | RentedPrices, end_s: float, horizon_months: int) -> PoolCost:
    if isinstance(prices, OwnedPrices):
        return owned_cost(pool, prices, end_s, horizon_months)
    return rented_cost(pool, prices, end_s, horizon_months)


def _ledger_tokens(usage: Usage) -> MonthlyTokens:
    users: list[PoolUsage | ProviderUsage] = [*usage.pools, *usage.providers]
    scale = per_month(usage.end_s)
    tokens, output = (sum(getattr(user, f"{kind}_tokens") for user in users) * scale for kind in ("input", "output"))
    return MonthlyTokens(tokens, output, tokens + output)


def _unit_prices(usd: float, tokens: MonthlyTokens) -> dict[str, float]:
    delivered = tokens.input + tokens.output
    return {
        "usd_per_month": usd,
        "tokens_per_month": delivered,
        "output_tokens_per_month": tokens.output,
        "processed_tokens_per_month": tokens.processed,
        "usd_per_million_tokens": _per_million(usd, delivered),
        "usd_per_million_output_tokens": _per_million(usd, tokens.output),
        "usd_per_million_processed_tokens": _per_million(usd, tokens.processed),
    }


def _per_million(usd: float, tokens: float) -> float:
    return usd / tokens * TOKENS_PER_MILLION if tokens > 0 else math.inf
