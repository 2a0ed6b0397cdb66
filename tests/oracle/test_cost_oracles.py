"""Cost against published figures and against sums done by hand."""

from __future__ import annotations

import math

import numpy as np
import numpy_financial as npf
import pytest
from cost_cases import flat_bill

from simulator.cost.annuity import annualised_usd, capital_recovery_factor, discount_factors, monthly_rate, npv_usd
from simulator.cost.breakeven import (
    break_even_hours,
    break_even_tokens,
    break_even_utilisation,
    break_even_volume,
    levelised_usd_per_unit,
    owned_units,
    payback_month,
)
from simulator.cost.lines import LineItem
from simulator.cost.owned import capital_cash_flow_usd, owned_cost
from simulator.cost.prices import OwnedPrices, RentedPrices
from simulator.cost.rented import rented_cost
from simulator.cost.report import cost_report
from simulator.cost.sensitivity import PricePath, monte_carlo_npv_usd, price_paths_usd, tornado
from simulator.cost.tokens import TokenPrice, TokenTier, price_requests
from simulator.errors import InputError
from simulator.study.usage import PoolUsage, ProviderUsage, Usage


def owned_prices(**changes: object) -> OwnedPrices:
    free: dict[str, object] = {
        "server_capex_usd": 240_000.0,
        "gpus_per_server": 8,
        "spare_fraction": 0.0,
        "network_storage_share": 0.0,
        "life_years": 4.0,
        "residual_fraction": 0.0,
        "maintenance_rate": 0.0,
        "fte": 0.0,
        "fte_usd_per_year": 0.0,
        "colocation_usd_per_kw_month": 0.0,
        "kw_per_server": 0.0,
        "host_kw": 0.0,
        "pue": 1.0,
        "electricity_usd_per_kwh": 0.0,
        "discount_rate": 0.0,
    }
    return OwnedPrices(**(free | changes))  # type: ignore[arg-type]


def two_hour_pool(**changes: object) -> PoolUsage:
    """Two hours; one replica of 4 GPUs in the first hour, three in the second; 1 kWh and 3 kWh."""
    fields: dict[str, object] = {
        "name": "pool",
        "site": "here",
        "gpus_per_replica": 4,
        "initial_replicas": 1,
        "billed_s": 4 * 3600.0,
        "starting_s": 0.5 * 3600.0,
        "busy_s": 2.0 * 3600.0,
        "idle_s": 1.25 * 3600.0,
        "down_s": 0.25 * 3600.0,
        "billed_by_hour_s": np.array([3600.0, 10_800.0]),
        "energy_by_hour_j": np.array([3.6e6, 10.8e6]),
        "launches": 2,
        "failures": 1,
        "reclaims": 0,
        "stockouts": 0,
        "peak_replicas": 3,
        "requests": 10,
        "input_tokens": 3_000,
        "cached_tokens": 1_000,
        "output_tokens": 1_000,
    }
    return PoolUsage(**(fields | changes))  # type: ignore[arg-type]


def by_name(lines: tuple[LineItem, ...], category: str) -> dict[str, float]:
    return {line.name: line.usd_per_month for line in lines if line.category == category}


@pytest.mark.parametrize(("cloud_usd_per_hour", "hours"), [(98.32, 8_556), (77.43, 10_890), (53.95, 15_710)])
def test_break_even_hours_published_by_lenovo(cloud_usd_per_hour: float, hours: float) -> None:
    """Lenovo Press LP2225 (23 May 2025), 8x H100; it rounds the third to tens, hence the tolerance."""
    assert break_even_hours(833_806.0, 0.87, cloud_usd_per_hour) == pytest.approx(hours, rel=1.5e-4)


def test_nothing_is_saved_by_owning_what_costs_more_to_run() -> None:
    assert break_even_hours(1.0, 2.0, 2.0) == math.inf
    assert break_even_utilisation(1.0, 8, 2.0, 3.0) == math.inf
    assert break_even_tokens(1.0, 2.0, 2.0) == math.inf
    assert break_even_tokens(-1.0, 2.0, 2.0) == 0.0


def test_break_even_utilisation_and_volume_by_hand() -> None:
    assert break_even_utilisation(730.0 * 8, 8, 2.5, 0.5) == pytest.approx(0.5)
    assert break_even_tokens(10_000.0, 0.5, 2.5) == pytest.approx(5e9)


