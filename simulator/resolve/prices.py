"""Every price of a topology, looked up once; and the bill of what it used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.cost.prices import OwnedPrices, RentedPrices
from simulator.cost.report import CostReport, MonthlyTokens, cost_report
from simulator.cost.tokens import TokenBill, TokenPrice, empty_bill, token_bill
from simulator.resolve.figures import Figures
from simulator.resolve.terms import discount_rate, owned_prices, rented_prices, token_price, unknown_prices
from simulator.resolve.topology import PlannedTopology, located
from simulator.scenario.load import LoadedScenario
from simulator.study.usage import Usage


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a topology's pools by name, of its providers in order, and the cost of capital.

    Attributes
    ----------
    estimates : ids of the estimates among the cost figures
    ranges : (low, value, high) of the cost figures that have a range, by id
    used_overrides : ids of the scenario's overrides that had a say
    unknown : what is not charged for because no price is known, as `egress at lambda`
    batch : by class, whether its requests may go through a batch API
    horizon_months : of the cash flow
    """

    pools: dict[str, OwnedPrices | RentedPrices]
    providers: tuple[TokenPrice, ...]
    discount_rate: float
    estimates: tuple[str, ...]
    ranges: dict[str, tuple[float, float, float]]
    used_overrides: frozenset[str]
    unknown: tuple[str, ...]
    batch: tuple[bool, ...]
    horizon_months: int


def topology_prices(loaded: LoadedScenario, planned: PlannedTopology) -> Prices:
    """Look up every price of a topology; one that is missing is an error at the pool that needs it."""
    settings = loaded.scenario.cost
    with located(loaded, "cost.overrides"):
        figures = Figures(settings.overrides)
    owned = [pool for pool in planned.settings.pools if pool.billing == "owned"]
    prices: dict[str, OwnedPrices | RentedPrices] = {}
    for k, (pool, engine) in enumerate(zip(planned.settings.pools, planned.engines, strict=True)):
        with located(loaded, f"topologies.{planned.name}.pools[{k}]"):
            if pool.billing == "owned":
                prices[pool.name] = owned_prices(pool, engine, settings, figures, 1 / len(owned))
            else:
                prices[pool.name] = rented_prices(pool, engine, figures)
    providers: list[TokenPrice] = []
    for k, (provider, offer) in enumerate(zip(planned.settings.providers, planned.offers, strict=True)):
        with located(loaded, f"topologies.{planned.name}.providers[{k}]"):
            providers.append(token_price(offer, provider.residency, provider.price_scale))
    rate = discount_rate(settings, figures)
    unknown = [name for pool in planned.settings.pools if pool.billing != "owned" for name in unknown_prices(pool)]
    return Prices(
        prices,
        tuple(providers),
        rate,
        tuple(sorted(figures.estimates)),
        figures.ranges,
        frozenset(figures.used_overrides),
        tuple(dict.fromkeys(unknown)),
        tuple(cls.batch for cls in loaded.scenario.workload.classes),
        math.ceil(loaded.scenario.study.months),
    )


def unused_overrides(settings: Any, prices: Sequence[Prices]) -> list[str]:
    """A warning when figures that the scenario sets had no say in any topology."""
    used = frozenset().union(*(price.used_overrides for price in prices))
    if settings.draws:
        used |= {"price.monthly_log_vol", "price.token_monthly_log_vol"}
    unused = [name for name in settings.overrides if name not in used]
    return [f"overrides without effect on costs: {', '.join(unused)}"] if unused else []


def cost_of(
    usage: Usage, tokens: Sequence[NDArray[np.int64]], prices: Prices, delivered: MonthlyTokens | None = None
) -> CostReport:
    """What a topology's use costs.

    Parameters
    ----------
    tokens : by provider, answers, ISL, cached tokens and OSL by class and price band, shape (classes, bands, 4)
    delivered : what the bill is shared over
    """
    bills = {
        provider.name: _bill(counts, price, prices.batch)
        for provider, counts, price in zip(usage.providers, tokens, prices.providers, strict=True)
    }
    return cost_report(
        usage,
        prices.pools,
        prices.horizon_months,
        prices.discount_rate,
        bills=bills,
        delivered=delivered,
    )


def usd_per_month(usage: Usage, tokens: Sequence[NDArray[np.int64]], prices: Prices) -> float:
    """Sum of the monthly bill of a topology's use; arguments are those of `cost_of`."""
    return cost_of(usage, tokens, prices).usd_per_month


def _bill(counts: NDArray[np.int64], price: TokenPrice, batch_classes: Sequence[bool]) -> TokenBill:
    """Bill of one provider. A request's price is linear in its tokens within a band, so those of a band are one."""
    total = empty_bill()
    for by_band, batch in zip(counts, batch_classes, strict=True):
        for (_, isl, cached, osl), tier in zip(by_band, price.tiers, strict=True):
            flat = TokenPrice((tier._replace(above_tokens=0.0),), price.residency_premium, price.batch_multiplier)
            total += token_bill(isl, cached, osl, flat, batch and price.batch_multiplier is not None)
    return total
