"""Laws of the draws: the vectorised cost is the sum of the lines, shares add up, bills of parts are the bill of all."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from cost_cases import OWNED
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cost.api import api_cost
from simulator.cost.breakeven import cheaper_volumes
from simulator.cost.lines import total_usd
from simulator.cost.owned import owned_cost
from simulator.cost.owned_draws import gpu_electricity_usd, owned_usd_per_month
from simulator.cost.prices import RentedPrices
from simulator.cost.report import cost_report, mean_report
from simulator.cost.sensitivity import speed_factors, speed_normals, triangular
from simulator.cost.tokens import TokenPrice, TokenTier, empty_bill, price_requests, token_bill
from simulator.decide.rivals import shares_cheapest
from simulator.errors import InputError
from simulator.study.usage import PoolUsage, Usage

TARIFF = tuple(0.05 + 0.01 * hour for hour in range(24))
RANGES = {
    "server_capex_usd": (0.0, 500_000.0),
    "spare_fraction": (0.0, 1.0),
    "network_storage_share": (0.0, 0.5),
    "life_years": (1.0, 8.0),
    "residual_fraction": (0.0, 1.0),
    "maintenance_rate": (0.0, 0.2),
    "fte": (0.0, 3.0),
    "colocation_usd_per_kw_month": (0.0, 300.0),
    "host_kw": (0.0, 5.0),
    "pue": (1.0, 2.0),
    "discount_rate": (0.0, 0.3),
}
PRICE = TokenPrice((TokenTier(0, 1.0, 4.0, 0.1), TokenTier(1_000, 2.0, 6.0, 0.2)), 0.1, 0.5)


def ledger(hours: int = 30, peak: int = 5, level: float = 0.7) -> PoolUsage:
    """A pool of replicas of 4 GPUs whose hours differ; the last of them is cut short."""
    lengths = np.array([3600.0] * (hours - 1) + [900.0])
    billed = lengths * peak * level * (1.0 - 0.5 * (np.arange(hours) % 2))
    total = float(billed.sum())
    return PoolUsage(
        name="pool",
        site="here",
        gpus_per_replica=4,
        initial_replicas=peak,
        billed_s=total,
        starting_s=0.1 * total,
        busy_s=0.6 * total,
        idle_s=0.3 * total,
        down_s=0.0,
        billed_by_hour_s=billed,
        energy_by_hour_j=billed * 2_000.0,
        launches=3,
        failures=0,
        reclaims=0,
        stockouts=0,
        peak_replicas=peak,
        requests=1_000,
        input_tokens=800_000,
        cached_tokens=0,
        output_tokens=200_000,
    )


END_S = 29 * 3600.0 + 900.0


@given(seed=st.integers(0, 10**6), peak=st.integers(1, 9), tariff=st.sampled_from([TARIFF, 0.12]))
@settings(max_examples=25, deadline=None)
def test_draws_of_owned_costs_are_the_sums_of_the_lines(
    seed: int, peak: int, tariff: float | tuple[float, ...]
) -> None:
    rng = np.random.default_rng(seed)
    drawn = {name: rng.uniform(low, high, 4) for name, (low, high) in RANGES.items()}
    drawn["discount_rate"][0] = 0.0
    usage = ledger(peak=peak)
    constant = {field.name: getattr(OWNED, field.name) for field in fields(OWNED)} | {"electricity_usd_per_kwh": tariff}
    found = owned_usd_per_month(usage, constant | drawn, END_S)
    by_use = np.broadcast_to(gpu_electricity_usd(usage, constant | drawn, END_S), found.shape)
    for k in range(4):
        prices = replace(OWNED, electricity_usd_per_kwh=tariff, **{n: float(v[k]) for n, v in drawn.items()})
        lines = owned_cost(usage, prices, END_S, 12).lines
        assert found[k] == pytest.approx(total_usd(lines), rel=1e-12)
        assert by_use[k] == pytest.approx(total_usd(lines, "usage"), rel=1e-12)


def test_more_hardware_for_the_same_work_leaves_the_staff() -> None:
    constant = {field.name: getattr(OWNED, field.name) for field in fields(OWNED)}
    once, twice = (float(owned_usd_per_month(ledger(), constant, END_S, hardware)) for hardware in (1.0, 2.0))
    staff = 0.5 * 180_000.0 / 12
    assert twice - staff == pytest.approx(2 * (once - staff))


@given(value=st.floats(-50, 50), below=st.floats(0, 30), above=st.floats(0, 30), name=st.sampled_from(["pue", "capex"]))
@settings(max_examples=30, deadline=None)
def test_draws_of_a_figure_stay_in_its_range_and_repeat(value: float, below: float, above: float, name: str) -> None:
    low, high = value - below, value + above
    found = triangular(low, value, high, 2_000, 3, name)
    assert (found >= low).all()
    assert (found <= high).all()
    assert found.tolist() == triangular(low, value, high, 2_000, 3, name).tolist()
    error = (high - low) / math.sqrt(18 * 2_000)
    assert found.mean() == pytest.approx((low + value + high) / 3, abs=5 * error + 1e-9)


def test_a_range_out_of_order_is_refused() -> None:
    with pytest.raises(InputError, match="low <= value <= high"):
        triangular(2.0, 1.0, 3.0, 10, 1, "pue")


@pytest.mark.parametrize("error", [0.0, 0.03, 0.2])
def test_half_of_the_speeds_are_off_by_more_than_the_median_error(error: float) -> None:
    speed = speed_factors(error, speed_normals(40_000, 5, "profile"))
    assert np.median(np.abs(np.log(speed))) == pytest.approx(math.log1p(error), rel=0.03)
    assert np.median(speed) == pytest.approx(1.0, abs=0.01)


@given(st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_shares_of_the_cheapest_add_up_and_ties_are_shared(costs: list[list[int]]) -> None:
    table = {str(k): np.array(row, float) for k, row in enumerate(costs)}
    found = shares_cheapest(table)
    assert sum(found.values()) == pytest.approx(1.0)
    by_hand = dict.fromkeys(table, 0.0)
    for k in range(6):
        least = min(row[k] for row in table.values())
        winners = [name for name, row in table.items() if row[k] == least]
        for name in winners:
            by_hand[name] += 1 / len(winners) / 6
    assert found == pytest.approx(by_hand)


requests = st.lists(
    st.tuples(st.integers(0, 3_000), st.floats(0, 1), st.integers(0, 500), st.booleans()), min_size=1, max_size=20
)


@given(rows=requests, cut=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_the_bill_is_the_sum_of_the_requests_and_of_its_parts(
    rows: list[tuple[int, float, int, bool]], cut: int
) -> None:
    isl, share, osl, batch = (np.array(column) for column in zip(*rows, strict=True))
    cached = np.floor(isl * share)
    whole = token_bill(isl, cached, osl, PRICE, batch)
    assert whole.total_usd == pytest.approx(price_requests(isl, cached, osl, PRICE, batch).sum())
    assert whole.tokens.sum() == isl.sum() + osl.sum()
    assert whole.premium_usd == pytest.approx(0.1 * whole.usd.sum())
    parts = empty_bill()
    for part in (slice(None, cut), slice(cut, None)):
        if len(isl[part]):
            parts += token_bill(isl[part], cached[part], osl[part], PRICE, batch[part])
    assert parts.total_usd == pytest.approx(whole.total_usd)
    assert parts.tokens.tolist() == whole.tokens.tolist()
    lines = api_cost("api", whole, 3_600.0, 12).lines
    assert total_usd(lines) == pytest.approx(whole.total_usd * 730)
    assert {line.category for line in lines} <= {"tokens", "batch tokens", "residency"}


def test_a_bill_of_parts_by_hand() -> None:
    """A usual request of 500 + 100 tokens (400 cached), and a batch one of 2,000 + 100 in the dearer tier."""
    bill = token_bill([500, 2_000], [400, 0], [100, 100], PRICE, [False, True])
    assert bill.usd.ravel() * 1e6 == pytest.approx([100, 40, 400, 2_000, 0, 300])
    assert bill.premium_usd * 1e6 == pytest.approx(284.0)


def test_gpu_prices_by_the_hour() -> None:
    """Two replicas of 4 GPUs for 30 h from midnight: hours 0 to 5 come twice, the last hour is a quarter."""
    steady = replace(
        ledger(),
        billed_by_hour_s=np.array([7_200.0] * 29 + [1_800.0]),
        billed_s=7_200.0 * 29.25,
        busy_s=7_200.0 * 29.25,
        idle_s=0.0,
        starting_s=0.0,
    )
    usage = Usage(END_S, (steady,), ())
    dear = {6: 5.0, 5: 9.0}
    prices = RentedPrices(tuple(dear.get(hour, 1.0) for hour in range(24)))
    bill = cost_report(usage, {"pool": prices}, 12, 0.0)
    gpu_h = 8 * (29.25 - 1 - 1.25) * 1.0 + 8 * 1 * 5.0 + 8 * 1.25 * 9.0
    assert bill.usd_per_month == pytest.approx(gpu_h / 29.25 * 730)
    flat, same = (cost_report(usage, {"pool": RentedPrices(p)}, 12, 0.0) for p in (2.5, (2.5,) * 24))
    assert flat.usd_per_month == pytest.approx(same.usd_per_month, rel=1e-15)
    for broken in ((1.0,) * 23, (-1.0,) * 24, (math.nan,) * 24):
        with pytest.raises(InputError, match=r"rented\.usd_per_gpu_hour"):
            RentedPrices(broken)


def test_the_mean_of_replications_adds_up() -> None:
    bills = [
        cost_report(Usage(END_S, (ledger(level=level),), ()), {"pool": prices}, 24, 0.08)
        for level, prices in ((0.3, OWNED), (0.9, OWNED), (0.9, replace(OWNED, electricity_usd_per_kwh=0.0)))
    ]
    mean = mean_report(bills)
    assert mean.usd_per_month == pytest.approx(sum(bill.usd_per_month for bill in bills) / 3)
    assert mean.usd_per_month == pytest.approx(total_usd(mean.lines))
    assert mean.usd_per_million_tokens == pytest.approx(mean.usd_per_month / mean.tokens_per_month * 1e6)
    assert mean.cash_flow_usd == pytest.approx(sum(bill.cash_flow_usd for bill in bills) / 3)
    assert mean_report(bills[:1]).lines == bills[0].lines


@given(
    capex=st.floats(0.0, 400_000.0),
    tariff=st.floats(0.0, 3.0),
    hourly=st.floats(0.0, 6.0),
    reserved=st.integers(0, 30),
    volume=st.floats(0.0, 3.0),
)
@settings(max_examples=80, deadline=None)
def test_volumes_for_which_owning_is_cheaper(
    capex: float, tariff: float, hourly: float, reserved: int, volume: float
) -> None:
    """The side of the break-even volume is the one on which the two straight lines of cost over tokens say so."""
    usage = Usage(END_S, (ledger(),), ())
    owned = cost_report(
        usage, {"pool": replace(OWNED, server_capex_usd=capex, electricity_usd_per_kwh=tariff)}, 12, 0.0
    )
    prices = RentedPrices(hourly, reserved_usd_per_gpu_hour=1.0, reserved_gpus=reserved)
    rented = cost_report(usage, {"pool": prices}, 12, 0.0)
    at = {
        bill: total_usd(bill_.lines, "capex", "opex") + volume * total_usd(bill_.lines, "usage")
        for bill, bill_ in (("owned", owned), ("rented", rented))
    }
    found = cheaper_volumes(owned, rented)
    tokens = volume * owned.tokens_per_month
    inside = found is not None and found[0] <= tokens <= found[1]
    if abs(at["owned"] - at["rented"]) > 1e-6:
        assert inside == (at["owned"] < at["rented"])


def test_equal_costs_before_the_first_token_leave_the_choice_to_the_token() -> None:
    """Two owned fleets of the same hardware: cheaper electricity wins at any volume, dearer never."""
    usage = Usage(END_S, (ledger(),), ())
    cheap, dear = (
        cost_report(usage, {"pool": replace(OWNED, electricity_usd_per_kwh=tariff, host_kw=0.0)}, 12, 0.0)
        for tariff in (0.1, 0.2)
    )
    assert cheaper_volumes(cheap, dear) == (0.0, float("inf"))
    assert cheaper_volumes(dear, cheap) is None
