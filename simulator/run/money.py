"""Prices of a topology's pools and vendors, from the catalog and the scenario's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.catalog.costs import cost_entry
from simulator.catalog.offers import gpu_offer
from simulator.catalog.sites import site
from simulator.catalog.tokens import TokenOffer
from simulator.cost.prices import OwnedPrices, RentedPrices, TokenPrice, TokenTier, price_requests
from simulator.errors import InputError, Problem
from simulator.run.engine import PlannedEngine

_SERVER_CAPEX = {"h100-sxm": "8xH100", "h100-pcie": "8xH100", "h200": "8xH200", "b200": "8xB200"}
"""Cost figures of 8-GPU servers by catalog GPU (`onprem.server_capex.*`)."""
_WATTS_PER_KW = 1000.0
_MONTHS_PER_YEAR = 12
_OLDEST_RESALE_YEARS = 5
"""Last age in years for which `onprem.residual_fraction` has a share."""


class Figures:
    """Cost figures by id, with the scenario's overrides; remembers which of those used are estimates."""

    def __init__(self, overrides: Mapping[str, float]) -> None:
        for name in overrides:
            cost_entry(name)
        self._overrides = overrides
        self.estimates: set[str] = set()

    def __call__(self, identifier: str, part: str | None = None) -> float:
        if identifier in self._overrides:
            return self._overrides[identifier]
        entry = cost_entry(identifier)
        if entry.kind == "estimate":
            self.estimates.add(identifier)
        return entry.number(part)


def discount_rate(settings: Any, figures: Figures) -> float:
    return figures("onprem.wacc") if settings.discount_rate is None else settings.discount_rate


def owned_prices(pool: Any, engine: PlannedEngine, settings: Any, figures: Figures, staff_share: float) -> OwnedPrices:
    """Prices of an owned pool; the topology's staff is spread evenly over its owned pools (`staff_share`).

    Raises
    ------
    InputError : no server price is known for the GPU; the message names the override that gives one
    """
    place = site(pool.site)
    life_years = figures("onprem.economic_life")
    servers = _SERVER_CAPEX.get(engine.gpu.name)
    if pool.server_capex_usd is not None:
        capex = pool.server_capex_usd
    elif servers is not None:
        capex = figures(f"onprem.server_capex.{servers}")
    else:
        raise InputError(
            Problem(f"no price of a server with {engine.gpu.name} is known: give server_capex_usd", path="gpu")
        )
    gpus = engine.gpu.device.gpus_per_node
    host_kw = figures("power.host_kw") * gpus / 8
    colocated = place.kind == "colocation"
    pue = settings.pue if settings.pue is not None else (place.pue.value if place.pue else figures("power.pue"))
    electricity = settings.electricity_usd_per_kwh
    if electricity is None:
        electricity = place.electricity.value if place.electricity else figures("power.electricity")
    fte = settings.fte if settings.fte is not None else figures("onprem.fte_per_cluster")
    return OwnedPrices(
        server_capex_usd=capex,
        gpus_per_server=gpus,
        spare_fraction=figures("onprem.spare_fraction"),
        network_storage_share=figures("onprem.network_storage_share"),
        life_years=life_years,
        residual_fraction=figures("onprem.residual_fraction", _residual_part(life_years)),
        resale_by_age=tuple(
            (float(years), figures("onprem.residual_fraction", _residual_part(years)))
            for years in range(1, _OLDEST_RESALE_YEARS + 1)
        ),
        maintenance_rate=figures("onprem.maintenance_rate"),
        fte=fte * staff_share,
        fte_usd_per_year=figures("onprem.fte_cost"),
        colocation_usd_per_kw_month=figures("colo.rate") if colocated else 0.0,
        kw_per_server=host_kw + gpus * engine.gpu.board_power.value / _WATTS_PER_KW,
        host_kw=host_kw,
        pue=pue,
        electricity_usd_per_kwh=electricity,
        discount_rate=discount_rate(settings, figures),
    )


def _residual_part(life_years: float) -> str:
    return f"{min(max(round(life_years), 1), _OLDEST_RESALE_YEARS) * _MONTHS_PER_YEAR}m"


def rented_prices(pool: Any, gpus_per_replica: int) -> RentedPrices:
    """Prices of a rented pool: the pool's own, else the site's latest dated offer of that tier."""
    own = pool.price_usd_per_gpu_hour
    if not pool.billing.startswith("reserved"):
        return RentedPrices(own if own is not None else gpu_offer(pool.site, pool.gpu, pool.billing).usd_per_gpu_hour)
    offer = gpu_offer(pool.site, pool.gpu, pool.billing)
    reserved = own if own is not None else offer.usd_per_gpu_hour
    replicas = pool.reserved_replicas if pool.reserved_replicas is not None else pool.replicas
    return RentedPrices(
        usd_per_gpu_hour=_on_demand(pool, reserved),
        reserved_usd_per_gpu_hour=reserved,
        reserved_gpus=replicas * gpus_per_replica,
        upfront_fraction=offer.upfront_fraction,
        term_months=offer.term_months,
    )


def _on_demand(pool: Any, reserved: float) -> float:
    """On-demand price for use above a commitment; where the site has none, the reserved price stands in."""
    try:
        return gpu_offer(pool.site, pool.gpu, "on_demand").usd_per_gpu_hour
    except InputError:
        return reserved


def token_price(offer: TokenOffer) -> TokenPrice:
    """The offer as the cost model takes it; a missing cached price is the input price."""
    return TokenPrice(
        tuple(
            TokenTier(
                tier.above_input_tokens,
                tier.input,
                tier.output,
                tier.input if tier.cached_input is None else tier.cached_input,
            )
            for tier in offer.tiers
        )
    )


def price_records(records: NDArray[Any], price: TokenPrice) -> float:
    """USD for completed requests of one vendor, priced one by one."""
    if not len(records):
        return 0.0
    return float(np.sum(price_requests(records["isl"], records["cached_tokens"], records["generated"], price)))
