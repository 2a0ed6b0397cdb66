"""Resale by age, egress and storage, batch prices, growth, utilisation at break-even, intervals: sums done by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from cost_cases import flat_bill

from simulator.cost.annuity import growth_factors
from simulator.cost.breakeven import break_even_volume
from simulator.cost.focus import Resource, focus_frame
from simulator.cost.lines import LineItem
from simulator.cost.owned import capital_cash_flow_usd
from simulator.cost.prices import OwnedPrices, RentedPrices
from simulator.cost.report import CostReport, cost_report
from simulator.cost.sensitivity import PricePath, central_interval, monte_carlo_usd_per_month, price_paths_usd
from simulator.cost.tokens import TokenPrice, TokenTier, price_requests
from simulator.errors import InputError
from simulator.study.usage import PoolUsage, ProviderUsage, Usage

OWNED = OwnedPrices(
    server_capex_usd=240_000.0,
    gpus_per_server=8,
    spare_fraction=0.0,
    network_storage_share=0.0,
    life_years=4.0,
    residual_fraction=0.2,
    maintenance_rate=0.0,
    fte=0.0,
    fte_usd_per_year=0.0,
    colocation_usd_per_kw_month=0.0,
    kw_per_server=0.0,
    host_kw=0.0,
    pue=1.0,
    electricity_usd_per_kwh=0.2,
    discount_rate=0.0,
)
HOUR = 3600.0
HERE = {"pool": Resource("Here", "us")}
POOL = PoolUsage(
    name="pool",
    site="here",
    gpus_per_replica=8,
    initial_replicas=1,
    billed_s=HOUR,
    starting_s=0.0,
    busy_s=0.25 * HOUR,
    idle_s=0.75 * HOUR,
    down_s=0.0,
    billed_by_hour_s=np.array([HOUR]),
    energy_by_hour_j=np.array([3.6e6]),
    launches=0,
    failures=0,
    reclaims=0,
    stockouts=0,
    peak_replicas=1,
    requests=10,
    input_tokens=3_000,
    cached_tokens=0,
    output_tokens=1_000,
)


def report(prices: OwnedPrices | RentedPrices, months: int = 24, growth: float = 0.0) -> CostReport:
    return cost_report(Usage(HOUR, (POOL,), ()), {"pool": prices}, months, 0.0, growth)


def test_hardware_is_sold_at_the_price_of_its_age() -> None:
    prices = replace(OWNED, resale_by_age=((1.0, 0.6), (3.0, 0.3), (4.0, 0.9), (5.0, 0.1)))
    ages = [0.0, 0.5, 1.0, 2.0, 3.0, 3.5, 4.0]
    assert [prices.resale_share(age) for age in ages] == pytest.approx([1.0, 0.8, 0.6, 0.45, 0.3, 0.25, 0.2])
    assert capital_cash_flow_usd(1_000.0, prices, 24)[[0, 24]] == pytest.approx([-1_000.0, 450.0])
    assert capital_cash_flow_usd(1_000.0, prices, 48)[48] == pytest.approx(200.0)
    assert capital_cash_flow_usd(1_000.0, prices, 60)[[48, 60]] == pytest.approx([-800.0, 600.0])


def test_without_known_ages_the_value_falls_in_a_straight_line() -> None:
    assert [OWNED.resale_share(age) for age in (1.0, 2.0, 4.0)] == pytest.approx([0.8, 0.6, 0.2])


@pytest.mark.parametrize("points", [((2.0, 0.5), (1.0, 0.6)), ((0.0, 0.5),), ((1.0, 1.1),), ((math.nan, 0.5),)])
def test_broken_resale_values_are_refused(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(InputError, match="resale_by_age"):
        replace(OWNED, resale_by_age=points)


def test_egress_and_storage_are_lines_of_their_own() -> None:
    """1,000 tokens an hour of 200 bytes, 730 hours: 0.146 GB."""
    prices = RentedPrices(
        2.0,
        egress_usd_per_gb=0.09,
        egress_bytes_per_output_token=200.0,
        storage_usd_per_gb_month=0.1,
        storage_gb=500.0,
    )
    bill, plain = report(prices), report(RentedPrices(2.0))
    egress, storage = bill.lines[-2:]
    assert (egress.category, egress.kind, storage.category, storage.kind) == ("egress", "usage", "storage", "opex")
    assert egress.quantity == pytest.approx(0.146)
    assert egress.usd_per_month == pytest.approx(0.146 * 0.09)
    assert storage.usd_per_month == pytest.approx(50.0)
    assert bill.lines[:-2] == plain.lines
    extra = plain.cash_flow_usd - bill.cash_flow_usd
    assert extra[0] == 0.0
    assert extra[1:] == pytest.approx(50.0 + 0.146 * 0.09)
    with pytest.raises(InputError, match=r"rented\.storage_gb"):
        RentedPrices(2.0, storage_gb=-1.0)


def test_batches_are_cheaper_only_where_the_provider_takes_them() -> None:
    tiers = (TokenTier(0, 1.0, 4.0, 0.1),)
    price = TokenPrice(tiers, residency_premium=0.1, batch_multiplier=0.5)
    tokens = ([1_000_000, 0], [0, 0], [0, 1_000_000])
    assert price_requests(*tokens, price) == pytest.approx([1.1, 4.4])
    assert price_requests(*tokens, price, batch=True) == pytest.approx([0.55, 2.2])
    with pytest.raises(InputError, match="no batch price"):
        price_requests(*tokens, TokenPrice(tiers), batch=True)
    with pytest.raises(InputError, match="batch_multiplier"):
        TokenPrice(tiers, batch_multiplier=math.nan)


def test_growth_moves_usage_and_leaves_fixed_payments() -> None:
    prices = RentedPrices(3.0, reserved_usd_per_gpu_hour=2.0, reserved_gpus=6)
    flat, grown = report(prices, 25), report(prices, 25, 0.21)
    usage, fixed = 2 * 730 * 3.0, 6 * 730 * 2.0
    assert flat.cash_flow_usd[[1, 13, 25]] == pytest.approx([-usage - fixed] * 3)
    assert grown.cash_flow_usd[[1, 13, 25]] == pytest.approx([-usage * g - fixed for g in (1.0, 1.21, 1.4641)])
    assert grown.cash_flow_usd[7] == pytest.approx(-usage * 1.1 - fixed)
    assert grown.lines == flat.lines
    with pytest.raises(InputError, match="growth"):
        growth_factors(-1.0, 12)


def test_the_break_even_volume_of_owned_hours_against_tokens() -> None:
    """Fixed 4,000 a month; per hour of 4,000 tokens 0.2 USD electricity against 8 for the API: 513 h of 730."""
    owned = report(OWNED)
    api = cost_report(
        Usage(HOUR, (), (ProviderUsage("api", 10, 3_000, 0, 1_000),)), {}, 24, 0.0, bills={"api": flat_bill(3_000, 8.0)}
    )
    assert break_even_volume(owned, api) == pytest.approx(4_000 / 7.8 * 4_000)
    assert break_even_volume(owned, replace(api, lines=())) == math.inf


def test_what_was_prepaid_is_not_billed_again() -> None:
    owned = focus_frame(report(OWNED).lines, HERE, "s", "t")
    hardware = owned[owned["ServiceName"] == "hardware"]
    assert hardware["BilledCost"].tolist() == [0.0, 0.0]
    assert hardware["EffectiveCost"].sum() == pytest.approx(4_000.0)
    electricity = owned[owned["ServiceName"] == "electricity"]
    assert electricity["BilledCost"].tolist() == electricity["EffectiveCost"].tolist()
    rented = focus_frame(report(RentedPrices(3.0, 2.0, 6, 0.4, 12)).lines, HERE, "s", "t")
    reserved = rented[rented["PricingCategory"] == "Committed"]
    assert reserved["BilledCost"].sum() == pytest.approx(0.6 * 6 * 730 * 2.0)
    assert rented["ServiceName"].tolist() == ["on demand"] * 2 + ["reserved"] * 2
    assert rented["x_EffectiveUnitPrice"].tolist() == pytest.approx([3.0] * 2 + [2.0] * 2)
    assert math.isnan(LineItem("pool", "electricity", "gpus", 0.0, "kWh", 0.0, "usage").unit_price_usd)


def test_interval_of_the_monthly_cost_under_price_paths() -> None:
    still = price_paths_usd(PricePath(2.0, 0.0, 0.0), 12, 5, 1, "gpu")
    assert central_interval(monte_carlo_usd_per_month(still, 100.0, 50.0), 0.9) == pytest.approx((250.0,) * 3)
    moving = price_paths_usd(PricePath(2.0, 0.0, 0.3), 12, 2_000, 1, "gpu")
    narrow, wide = (central_interval(monte_carlo_usd_per_month(moving, 100.0), c) for c in (0.5, 0.9))
    assert wide.low < narrow.low < 200.0 < narrow.high < wide.high
    assert wide.median == narrow.median
    assert central_interval(np.arange(101.0), 0.9) == pytest.approx((5.0, 50.0, 95.0))
    with pytest.raises(InputError, match="coverage"):
        central_interval([1.0], 1.5)
    with pytest.raises(InputError, match="samples"):
        central_interval([], 0.5)