def test_annuity_edges() -> None:
    assert capital_recovery_factor(0.0, 4) == 0.25
    assert capital_recovery_factor(0.07, 1) == pytest.approx(1.07)
    assert capital_recovery_factor(1e-13, 4) == pytest.approx(0.25, rel=1e-9)
    assert capital_recovery_factor(0.05, 1e6) == pytest.approx(0.05)
    assert capital_recovery_factor(0.08, 20) == pytest.approx(-npf.pmt(0.08, 20, 1.0), rel=1e-12)
    assert annualised_usd(1_000.0, 100.0, 0.05, 4) == pytest.approx(-npf.pmt(0.05, 4, 1_000.0, -100.0), rel=1e-12)
    assert annualised_usd(1_000.0, 100.0, 0.0, 4) == pytest.approx(225.0)
    assert (1 + monthly_rate(0.08)) ** 12 == pytest.approx(1.08)


@pytest.mark.parametrize(("rate", "periods"), [(-0.1, 4), (0.1, 0), (math.nan, 4), (0.1, math.inf)])
def test_annuity_refuses_what_has_no_meaning(rate: float, periods: float) -> None:
    with pytest.raises(InputError, match="must be"):
        capital_recovery_factor(rate, periods)


def test_npv_against_numpy_financial() -> None:
    flow = np.array([-1_000.0, 200.0, 300.0, 700.0])
    assert npv_usd(flow, 0.1) == pytest.approx(npf.npv(monthly_rate(0.1), flow), rel=1e-12)
    assert discount_factors(0.0, 3).tolist() == [1.0, 1.0, 1.0, 1.0]


def test_owned_hardware_is_shared_out_by_state() -> None:
    """Peak 12 GPUs: 2 servers and 1 spare, 3 * 240,000 / 48 months = 15,000 a month for 24 GPUs."""
    cost = owned_cost(two_hour_pool(), owned_prices(spare_fraction=0.5), 7_200.0, 48)
    hardware = by_name(cost.lines, "hardware")
    assert cost.capex_usd == 720_000.0
    assert sum(hardware.values()) == pytest.approx(15_000.0)
    assert hardware["spare"] == pytest.approx(5_000.0)
    # of 32 server GPU-hours: busy 8, starting 2, down 1, idle 5, unused 16
    assert hardware["busy"] == pytest.approx(2_500.0)
    assert hardware["starting"] == pytest.approx(625.0)
    assert hardware["down"] == pytest.approx(312.5)
    assert hardware["idle"] == pytest.approx(1_562.5)
    assert hardware["unused"] == pytest.approx(5_000.0)


def test_owned_running_costs_by_hand() -> None:
    prices = owned_prices(
        network_storage_share=0.25,
        maintenance_rate=0.06,
        fte=0.5,
        fte_usd_per_year=120_000.0,
        kw_per_server=10.0,
        colocation_usd_per_kw_month=100.0,
        host_kw=2.0,
        pue=1.5,
        electricity_usd_per_kwh=[0.1, 0.3] * 12,
    )
    lines = owned_cost(two_hour_pool(), prices, 7_200.0, 48).lines
    assert sum(by_name(lines, "network and storage").values()) == pytest.approx(2 * 240_000 * 0.25 / 48)
    assert sum(by_name(lines, "maintenance").values()) == pytest.approx(600_000 * 0.06 / 12)
    assert sum(by_name(lines, "staff").values()) == pytest.approx(5_000.0)
    assert sum(by_name(lines, "colocation").values()) == pytest.approx(2_000.0)
    # 1 kWh at 0.1 and 3 kWh at 0.3, times PUE, 365 times a month; hosts 4 kWh in each of both hours
    assert by_name(lines, "electricity")["gpus"] == pytest.approx((0.1 + 0.9) * 1.5 * 365)
    assert by_name(lines, "electricity")["hosts"] == pytest.approx((0.4 + 1.2) * 1.5 * 365)


def test_hardware_is_bought_replaced_and_sold() -> None:
    prices = owned_prices(life_years=2.0, residual_fraction=0.25)
    flow = capital_cash_flow_usd(1_000.0, prices, 36)
    assert flow[0] == -1_000.0
    assert flow[24] == -750.0
    assert flow[36] == pytest.approx(1_000.0 - 750.0 / 2)
    assert np.count_nonzero(flow) == 3
    assert capital_cash_flow_usd(1_000.0, prices, 24)[[0, 24]].tolist() == [-1_000.0, 250.0]


def test_monthly_lines_and_cash_flow_agree_without_interest() -> None:
    prices = owned_prices(maintenance_rate=0.05, residual_fraction=0.1)
    report = cost_report(Usage(7_200.0, (two_hour_pool(),), ()), {"pool": prices}, 48, 0.0)
    assert report.npv_usd == pytest.approx(-48 * report.usd_per_month)
    rented = RentedPrices(3.0, 2.0, 8, 0.4, 12)
    other = cost_report(Usage(7_200.0, (two_hour_pool(),), ()), {"pool": rented}, 30, 0.0)
    assert other.npv_usd == pytest.approx(-30 * other.usd_per_month)


