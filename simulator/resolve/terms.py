"""Prices of a topology's pools and providers, from the catalog and the scenario's own figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.catalog.offers import GpuOffer, gpu_offer
from simulator.catalog.sites import site
from simulator.catalog.tokens import TokenOffer
from simulator.cost.prices import OwnedPrices, RentedPrices
from simulator.cost.rented import BYTES_PER_GB
from simulator.cost.tokens import TokenPrice, TokenTier
from simulator.errors import InputError, Problem
from simulator.resolve.engines import PlannedEngine
from simulator.resolve.figures import Figures

_WATTS_PER_KW = 1000.0
_MONTHS_PER_YEAR = 12
_RESALE_YEARS = tuple(range(1, 6))
"""Ages in years for which `onprem.residual_fraction` has a share."""
_HOST_GPUS = 8
"""GPUs of the server that `power.host_kw` is for."""


def discount_rate(settings: Any, figures: Figures) -> Any:
    return figures("onprem.wacc") if settings.discount_rate is None else settings.discount_rate


def owned_fields(
    pool: Any, engine: PlannedEngine, settings: Any, figures: Figures, staff_share: float
) -> dict[str, Any]:
    """Fields of `OwnedPrices` of an owned pool; figures that are drawn give arrays.

    The topology's staff is spread evenly over its owned pools (`staff_share`).

    Raises
    ------
    InputError : no server price is known for the GPU; the message names the key that gives one
    """
    place = site(pool.site)
    life_years = figures("onprem.economic_life")
    gpus = engine.gpu.device.gpus_per_node
    host_kw = figures("power.host_kw") * gpus / _HOST_GPUS
    ages = [(float(years), float(figures("onprem.residual_fraction", _age(years)))) for years in _RESALE_YEARS]
    return {
        "server_capex_usd": _server_capex_usd(pool, engine, figures),
        "gpus_per_server": gpus,
        "spare_fraction": figures("onprem.spare_fraction"),
        "network_storage_share": figures("onprem.network_storage_share"),
        "life_years": life_years,
        "residual_fraction": np.interp(life_years, [age for age, _ in ages], [share for _, share in ages]),
        "resale_by_age": tuple(ages),
        "maintenance_rate": figures("onprem.maintenance_rate"),
        "fte": (settings.fte if settings.fte is not None else figures("onprem.fte_per_cluster")) * staff_share,
        "fte_usd_per_year": figures("onprem.fte_cost"),
        "colocation_usd_per_kw_month": figures("colo.rate") if place.kind == "colocation" else 0.0,
        "kw_per_server": host_kw + gpus * engine.gpu.board_power.value / _WATTS_PER_KW,
        "host_kw": host_kw,
        "pue": _site_figure(settings.pue, place.pue, "power.pue", figures),
        "electricity_usd_per_kwh": settings.electricity_by_hour_usd_per_kwh
        or _site_figure(settings.electricity_usd_per_kwh, place.electricity, "power.electricity", figures),
        "discount_rate": discount_rate(settings, figures),
    }


def owned_prices(pool: Any, engine: PlannedEngine, settings: Any, figures: Figures, staff_share: float) -> OwnedPrices:
    """Prices of an owned pool; arguments and errors are those of `owned_fields`."""
    return OwnedPrices(**owned_fields(pool, engine, settings, figures, staff_share))


def _server_capex_usd(pool: Any, engine: PlannedEngine, figures: Figures) -> Any:
    if pool.server_capex_usd is not None:
        return pool.server_capex_usd
    entry = engine.gpu.server_price_entry
    if entry is None:
        raise InputError(
            Problem(f"no price of a server with {engine.gpu.name} is known: give server_capex_usd", path="gpu")
        )
    return figures(entry)


def _site_figure(own: float | None, quantity: Any, identifier: str, figures: Figures) -> Any:
    """The scenario's own value, else the site's, else the cost figure."""
    if own is not None:
        return own
    return figures.of(quantity) if quantity else figures(identifier)


def _age(years: int) -> str:
    return f"{years * _MONTHS_PER_YEAR}m"


def rented_prices(pool: Any, engine: PlannedEngine, figures: Figures) -> RentedPrices:
    """Prices of a rented pool: the pool's own, else the site's latest dated offer of that tier, traffic and storage.

    A site whose price of traffic or storage is not known charges none; `unknown_prices` names them.

    Raises
    ------
    InputError : the site has no such offer, and the pool gives no price
    """
    data = data_prices(pool, engine, figures)
    own = pool.price_usd_per_gpu_hour
    if pool.price_by_hour_usd_per_gpu_hour is not None:
        return RentedPrices(pool.price_by_hour_usd_per_gpu_hour, **data)
    if not pool.billing.startswith("reserved"):
        usd = own if own is not None else _offer(pool, engine, pool.billing).usd_per_gpu_hour
        return RentedPrices(usd, **data)
    offer = _offer(pool, engine, pool.billing)
    reserved = own if own is not None else offer.usd_per_gpu_hour
    replicas = pool.reserved_replicas if pool.reserved_replicas is not None else pool.replicas
    return RentedPrices(
        usd_per_gpu_hour=_on_demand(pool, engine, reserved),
        reserved_usd_per_gpu_hour=reserved,
        reserved_gpus=replicas * engine.layout.gpus,
        upfront_fraction=offer.upfront_fraction,
        term_months=offer.term_months,
        **data,
    )


def data_prices(pool: Any, engine: PlannedEngine, figures: Figures) -> dict[str, Any]:
    """Fields of `RentedPrices` for traffic and storage; figures that are drawn give arrays."""
    place = site(pool.site)
    egress, storage = (
        own if own is not None else figures.of(quantity) if quantity else None
        for own, quantity in ((pool.egress_usd_per_gb, place.egress), (pool.storage_usd_per_gb_month, place.storage))
    )
    fields: dict[str, Any] = {}
    if egress is not None:
        fields["egress_usd_per_gb"] = egress
        fields["egress_bytes_per_output_token"] = figures("egress.bytes_per_output_token")
    if storage is not None:
        fields["storage_usd_per_gb_month"] = storage
        fields["storage_gb"] = (
            pool.storage_gb
            if pool.storage_gb is not None
            else engine.weight_bytes_total / BYTES_PER_GB + figures("storage.image_gb")
        )
    return fields


def unknown_prices(pool: Any) -> list[str]:
    """What a rented pool is not charged for because its site's price is not known, as `egress at lambda`."""
    place = site(pool.site)
    known = {
        "egress": pool.egress_usd_per_gb is not None or place.egress is not None,
        "storage": pool.storage_usd_per_gb_month is not None or place.storage is not None,
    }
    return [f"{name} at {place.name}" for name, is_known in known.items() if not is_known]


