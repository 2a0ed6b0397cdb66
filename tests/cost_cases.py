"""Prices and bills for the tests of the cost model."""

from __future__ import annotations

from simulator.cost.prices import OwnedPrices
from simulator.cost.tokens import TokenBill, TokenPrice, TokenTier, token_bill

OWNED = OwnedPrices(
    server_capex_usd=250_000.0,
    gpus_per_server=8,
    spare_fraction=0.1,
    network_storage_share=0.2,
    life_years=4.0,
    residual_fraction=0.1,
    maintenance_rate=0.05,
    fte=0.5,
    fte_usd_per_year=180_000.0,
    colocation_usd_per_kw_month=150.0,
    kw_per_server=10.0,
    host_kw=2.0,
    pue=1.3,
    electricity_usd_per_kwh=0.1,
    discount_rate=0.08,
)


def flat_bill(tokens: int, usd: float) -> TokenBill:
    """Bill of `tokens` input tokens that cost `usd` in all."""
    return token_bill([tokens], [0], [0], TokenPrice((TokenTier(0, usd / tokens * 1e6, 0.0, 0.0),)))