def test_reserved_gpus_are_paid_whether_used_or_not_and_the_excess_is_on_demand() -> None:
    """4 GPUs in the first hour, 12 in the second, 6 reserved: 2 GPU-hours unused, 6 on demand, per 2 hours."""
    cost = rented_cost(two_hour_pool(), RentedPrices(3.0, 2.0, 6, 0.5, 12), 7_200.0, 18)
    assert by_name(cost.lines, "reserved")["unused"] == pytest.approx(2 * 2.0 * 365)
    assert sum(by_name(cost.lines, "reserved").values()) == pytest.approx(6 * 730 * 2.0)
    on_demand = by_name(cost.lines, "on demand")
    assert sum(on_demand.values()) == pytest.approx(6 * 3.0 * 365)
    assert on_demand["starting"] == pytest.approx(6 * 3.0 * 365 / 8)
    assert cost.capex_usd == 0.0
    assert cost.cash_flow_usd[0] == pytest.approx(-0.5 * 12 * 8_760)
    assert cost.cash_flow_usd[12] == pytest.approx(-0.5 * 6 * 8_760 - 4_380 - 6_570)
    assert cost.cash_flow_usd[1] == pytest.approx(-4_380 - 6_570)


def test_unit_prices_count_all_delivered_tokens_and_the_cost_of_every_target() -> None:
    provider = ProviderUsage("api", 5, 500, 0, 500)
    bills = {"api": flat_bill(500, 10.0)}
    report = cost_report(
        Usage(7_200.0, (two_hour_pool(),), (provider,)), {"pool": RentedPrices(1.0)}, 12, 0.0, bills=bills
    )
    usd_in_two_hours = 16 * 1.0 + 10.0
    assert report.usd_per_month == pytest.approx(usd_in_two_hours * 365)
    assert report.tokens_per_month == pytest.approx(5_000 * 365)
    assert report.usd_per_million_tokens == pytest.approx(usd_in_two_hours / 5_000 * 1e6)
    assert report.usd_per_million_output_tokens == pytest.approx(usd_in_two_hours / 1_500 * 1e6)


def test_nothing_delivered_costs_infinitely_much_per_token() -> None:
    idle = two_hour_pool(input_tokens=0, cached_tokens=0, output_tokens=0)
    report = cost_report(Usage(7_200.0, (idle,), ()), {"pool": RentedPrices(1.0)}, 12, 0.0)
    assert report.usd_per_million_tokens == math.inf
    assert report.usd_per_month > 0


def test_both_topologies_cost_the_same_at_the_break_even_volume() -> None:
    pool, provider = two_hour_pool(), ProviderUsage("api", 5, 3_000, 0, 1_000)
    prices = owned_prices(electricity_usd_per_kwh=0.2)
    owned = cost_report(Usage(7_200.0, (pool,), ()), {"pool": prices}, 48, 0.0)
    api = cost_report(Usage(7_200.0, (), (provider,)), {}, 48, 0.0, bills={"api": flat_bill(3_000, 100.0)})
    # 10,000 a month fixed; electricity 0.8 against 100 USD for 4,000 tokens
    assert break_even_volume(owned, api) == pytest.approx(10_000 / ((100 - 0.8) / 4_000))
    assert break_even_volume(api, owned) == math.inf
    assert payback_month(owned, api) == math.ceil(480_000 / (99.2 * 365))
    assert payback_month(api, api) == 0


def test_comparing_different_horizons_is_refused() -> None:
    usage = Usage(7_200.0, (two_hour_pool(),), ())
    year, two_years = (cost_report(usage, {"pool": RentedPrices(1.0)}, months, 0.0) for months in (12, 24))
    with pytest.raises(InputError, match="same horizon"):
        payback_month(year, two_years)


def test_levelised_price_without_interest_is_cost_over_units() -> None:
    report = cost_report(Usage(7_200.0, (two_hour_pool(),), ()), {"pool": owned_prices()}, 48, 0.0)
    assert levelised_usd_per_unit(report, 5_840.0, 0.0) == pytest.approx(10_000 / 5_840)


def test_hybrid_rule_by_hand() -> None:
    """Of four hours demand exceeds 0 in three, 1 in two, 2 in one; a unit pays from half of the hours on."""
    demand = [0, 1, 2, 5]
    assert owned_units(demand, 8760 * 0.5, 1.5, 0.5) == 1
    assert owned_units(demand, 8760 * 0.49, 1.5, 0.5) == 2
    assert owned_units(demand, 8760 * 0.1, 1.5, 0.5) == 5
    assert owned_units(demand, 1.0, 0.5, 0.5) == 0
    with pytest.raises(InputError, match="whole units"):
        owned_units([0.5], 1.0, 1.0, 0.0)