def _offer(pool: Any, engine: PlannedEngine, tier: str) -> GpuOffer:
    """The instances that hold the pool, at its largest, for least; a pipeline stage stays within one."""
    replicas = pool.autoscaler.max if pool.autoscaler is not None else pool.replicas
    pieces = replicas * engine.layout.pp if isinstance(replicas, int) else engine.layout.pp
    return gpu_offer(pool.site, pool.gpu, tier, gpus=engine.layout.tp, replicas=max(1, pieces))


def _on_demand(pool: Any, engine: PlannedEngine, reserved: float) -> float:
    """On-demand price for use above a commitment; where the site has none, the reserved price stands in."""
    try:
        return _offer(pool, engine, "on_demand").usd_per_gpu_hour
    except InputError:
        return reserved


def token_price(offer: TokenOffer, residency: bool = False, scale: float = 1.0) -> TokenPrice:
    """The offer as the cost model takes it, its prices times `scale`; a missing cached price is the input price.

    Raises
    ------
    InputError : residency is asked for, and no premium of the provider is known
    """
    if residency and offer.residency_premium is None:
        raise InputError(Problem(f"no premium of {offer.id} for processing in a region is known", path="residency"))
    tiers = tuple(
        TokenTier(
            tier.above_input_tokens,
            scale * tier.input,
            scale * tier.output,
            scale * (tier.input if tier.cached_input is None else tier.cached_input),
        )
        for tier in offer.tiers
    )
    return TokenPrice(tiers, (offer.residency_premium or 0.0) if residency else 0.0, offer.batch_multiplier)
