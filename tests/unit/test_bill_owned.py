"""Owned servers: whole, shared by pools, bought when they are needed."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from bill_cases import FEES, FREE, HOUR_S, PLAIN_SERVER, SERVER, STAFF, fixed, month, owned, pool, servers

from simulator.bill.hardware import _book_usd, resale_share
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.study.bill import MonthUse, PeriodUse
from simulator.study.terms import Terms
from simulator.study.usage import Usage


def test_what_is_left_to_pay_off_after_two_years() -> None:
    """1,200 less 300 a year, and at a tenth of interest 1,200 * 1.21 less 300 * (1 + 1.1)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _book_usd(1200.0, 300.0, 0.0, 2.0) == pytest.approx(600.0)
        assert _book_usd(1200.0, 300.0, 0.1, 2.0) == pytest.approx(822.0)
        assert _book_usd(1200.0, 300.0, np.array([0.0, 0.1]), 2.0) == pytest.approx([600.0, 822.0])
        assert _book_usd(1200.0, 300.0, 0.1, 0.0) == pytest.approx(1200.0)


def two_pools(used: int = 1) -> Usage:
    return Usage(2 * HOUR_S, (pool("a", stays=fixed(1)), pool("b", stays=fixed(1))), (), (servers(used, ["a", "b"]),))


def test_two_pools_on_one_server_buy_one_server() -> None:
    kind = replace(SERVER, capex_usd=320_000.0, network_storage_share=0.15, install_usd=0.0)
    site = owned(("a", "b"), server=kind, spares=1)
    bill = bill_study(Terms("own", owned=(site,), months=36), [month(two_pools())] * 36)
    assert bill.upfront_usd == pytest.approx(736_000.0)
    hours = {line.part: line.quantity for line in bill.lines if line.category == "hardware"}
    assert sum(hours.values()) == pytest.approx(2 * 8 * 730)
    assert hours["spare"] == pytest.approx(8 * 730)


def test_spares_are_a_number_or_a_share_rounded_up() -> None:
    usage = two_pools(used=30)
    for spares, share, bought in ((2, 0.0, 32), (None, 0.1, 33), (None, 0.11, 34), (0, 0.5, 30)):
        site = owned(("a", "b"), server=PLAIN_SERVER, facility=FREE, spares=spares, spare_share=share)
        bill = bill_study(Terms("own", owned=(site,), months=1), [month(usage)])
        assert bill.upfront_usd == pytest.approx(bought * 250_000.0)


def test_a_fleet_that_grows_buys_whole_servers_later_and_never_fewer() -> None:
    site = owned(("a", "b"), server=PLAIN_SERVER, facility=FREE)
    uses = [month(two_pools(used)) for used in (1, 1, 3, 2)]
    bill = bill_study(Terms("own", owned=(site,), months=4), uses)
    assert bill.once_usd[0] == pytest.approx(250_000.0)
    assert bill.once_usd[2] == pytest.approx(500_000.0)
    per_server = 250_000.0 / 48
    assert [float(total_usd(found.lines, "bought")) for found in bill.months] == pytest.approx(
        [per_server, per_server, 3 * per_server, 3 * per_server]
    )
    assert total_usd(bill.lines) == pytest.approx(2 * per_server)


def test_what_is_fixed_takes_the_peak_and_use_is_weighted() -> None:
    site = owned(("a", "b"), server=PLAIN_SERVER)
    busy, calm = two_pools(used=2), two_pools(used=1)
    quiet = replace(
        calm, pools=tuple(replace(found, energy_by_hour_j=0.0 * found.energy_by_hour_j) for found in calm.pools)
    )
    use = MonthUse((PeriodUse(busy, 73.0), PeriodUse(quiet, 657.0)))
    terms = Terms("own", owned=(replace(site, facility=replace(site.facility, electricity_usd_per_kwh=(0.1,))),))
    bill = bill_study(replace(terms, months=1), [use])
    kwh = next(line.quantity for line in bill.lines if line.part == "gpus")
    assert kwh == pytest.approx(0.1 * 730 * 2 * 4 * 0.5 * 1.3)
    assert bill.upfront_usd == pytest.approx(500_000.0)