def test_token_prices_by_tier_and_premium() -> None:
    price = TokenPrice((TokenTier(0, 1.0, 4.0, 0.1), TokenTier(200_000, 2.0, 6.0, 0.2)), 0.1)
    usd = price_requests([200_000, 200_001, 0], [100_000, 1, 0], [1_000, 1_000, 1_000], price)
    expected = [0.1 + 0.01 + 0.004, 0.4 + 0.2e-6 + 0.006, 0.004]
    assert usd == pytest.approx([1.1 * value for value in expected])


@pytest.mark.parametrize(
    "tiers",
    [
        (),
        (TokenTier(5, 1, 1, 1),),
        (TokenTier(0, 1, 1, 1), TokenTier(0, 1, 1, 1)),
        (TokenTier(0, -1, 1, 1),),
        (TokenTier(0, math.nan, 1, 1),),
    ],
)
def test_broken_price_lists_are_refused(tiers: tuple[TokenTier, ...]) -> None:
    with pytest.raises(InputError, match=r"token_price\.tiers"):
        TokenPrice(tiers)


def test_more_cached_than_input_tokens_are_refused() -> None:
    with pytest.raises(InputError, match="cached"):
        price_requests([10], [11], [0], TokenPrice((TokenTier(0, 1, 1, 1),)))


def test_every_broken_price_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        owned_prices(pue=0.9, fte=-1.0, life_years=math.nan)
    assert {problem.path for problem in caught.value.problems} == {"owned.pue", "owned.fte", "owned.life_years"}
    with pytest.raises(InputError, match="electricity"):
        owned_prices(electricity_usd_per_kwh=[0.1, 0.2])
    with pytest.raises(InputError, match="reserved GPUs need a price"):
        RentedPrices(1.0, reserved_gpus=1)
    with pytest.raises(InputError, match="term_months"):
        RentedPrices(1.0, 1.0, 1, upfront_fraction=0.5)


def test_a_pool_without_price_and_an_empty_span_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'pol'"):
        cost_report(Usage(7_200.0, (two_hour_pool(),), ()), {"pol": RentedPrices(1.0)}, 12, 0.0)
    with pytest.raises(InputError, match="end_s"):
        cost_report(Usage(0.0, (), ()), {}, 12, 0.0)
    with pytest.raises(InputError, match="horizon_months"):
        cost_report(Usage(1.0, (), ()), {}, 0, 0.0)


def test_tornado_puts_the_widest_swing_first() -> None:
    swings = tornado(lambda x: 10 * x["a"] + x["b"] ** 2, {"a": (1.0, 2.0, 3.0), "b": (0.0, 5.0, 6.0)})
    assert [swing.name for swing in swings] == ["b", "a"]
    assert (swings[0].low_usd, swings[0].base_usd, swings[0].high_usd) == (20.0, 45.0, 56.0)
    assert swings[1].width_usd == 20.0
    with pytest.raises(InputError, match=r"tornado\.a"):
        tornado(lambda x: x["a"], {"a": (2.0, 1.0, 3.0)})


def test_prices_move_both_ways_around_the_drift_and_repeat() -> None:
    path = PricePath(2.0, -0.2, 0.3)
    prices = price_paths_usd(path, 24, 4_000, 7, "h100")
    assert (prices[:, 0] == 2.0).all()
    log = np.log(prices[:, 24] / 2.0)
    assert log.mean() == pytest.approx((-0.2 - 0.045) * 2, abs=4 * 0.3 * math.sqrt(2 / 4_000))
    assert log.std() == pytest.approx(0.3 * math.sqrt(2), rel=0.05)
    assert 0.05 < (prices[:, 24] > 2.0).mean() < 0.5
    assert (prices == price_paths_usd(path, 24, 4_000, 7, "h100")).all()
    assert (prices != price_paths_usd(path, 24, 4_000, 7, "b200"))[:, 1:].all()


def test_monte_carlo_without_volatility_is_the_report() -> None:
    report = cost_report(Usage(7_200.0, (two_hour_pool(),), ()), {"pool": RentedPrices(2.0)}, 24, 0.07)
    paths = price_paths_usd(PricePath(2.0, 0.0, 0.0), 24, 3, 1, "gpu")
    npv = monte_carlo_npv_usd(paths, 16 * 365.0, 0.0, 0.07)
    assert npv == pytest.approx([report.npv_usd] * 3)
    assert (paths == 2.0).all()
