"""The money model against sums done by hand, numpy-financial, and published figures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy_financial as npf
import pytest
from bill_cases import API, FREE, HOUR_S, PLAIN_SERVER, month, owned, pool, provider, rented, servers

from simulator.bill.annuity import annual_usd, discount_factors, recovery_factor
from simulator.bill.cash import npv_usd, payback_months
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.decide.sensitivity import PricePath, central_interval, price_paths_usd, tornado
from simulator.errors import InputError
from simulator.study.bill import Bill
from simulator.study.terms import Commitment, Fee, Staff, Terms, TokenPrices
from simulator.study.usage import PoolUsage, Stay, Usage

SERVER = replace(PLAIN_SERVER, capex_usd=240_000.0, life_years=4.0)


def two_hours(**changes: Any) -> PoolUsage:
    """One replica of 4 GPUs in the first hour, three in the second; 1 kWh and 3 kWh; half of the time busy."""
    stays = (
        Stay(0, 0, "serving", 0.0, 7_200.0),
        Stay(1, 1, "serving", 3_600.0, 7_200.0),
        Stay(2, 2, "serving", 3_600.0, 7_200.0),
    )
    return replace(
        pool(stays=stays),
        starting_s=0.5 * HOUR_S,
        busy_s=2.0 * HOUR_S,
        idle_s=1.25 * HOUR_S,
        down_s=0.25 * HOUR_S,
        energy_by_hour_j=np.array([3.6e6, 10.8e6]),
        input_tokens=3_000,
        cached_tokens=1_000,
        output_tokens=1_000,
        **changes,
    )


def own(months: float = 48, **terms: Any) -> Bill:
    usage = Usage(7_200.0, (two_hours(),), (), (servers(2, ["pool"]),))
    site = owned(server=SERVER, facility=FREE)
    return bill_study(
        Terms("own", **({"owned": (site,), "months": months} | terms)), [month(usage)] * math.ceil(months)
    )


def by_part(bill: Bill, category: str) -> dict[str, float]:
    return {line.part: float(line.usd) for line in bill.lines if line.category == category}


@pytest.mark.parametrize(("cloud_usd_per_hour", "hours"), [(98.32, 8_556), (77.43, 10_890), (53.95, 15_710)])
def test_break_even_hours_published_by_lenovo(cloud_usd_per_hour: float, hours: float) -> None:
    """Lenovo Press LP2225 (23 May 2025), 8x H100; it rounds the third to tens, hence the tolerance."""
    usage = Usage(7_200.0, (pool(gpus=8, stays=(Stay(0, 0, "serving", 0.0, 7_200.0),)),), (), (servers(1, ["pool"]),))
    site = owned(server=replace(SERVER, capex_usd=833_806.0, life_years=5.0), facility=FREE)
    running = (Fee("running", usd_per_month=0.87 * 730),)
    mine = bill_study(Terms("own", owned=(site,), fees=running, months=60), [month(usage)] * 60)
    rents = Terms("cloud", rented=(rented(usd=cloud_usd_per_hour),), months=60)
    months = payback_months(mine, bill_study(rents, [month(usage)] * 60))
    assert months is not None
    assert months * 730 == pytest.approx(hours, rel=1.5e-4)


def test_nothing_is_saved_by_owning_what_costs_more_to_run() -> None:
    usage = Usage(7_200.0, (pool(gpus=8, stays=(Stay(0, 0, "serving", 0.0, 7_200.0),)),), (), (servers(1, ["pool"]),))
    fee = (Fee("running", usd_per_month=2 * 730),)
    mine = bill_study(Terms("own", owned=(owned(facility=FREE),), fees=fee, months=60), [month(usage)] * 60)
    rents = Terms("cloud", rented=(rented(usd=2.0),), months=60)
    assert payback_months(mine, bill_study(rents, [month(usage)] * 60)) is None


def test_annuity_edges() -> None:
    assert recovery_factor(0.0, 4) == 0.25
    assert recovery_factor(0.07, 1) == pytest.approx(1.07)
    assert recovery_factor(1e-13, 4) == pytest.approx(0.25, rel=1e-9)
    assert recovery_factor(0.05, 1e6) == pytest.approx(0.05)
    assert recovery_factor(0.08, 20) == pytest.approx(-npf.pmt(0.08, 20, 1.0), rel=1e-12)
    assert annual_usd(1_000.0, 0.1, 0.05, 4) == pytest.approx(-npf.pmt(0.05, 4, 1_000.0, -100.0), rel=1e-12)
    assert annual_usd(1_000.0, 0.1, 0.0, 4) == pytest.approx(225.0)
    both = recovery_factor(np.array([0.0, 0.07]), np.array([4.0, 1.0]))
    assert both == pytest.approx([0.25, 1.07])


def test_npv_against_numpy_financial() -> None:
    flow, monthly = np.array([-1_000.0, 200.0, 300.0, 700.0]), 1.1 ** (1 / 12) - 1
    assert npv_usd(flow, np.arange(4.0), 0.1) == pytest.approx(npf.npv(monthly, flow), rel=1e-12)
    assert discount_factors(0.0, np.arange(4)).tolist() == [1.0, 1.0, 1.0, 1.0]


def test_owned_hardware_is_shared_out_by_state() -> None:
    """Two servers and a spare, 3 * 240,000 / 48 months = 15,000 a month for 24 GPUs."""
    bill = own(owned=(owned(server=SERVER, facility=FREE, spares=1),))
    hardware = by_part(bill, "hardware")
    assert bill.capex_usd == 720_000.0
    assert sum(hardware.values()) == pytest.approx(15_000.0)
    assert hardware["spare"] == pytest.approx(5_000.0)
    # of 32 server GPU-hours: busy 8, starting 2, down 1, idle 5, unused 16
    assert hardware["busy"] == pytest.approx(2_500.0)
    assert hardware["starting"] == pytest.approx(625.0)
    assert hardware["down"] == pytest.approx(312.5)
    assert hardware["idle"] == pytest.approx(1_562.5)
    assert hardware["unused"] == pytest.approx(5_000.0)


def test_owned_running_costs_by_hand() -> None:
    kind = replace(SERVER, network_storage_share=0.25, maintenance_share_per_year=0.06, reserved_kw=10.0, host_kw=2.0)
    place = replace(FREE, usd_per_kw_month=100.0, pue=1.5, electricity_usd_per_kwh=(0.1, 0.3) * 12)
    site = owned(server=kind, facility=place)
    bill = own(owned=(site,), staff=(Staff(120_000.0, 0.5),))
    assert sum(by_part(bill, "network and storage").values()) == pytest.approx(2 * 240_000 * 0.25 / 48)
    assert sum(by_part(bill, "maintenance").values()) == pytest.approx(600_000 * 0.06 / 12)
    assert sum(by_part(bill, "staff").values()) == pytest.approx(5_000.0)
    assert sum(by_part(bill, "space").values()) == pytest.approx(2_000.0)
    # 1 kWh at 0.1 and 3 kWh at 0.3, times PUE, 365 times a month; hosts 4 kWh in each of both hours
    assert by_part(bill, "electricity")["gpus"] == pytest.approx((0.1 + 0.9) * 1.5 * 365)
    assert by_part(bill, "electricity")["hosts"] == pytest.approx((0.4 + 1.2) * 1.5 * 365)


@pytest.mark.parametrize(
    ("months", "paid"),
    [
        (36, {0.0: -2.0, 24.0: -1.5, 36.0: 1.25}),
        (24, {0.0: -2.0, 24.0: 0.5}),
        (30.5, {0.0: -2.0, 24.0: -1.5, 30.5: 1.59375}),
    ],
)
def test_hardware_is_bought_replaced_and_sold(months: float, paid: dict[float, float]) -> None:
    """A life of two years and a quarter of the price at its end: in a straight line between."""
    site = owned(server=replace(SERVER, capex_usd=1.0, life_years=2.0, residual_share=0.25), facility=FREE)
    bill = own(months, owned=(site,))
    found = {time: -usd for time, usd in zip(bill.at_months, bill.once_usd, strict=True) if usd}
    assert found == pytest.approx(paid)


def test_reserved_instances_are_paid_whether_used_or_not_and_the_excess_is_on_demand() -> None:
    """One GPU group in the first hour, three in the second, two instances reserved: one hour unused, one on demand."""
    offer = rented(usd=12.0, gpus_per_instance=4, commitments=(Commitment(8.0, 12, 2, 0.5),))
    usage = Usage(7_200.0, (two_hours(),), ())
    bill = bill_study(Terms("cloud", rented=(offer,), months=18), [month(usage)] * 18)
    reserved, on_demand = by_part(bill, "committed"), by_part(bill, "on demand")
    assert reserved["unused"] == pytest.approx(8.0 * 365)
    assert sum(reserved.values()) - reserved["after the study"] == pytest.approx(2 * 730 * 8.0)
    assert sum(on_demand.values()) == pytest.approx(12.0 * 365)
    assert on_demand["starting"] == pytest.approx(12.0 * 365 / 8)
    assert bill.capex_usd == 0.0
    term = 12 * 2 * 730 * 8.0
    assert bill.paid_usd[0] == pytest.approx(0.5 * term)
    assert bill.paid_usd[12] == pytest.approx(0.5 * term + 0.5 * term / 12 + 12.0 * 365)
    assert bill.paid_usd[1] == pytest.approx(0.5 * term / 12 + 12.0 * 365)
    assert bill.paid_usd[24] == pytest.approx(0.5 * term / 12)


def test_egress_and_storage_are_lines_of_their_own() -> None:
    """1,000 tokens in two hours of 200 bytes, 365 times a month: 0.073 GB."""
    data = {"egress_usd_per_gb": 0.09, "egress_bytes_per_output_token": 200.0}
    offer = rented(**data, storage_usd_per_gb_month=0.1, storage_gb=500.0)
    usage = Usage(7_200.0, (two_hours(),), ())
    found = {
        line.category: line for line in bill_study(Terms("cloud", rented=(offer,), months=1), [month(usage)]).lines
    }
    assert found["egress"].quantity == pytest.approx(0.073)
    assert found["egress"].usd == pytest.approx(0.073 * 0.09)
    assert (found["egress"].kind, found["storage"].kind) == ("by_use", "by_month")
    assert found["storage"].usd == pytest.approx(50.0)


def test_gpu_prices_by_the_hour() -> None:
    """30 h from midnight: hours 0 to 5 come twice, the last is a quarter."""
    end_s = 29 * 3600.0 + 900.0
    steady = pool(stays=(Stay(0, 0, "serving", 0.0, end_s),), end_s=end_s)
    dear = {6: 5.0, 5: 9.0}
    offer = rented(usd_per_instance_hour=tuple(dear.get(hour, 1.0) for hour in range(24)))
    bill = bill_study(Terms("cloud", rented=(offer,), months=1), [month(Usage(end_s, (steady,), ()))])
    hours = (29.25 - 1 - 1.25) * 1.0 + 1 * 5.0 + 1.25 * 9.0
    assert total_usd(bill.lines) == pytest.approx(hours / 29.25 * 730)


def test_token_prices_by_band_and_premium() -> None:
    api = replace(API, prices=(TokenPrices(0, 1.0, 0.1, 0.0, 4.0), TokenPrices(200_000, 2.0, 0.2, 0.0, 6.0)))
    tokens = [[[100_000, 100_000, 0, 2_000], [200_000, 1, 0, 1_000]]]
    usage = Usage(730 * HOUR_S, (), (provider(tokens),))
    terms = Terms("api", apis=(replace(api, residency_premium=0.1),), months=1)
    assert total_usd(bill_study(terms, [month(usage)]).lines) == pytest.approx(
        1.1 * (0.1 + 0.01 + 0.008 + 0.4 + 0.2e-6 + 0.006)
    )


def test_an_owner_of_hardware_is_paid_back_when_it_has_saved_its_price() -> None:
    """10,000 a month of hardware, electricity 0.8 against 100 USD of tokens in two hours."""
    site = owned(server=SERVER, facility=replace(FREE, electricity_usd_per_kwh=(0.2,)))
    mine = own(owned=(site,))
    asked = Usage(7_200.0, (), (provider([[[3_000, 0, 0, 1_000]]]),))
    api = replace(API, prices=(TokenPrices(0, 100.0 / 3_000 * 1e6, 0.0, 0.0, 0.0),))
    rival = bill_study(Terms("api", apis=(api,), months=48), [month(asked)] * 48)
    assert payback_months(mine, rival) == pytest.approx(480_000 / (99.2 * 365))
    assert payback_months(rival, rival) is None


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


def test_drawn_months_pay_the_price_of_their_path() -> None:
    """Mean over 12 months of each path; without volatility the bill itself; a wider share of the draws holds more."""
    usage = Usage(7_200.0, (two_hours(),), ())
    base = Terms("cloud", rented=(rented(usd=2.0, gpus_per_instance=4),), months=12)
    use = [month(usage)] * 12
    plain = bill_study(base, use)
    still = price_paths_usd(PricePath(1.0, 0.0, 0.0), 12, 3, 1, "gpu")
    same = bill_study(replace(base, rental_index=still.T), use)
    assert same.npv_usd == pytest.approx([float(plain.npv_usd)] * 3)
    moving = price_paths_usd(PricePath(1.0, 0.0, 0.3), 12, 2_000, 1, "gpu")
    usd = np.asarray(total_usd(bill_study(replace(base, rental_index=moving.T), use).lines))
    assert usd == pytest.approx(float(total_usd(plain.lines)) * moving[:, 1:].mean(axis=1))
    narrow, wide = (central_interval(usd, share) for share in (0.5, 0.9))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.median == narrow.median
    assert central_interval(np.arange(101.0), 0.9) == pytest.approx((5.0, 50.0, 95.0))