def test_electricity_is_paid_at_the_price_of_its_hour() -> None:
    site = owned(("a", "b"), facility=replace(FREE, electricity_usd_per_kwh=(0.0,) * 7 + (1.0,) + (0.0,) * 16))
    for start, share in ((6.0, 0.5), (7.0, 0.5), (6.5, 0.5), (7.5, 0.25), (12.0, 0.0)):
        bill = bill_study(Terms("own", owned=(site,), months=1), [month(two_pools(), start_hour=start)])
        usd = sum(line.usd for line in bill.lines if line.category == "electricity")
        assert usd == pytest.approx(share * 730 * (2 * 4 * 0.5 + 2.0))


def test_hardware_is_replaced_at_the_end_of_its_life_and_sold_at_its_age() -> None:
    kind = replace(PLAIN_SERVER, life_years=1.0, residual_share=0.1, resale_share_by_age=((0.5, 0.3),), install_usd=1e3)
    site = owned(("a", "b"), server=kind, facility=FREE)
    bill = bill_study(Terms("own", owned=(site,), months=18), [month(two_pools())] * 18)
    paid = {time: usd for time, usd in zip(bill.at_months, bill.once_usd, strict=True) if usd}
    assert paid == pytest.approx({0.0: 251_000.0, 12.0: 226_000.0, 18.0: -75_000.0})


def test_a_server_that_never_brings_anything_is_not_sold() -> None:
    ages = ((0.0, 0.0), (0.5, 0.0), (2.0, 0.0))
    kind = replace(PLAIN_SERVER, life_years=2.0, residual_share=0.0, resale_share_by_age=ages)
    site = owned(("a", "b"), server=kind, facility=FREE)
    for months in (3, 6, 18, 24):
        bill = bill_study(Terms("own", owned=(site,), months=months), [month(two_pools())] * months)
        assert [usd for usd in bill.once_usd if usd] == [250_000.0]


@pytest.mark.parametrize(("age", "share"), [(0.0, 1.0), (0.5, 0.8), (1.0, 0.6), (3.5, 0.175), (4.0, 0.1)])
def test_resale_is_linear_between_known_ages(age: float, share: float) -> None:
    assert resale_share(SERVER, age) == pytest.approx(share)


def test_staff_is_paid_once_and_grows_with_servers_and_replicas() -> None:
    site = owned(("a", "b"), server=PLAIN_SERVER, facility=FREE, spares=1)
    bill = bill_study(Terms("own", owned=(site,), staff=(STAFF,), months=1), [month(two_pools())])
    fte = {line.part: line.quantity for line in bill.lines if line.category == "staff"}
    assert fte == pytest.approx({"base": 0.5, "servers": 0.04, "replicas": 0.02})
    usd = sum(line.usd for line in bill.lines if line.category == "staff")
    assert usd == pytest.approx(0.56 * 15_000.0)


def test_fees_are_once_by_month_and_a_share_of_the_rest() -> None:
    site = owned(("a", "b"), server=PLAIN_SERVER, facility=FREE)
    bill = bill_study(Terms("own", owned=(site,), fees=FEES, months=10), [month(two_pools())] * 10)
    hardware = 250_000.0 / 48
    usd = {(line.category, line.part): line.usd for line in bill.lines if line.category != "hardware"}
    assert usd == pytest.approx(
        {
            ("support", "by month"): 500.0,
            ("integration", "once"): 2_000.0,
            ("support", "share of the bill"): 0.03 * (hardware + 2_500.0),
        }
    )
    assert bill.upfront_usd == pytest.approx(270_000.0)


@pytest.mark.parametrize("busy_s", [471.22, 652.08, 3039.35, 4320.0])
def test_a_server_whose_gpus_are_all_held_has_no_unused_hours(busy_s: float) -> None:
    """Its GPU-hours are busy and idle ones; rounding of their sum is no line."""
    alone = replace(pool(gpus=8, stays=fixed(1)), busy_s=busy_s, idle_s=2 * HOUR_S - busy_s)
    use = month(Usage(2 * HOUR_S, (alone,), (), (servers(1, ["pool"]),)))
    bill = bill_study(Terms("own", owned=(owned(server=PLAIN_SERVER, facility=FREE),), months=1), [use])
    assert [line.part for line in bill.lines] == ["busy", "idle"]
