"""Laws of the money model: sums, conservation of GPU-hours, NPV = 0 at the levelised price, monotonicity."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from cost_cases import OWNED, flat_bill
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cost.annuity import capital_recovery_factor, npv_usd
from simulator.cost.breakeven import levelised_usd_per_unit, owned_units, payback_month
from simulator.cost.focus import MANDATORY, Resource, focus_frame
from simulator.cost.lines import GPU_HOURS, LineItem, whole_cents
from simulator.cost.prices import OwnedPrices, RentedPrices
from simulator.cost.report import CostReport, cost_report
from simulator.cost.tokens import TokenPrice, TokenTier, price_requests
from simulator.study.usage import PoolUsage, ProviderUsage, Usage

RENTED = RentedPrices(3.0, reserved_usd_per_gpu_hour=2.0, reserved_gpus=6, upfront_fraction=0.5, term_months=12)
PROVIDER = ProviderUsage("api", 100, 70_000, 10_000, 20_000)
BILLS = {"api": flat_bill(70_000, 1.25)}


def pool(
    name: str = "pool", end_s: float = 9_000.0, level: float = 0.7, gpus: int = 4, split: float = 0.6, peak: int = 5
) -> PoolUsage:
    """A ledger whose replicas are billed at `level` of the peak, each hour a little different."""
    hours = math.ceil(end_s / 3600)
    lengths = np.clip(end_s - 3600.0 * np.arange(hours), 0, 3600)
    billed = lengths * peak * level * (1.0 - 0.5 * (np.arange(hours) % 2))
    total = float(billed.sum())
    busy, starting, down = total * split, total * (1 - split) / 4, total * (1 - split) / 8
    return PoolUsage(
        name=name,
        site="here",
        gpus_per_replica=gpus,
        initial_replicas=peak,
        billed_s=total,
        starting_s=starting,
        busy_s=busy,
        idle_s=total - busy - starting - down,
        down_s=down,
        billed_by_hour_s=billed,
        energy_by_hour_j=billed * gpus * 500.0,
        launches=3,
        failures=1,
        reclaims=0,
        stockouts=0,
        peak_replicas=peak,
        requests=1_000,
        input_tokens=800_000,
        cached_tokens=100_000,
        output_tokens=200_000,
    )


pools = st.builds(
    pool,
    end_s=st.floats(60.0, 200_000.0),
    level=st.floats(0.0, 1.0),
    gpus=st.sampled_from([1, 2, 4, 8, 16]),
    split=st.floats(0.0, 1.0),
    peak=st.integers(1, 20),
)
spans = st.floats(60.0, 200_000.0)


def report(prices: OwnedPrices | RentedPrices, horizon_months: int = 48, **changes: float) -> CostReport:
    end_s = float(changes.get("end_s", 9_000.0))
    return cost_report(
        Usage(end_s, (pool(**changes),), (PROVIDER,)), {"pool": prices}, horizon_months, 0.08, bills=BILLS
    )  # type: ignore[arg-type]


def gpu_hours(lines: tuple[LineItem, ...], *categories: str) -> float:
    return math.fsum(line.quantity for line in lines if line.category in categories and line.unit == GPU_HOURS)


@given(end_s=spans, level=st.floats(0.0, 1.0), split=st.floats(0.0, 1.0), owned=st.booleans())
@settings(max_examples=40, deadline=None)
def test_lines_add_up_exactly_and_in_cents(end_s: float, level: float, split: float, owned: bool) -> None:
    bill = report(OWNED if owned else RENTED, end_s=end_s, level=level, split=split)
    assert bill.usd_per_month == pytest.approx(sum(line.usd_per_month for line in bill.lines), rel=1e-12)
    assert sum(whole_cents(bill.lines)) == round(bill.usd_per_month * 100)
    assert all(abs(c - 100 * x.usd_per_month) < 1 for c, x in zip(whole_cents(bill.lines), bill.lines, strict=True))
    assert all(line.usd_per_month >= 0 for line in bill.lines)


@given(end_s=spans, level=st.floats(0.01, 1.0), split=st.floats(0.0, 1.0), peak=st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_owned_gpu_hours_are_all_accounted_for(end_s: float, level: float, split: float, peak: int) -> None:
    bill = report(OWNED, end_s=end_s, level=level, split=split, peak=peak)
    used = math.ceil(peak * 4 / 8)
    bought = used + math.ceil(used * 0.1)
    for category in ("hardware", "network and storage", "maintenance", "staff", "colocation"):
        assert gpu_hours(bill.lines, category) == pytest.approx(bought * 8 * 730.0)


@given(
    end_s=spans,
    level=st.floats(0.01, 1.0),
    split=st.floats(0.0, 1.0),
    peak=st.integers(1, 9),
    reserved=st.integers(0, 40),
)
@settings(max_examples=60, deadline=None)
def test_rented_gpu_hours_are_the_billed_ones_and_the_commitment_is_paid_in_full(
    end_s: float, level: float, split: float, peak: int, reserved: int
) -> None:
    bill = report(replace(RENTED, reserved_gpus=reserved), end_s=end_s, level=level, split=split, peak=peak)
    ledger = pool(end_s=end_s, level=level, split=split, peak=peak)
    unused = math.fsum(line.quantity for line in bill.lines if line.name == "unused")
    billed = ledger.billed_s * ledger.gpus_per_replica / end_s * 730.0
    assert gpu_hours(bill.lines, "on demand", "reserved") - unused == pytest.approx(billed)
    assert gpu_hours(bill.lines, "reserved") == pytest.approx(reserved * 730.0)
    for state, seconds in (("busy", ledger.busy_s), ("starting", ledger.starting_s), ("down", ledger.down_s)):
        found = math.fsum(line.quantity for line in bill.lines if line.name == state)
        assert found == pytest.approx(seconds * ledger.gpus_per_replica / end_s * 730.0)


@given(rate=st.floats(0.0, 0.5), months=st.integers(1, 120))
@settings(max_examples=40, deadline=None)
def test_npv_is_zero_when_renting_costs_the_levelised_price(rate: float, months: int) -> None:
    usage = Usage(9_000.0, (pool(),), ())
    owned = cost_report(usage, {"pool": OWNED}, months, rate)
    billed = pool().billed_s * 4 / 9_000.0 * 730.0
    price = levelised_usd_per_unit(owned, billed, rate)
    rented = cost_report(usage, {"pool": RentedPrices(price)}, months, rate)
    assert npv_usd(owned.cash_flow_usd - rented.cash_flow_usd, rate) == pytest.approx(0.0, abs=1e-6)
    assert rented.npv_usd == pytest.approx(owned.npv_usd, rel=1e-12)


def test_a_dearer_alternative_than_the_levelised_price_pays_back_and_a_cheaper_one_never() -> None:
    usage = Usage(9_000.0, (pool(),), ())
    owned = cost_report(usage, {"pool": OWNED}, 48, 0.08)
    price = levelised_usd_per_unit(owned, pool().billed_s * 4 / 9_000.0 * 730.0, 0.08)
    dearer, same, cheaper = (
        cost_report(usage, {"pool": RentedPrices(price * factor)}, 48, 0.08) for factor in (1.5, 1.0, 0.99)
    )
    assert payback_month(owned, same, 0.08) == 48
    assert payback_month(owned, cheaper, 0.08) is None
    month = payback_month(owned, dearer, 0.08)
    assert month is not None
    assert 0 < month < 48


@given(rate=st.floats(1e-12, 1.0), periods=st.floats(0.5, 60.0))
@settings(max_examples=60, deadline=None)
def test_the_annuity_repays_its_principal(rate: float, periods: float) -> None:
    factor = capital_recovery_factor(rate, periods)
    assert factor * -math.expm1(-periods * math.log1p(rate)) / rate == pytest.approx(1.0, rel=1e-9)
    assert factor >= (1 - 1e-12) / periods
    assert factor >= rate * (1 - 1e-12)


@given(rate=st.floats(0.0, 0.5), growth=st.floats(-0.5, 1.0), months=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_npv_is_zero_at_the_levelised_price_of_a_growing_load(rate: float, growth: float, months: int) -> None:
    usage = Usage(9_000.0, (pool(),), ())
    owned = cost_report(usage, {"pool": OWNED}, months, rate, growth)
    price = levelised_usd_per_unit(owned, pool().billed_s * 4 / 9_000.0 * 730.0, rate, growth)
    rented = cost_report(usage, {"pool": RentedPrices(price)}, months, rate, growth)
    assert rented.npv_usd == pytest.approx(owned.npv_usd, rel=1e-9)


@given(first=pools, second=pools, owned=st.booleans())
@settings(max_examples=30, deadline=None)
def test_two_pools_cost_what_each_costs_alone(first: PoolUsage, second: PoolUsage, owned: bool) -> None:
    ledgers = [replace(first, name="a"), replace(second, name="b")]
    end_s = 3600.0 * max(ledger.billed_by_hour_s.size for ledger in ledgers)
    prices: OwnedPrices | RentedPrices = OWNED if owned else RENTED
    both = cost_report(Usage(end_s, tuple(ledgers), ()), {"a": prices, "b": prices}, 24, 0.08)
    alone = [cost_report(Usage(end_s, (ledger,), ()), {ledger.name: prices}, 24, 0.08) for ledger in ledgers]
    assert both.lines == alone[0].lines + alone[1].lines
    assert both.npv_usd == pytest.approx(alone[0].npv_usd + alone[1].npv_usd)
    assert both.cash_flow_usd == pytest.approx(alone[0].cash_flow_usd + alone[1].cash_flow_usd)


@given(times=st.integers(2, 5), level=st.floats(0.01, 1.0), split=st.floats(0.0, 1.0), owned=st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_same_hours_over_again_cost_the_same_a_month(times: int, level: float, split: float, owned: bool) -> None:
    prices: OwnedPrices | RentedPrices = OWNED if owned else RENTED
    once = pool(end_s=7_200.0, level=level, split=split)
    summed = ("billed_s", "starting_s", "busy_s", "idle_s", "down_s", "input_tokens", "output_tokens")
    again = replace(
        once,
        billed_by_hour_s=np.tile(once.billed_by_hour_s, times),
        energy_by_hour_j=np.tile(once.energy_by_hour_j, times),
        **{name: times * getattr(once, name) for name in summed},
    )
    bills = [
        cost_report(Usage(end_s, (ledger,), ()), {"pool": prices}, 24, 0.08)
        for end_s, ledger in ((7_200.0, once), (7_200.0 * times, again))
    ]
    assert bills[1].usd_per_month == pytest.approx(bills[0].usd_per_month)
    assert bills[1].usd_per_million_tokens == pytest.approx(bills[0].usd_per_million_tokens)
    assert bills[1].cash_flow_usd == pytest.approx(bills[0].cash_flow_usd)


@pytest.mark.parametrize("prices", [OWNED, RENTED])
@given(factor=st.floats(0.01, 100.0))
@settings(max_examples=20, deadline=None)
def test_another_currency_scales_every_line(prices: OwnedPrices | RentedPrices, factor: float) -> None:
    money = {field.name: factor * getattr(prices, field.name) for field in fields(prices) if "usd" in field.name}
    base, scaled = report(prices), report(replace(prices, **money))
    pool_lines = len(base.lines) - 1
    assert [line.usd_per_month for line in scaled.lines[:pool_lines]] == pytest.approx(
        [factor * line.usd_per_month for line in base.lines[:pool_lines]]
    )
    assert scaled.lines[pool_lines:] == base.lines[pool_lines:]


INCREASING = [
    "server_capex_usd",
    "spare_fraction",
    "network_storage_share",
    "maintenance_rate",
    "fte",
    "fte_usd_per_year",
    "colocation_usd_per_kw_month",
    "kw_per_server",
    "host_kw",
    "pue",
    "electricity_usd_per_kwh",
    "discount_rate",
]


@given(name=st.sampled_from(INCREASING), factor=st.floats(1.0, 3.0))
@settings(max_examples=40, deadline=None)
def test_owning_never_gets_cheaper_when_a_price_rises(name: str, factor: float) -> None:
    dearer = report(replace(OWNED, **{name: getattr(OWNED, name) * factor}))
    assert dearer.usd_per_month >= report(OWNED).usd_per_month * (1 - 1e-12)


@given(factor=st.floats(1.0, 1.0 / OWNED.residual_fraction))
@settings(max_examples=20, deadline=None)
def test_owning_never_gets_dearer_when_the_residual_rises(factor: float) -> None:
    better = report(replace(OWNED, residual_fraction=min(1.0, 0.1 * factor)))
    assert better.usd_per_month <= report(OWNED).usd_per_month * (1 + 1e-12)
    assert better.npv_usd >= report(OWNED).npv_usd - 1e-6


@given(low=st.floats(0.0, 1.0), high=st.floats(0.0, 1.0), extra=st.floats(0.0, 5.0))
@settings(max_examples=40, deadline=None)
def test_renting_never_gets_cheaper_with_more_use_or_a_higher_price(low: float, high: float, extra: float) -> None:
    low, high = sorted((low, high))
    less, more = report(RENTED, level=low), report(RENTED, level=high)
    assert less.usd_per_month <= more.usd_per_month * (1 + 1e-12)
    dearer = report(replace(RENTED, usd_per_gpu_hour=3.0 + extra), level=high)
    assert dearer.usd_per_month >= more.usd_per_month * (1 - 1e-12)


@given(isl=st.integers(0, 1_000_000), cached=st.floats(0, 1), osl=st.integers(0, 10_000), more=st.integers(0, 500_000))
@settings(max_examples=60, deadline=None)
def test_longer_requests_never_cost_less(isl: int, cached: float, osl: int, more: int) -> None:
    price = TokenPrice((TokenTier(0, 1.0, 4.0, 0.1), TokenTier(200_000, 2.0, 6.0, 0.2)), 0.1)
    hit = int(cached * isl)
    usd = price_requests([isl, isl + more, isl], [hit, hit, 0], [osl, osl, osl], price)
    assert usd[0] <= usd[1]
    assert usd[0] <= usd[2]


@given(
    demand=st.lists(st.integers(0, 12), min_size=1, max_size=30),
    fixed=st.floats(0.0, 60_000.0),
    rented=st.floats(0.0, 8.0),
    owned=st.floats(0.0, 8.0),
)
@settings(max_examples=150, deadline=None)
def test_hybrid_rule_finds_the_cheapest_number_to_own(
    demand: list[int], fixed: float, rented: float, owned: float
) -> None:
    wanted = np.array(demand, dtype=float)
    costs = np.array(
        [
            fixed * k + 8760 * (owned * np.minimum(wanted, k).mean() + rented * np.maximum(wanted - k, 0).mean())
            for k in range(14)
        ]
    )
    found = owned_units(demand, fixed, rented, owned)
    assert costs[found] == pytest.approx(costs.min(), rel=1e-9, abs=1e-6)
    assert (costs[:found] > costs[found] - 1e-6).all()


@given(ledger=pools)
@settings(max_examples=30, deadline=None)
def test_the_exported_table_adds_up(ledger: PoolUsage) -> None:
    end_s = 3600.0 * ledger.billed_by_hour_s.size
    bill = cost_report(Usage(end_s, (ledger,), (PROVIDER,)), {"pool": RENTED}, 12, 0.05, bills=BILLS)
    where = {"pool": Resource("Cloud", "us"), "api": Resource("Provider", "eu")}
    frame = focus_frame(bill.lines, where, "scenario", "topology", "2027-12")
    assert round(float(frame["EffectiveCost"].sum()) * 100) == round(bill.usd_per_month * 100)
    unused = frame[frame["CommitmentDiscountStatus"] == "Unused"]
    assert set(unused["ServiceName"]) <= {"reserved"}
    assert len(frame) == len(bill.lines)
    assert (frame["PricingQuantity"] * frame["x_EffectiveUnitPrice"]).sum() == pytest.approx(bill.usd_per_month)
    assert (frame["BilledCost"] <= frame["EffectiveCost"]).all()
    nullable = {"ChargeClass", "BillingAccountName", "PublisherName", "InvoiceIssuerName"}
    assert not frame[[name for name in MANDATORY if name not in nullable]].isna().any().any()
    assert set(frame["ChargePeriodEnd"]) <= {"2028-01-01T00:00:00Z"}
    committed = frame["PricingCategory"] == "Committed"
    assert (frame["CommitmentDiscountId"].notna() == committed).all()
    assert frame["ConsumedQuantity"].isna().sum() == len(unused)
