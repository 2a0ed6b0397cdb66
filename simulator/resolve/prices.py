"""Every price of a topology, looked up once; and the bill of what it used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.cost.prices import OwnedPrices, RentedPrices
from simulator.cost.report import CostReport, MonthlyTokens, cost_report
from simulator.cost.tokens import TokenBill, TokenPrice, TokenTier, empty_bill, token_bill
from simulator.resolve.apis import tier_factor
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import PlannedTopology
from simulator.scenario.load import LoadedScenario
from simulator.schema.topology import Provider
from simulator.study.terms import ApiTerms, RentedTerms, Terms
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
    found = resolve_terms(planned)
    terms, scenario = found.terms, loaded.scenario
    prices: dict[str, OwnedPrices | RentedPrices] = {
        pool: OwnedPrices(**owned_fields(terms, pool)) for place in terms.owned for pool in place.pools
    }
    prices |= {rented.pool: _rented_prices(rented) for rented in terms.rented}
    return Prices(
        {pool.name: prices[pool.name] for pool in planned.settings.pools},
        tuple(
            _token_price(api, provider) for api, provider in zip(terms.apis, planned.settings.providers, strict=True)
        ),
        float(np.mean(terms.discount_rate_per_year)),
        tuple(figure.id for figure in found.figures if figure.kind == "estimate"),
        found.ranges,
        found.used_overrides,
        found.unknown,
        tuple(cls.service_tier == "batch" for cls in scenario.workload.classes),
        math.ceil(terms.months),
    )


def owned_fields(terms: Terms, pool: str) -> dict[str, Any]:
    """Fields of `OwnedPrices` of an owned pool; the topology's staff is spread evenly over its owned pools."""
    place = next(place for place in terms.owned if pool in place.pools)
    server, facility = place.server, place.facility
    tariff = facility.electricity_usd_per_kwh
    staff_share = 1 / sum(len(other.pools) for other in terms.owned)
    return {
        "server_capex_usd": server.capex_usd,
        "gpus_per_server": server.gpus,
        "spare_fraction": place.spare_share if place.spares is None else float(place.spares),
        "network_storage_share": server.network_storage_share,
        "life_years": server.life_years,
        "residual_fraction": server.residual_share,
        "resale_by_age": server.resale_share_by_age,
        "maintenance_rate": server.maintenance_share_per_year,
        "fte": terms.staff.base_fte * staff_share if terms.staff else 0.0,
        "fte_usd_per_year": terms.staff.usd_per_fte_year if terms.staff else 0.0,
        "colocation_usd_per_kw_month": facility.usd_per_kw_month,
        "kw_per_server": server.reserved_kw,
        "host_kw": server.host_kw,
        "pue": facility.pue,
        "electricity_usd_per_kwh": tariff[0] if len(tariff) == 1 else tariff,
        "discount_rate": terms.discount_rate_per_year,
    }


def data_prices(terms: Terms, pool: str) -> dict[str, Any]:
    """Fields of `RentedPrices` for traffic and storage."""
    rented = next(rented for rented in terms.rented if rented.pool == pool)
    names = ("egress_usd_per_gb", "egress_bytes_per_output_token", "storage_usd_per_gb_month", "storage_gb")
    return {name: getattr(rented, name) for name in names}


def _rented_prices(terms: RentedTerms) -> RentedPrices:
    usd = tuple(float(np.mean(price)) / terms.gpus_per_instance for price in terms.usd_per_instance_hour)
    prices = RentedPrices(
        usd[0] if len(usd) == 1 else usd,
        egress_usd_per_gb=float(np.mean(terms.egress_usd_per_gb)),
        egress_bytes_per_output_token=float(np.mean(terms.egress_bytes_per_output_token)),
        storage_usd_per_gb_month=float(np.mean(terms.storage_usd_per_gb_month)),
        storage_gb=float(np.mean(terms.storage_gb)),
    )
    if terms.commitment is None:
        return prices
    return replace(
        prices,
        reserved_usd_per_gpu_hour=float(np.mean(terms.commitment.usd_per_instance_hour)) / terms.gpus_per_instance,
        reserved_gpus=(terms.commitment.instances or 0) * terms.gpus_per_instance,
        upfront_fraction=terms.commitment.upfront_share,
        term_months=terms.commitment.term_months,
    )


def _token_price(terms: ApiTerms, provider: Provider) -> TokenPrice:
    tiers = tuple(
        TokenTier(*(float(np.mean(x)) for x in (band.above_tokens, band.input, band.output, band.cached_input)))
        for band in terms.prices
    )
    return TokenPrice(tiers, float(np.mean(terms.residency_premium)), tier_factor(provider, "batch"))


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
